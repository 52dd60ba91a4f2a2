"""Rows in groups: every cell stands once, below its header, and the ranges are right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place, split
from app.documents.readers.tables import Group, Row, groups

FEW_WORDS = st.text("abcdefgh .,", min_size=1, max_size=60).filter(str.strip)
SHAPES = st.lists(st.tuples(st.integers(1, 3), st.dictionaries(st.integers(2, 40), FEW_WORDS, max_size=8)), max_size=40)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" |")]


def table(shapes: list[tuple[int, dict[int, str]]]) -> list[Row]:
    """A header over all columns, and rows whose cells tell where they stand."""
    rows: list[Row] = [(1, {column: f"H{column}" for column in range(1, 41)})]
    for gap, texts in shapes:
        number = rows[-1][0] + (gap if len(rows) > 1 else 1)
        rows.append((number, {1: f"r{number}"} | {c: f"r{number}c{c} {text}" for c, text in texts.items()}))
    return rows


@pytest.mark.slow
@given(SHAPES)
def test_every_cell_stands_once_and_below_its_header(shapes: list[tuple[int, dict[int, str]]]) -> None:
    rows = table(shapes)
    found: list[str] = []
    for group in groups(rows):
        head, *lines = group.text.split("\n")
        labels = cells(head)
        for line in lines:
            texts = cells(line)
            for label, text in zip(labels, texts, strict=False):
                if "c" in text.split(" ")[0]:
                    assert text.split()[0].split("c")[1] == label[1:]
            found += filter(None, texts)
    assert found == [" ".join(text.split()) for _, row in rows[1:] for _, text in sorted(row.items())]


@given(SHAPES)
def test_the_range_is_that_of_the_rows_without_the_header(shapes: list[tuple[int, dict[int, str]]]) -> None:
    rows = table(shapes)
    data = [row for row in rows if row[0] > 1] or rows
    found = list(groups(rows))
    assert (found[0].first_row, found[-1].last_row) == (data[0][0], data[-1][0])
    for group in found:
        inside = [row for number, row in data if group.first_row <= number <= group.last_row]
        columns = {column for row in inside for column in row}
        assert (group.first_column, group.last_column) == (min(columns), max(columns))
        assert all(f"r{number}" in group.text for number, _ in rows[1:] if group.first_row <= number <= group.last_row)
    assert [group.first_row for group in found[1:]] == [
        next(number for number, _ in data if number > before.last_row) for before in found[:-1]
    ]


def plain(count: int, header: tuple[str, ...] = ("Name", "Age")) -> list[Row]:
    names = [(number, {1: f"Person {number}", 2: str(number)}) for number in range(2, count + 2)]
    return [(1, dict(enumerate(header, 1))), *names]


def texts(rows: list[Row]) -> list[str]:
    return [group.text for group in groups(rows)]


def test_a_group_is_one_passage() -> None:
    found = list(groups(plain(200)))
    assert len(found) > 5
    for group in found:
        page = Page(group.text, Place("sheet", "A", 1))
        assert [passage.text for passage in split([page], "f", "t", "en")] == [group.text]


def test_the_header_is_repeated_and_cut_where_it_is_long() -> None:
    first, second = texts(plain(30, ("Name", "Age " + "in full years " * 8)))[:2]
    assert first.startswith("| Name | Age in full years in full")
    assert first.split("\n")[0].endswith("in full years |")
    assert second.split("\n")[0].endswith("… |")


def test_a_title_above_the_header_stands_in_each_group() -> None:
    rows = [(1, {1: "Staff of the harbour"}), *[(number + 2, cells) for number, cells in plain(40)]]
    for group in groups(rows):
        assert group.text.split("\n")[:2] == ["| Staff of the harbour |", "| Name | Age |"]
    assert next(groups(rows)) == Group(texts(rows)[0], 4, next(groups(rows)).last_row, 1, 2)


def test_a_second_table_below_has_its_own_header() -> None:
    rows = [*plain(2), (6, {1: "Boat", 2: "Knots"}), (7, {1: "Gull", 2: "9"})]
    assert texts(rows) == ["| Name | Age |\n| Person 2 | 2 |\n| Person 3 | 3 |", "| Boat | Knots |\n| Gull | 9 |"]


def test_empty_rows_columns_and_cells_are_left_out() -> None:
    rows = [(1, {1: "A", 2: "  ", 3: "B"}), (2, {}), (3, {1: " ", 3: "7"}), (4, {1: "x|y\nz"})]
    assert texts(rows) == ["| A | B |\n|  | 7 |\n| x\\|y z |"]


def test_cells_in_any_order_stand_in_that_of_their_columns() -> None:
    rows = [(1, {1: "A", 2: "B", 3: "C"}), (2, {3: "z", 1: "x"}), (3, {2: "y"})]
    assert texts(rows) == ["| A | B | C |\n| x |  | z |\n|  | y |"]


def test_a_wide_table_with_few_cells_does_not_grow() -> None:
    wide = {column: f"Column {column}" for column in range(1, 2001)}
    rows = [(1, wide), *[(number, {number: "x"}) for number in range(2, 2001)]]
    assert sum(map(len, texts(rows))) < 200_000


@pytest.mark.slow
def test_a_header_of_very_many_columns_costs_no_more_than_it_is_long() -> None:
    rows = [(1, dict.fromkeys(range(1, 100_001), "x")), *[(number, {1: "y"}) for number in range(2, 20_002)]]
    assert sum(map(len, texts(rows))) < 1_000_000


def test_nothing_makes_no_group() -> None:
    assert texts([]) == texts([(1, {}), (2, {1: " "})]) == []
    assert texts([(5, {2: "alone"})]) == ["| alone |"]
