"""Lines of text gathered under the headings above them, for formats whose files have no lines that a person sees."""

from collections.abc import Iterator

from app.documents.pages import Page, Place
from app.documents.readers.text import clean

BEGINNING = "beginning"
"""The label of what stands above the first heading."""

_GROUP_WORDS = 100
_MAX_HEADER = 500
"""Characters; a longer one would be repeated at the cost of what it stands above."""


class Sections:
    """Grows line by line; a heading begins a page, unless nothing but higher headings stands above it."""

    def __init__(self) -> None:
        self._labels: list[str] = [BEGINNING]
        self._lines: list[list[str]] = [[]]
        self._level: int | None = None
        self._gap = False

    def heading(self, level: int, text: str) -> None:
        """Begins the section of a heading; level 0 is the title of the whole, and not written twice."""
        page = self._lines[-1]
        if page and (self._level is None or self._level >= level):
            self._labels.append(text)
            self._lines.append([])
        self._labels[-1] = text
        if self._lines[-1][-1:] != [text]:
            self.gap()
            self.line(text)
        self._level = level
        self.gap()

    def line(self, text: str) -> None:
        """Adds a line, or several."""
        page = self._lines[-1]
        if self._gap and page:
            page.append("")
        page.append(text)
        self._gap, self._level = False, None

    def gap(self) -> None:
        """Leaves a line blank before the next one."""
        self._gap = True

    def table(self, rows: list[list[str]], header: bool) -> None:
        """Adds a table; the header stands again above each group of rows, so that a passage has it."""
        self.gap()
        for line in table_lines(rows, header):
            if line:
                self.line(line)
            else:
                self.gap()
        self.gap()

    def pages(self) -> list[Page]:
        """What was gathered, numbered from 1."""
        texts = [clean("\n".join(lines)) for lines in self._lines]
        return [
            Page(text, Place("heading", label, number))
            for number, (label, text) in enumerate(zip(self._labels, texts, strict=True), 1)
        ]


def table_lines(rows: list[list[str]], header: bool) -> Iterator[str]:
    """Rows as `| a | b |`, about 100 words in a group; groups are parted by a blank line and begin with the header."""
    lines = ["| " + " | ".join(row) + " |" if len(row) > 1 else "".join(row) for row in rows if any(row)]
    header = header and bool(lines) and len(lines[0]) <= _MAX_HEADER
    words = 0
    for number, line in enumerate(lines):
        if words > _GROUP_WORDS:
            yield ""
            if header:
                yield lines[0]
            words = 0
        yield line
        words += len(line.split()) if number or not header else 0
