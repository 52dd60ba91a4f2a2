"""Where lines of Markdown are sure to be code between fences; knows nothing of what else they hold."""

import re

_ITEM = re.compile(r"( *)(?:[-+*]|(\d{1,9})[.)]) {1,4}(?=\S)(?![-+*>#|~`]|\d{1,9}[.)])", re.ASCII)


class Fences:
    """Follows a text line by line, in which no tag begins a block.

    A fence opens code for certain at the beginning of a line, and in a list's item that every line since its mark is
    sure to belong to. Where in doubt it is none, and the marks have to be escaped so that it is none for others too.
    """

    def __init__(self) -> None:
        self.marks = ""
        """What opened the code that the next line is in; empty outside of code."""
        self._opened = False
        self._column = 0
        self._item: int | None = None
        """The column where the text of the item begins that the next line is sure to be able to belong to."""

    def opens(self, before: str, marks: str) -> bool:
        """Begin code at these marks, unless what stands before them in the line leaves a doubt."""
        column, item = len(before), self._item
        if before.strip(" ") or (column and not (item and item <= column <= item + 3)):
            return False
        if not column:
            item = self._item = None
        self.marks, self._column, self._opened = marks, item or 0, True
        return True

    def leaves(self, line: str) -> bool:
        """Whether a line, or what is there of it, ends an item and the code in it, and so is no code itself."""
        if line.strip() and _column(line) < self._column:
            self.marks, self._item = "", None
            return True
        return False

    def undecided(self, line: str) -> bool:
        """Whether it takes more of a line to know whether it is still code."""
        return self._column > 0 and not line.strip()

    def ended(self, line: str) -> None:
        """Take note of a whole line."""
        column, item = _column(line), self._item or 0
        if self._opened:
            self._opened = False
        elif self.marks:
            bare = line.strip(" \t")
            if set(bare) == {self.marks[0]} and len(bare) >= len(self.marks) and column - self._column <= 3:
                self.marks = ""
        elif line.strip():
            mark = _ITEM.match(line)
            if mark and (column <= 3 or item <= column <= item + 3) and (mark[2] in (None, "1") or self._item):
                self._item = mark.end()
            elif column < item:  # it may go on with the item's paragraph, or may not
                self._item = None

    @property
    def closing(self) -> str:
        """The line that ends the code that is open; empty outside of code."""
        return " " * self._column + self.marks if self.marks else ""


def _column(line: str) -> int:
    """How far a line is indented; tabs go to the next multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
