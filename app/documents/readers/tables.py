"""Tables as text: groups of rows, each under the header; it knows no format."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.documents.passages import AIM_WORDS, MAX_CHARS, measure
from app.documents.readers.text import clean

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


def tidy(text: str) -> str:
    """Write the text of a cell on one line, with bars escaped."""
    return " ".join(text.replace("|", "\\|").split())


def repeated(text: str) -> str:
    """Shorten the text of a cell that is repeated, so that a file does not grow with each repetition."""
    return text if len(text) <= _REPEATED_CHARS else text[: _REPEATED_CHARS - 1] + "…"


class _Line(NamedTuple):
    """A row, its tidy cells joined by bars, and the number of their words."""

    number: int
    cells: Cells
    text: str
    words: int


def _tidied(rows: Iterable[Row]) -> Iterator[_Line]:
    """Yield the rows that are not empty; most are tidy, which is checked for all cells at once."""
    for number, cells in rows:
        text = " | ".join(cells.values())
        words = text.split()
        if " ".join(words) != text or text.count("|") != len(cells) - 1 or [*cells] != sorted(cells):
            cells = {column: tidied for column, cell in sorted(cells.items()) if (tidied := tidy(cell))}
            text = " | ".join(cells.values())
            words = text.split()
        if text:
            bars = len(cells) - 1
            yield _Line(number, cells, text, (len(words) if text.isascii() else measure(text)) - bars)


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
    """Yield the groups of a table; each begins with the header: titles, and the first row of several cells."""
    size = next((n for n, row in enumerate(table[: _TITLES + 1], 1) if len(row.cells) > 1), 1)
    head = table[:size]
    short = [row._replace(cells={column: repeated(text) for column, text in row.cells.items()}) for row in head]
    lines = _Lines(head, {column for row in head for column in row.cells})
    for row in table[size:]:
        if not lines.take(row):
            yield lines.group()
            lines = _Lines(short, ())
            lines.take(row)
    yield lines.group()


def _text(cells: Cells, columns: Sequence[int]) -> str:
    last = next(reversed(cells))
    return " | ".join([cells.get(column, "") for column in columns if column <= last])


class _Lines:
    """A header of some columns, and the rows added below it.

    Columns are added when a row has them, so that a wide table with few cells does not grow with each group.
    """

    def __init__(self, head: Sequence[_Line], columns: Collection[int]):
        self._head = head
        self._rows: list[_Line] = []
        self._columns = set(columns)
        self._words, self._chars = self._size(columns)

    def take(self, row: _Line) -> bool:
        """Add a row unless it would exceed a passage, in which bars count as words; the first always fits."""
        words, chars = self._words + row.words, self._chars + len(row.text) - 3 * (len(row.cells) - 1)
        columns = self._columns
        if not row.cells.keys() <= columns:
            more = self._size(row.cells.keys() - columns)
            words, chars, columns = words + more[0], chars + more[1], columns | row.cells.keys()
        bars = (len(columns) + 1) * (len(self._head) + len(self._rows) + 1)
        if self._rows and (words + bars > AIM_WORDS or chars + 3 * bars > MAX_CHARS):
            return False
        self._rows.append(row)
        self._words, self._chars, self._columns = words, chars, columns
        return True

    def group(self) -> Group:
        """Return the lines as text, with their range."""
        columns = sorted(self._columns)
        lines = [_text(row.cells, columns) for row in self._head if any(column in row.cells for column in columns)]
        lines += [row.text if len(row.cells) == len(columns) else _text(row.cells, columns) for row in self._rows]
        text = clean("\n".join([f"| {line} |" for line in lines]))
        ranged = self._rows or self._head
        used = set().union(*[row.cells for row in ranged])
        return Group(text, ranged[0].number, ranged[-1].number, min(used), max(used))

    def _size(self, columns: Collection[int]) -> tuple[int, int]:
        """Count the words and the characters in some columns of the header."""
        texts = [row.cells[column] for row in self._head for column in columns if column in row.cells]
        return measure(" ".join(texts)), sum(map(len, texts))
