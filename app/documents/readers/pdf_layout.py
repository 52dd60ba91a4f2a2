"""The layout of a PDF page: runs of text in rows, columns that were written across, empty cells, letters drawn twice.

Boxes cost as much as the text itself, so only pages that `irregular` suspects are laid out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from ctypes import byref
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pypdfium2 import PdfTextPage

_GAP = 0.7
"""Between two runs, in heights of a line; spaces between words are 0.2 to 0.5."""

_DENSITY = 0.75
"""Width of a character in heights of its line, above which a line may have a wide gap; 0.4 in prose, 0.65 in code."""

_WIDE = "\u2e80"
"""First of the scripts whose characters are as wide as high."""

_TWICE = 0.14
"""Of the height of a line: a letter that is drawn again so near only looks bold; "ll" are 0.2 apart."""

_NARROW = ("ii", "ll", "tt", "ff", "rr", "jj", "II", "..")
"""PDFium drops what is drawn twice, narrow letters excepted."""

_SAMPLE = 4
"""Lines in which columns are looked for."""

_FEWEST = 3
"""Rows of columns or of a table, and words of a line in a column."""

_LEADING = 2.5
"""Heights of a line between two rows that belong together."""


class Run(NamedTuple):
    """Text without a wide gap, and its box in points."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        """The height of the box, which is that of the line."""
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        """The height of its middle above the edge of the page."""
        return (self.bottom + self.top) / 2

    def holds(self, other: "Run") -> bool:
        """Whether the middle of another run is inside."""
        return self.left < (other.left + other.right) / 2 < self.right and self.bottom < other.middle < self.top

    def beside(self, other: "Run") -> bool:
        """Whether another run is on the same line."""
        common = min(self.top, other.top) - max(self.bottom, other.bottom)
        return common > min(self.height, other.height) / 2


Box = tuple[float, float, float, float]
"""Left, bottom, right and top."""

_SIGNS = ((1, 1, 1, 1), (1, -1, 1, -1), (-1, -1, -1, -1), (-1, 1, -1, 1))

Row = list[Run]
Columns = list[tuple[float, float]]
"""Left and right edges, ascending."""


def upright(box: Box, quarters: int) -> Box:
    """Turn a box of a page that is to be turned clockwise by so many right angles until its text is upright."""
    left, bottom, right, top = (box * 2)[quarters : quarters + 4]
    signs = _SIGNS[quarters]
    return left * signs[0], bottom * signs[1], right * signs[2], top * signs[3]


class _Boxes:
    """The boxes of the characters of a page whose text is upright as the page is shown."""

    def __init__(self, shown: "PdfTextPage", text: str):
        from pypdfium2.raw import FS_RECTF, FPDFText_GetCharIndexFromTextIndex, FPDFText_GetLooseCharBox

        self._page, self._box, self._quarters = shown.raw, FS_RECTF(), shown.page.get_rotation() // 90
        self._pointer = byref(self._box)
        self._get, self._index = FPDFText_GetLooseCharBox, FPDFText_GetCharIndexFromTextIndex
        self._equal = len(text) == shown.count_chars()

    def at(self, offset: int) -> Box:
        """Return the box of the character at an offset in the text."""
        index = offset if self._equal else self._index(self._page, offset)
        self._get(self._page, index, self._pointer)
        box = self._box.left, self._box.bottom, self._box.right, self._box.top
        return upright(box, self._quarters) if self._quarters else box

    def gaps(self, line: str, offset: int, *, tight: bool = False) -> list[tuple[float, float]]:
        """Return the edges of the wide gaps of a line at an offset; `tight` ones may be without a space."""
        letters = [index for index, character in enumerate(line, offset) if character != " "]
        pairs = [(one, two) for one, two in pairwise(letters) if tight or two - one > 1]
        edges = ((self.at(one), self.at(two)) for one, two in pairs)
        return [(one[2], two[0]) for one, two in edges if two[0] - one[2] > _GAP * (one[3] - one[1])]


def irregular(shown: "PdfTextPage", text: str) -> bool:
    """Whether a page may hold columns written across, a table with empty cells, or letters drawn twice."""
    boxes, offset = _Boxes(shown, text), 0
    density = 2 * _DENSITY if any(character > _WIDE for character in text[::40]) else _DENSITY
    lines: list[tuple[str, int]] = []
    places: dict[str, int] = {}
    wide: list[int] = []
    for line in text.split("\r\n"):
        if line:
            first, last = boxes.at(offset), boxes.at(offset + len(line) - 1)
            if last[2] - first[0] > density * len(line) * (first[3] - first[1]):
                wide.append(len(lines))
            if line in places and _twice(boxes.at(places[line]), first):
                return True
            places[line] = offset
            lines.append((line, offset))
        offset += len(line) + 2
    return _doubled(boxes, text) or _tabular(boxes, lines, wide) or _columnar(boxes, lines)


def _twice(first: Box, second: Box) -> bool:
    """Whether a letter was drawn again at almost the same place."""
    return max(abs(second[0] - first[0]), abs(second[1] - first[1])) < _TWICE * (first[3] - first[1])


def _doubled(boxes: _Boxes, text: str) -> bool:
    places = (place for pair in _NARROW for place in (text.find(pair), text.rfind(pair)) if place >= 0)
    pairs = ((boxes.at(place), boxes.at(place + 1)) for place in places)
    return any(first[0] != second[0] and _twice(first, second) for first, second in pairs)  # else it is a ligature


def _tabular(boxes: _Boxes, lines: Sequence[tuple[str, int]], wide: Sequence[int]) -> bool:
    """Whether the gap of a line, or its indent, covers a gap more than it would if it had the cells of a line near."""
    for number in wide:
        line, offset = lines[number]
        if gaps := boxes.gaps(line, offset, tight=True):
            indent = (-inf, boxes.at(offset)[0])
            for other in lines[max(0, number - 2) : number + 3]:
                cells = boxes.gaps(*other)
                if _covered(indent, cells) > 0 or any(_covered(gap, cells) > 1 for gap in gaps):
                    return True
    return False


def _covered(gap: tuple[float, float], others: list[tuple[float, float]]) -> int:
    return sum(gap[0] < other[1] and other[0] < gap[1] for other in others)


def _columnar(boxes: _Boxes, lines: Sequence[tuple[str, int]]) -> bool:
    """Whether in half of some long lines a gap ends at the same point, where a column begins."""
    long = [line for line in lines if line[0].count(" ") > 2 * _FEWEST - 2]
    ends = [{round(end) for _, end in boxes.gaps(*line)} for line in long[:: max(1, len(long) // _SAMPLE)]]
    most = max(Counter(end for each in ends for end in each).values(), default=0)
    return most >= _FEWEST and 2 * most >= len(ends)


def rows(shown: "PdfTextPage", first: int = 0) -> list[Row]:
    """Return the runs of a page from a character on, each letter once, with upright boxes."""
    import numpy as np
    from pypdfium2.raw import FS_RECTF, FPDFText_GetLooseCharBox, FPDFText_GetUnicode

    numbers = range(first, shown.count_chars())
    boxes = (FS_RECTF * len(numbers))()
    for number, box in zip(numbers, boxes, strict=True):
        FPDFText_GetLooseCharBox(shown.raw, number, box)
    characters = [FPDFText_GetUnicode(shown.raw, number) for number in numbers]
    places = np.frombuffer(boxes, np.float32).reshape(-1, 4)[:, [0, 3, 2, 1]]  # the struct has top before right
    low, high = np.array(shown.page.get_bbox()).reshape(2, 2)
    middles = (places[:, :2] + places[:, 2:]) / 2
    quarters = shown.page.get_rotation() // 90
    places = np.roll(places, -quarters, axis=1) * np.array(_SIGNS[quarters], np.float32)
    kept = ((middles > low) & (middles < high)).all(axis=1) & ~_again(np.array(characters), places)
    return _visual(_runs(map(chr, characters), places.tolist(), kept.tolist()))


def _again(characters: "NDArray[Any]", places: "NDArray[Any]") -> "NDArray[Any]":
    """Return which characters were drawn before at almost the same place."""
    import numpy as np

    again = np.zeros(len(characters), bool)
    height = places[:, 3] - places[:, 1]
    for half in (0, 0.5):  # of a band of the page, since two neighbours may be in different ones
        order = np.lexsort((places[:, 0], np.floor(places[:, 1] / 4 + half), characters))
        one, two = order[:-1], order[1:]
        apart = np.abs(places[two] - places[one])[:, :2]
        close = (characters[one] == characters[two]) & (apart.max(axis=1) < _TWICE * height[one])
        ligature = (np.abs(one - two) == 1) & (apart[:, 0] == 0)  # its letters are at one place
        kept = -1
        for earlier, later in zip(one[close & ~ligature], two[close & ~ligature], strict=True):
            kept = kept if again[earlier] else earlier
            again[later] |= np.abs(places[later] - places[kept])[:2].max() < _TWICE * height[kept]
    return again


def _runs(characters: Iterable[str], places: list[list[float]], kept: list[bool]) -> Iterator[Row]:
    """Yield rows as PDFium ends them, divided at wide gaps."""
    row: list[tuple[list[str], list[float]]] = []
    blank = False
    for character, box, keep in zip(characters, places, kept, strict=True):
        if character in "\r\n":
            yield [Run("".join(letters), *around) for letters, around in row]
            row = []
        elif character in " \0":
            blank = True
        elif keep:
            height = box[3] - box[1]
            if row and -height < box[0] - row[-1][1][2] < _GAP * height:
                letters, around = row[-1]
                letters.append(f" {character}" if blank else character)
                around[1:] = min(around[1], box[1]), max(around[2], box[2]), max(around[3], box[3])
            else:
                if row and abs(box[1] - row[-1][1][1]) > height:
                    yield [Run("".join(letters), *around) for letters, around in row]
                    row = []
                row.append(([character], box))
            blank = False
            if character in "\x02\ufffe":  # a hyphen, after which the line ends
                yield [Run("".join(letters), *around) for letters, around in row]
                row = []
    yield [Run("".join(letters), *around) for letters, around in row]


def _visual(made: Iterable[Row]) -> list[Row]:
    """Join a row and the next one, if that goes on at its height to the right: columns may differ by a point."""
    joined: list[Row] = []
    for row in filter(None, made):
        if joined and row[0].left > joined[-1][-1].right and row[0].beside(joined[-1][-1]):
            joined[-1] += row
        else:
            joined.append(row)
    return joined


def text(laid: Sequence[Row]) -> str:
    """Return the text of rows: columns one after the other, an empty cell between two bars."""
    lines: list[str] = []
    for block, columns in _blocks(laid, strict=False):
        cells = [[_cell(row, column) for row in block] for column in columns]
        apart = min((right[0] - left[1] for left, right in pairwise(columns)), default=0)
        if apart > _GAP * block[0][0].height and all(map(_prose, cells)):
            lines += (cell for column in cells for cell in column if cell)
            continue
        for part, edges in _blocks(block, strict=True):
            lines += _table(part, edges)
    return "\n".join(lines)


def _blocks(laid: Sequence[Row], strict: bool) -> Iterator[tuple[list[Row], Columns]]:
    """Yield neighbouring rows with their columns; in `strict` ones a row has one run in a column, else some."""
    block: list[Row] = []
    columns: Columns = []
    for row in laid:
        edges = [(run.left, run.right) for run in row]
        merged = _merged([*columns, *edges])
        if strict:
            fits = all(len({_column(left, merged) for left, _ in each}) == len(each) for each in (columns, edges))
        else:
            fits = len(merged) > 1
        if block and not (fits and _below(block[-1], row)):
            yield block, columns
            block, merged = [], _merged(edges)
        block.append(row)
        columns = merged
    if block:
        yield block, columns


def _merged(edges: Columns) -> Columns:
    merged: Columns = []
    for left, right in sorted(edges):
        if merged and left <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(right, merged[-1][1])
        else:
            merged.append((left, right))
    return merged


def _column(left: float, columns: Columns) -> int:
    return sum(start <= left for start, _ in columns) - 1


def _below(upper: Row, lower: Row) -> bool:
    """Whether a row follows another one as lines of a column or of a table do."""
    height = lower[0].height
    return -height / 2 < min(run.bottom for run in upper) - max(run.top for run in lower) < _LEADING * height


def _cell(row: Row, column: tuple[float, float]) -> str:
    return " ".join(run.text for run in row if column[0] <= run.left <= column[1])


def _prose(cells: list[str]) -> bool:
    """Whether the lines of a column are running text: of some words, and many begin within a sentence."""
    lines = list(filter(None, cells))
    words = sum(len(line.split()) for line in lines)
    return len(lines) >= _FEWEST <= words / len(lines) and 3 * sum(line[0].islower() for line in lines) >= len(lines)


def _table(block: list[Row], columns: Columns) -> Iterator[str]:
    """Yield the lines of rows, with bars between cells if these are the rows of a table with an empty cell."""
    grid = [[_cell(row, column) for column in columns] for row in block]
    many = [row for row in grid if sum(map(bool, row)) > 1]
    shifted = any("" in row[: _last(row)] for row in many)
    known = many and (all(many[0]) or sum(map(all, many)) > 1)
    filled = (sum(any(map(str.isalnum, row[index])) for row in grid) for index in range(len(columns)))
    if len(columns) < _FEWEST or len(many) < _FEWEST or not known or not shifted or min(filled) < 2:
        yield from (" ".join(run.text for run in row) for row in block)
        return
    first = grid.index(many[0])
    yield from (" ".join(filter(None, cells)) for cells in grid[:first])
    yield from (" | ".join(cells[: _last(cells) + 1]) for cells in grid[first:])


def _last(cells: list[str]) -> int:
    return max(index for index, cell in enumerate(cells) if cell)
