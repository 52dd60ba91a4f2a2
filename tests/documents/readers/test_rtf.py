"""Rich text of LibreOffice, and as Word writes it: headings, tables, notes and alphabets."""

from pathlib import Path

import pytest

from app.documents.readers import parse, read
from app.documents.readers.docx import read_rtf
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")


def text(source: str) -> str:
    return "\n\n".join(page.text for page in read_rtf(source.encode("latin-1")))


def test_headings_lists_notes_and_tables_are_found() -> None:
    pages = read(FILES / "fees.rtf", 10_000_000).pages
    assert read(FILES / "fees.rtf", 10_000_000).title == "Handbook of the harbour library"
    by_label = {page.place.label: page.text for page in pages}
    assert "- Closed on public holidays" in by_label["Opening hours"]
    assert "never more than it was bought for.\n\nChildren pay nothing." in by_label["Fees"]
    assert "| Medium | Weeks | Fee per day |\n| Book | 4 | 0.40 € |" in by_label["Fees"]
    assert "Der Schlüssel liegt im grünen Schrank neben der Tür." in by_label["Übergabe"]


def test_changes_are_read_as_accepted_and_text_boxes_after_their_paragraph() -> None:
    (page,) = read(FILES / "changes.rtf", 10_000_000).pages
    assert page.text == "The crane lifts twelve tons.\n\nBeside it a ladder leads up.\n\nNobody stands under the load."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"{\rtf1\ansi\ansicpg1252 Gr\'f6\'dfe \u8364? a\~b \endash  c}", "Größe € a b – c"),
        (r"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2}", "Привет"),
        (r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f1\fcharset128 Gothic;}}\f1\'93\'fa\'96\'7b}", "日本"),
        (r"{\rtf1\ansi\uc1\u-10179?\u-8704?!}", "😀!"),
        ("{\\rtf1\\ansi\\ansicpg1252 Gr\xf6\xdfe}", "Größe"),
        (r"{\rtf1 a{\*\unknown b}{\info{\title c}} \{d\}\line e}", "a {d}\n\ne"),
        (r"{\rtf1 one{\pict\bin5 }}}}}} two}", "one two"),
        (r'{\rtf1 see {\field{\*\fldinst{HYPERLINK "http://a.example"}}{\fldrslt{the list}}}.}', "see the list."),
        (
            r"{\rtf1\pard\intbl A\cell B\cell\row\pard\intbl one\par two\cell 3\cell\row\pard after}",
            "| A | B |\n| one two | 3 |\n\nafter",
        ),
    ],
)
def test_alphabets_and_marks_of_the_format_become_text(source: str, expected: str) -> None:
    assert text(source) == expected


def test_a_paragraph_with_a_level_is_a_heading() -> None:
    first, second = read_rtf(
        rb"{\rtf1\pard\outlinelevel0 Tides\par\pard Ebb.\par\pard\outlinelevel1 Flood\par\pard Wet.}"
    )
    assert (first.place.label, second.place.label) == ("Tides", "Flood")


@pytest.mark.parametrize("data", [b"text", b"{\\rtf1}", b"{\\rtf1 " + b"{" * 10_000, b"{\\rtf1\\u99999999 a}"])
def test_what_is_no_rich_text_or_damaged_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="; "):
        parse(".rtf", data)


def test_a_note_that_does_not_end_is_read() -> None:
    assert text(r"{\rtf1 {\footnote a") == "a"
