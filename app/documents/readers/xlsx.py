"""Workbooks (.xlsx), the rows of each sheet in groups under its header; formulas by their last result, if stored."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from html import unescape
from io import BytesIO
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from app.documents.passages import Page, Place
from app.documents.readers.ooxml import Package, captions, shown
from app.documents.readers.sections import comment
from app.documents.readers.tables import Cells, Row, groups, repeated
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_STYLED = re.compile(rb"""<(?:\w+:)?c\s(?=[^<>]*?\br=["']([A-Z]+\d+))[^<>]*?\bs=["'](\d+)""")
_NO_RESULT = rb"\s*(<(?:\w+:)?v\s*(?:/>|>0?</(?:\w+:)?v>)\s*)?</(?:\w+:)?c>"
_ANY_UNSOLVED = re.compile(rb"f>" + _NO_RESULT)
"""Few files match this one, which is fifteen times as fast as the other."""

_UNSOLVED = re.compile(rb"<(?:\w+:)?c\s([^<>]*)>\s*<(?:\w+:)?f\b([^<>]*?)(?:/>|>([^<]*)</(?:\w+:)?f>)" + _NO_RESULT)
"""A cell with a formula whose result is 0, empty or missing: the attributes of both, the formula, and the result."""

_ATTRIBUTE = re.compile(r"""\b(\w+)=["']([^"']*)""")
_CELL = re.compile(r"(\$?)([A-Z]{1,3})(\$?)(\d+)")
_RELATIVE = re.compile(rf""""[^"]*"|'[^']*'|(?<![\w.]){_CELL.pattern}(?![\w(.])""")
_COPY = re.compile(r"\[[^\[\]]*\] .{0,400}?https://go\.microsoft\.com/fwlink/\S+ \S+: ")
"""What the copy of a comment of a thread says about programs that show threads."""

_PREFIX = re.compile(r"_xl(?:fn|ws|pm)\.")
"""What the names of newer functions begin with in files, but not on the screen."""

_PLAIN_NAME = re.compile(r"[^\W\d]\w*$")

Position = tuple[int, int]
"""The numbers of a column and a row, from 1."""

Text = tuple[Position, str]
"""A text, and the cell that it belongs to."""

BUILT_IN = {1: "0", 2: "0.00", 3: "0", 4: "0.00", 9: "0%", 10: "0.00%", 37: "0", 38: "0", 39: "0.00", 40: "0.00"}
"""The formats that a workbook names by number alone (ECMA-376, part 1, 18.8.30), without dates."""


def read(data: bytes) -> list[Page]:
    """Return the groups of rows of all sheets, also of hidden ones; the number of a place is that of the sheet."""
    return pages(_sheets(data))


def pages(sheets: Iterable[tuple[str, Iterable[Row]]]) -> list[Page]:
    """Return the groups of rows of sheets, given with their names; their places are ranges of cells."""
    found = []
    for number, (name, rows) in enumerate(sheets, 1):
        name = name if _PLAIN_NAME.match(name) else "'" + name.replace("'", "''") + "'"
        for group in groups(rows):
            first = f"{_column_name(group.first_column)}{group.first_row}"
            last = f"{_column_name(group.last_column)}{group.last_row}"
            place = Place("sheet", f"{name}!{first}" + f":{last}" * (first != last), number)
            found.append(Page(group.text, place))
    if not found:
        raise UnreadableFile("none of its sheets holds text or numbers")
    return found


def _column_name(number: int) -> str:
    """Return the letters of a column: 1 is "A", 27 is "AA"."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _sheets(data: bytes) -> Iterator[tuple[str, Iterable[Row]]]:
    from python_calamine import CalamineWorkbook, SheetTypeEnum

    parts = Package(data, ".xlsx")
    workbook = CalamineWorkbook.from_filelike(BytesIO(data))
    main = parts.main()
    book = parts.tree(main)
    related, codes = parts.related(main), _codes(parts.linked(main, "styles"))
    targets = {sheet.get("name"): related[sheet.get("r:id", "")] for sheet in book.iterfind("sheets/sheet")}
    people = {person.get("id"): person.get("displayName", "") for person in parts.linked(main, "person")}
    recalculated = any(setting.get("fullCalcOnLoad") in ("1", "true") for setting in book.iterfind("calcPr"))
    for index, sheet in enumerate(workbook.sheets_metadata):
        rows: Iterable[Row] = ()
        if sheet.typ == SheetTypeEnum.WorkSheet:
            source = targets.get(sheet.name, "")
            content = parts.part(source) if source else b""
            formats = {name.decode(): code for name, style in _STYLED.findall(content) if (code := codes.get(style))}
            rows = _rows(workbook.get_sheet_by_index(index), formats)
            asides = chain(_comments(parts, source, people), captions(parts, source))
            rows = _completed(rows, _formulas(content, recalculated), asides)
        yield sheet.name, rows


def _completed(rows: list[Row], formulas: Iterable[Text], asides: Iterable[Text]) -> list[Row]:
    """Return the rows with formulas in place of results, and comments and the like behind what they are on."""
    filled = dict(rows)
    for (column, number), text in formulas:
        filled.setdefault(number, {})[column] = text
    for (column, number), text in asides:
        cells = filled.setdefault(number, {})
        cells[column] = f"{cells.get(column, '')} {text}".lstrip()
    return sorted(filled.items(), key=itemgetter(0)) if len(filled) > len(rows) else rows


def _formulas(content: bytes, recalculated: bool) -> Iterator[Text]:
    """Yield the formulas whose results are not stored, with their cells.

    In a file that is to be `recalculated` when it is opened, a zero may be stored instead.
    """
    shared: dict[str, tuple[str, str]] = {}
    for match in _UNSOLVED.finditer(content) if _ANY_UNSOLVED.search(content) else ():
        cell, formula = (dict(_ATTRIBUTE.findall(part.decode("utf-8", "replace"))) for part in match.group(1, 2))
        place, text = cell.get("r", ""), _PREFIX.sub("", unescape((match[3] or b"").decode("utf-8", "replace")))
        if group := formula.get("si"):
            first, original = shared.setdefault(group, (place, repeated(text)))
            text = text or _moved(original, first, place)
        result = match[4]
        solved = result and (cell.get("t") == "str" or (b"0" in result and not recalculated))
        if text and not solved:
            yield _position(place), f"={text}"


def _moved(formula: str, first: str, place: str) -> str:
    """Return a formula, which is stored in the first of several cells, as it reads in another one."""
    (column, row), (to_column, to_row) = map(_position, (first, place))

    def moved(match: re.Match[str]) -> str:
        if not match[4]:
            return match[0]
        left = match[2] if match[1] else _column_name(_position(match[0])[0] + to_column - column)
        return f"{match[1]}{left}{match[3]}{int(match[4]) + (0 if match[3] else to_row - row)}"

    return _RELATIVE.sub(moved, formula)


def _comments(parts: Package, sheet: str, people: dict[str | None, str]) -> Iterator[Text]:
    """Yield the comments on cells; of a thread, the other part holds a copy for older programs."""
    threads = parts.linked(sheet, "threadedComment")
    notes = parts.linked(sheet, "comments")
    authors = dict(enumerate(author.text or "" for author in notes.iterfind("authors/author")))
    signed = [(note, authors.get(int(note.get("authorId", "0")), "")) for note in notes.iterfind("commentList/comment")]
    if len(threads):
        signed = [(note, author) for note, author in signed if not author.startswith("tc=")]
        signed += [(note, people.get(note.get("personId"), "")) for note in threads]
    for note, author in signed:
        text = " ".join("".join([run.text or "" for part in note.iterfind("text") for run in part.iter()]).split())
        if said := comment(author, _COPY.sub("", text).removeprefix(f"{author}:").lstrip()):
            yield _position(note.get("ref", "")), f"[{said}]"


def _position(place: str) -> Position:
    """Return the numbers of the column and the row of a cell, such as "B2"."""
    column = 0
    if match := _CELL.match(place):
        for letter in match[2]:
            column = column * 26 + ord(letter) - ord("A") + 1
    return column, int(match[4]) if match else 0


def _codes(styles: Element) -> dict[bytes, str]:
    """Return the number format of each style that has one, by the number that cells use for the style."""
    own = {item.get("numFmtId"): item.get("formatCode", "") for item in styles.iterfind("numFmts/numFmt")}
    identities = [style.get("numFmtId", "0") for style in styles.iterfind("cellXfs/xf")]
    codes = (own.get(identity) or BUILT_IN.get(int(identity), "") for identity in identities)
    return {str(number).encode(): code for number, code in enumerate(codes) if code}


def _rows(sheet: "CalamineSheet", formats: dict[str, str]) -> list[Row]:
    """Return the rows; the text of a cell merged over several rows is repeated in each that holds something."""
    left = sheet.start[1] if sheet.start else 0
    names = [_column_name(number) for number in range(left + sheet.width + 1)]
    rows: list[Row] = []
    for number, values in enumerate(sheet.iter_rows(), 1):
        cells: Cells = {}
        for column, value in enumerate(values, left + 1):
            if isinstance(value, float):
                cells[column] = shown(value, formats.get(f"{names[column]}{number}", ""))
            elif value != "":
                cells[column] = value if isinstance(value, str) else _text(value)
        rows.append((number, cells))
    for (first, column), (last, _) in sheet.merged_cell_ranges or ():
        text = repeated(rows[first][1].get(column + 1, "")) if first < len(rows) else ""
        for _, cells in rows[first + 1 : last + 1]:
            if cells:
                cells[column + 1] = text
    return rows


def _text(value: object) -> str:
    """Show a truth value, a date, a time, or a duration."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value).removesuffix(":00")
