"""The number of rows of a table, told beside the passages that show some of them."""

from dataclasses import replace

import pytest

from app.answering.row_counts import with_row_count
from app.documents.passages import Page, Place, joined, split
from app.retrieval.packing import Evidence

TOWNS = "Bergen", "Odda", "Voss", "Stord"
HEAD = "| Employee | Town | Grade | Days off |"
ROWS = [f"| Asta Moen {at:03} | {TOWNS[at % 4]} | {at % 7 + 1} | {20 + at} |" for at in range(40)]
SHEETS = [
    Page("\n".join([HEAD, *ROWS[at : at + 10]]), Place("sheet", f"Staff!A{at + 1}:D{at + 10}", at + 1))
    for at in range(0, 40, 10)
]
OTHER = Page("| Employee | Town |\n| Bjarte Vik | Odda |\n| Cille Lund | Voss |", Place("sheet", "Former!A1:B3", 1))
PAGES = [OTHER, *SHEETS]
TEXT = joined(PAGES)


def note(question: str, page: Page = SHEETS[1], text: str = TEXT) -> str:
    passages = split(PAGES if text is TEXT else [page], "staff.xlsx", "Staff", "en")
    start = text.index(page.text)
    shown = Evidence(1, "staff.xlsx", "Staff", page.place, start, start + len(page.text), page.text, "en")
    *_, last = with_row_count(question, (shown,), lambda _: passages, lambda _: text)
    return last.text if last.start == last.end else ""


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("How many employees are there?", "The table has 40 rows;"),
        ("Wie viele Zeilen hat die Tabelle?", "The table has 40 rows;"),
        ("What is the number of employees?", "The table has 40 rows;"),
        ("How many employees are in Odda?", "Rows that match: 10 of 40 (Town: Odda);"),
        ("How many people in Bergen or Voss?", "Rows that match: 20 of 40 (Town: Bergen or Voss);"),
        ("How many employees have grade 3?", "Rows that match: 6 of 40 (Grade: 3);"),
        ("How many employees in Odda have grade 2?", "Rows that match: 2 of 40 (Town: Odda; Grade: 2);"),
        ("How many towns are there?", "The table has 40 rows, with 4 different values of Town;"),
        ("How many days off does Asta Moen 007 have?", ""),
        ("How many days off are there?", ""),
        ("Which employees are in Odda?", ""),
        ("List all employees", "The table has 40 rows;"),
        ("Please show me all employees in Odda", "Rows that match: 10 of 40 (Town: Odda);"),
        ("Liste bitte alle Employees auf", "The table has 40 rows;"),
        ("Énumère tous les employés", "The table has 40 rows;"),
    ],
)
def test_the_rows_of_a_table_are_counted_if_the_question_asks_for_them(question: str, says: str) -> None:
    assert note(question).startswith(says)
    assert bool(note(question)) == bool(says)


def test_rows_are_counted_in_the_sheet_that_the_evidence_is_from() -> None:
    assert note("How many employees are there?", OTHER).startswith("The table has 2 rows;")


def test_the_rows_of_a_table_in_a_text_are_counted() -> None:
    page = Page(
        "# Rooms\n\nAll are heated.\n\n| Room | Floor |\n|---|---|\n| A | 1 |\n| B | 1 |", Place("heading", "Rooms", 1)
    )

    assert note("How many rooms are there?", page, page.text).startswith("The table has 2 rows;")


def test_a_text_without_a_table_has_no_rows() -> None:
    page = Page("There are 12 ferries | or boats.", Place("line", "line 1", 1))

    assert note("How many ferries are there?", page, page.text) == ""


def test_the_rows_of_a_section_are_counted_on_all_its_pages_also_if_its_heading_is_found_first() -> None:
    place = Place("heading", "Staff", 2)
    pages = [Page("# Staff", place), *(replace(page, place=place) for page in SHEETS)]
    text, passages = joined(pages), split(pages, "staff.docx", "Staff", "en")
    found = [
        Evidence(number, "staff.docx", "Staff", place, each.start, each.end, each.text, "en")
        for number, each in enumerate(passages[:2], 1)
    ]
    *_, last = with_row_count("How many employees are there?", tuple(found), lambda _: passages, lambda _: text)
    assert last.text.startswith("The table has 40 rows;")


def test_a_value_that_is_a_function_word_counts_beside_the_name_of_its_column() -> None:
    rows = [f"| Tern {at} | {'AB'[at % 2]} |" for at in range(9)]
    page = Page("\n".join(["| Vessel | Class |", *rows]), Place("sheet", "S!A2:B10", 1))
    assert note("How many vessels are class A?", page, page.text).startswith("Rows that match: 5 of 9 (Class: A);")
    assert note("How many vessels have a crane?", page, page.text).startswith("The table has 9 rows;")
