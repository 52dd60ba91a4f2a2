"""Tables as text: groups of rows, each under the header; it knows no format."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.documents.passages import AIM_WORDS, MAX_CHARS, measure
from app.documents.readers.text import clean

Cells = dict[int, str]
"""The cells of a row by the number of their column; in the order of these, and without empty ones, inside here."""

Row = tuple[int, Cells]
"""A row's number, and its cells."""

_REPEATED_CHARS = 80

_TITLES = 4
"""How many lines may stand above the header."""

_NUMBER = re.compile(r"[-+−]?[^\w\s]?\s?\d")


@dataclass(frozen=True, slots=True)
class Group:
    """Some rows of a table as lines `| a | b |` below its header; the range is that of the rows, without the header."""

    text: str
    first_row: int
    last_row: int
    first_column: int
    last_column: int


def groups(rows: Iterable[Row]) -> Iterator[Group]:
    """The rows in their order; each group makes one passage, unless it is a single row longer than that.

    A new table begins below an empty row, with a row of words above one with numbers.
    """
    for table in _tables([(number, kept) for number, cells in rows if (kept := _plain(cells))]):
        head = _head(table)
        yield from _grouped(table[:head], table[head:])


def tidy(text: str) -> str:
    """The text of a cell on one line, without what would end the cell."""
    return " ".join(text.replace("|", "\\|").split())


def repeated(text: str) -> str:
    """What stands for a cell where it is repeated: short, so that a file does not grow with each time."""
    return text if len(text) <= _REPEATED_CHARS else text[: _REPEATED_CHARS - 1] + "…"


def _plain(cells: Cells) -> Cells:
    return {column: text for column, cell in sorted(cells.items()) if (text := tidy(cell))}


def _tables(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    for index in range(1, len(rows) - 1):
        apart = rows[index][0] > rows[index - 1][0] + 1
        words = len(rows[index][1]) > 1 and not any(map(_NUMBER.match, rows[index][1].values()))
        titles = index - start <= _TITLES and all(len(cells) == 1 for _, cells in rows[start:index])
        if apart and words and not titles and any(map(_NUMBER.match, rows[index + 1][1].values())):
            yield rows[start:index]
            start = index
    if rows:
        yield rows[start:]


def _head(table: Sequence[Row]) -> int:
    """How many rows stand at the top of each group: the first of several cells, and titles above it."""
    return next((n for n, (_, cells) in enumerate(table[: _TITLES + 1], 1) if len(cells) > 1), 1)


def _grouped(head: Sequence[Row], rows: Sequence[Row]) -> Iterator[Group]:
    shown = _Lines(head, whole=True)
    short = [(number, {column: repeated(text) for column, text in cells.items()}) for number, cells in head]
    for number, cells in rows:
        if shown.rows and not shown.fits(cells):
            yield shown.group()
            shown = _Lines(short, whole=False)
        shown.add(number, cells)
    yield shown.group()


def _line(cells: Cells, columns: Sequence[int]) -> str:
    last = next(reversed(cells))
    return f"| {' | '.join([cells.get(column, '') for column in columns if column <= last])} |"


class _Lines:
    """A header and the rows below it so far.

    Unless the header is to be `whole`, a column that is empty in all rows is left out, so that a wide table with few
    cells does not grow with each group.
    """

    def __init__(self, head: Sequence[Row], *, whole: bool):
        self.rows: list[Row] = []
        self._head = head
        self._columns: set[int] = set()
        self._words = self._chars = 0
        if whole:
            for _, cells in head:
                self._count(cells)

    def fits(self, cells: Cells) -> bool:
        """Whether all is one passage with a row more; also the marks between cells count there."""
        fresh = cells.keys() - self._columns
        texts = [*cells.values(), *(row[column] for _, row in self._head for column in fresh if column in row)]
        marks = (len(self._columns) + len(fresh) + 1) * (len(self._head) + len(self.rows) + 1)
        words = self._words + measure(" ".join(texts)) + marks
        return words <= AIM_WORDS and self._chars + sum(map(len, texts)) + 3 * marks <= MAX_CHARS

    def add(self, number: int, cells: Cells) -> None:
        """Takes a row more."""
        fresh = cells.keys() - self._columns
        for _, row in self._head:
            self._count({column: row[column] for column in fresh if column in row})
        self._count(cells)
        self.rows.append((number, cells))

    def group(self) -> Group:
        """The lines as text, and their range."""
        columns = sorted(self._columns)
        head = [cells for _, cells in self._head if any(column in cells for column in columns)]
        text = clean("\n".join([_line(cells, columns) for cells in [*head, *(cells for _, cells in self.rows)]]))
        ranged = self.rows or self._head
        used = {column for _, cells in ranged for column in cells}
        return Group(text, ranged[0][0], ranged[-1][0], min(used), max(used))

    def _count(self, cells: Cells) -> None:
        self._columns |= cells.keys()
        self._words += measure(" ".join(cells.values()))
        self._chars += sum(map(len, cells.values()))
