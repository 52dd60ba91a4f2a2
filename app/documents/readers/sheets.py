"""Workbooks (.xlsx), the rows of each sheet in groups under its header; formulas are what they last came to."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from app.documents.pages import Page, Place
from app.documents.readers import numbers, package
from app.documents.readers.tables import Cells, Row, groups, repeated
from app.errors import UnreadableFile

_MAX_MERGED = 100_000
_MAX_TEXT = 100_000_000
"""Characters: a text that is stored once may stand in a million cells."""

_MAX_COLUMN = 16_384
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})$")
_PLAIN_NAME = re.compile(r"[^\W\d]\w*$")


def read(data: bytes) -> list[Page]:
    """The groups of rows of all sheets, also of hidden ones; the number of their place is that of the sheet."""
    with package.opened(data, ".xlsx") as parts:
        pages = list(_pages(parts))
    if not pages:
        raise UnreadableFile("none of its sheets holds text or numbers")
    return pages


def column_name(number: int) -> str:
    """The letters of a column, which the first one is "A" of."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _pages(parts: package.Package) -> Iterator[Page]:
    main = parts.main()
    workbook, related = parts.tree(main), parts.related(main)
    settings = workbook.find("workbookPr")
    since_1904 = settings is not None and settings.get("date1904") in ("1", "true")
    texts, styles = parts.one(main, "sharedStrings"), parts.one(main, "styles")
    shared = [_text(item) for item in parts.stream(texts, "si")] if texts else []
    formats = list(_formats(parts.tree(styles))) if styles else []
    left = _MAX_TEXT
    for number, sheet in enumerate(workbook.iterfind("sheets/sheet"), 1):
        relation = related[sheet.get("r:id", "")]
        if relation.kind != "worksheet":
            continue
        name = sheet.get("name", "")
        name = name if _PLAIN_NAME.match(name) else "'" + name.replace("'", "''") + "'"
        rows: list[Row] = []
        merged: list[str] = []
        for element in parts.stream(relation.target, "row", "mergeCell"):
            if element.tag == "row":
                rows.append(_row(element, rows[-1][0] + 1 if rows else 1, shared, formats, since_1904))
            else:
                merged.append(element.get("ref", ""))
        left -= sum(len(text) for _, cells in rows for text in cells.values())
        if left < 0:
            raise UnreadableFile("its cells repeat too much text; split it into several files, or save it again")
        _spread(rows, merged)
        for group in groups(rows):
            first = f"{column_name(group.first_column)}{group.first_row}"
            last = f"{column_name(group.last_column)}{group.last_row}"
            yield Page(group.text, Place("sheet", f"{name}!{first}" + f":{last}" * (first != last), number))


def _row(row: Element, following: int, shared: list[str], formats: list[str], since_1904: bool) -> Row:
    cells: Cells = {}
    column = 0
    for cell in row.iterfind("c"):
        reference = _REFERENCE.match(cell.get("r", ""))
        column = _column(reference[1]) if reference else column + 1
        kind, value = cell.get("t", "n"), cell.findtext("v")
        if kind == "inlineStr":
            cells[column] = "".join(map(_text, cell.iterfind("is")))
        elif value is None or column > _MAX_COLUMN:
            continue
        elif kind == "s":
            cells[column] = shared[int(value)]
        elif kind == "n":
            style = int(cell.get("s", "0"))
            cells[column] = numbers.shown(value, formats[style] if style < len(formats) else "", since_1904)
        else:
            cells[column] = ("FALSE", "TRUE")[value == "1"] if kind == "b" else value
    return int(row.get("r", following)), cells


def _spread(rows: list[Row], merged: list[str]) -> None:
    """Repeats in each row what stands in a cell merged over several of them."""
    by_number = dict(rows)
    left = _MAX_MERGED
    for reference in merged:
        first, last = (_REFERENCE.match(corner) for corner in (reference + ":").split(":")[:2])
        if first and last and (left := left - (int(last[2]) - int(first[2]))) > 0:
            column = _column(first[1])
            text = repeated(by_number.get(int(first[2]), {}).get(column, ""))
            for number in range(int(first[2]) + 1, int(last[2]) + 1):
                if by_number.get(number):
                    by_number[number][column] = text


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _text(item: Element) -> str:
    """The runs of a text, without the pronunciation above it."""
    return "".join([item.findtext("t") or "", *(run.findtext("t") or "" for run in item.iterfind("r"))])


def _formats(styles: Element) -> Iterator[str]:
    """The format of numbers that each style has."""
    own = {item.get("numFmtId"): item.get("formatCode", "") for item in styles.iterfind("numFmts/numFmt")}
    for style in styles.iterfind("cellXfs/xf"):
        identity = style.get("numFmtId", "0")
        yield own.get(identity) or numbers.BUILT_IN.get(int(identity), "")
