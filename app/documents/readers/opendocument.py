"""OpenDocument files (.odt, .ods, .odp) as they read once all changes are accepted; texts as Markdown."""

import re
from collections.abc import Iterator
from itertools import chain
from xml.etree.ElementTree import Element

from app.documents.passages import Page
from app.documents.readers import pptx, xlsx
from app.documents.readers.ooxml import PROTECTED, Package, nested
from app.documents.readers.sections import Block, Counts, Level, comment, counted, item, margin, numbers_page, paged
from app.documents.readers.tables import Cells, Row, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_GONE = frozenset(
    "tracked-changes annotation note-citation ruby-text table-of-content sequence-decls forms title desc notes "
    "event-listeners".split()
)
_BLOCKS = frozenset(("h", "p", "list", "table"))
_FURNITURE = ("date-time", "footer", "header", "page-number")
_BREAK = "\u2028"
_SPACES = {"s": " ", "tab": " ", "line-break": _BREAK}
_ROWS = ("table-header-rows", "table-row-group", "table-rows")
_STYLES = "styles.xml"
_USED = re.compile(rb"<\w+:(?:header|footer)(?:-left|-first)?[\s>]|<text:outline-level-style[^>]* style:num-format=.\w")
"""Headers, footers and numbers of headings in the styles, which take longer to parse than a short text."""

_FORMS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}

_MANIFEST = "META-INF/manifest.xml"

_MAX_COLUMN = 16_384
_MAX_COPIES = 1_000_000
"""Cells: one that is stored once may be repeated a million times."""

_REFERENCE = re.compile(r"[\[\]]|(?<=[\[:])\.")
"""The brackets and dots around the names of cells in a formula, as in [.B2:.C3]."""

_LENGTH = re.compile(r"(-?[\d.]+)(cm|mm|in|pt)?")
_UNITS = {"mm": 0.1, "in": 2.54, "pt": 0.0353}


def read_text(data: bytes) -> list[Page]:
    """Return the sections of a text under their headings."""
    parts, root, body = _opened(data, ".odt", "text")
    defined = {style.get("name") for style in root.iter("list-style")}
    lists = any(each.get("style-name", "L1") not in defined for each in body.iter("list"))
    needed = _STYLES in parts and (lists or _USED.search(parts.part(_STYLES)))
    styles = parts.tree(_STYLES) if needed else Element("none")
    document = _Document(root, styles)
    header, footer = (margin(map(document.blocks, _margins(styles, kind))) for kind in ("header", "footer"))
    return paged(chain(header, document.blocks(body), footer))


def _margins(styles: Element, kind: str) -> Iterator[Element]:
    """Yield the headers or footers of all kinds of pages, without paragraphs that only number the page."""
    for each in [part for page in styles.iter("master-page") for part in page if part.tag.startswith(kind)]:
        for paragraph in each.iter("p"):
            if paragraph.find(".//page-number") is not None and numbers_page(_text(paragraph)):
                paragraph.clear()
        yield each


def read_sheets(data: bytes) -> list[Page]:
    """Return the groups of rows of all sheets, also of hidden ones; the number of a place is that of the sheet."""
    _, _, body = _opened(data, ".ods", "spreadsheet")
    return xlsx.pages((table.get("name", ""), _rows(table)) for table in body.iterfind("table"))


def read_slides(data: bytes) -> list[Page]:
    """Return all slides, also the blank and the hidden ones, with the speaker's notes."""
    _, _, body = _opened(data, ".odp", "presentation")
    return pptx.pages(map(_slide, body.iterfind("page")))


def _opened(data: bytes, suffix: str, kind: str) -> tuple[Package, Element, Element]:
    """Return the parts of a file, its content, and the part of this that is the document, with charts in place."""
    parts = Package(data, suffix)
    if _MANIFEST in parts and b"encryption-data" in parts.part(_MANIFEST):
        raise UnreadableFile(PROTECTED)
    root = parts.tree("content.xml")
    body = root.find(f"body/{kind}")
    if body is None:
        raise UnreadableFile("it holds a document of another kind; save it again under the name that suits it")
    for reference in body.iter("object"):
        name = reference.get("href", "").removeprefix("./") + "/content.xml"
        if name in parts and (chart := parts.tree(name).find("body/chart/chart")) is not None:
            titles = [title for tag in ("title", "subtitle") for title in chart.iter(tag)]
            reference.extend([line for title in titles for line in title.iter("p")])
            reference.extend(chart.iter("table") if kind != "spreadsheet" else ())  # whose cells have the same
    return parts, root, body


class _Document:
    """The blocks of a text, with the automatic numbers of its lists and headings."""

    def __init__(self, root: Element, styles: Element):
        based = {each.get("name") for each in root.iter("style") if each.get("parent-style-name") == "Title"}
        self._titles = based | {"Title"}
        self._levels = {
            each.get("name", ""): _levels(each)
            for part in (styles, root)
            for tag in ("outline-style", "list-style")
            for each in part.iter(tag)
        }
        self._counts: dict[str, Counts] = {}
        self._last: Counts = {}

    def blocks(self, parent: Element, style: str = "", depth: int = 0) -> Iterator[Block | list[Row]]:
        """Yield paragraphs, and tables as rows; `style` and `depth` are those of the list around them."""
        numbered = parent if parent.tag == "list-item" else None
        for child in parent:
            if child.tag in ("h", "p"):
                asides = Element("asides")
                lines = [" ".join(line.split()) for line in _text(child, asides).split(_BREAK)]
                if text := clean("\n".join(lines)).strip():
                    yield self._block(child, text, numbered, style, depth)
                    numbered = None
                yield from self.blocks(asides)
            elif child.tag == "table":
                yield list(_rows(child))
            elif child.tag == "list":
                if not depth:
                    before = self._last if child.get("continue-numbering") == "true" else {}
                    self._last = self._counts.get(child.get("continue-list", ""), before)
                    self._counts[child.get("id", "")] = self._last
                yield from self.blocks(child, child.get("style-name") or style, depth + 1)
            elif child.tag not in _GONE:
                yield from self.blocks(child, style, depth)

    def _block(self, paragraph: Element, text: str, numbered: Element | None, style: str, depth: int) -> Block:
        if depth:
            number = self._number(style, self._last, depth, numbered.get("start-value")) if numbered is not None else ""
            block = item(depth - 1, number, text)
            return block if paragraph.tag == "p" else Block(_level(paragraph), f"{number} {text}".lstrip())
        if paragraph.tag == "p":
            return Block(int(paragraph.get("style-name") in self._titles), text)
        counted = self._counts.setdefault("Outline", {}) if paragraph.get("is-list-header") != "true" else None
        number = "" if counted is None else self._number("Outline", counted, _level(paragraph), None)
        return Block(_level(paragraph), f"{number} {text}".lstrip())

    def _number(self, style: str, counts: Counts, level: int, start: str | None) -> str:
        """Count an item or a heading of a level from 1, and return its number, or nothing."""
        if start:
            counts[level - 1] = int(start) - 1
        levels = self._levels.get(style, {})
        return counted(levels, level - 1, counts) if level - 1 in levels else ""


def _levels(style: Element) -> dict[int, Level]:
    """Return the levels of a list or of the headings, from 0."""
    forms = {int(level.get("level", "1")): _FORMS.get(level.get("num-format", ""), "bullet") for level in style}
    levels = {}
    for each in style:
        level = int(each.get("level", "1"))
        shown = range(level + 1 - int(each.get("display-levels", "1")), level + 1)
        numbers = ".".join(f"%{above}" for above in shown if forms.get(above, "bullet") != "bullet")
        text = f"{each.get('num-prefix', '')}{numbers}{each.get('num-suffix', '')}"
        levels[level - 1] = Level(forms[level], text, int(each.get("start-value", "1")))
    return levels


def _level(heading: Element) -> int:
    return min(int(heading.get("outline-level", "1")), 9)


def _text(parent: Element, asides: Element | None = None) -> str:
    """Return the text of an element; append blocks of notes and text boxes, which follow it, to `asides`."""
    texts = [parent.text or ""]
    for child in parent:
        if child.tag in _BLOCKS and asides is not None:
            asides.append(child)
        elif child.tag == "annotation" and asides is not None:
            asides.append(Element("p"))
            asides[-1].text = _comment(child)
        elif child.tag not in _GONE:
            space = " " if child.tag in _BLOCKS else ""
            texts += [space, _SPACES.get(child.tag) or _text(child, asides), space]
        texts.append(child.tail or "")
    return "".join(texts)


def _comment(annotation: Element) -> str:
    return comment(annotation.findtext("creator", ""), " ".join(_lines(annotation)))


def _cell(cell: Element) -> str:
    """Return the text of a cell, or its formula if no result is stored, and the comments on it."""
    text = " ".join(_text(cell).split())
    if not text and not cell.get("value-type") and (formula := cell.get("formula")):
        text = "=" + _REFERENCE.sub("", formula.partition("=")[2])
    comments = [f"[{words}]" for each in cell.iter("annotation") if (words := _comment(each))]
    return " ".join([text, *comments]).lstrip()


def _rows(table: Element) -> Iterator[Row]:
    """Yield the rows; a text stored once for several cells, or merged over several rows, is repeated in each."""
    number, left = 1, _MAX_COPIES
    merged: dict[int, tuple[int, str]] = {}  # the last row and the text, by column
    for row in nested(table, "table-row", _ROWS):
        cells: Cells = {}
        column = 1
        for cell in row:
            last, above = merged.get(column, (0, ""))
            covered = cell.tag == "covered-table-cell" and number <= last
            text = above if covered else _cell(cell)
            if below := int(cell.get("number-rows-spanned", "1")) - 1:
                merged[column] = number + below, repeated(text)
            times = int(cell.get("number-columns-repeated", "1"))
            for copy in range(column, min(column + times, _MAX_COLUMN + 1)) if text else ():
                cells[copy] = text if copy == column else repeated(text)
            column += times
        times = int(row.get("number-rows-repeated", "1"))
        left -= len(cells) * times
        if left < 0:
            raise UnreadableFile("its cells repeat too much text; split it into several files, or save it again")
        for copy in range(number, number + times if cells else number):
            yield copy, cells
            cells = {column: repeated(text) for column, text in cells.items()}
        number += times


def _slide(slide: Element) -> pptx.Slide:
    """Return the shapes of a slide line by line, a centimetre each, and the lines of its notes."""
    shown = [shape for shape in slide if shape.tag not in _GONE and shape.get("class") not in _FURNITURE]
    shapes = [
        pptx.Shape(shape.get("class") == "title", _lines(shape), list(map(_rows, shape.iter("table"))))
        for shape in sorted(shown, key=lambda shape: (int(_at(shape, "y")), _at(shape, "x")))
    ]
    shapes += [pptx.Shape(False, list(filter(None, map(_comment, slide.iterfind("annotation")))), [])]
    return shapes, [line for part in slide.iterfind("notes/frame") for line in _lines(part)]


def _lines(parent: Element) -> list[str]:
    """Return the paragraphs of a shape, without its tables."""
    shown = (child for child in parent if child.tag != "table" and child.tag not in _GONE)
    found = ([" ".join(_text(child).split())] if child.tag in ("h", "p") else _lines(child) for child in shown)
    return [line for lines in found for line in lines if line]


def _at(shape: Element, axis: str) -> float:
    """Return the distance from the edge of the slide in centimetres."""
    place = _LENGTH.match(shape.get(axis, ""))
    return float(place[1]) * _UNITS.get(place[2], 1) if place else 0
