"""Tables as text: groups of rows, each under the header, for every format; and tables in text files (.csv, .tsv)."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from app.documents.passages import AIM_WORDS, LINE_LABEL, MAX_CHARS, Page, Place, measure
from app.documents.readers.text import clean, decode
from app.documents.readers.text import read as read_text
from app.errors import UnreadableFile
from app.translation import mark

Cells = dict[int, str]
"""The cells of a row by their column, from 1."""

Row = tuple[int, Cells]
"""The number of a row, and its cells."""

_REPEATED_CHARS = 80

_TITLES = 4
"""Rows that may be above the header."""

_NUMBER = re.compile(r"[-+−]?[^\w\s]?\s?\d")


@dataclass(frozen=True, slots=True)
class Group:
    """Some rows of a table as lines `| a | b |` below its header; the range excludes the header."""

    text: str
    first_row: int
    last_row: int
    first_column: int
    last_column: int


def groups(rows: Iterable[Row]) -> Iterator[Group]:
    """Yield the rows in order, in groups that fit into a passage; a single row may be longer.

    A new table begins below an empty row, with a row of words above one with numbers.
    """
    for table in _tables(list(_tidied(rows))):
        yield from _grouped(table)


def repeated(text: str) -> str:
    """Shorten the text of a cell that is repeated, so that a file does not grow with each repetition."""
    return text if len(text) <= _REPEATED_CHARS else text[: _REPEATED_CHARS - 1] + "…"


class _Line(NamedTuple):
    """A row, its tidy cells joined by bars, and the number of their words and characters without the bars."""

    number: int
    cells: Cells
    text: str
    words: int
    chars: int


def _tidied(rows: Iterable[Row]) -> Iterator[_Line]:
    """Yield the rows that are not empty; most are tidy, which is checked for all cells at once."""
    for number, cells in rows:
        text = " | ".join(cells.values())
        if " ".join(text.split()) != text or text.count("|") != len(cells) - 1 or [*cells] != sorted(cells):
            tidy = {column: " ".join(cell.replace("|", "\\|").split()) for column, cell in sorted(cells.items())}
            cells = {column: cell for column, cell in tidy.items() if cell}
            text = " | ".join(cells.values())
        if text:
            bars = len(cells) - 1
            yield _Line(number, cells, text, measure(text) - bars, len(text) - 3 * bars)


def _tables(rows: Sequence[_Line]) -> Iterator[Sequence[_Line]]:
    start = 0
    for index in range(1, len(rows) - 1):
        if rows[index].number == rows[index - 1].number + 1:
            continue
        words = len(rows[index].cells) > 1 and not _numbered(rows[index])
        titles = index - start <= _TITLES and all(len(row.cells) == 1 for row in rows[start:index])
        if words and not titles and _numbered(rows[index + 1]):
            yield rows[start:index]
            start = index
    if rows:
        yield rows[start:]


def _numbered(row: _Line) -> bool:
    return any(map(_NUMBER.match, row.cells.values()))


def _grouped(table: Sequence[_Line]) -> Iterator[Group]:
    """Yield the groups of a table; each begins with the header: titles, and the first row of several cells.

    A group fits into a passage, in which bars count as words, unless it is a single row.
    The first group shows the whole header, the others only the columns of their rows, so that a wide table with few
    cells does not grow with each group.
    """
    height = next((n for n, row in enumerate(table[: _TITLES + 1], 1) if len(row.cells) > 1), 1)
    head = table[:height]
    columns = {column for row in head for column in row.cells}
    size = _size(head, columns)
    rows: list[_Line] = []
    words = chars = 0
    for row in table[height:]:
        words, chars, wider = words + row.words, chars + row.chars, columns | row.cells.keys()
        size = size if wider == columns else _size(head, wider)
        bars = (len(wider) + 1) * (len(head) + len(rows) + 1)
        if rows and (words + size[0] + bars > AIM_WORDS or chars + size[1] + 3 * bars > MAX_CHARS):
            yield _group(head, rows, columns)
            head = [line._replace(cells={n: repeated(text) for n, text in line.cells.items()}) for line in head]
            rows, words, chars, wider = [], row.words, row.chars, {*row.cells}
            size = _size(head, wider)
        rows.append(row)
        columns = wider
    yield _group(head, rows, columns)


def _size(head: Sequence[_Line], columns: set[int]) -> tuple[int, int]:
    """Count the words and the characters in some columns of the header."""
    shown = [line.cells[column] for line in head for column in columns if column in line.cells]
    return measure(" ".join(shown)), sum(map(len, shown))


def _group(head: Sequence[_Line], rows: Sequence[_Line], columns: set[int]) -> Group:
    ordered = sorted(columns)
    lines = [_text(line.cells, ordered) for line in head if not columns.isdisjoint(line.cells)]
    lines += [row.text if len(row.cells) == len(ordered) else _text(row.cells, ordered) for row in rows]
    ranged = rows or head
    used = set().union(*[row.cells for row in ranged])
    text = clean("\n".join([f"| {line} |" for line in lines]))
    return Group(text, ranged[0].number, ranged[-1].number, min(used), max(used))


def _text(cells: Cells, columns: Sequence[int]) -> str:
    last = next(reversed(cells))
    return " | ".join([cells.get(column, "") for column in columns if column <= last])


_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 50
"""Rows by which the delimiter is chosen."""


def read_csv(data: bytes) -> list[Page]:
    """Return the groups of rows; their places are lines of the file, without those of the header."""
    # Not Place("line", …): passages count on from it by the lines of the text, in which the header is repeated.
    lines = clean(decode(data)).splitlines(keepends=True)
    try:
        found = list(groups(_numbered_rows(lines, _delimiter(lines))))
    except csv.Error:  # for instance, one quotation mark too many makes all that follows one cell
        return read_text(data)
    if not found:
        raise UnreadableFile("it is empty")
    return [Page(group.text, _place(group.first_row, group.last_row)) for group in found]


def _place(first: int, last: int) -> Place:
    label = LINE_LABEL if first == last else mark("lines {number}-{last}")
    return Place("sheet", label.format(number=first, last=last), first)


def _numbered_rows(lines: list[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter)
    line = 1
    for cells in reader:
        yield line, {column: cell for column, cell in enumerate(cells, 1) if cell}
        line = reader.line_num + 1


def _delimiter(lines: list[str]) -> str:
    """Choose the character that cuts the most rows into an equal number of cells, and into more cells if several do."""

    def agreement(delimiter: str) -> tuple[int, int]:
        sizes = Counter(map(len, islice(csv.reader(lines, delimiter=delimiter), _LOOKED_AT)))
        return max(((count, size) for size, count in sizes.items() if size > 1), default=(0, 0))

    return max(_DELIMITERS, key=agreement)
