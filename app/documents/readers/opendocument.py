"""OpenDocument files (.odt, .ods, .odp) as they read once all changes are accepted; texts as Markdown."""

import re
from collections.abc import Iterator
from itertools import chain
from xml.etree.ElementTree import Element

from app.documents.passages import Page
from app.documents.readers import pptx, xlsx
from app.documents.readers.ooxml import PROTECTED, Package
from app.documents.readers.sections import Block, margin, numbers_page, paged
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
_MARGIN = re.compile(rb"<\w+:(?:header|footer)(?:-left|-first)?[\s>]")
"""A header or footer in the bytes of the styles, most of which have none and take longer to parse than a short text."""

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
    titles = {style.get("name") for style in root.iter("style") if style.get("parent-style-name") == "Title"} | {
        "Title"
    }
    framed = _STYLES in parts and _MARGIN.search(parts.part(_STYLES))
    styles = parts.tree(_STYLES) if framed else Element("none")
    header, footer = (margin(_blocks(each, titles) for each in _margins(styles, kind)) for kind in ("header", "footer"))
    return paged(chain(header, _blocks(body, titles), footer))


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
    """Return the parts of a file, its content, and the part of this that is the document."""
    parts = Package(data, suffix)
    if _MANIFEST in parts and b"encryption-data" in parts.part(_MANIFEST):
        raise UnreadableFile(PROTECTED)
    root = parts.tree("content.xml")
    body = root.find(f"body/{kind}")
    if body is None:
        raise UnreadableFile("it holds a document of another kind; save it again under the name that suits it")
    return parts, root, body


def _blocks(parent: Element, titles: set[str | None], depth: int = 0) -> Iterator[Block | list[Row]]:
    """Yield paragraphs, and tables as rows; `depth` is that of the list around them."""
    for child in parent:
        if child.tag in ("h", "p"):
            level = child.get("outline-level", "1") if child.tag == "h" else str(int(child.get("style-name") in titles))
            asides = Element("asides")
            lines = [" ".join(line.split()) for line in _text(child, asides).split(_BREAK)]
            if text := clean("\n".join(lines)).strip():
                mark = f"{'  ' * (depth - 1)}- " if depth else ""
                yield Block(min(int(level), 9), mark + text, listed=bool(depth))
            yield from _blocks(asides, titles)
        elif child.tag == "table":
            yield list(_rows(child))
        elif child.tag not in _GONE:
            yield from _blocks(child, titles, depth + (child.tag == "list"))


def _text(parent: Element, asides: Element | None = None) -> str:
    """Return the text of an element; append blocks of notes and text boxes, which follow it, to `asides`."""
    texts = [parent.text or ""]
    for child in parent:
        if child.tag in _BLOCKS and asides is not None:
            asides.append(child)
        elif child.tag == "annotation" and asides is not None:
            asides.append(comment := Element("p"))
            comment.text = _comment(child)
        elif child.tag not in _GONE:
            space = " " if child.tag in _BLOCKS else ""
            texts += [space, _SPACES.get(child.tag) or _text(child, asides), space]
        texts.append(child.tail or "")
    return "".join(texts)


def _comment(annotation: Element) -> str:
    """Return a comment with its author."""
    author, text = annotation.findtext("creator", ""), " ".join(_lines(annotation))
    return (f"Comment by {author}: {text}" if author else f"Comment: {text}") if text else ""


def _cell(cell: Element) -> str:
    """Return the text of a cell, or its formula if no result is stored, and the comments on it."""
    text = " ".join(_text(cell).split())
    if not text and not cell.get("value-type") and (formula := cell.get("formula")):
        text = "=" + _REFERENCE.sub("", formula.partition("=")[2])
    comments = [f"[{comment}]" for each in cell.iter("annotation") if (comment := _comment(each))]
    return " ".join([text, *comments]).lstrip()


def _rows(table: Element) -> Iterator[Row]:
    """Yield the rows; a text stored once for several cells, or merged over several rows, is repeated in each."""
    number, left = 1, _MAX_COPIES
    merged: dict[int, tuple[int, str]] = {}  # the last row and the text, by column
    for row in _stored(table):
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


def _stored(parent: Element) -> Iterator[Element]:
    for child in parent:
        if child.tag == "table-row":
            yield child
        elif child.tag in _ROWS:
            yield from _stored(child)


def _slide(slide: Element) -> pptx.Slide:
    """Return the shapes of a slide line by line, a centimetre each, and the lines of its notes."""
    shown = [shape for shape in slide if shape.tag not in _GONE and shape.get("class") not in _FURNITURE]
    shapes = [
        pptx.Shape(shape.get("class") == "title", _lines(shape), list(map(_rows, shape.iter("table"))))
        for shape in sorted(shown, key=lambda shape: (int(_at(shape, "y")), _at(shape, "x")))
    ]
    comments = [comment for each in slide.iterfind("annotation") if (comment := _comment(each))]
    shapes += [pptx.Shape(False, comments, [])]
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
