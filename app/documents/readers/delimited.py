"""Tables as text (.csv, .tsv), the rows in groups under the header."""

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from app.documents.pages import Page, Place
from app.documents.readers import text
from app.documents.readers.tables import Row, groups
from app.errors import UnreadableFile

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 50
"""Rows that tell what parts the cells."""


def read(data: bytes) -> list[Page]:
    """The groups of rows; their places are lines of the file, the header not counted."""
    # Not Place("line", …): from that others count on by the lines of the text, in which the header is repeated.
    content = text.clean(text.decode(data))
    try:
        found = list(groups(_rows(content, _delimiter(content))))
    except csv.Error:  # a quotation mark too many, for instance, makes a cell of all that follows
        return text.read(data)
    if not found:
        raise UnreadableFile("it is empty")
    return [Page(group.text, _place(group.first_row, group.last_row)) for group in found]


def _place(first: int, last: int) -> Place:
    return Place("sheet", f"line {first}" if first == last else f"lines {first}-{last}", first)


def _rows(content: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(content.splitlines(keepends=True), delimiter=delimiter)
    line = 1
    for cells in reader:
        yield line, dict(enumerate(cells, 1))
        line = reader.line_num + 1


def _delimiter(content: str) -> str:
    """The character that cuts most rows into one number of cells, and into more cells if several do."""

    def agreement(delimiter: str) -> tuple[int, int]:
        sizes = Counter(len(cells) for _, cells in islice(_rows(content, delimiter), _LOOKED_AT) if len(cells) > 1)
        return max(((count, size) for size, count in sizes.items()), default=(0, 0))

    return max(_DELIMITERS, key=agreement)
