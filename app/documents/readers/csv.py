"""Tables as text (.csv, .tsv), their rows in groups under the header."""

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from app.documents.passages import LINE_LABEL, Page, Place
from app.documents.readers import text
from app.documents.readers.tables import Row, groups
from app.errors import UnreadableFile
from app.translation import mark

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 50
"""Rows by which the delimiter is chosen."""


def read(data: bytes) -> list[Page]:
    """Return the groups of rows; their places are lines of the file, without those of the header."""
    # Not Place("line", …): passages count on from it by the lines of the text, in which the header is repeated.
    lines = text.clean(text.decode(data)).splitlines(keepends=True)
    try:
        found = list(groups(_rows(lines, _delimiter(lines))))
    except csv.Error:  # for instance, one quotation mark too many makes all that follows one cell
        return text.read(data)
    if not found:
        raise UnreadableFile("it is empty")
    return [Page(group.text, _place(group.first_row, group.last_row)) for group in found]


def _place(first: int, last: int) -> Place:
    label = LINE_LABEL if first == last else mark("lines {number}-{last}")
    return Place("sheet", label.format(number=first, last=last), first)


def _rows(lines: list[str], delimiter: str) -> Iterator[Row]:
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
