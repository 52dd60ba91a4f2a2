"""Tables as text: delimiters, encodings, quotation marks, and the lines where rows stand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place
from app.documents.readers.tables import read_csv
from app.errors import UnreadableFile

ROWS = [("Stadt", "Fläche in qkm", "Bürger"), ("Köln", "405,01", "1 087 353"), ("Münster", "303,28", "322 904")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_and_the_encoding_are_found(encoding: str, delimiter: str) -> None:
    text = "\r\n".join(delimiter.join(row) for row in ROWS)
    assert read_csv(text.encode(encoding)) == [
        Page(
            "| Stadt | Fläche in qkm | Bürger |\n| Köln | 405,01 | 1 087 353 |\n| Münster | 303,28 | 322 904 |",
            Place("sheet", "lines 2-3", 2),
        )
    ]


def test_quotation_marks_hold_delimiters_and_line_ends() -> None:
    (page,) = read_csv(b'a,b\n"x, y","two\nlines"\nlast,"said ""so"""\n')
    assert page == Page('| a | b |\n| x, y | two lines |\n| last | said "so" |', Place("sheet", "lines 2-4", 2))


def test_the_place_names_the_lines_of_the_file() -> None:
    text = "Name,Age\n\n" + "".join(f"Person {number},{number}\n" for number in range(3, 103))
    for page in read_csv(text.encode()):
        head, *rows = page.text.split("\n")
        assert head == "| Name | Age |"
        ages = [int(row.split()[-2]) for row in rows]
        assert page.place == Place("sheet", f"lines {ages[0]}-{ages[-1]}", ages[0])


def test_a_cell_without_end_is_read_as_text() -> None:
    (page,) = read_csv(b'a,b\n1,"' + b"no end to this\n" * 20_000)
    assert page.place == Place("line", "line 1", 1)


@pytest.mark.parametrize("data", [b"\n\n", b",,,\n,,", b" "])
def test_a_table_without_cells_is_empty(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="it is empty"):
        read_csv(data)


@given(st.binary(max_size=300) | st.text('a1,;"|\t\r\n', max_size=200).map(str.encode))
def test_no_bytes_raise_anything_but_unreadable_file(data: bytes) -> None:
    try:
        pages = read_csv(data)
    except UnreadableFile:
        return
    assert all(page.text.strip() and "\0" not in page.text for page in pages)


def test_damaged_tables_raise_nothing_but_unreadable_file() -> None:
    whole = "\n".join(f'"Person {number}";{number};"über {number}"' for number in range(200)).encode()
    chance = random.Random(13)
    for _ in range(25):
        data = bytearray(whole[: chance.randrange(1, len(whole))])
        for _ in range(5):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            assert read_csv(bytes(data))
        except UnreadableFile:
            continue
