"""Slides (.pptx), one page for each, with the speaker's notes; titles and tables are written as in Markdown."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from app.documents.pages import Page, Place
from app.documents.readers import package
from app.documents.readers.tables import Row, groups, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_LINE = 360_000
"""Shapes whose tops are within a centimetre, in English Metric Units, stand beside each other."""


def read(data: bytes) -> list[Page]:
    """All slides, also the blank and the hidden ones, so that their numbers stay right."""
    with package.opened(data, ".pptx") as parts:
        main = parts.main()
        related = parts.related(main)
        names = [related[slide.get("r:id", "")].target for slide in parts.tree(main).iterfind("sldIdLst/sldId")]
        pages = [page for number, name in enumerate(names, 1) for page in _slide(parts, name, number)]
    if not any(page.text for page in pages):
        raise UnreadableFile("none of its slides holds text; pictures of text need text recognition first")
    return pages


def _slide(parts: package.Package, name: str, number: int) -> Iterator[Page]:
    """The slide; a table of several groups of rows has a page for each of them."""
    place = Place("slide", f"slide {number}", number)
    texts: list[str] = []
    tables: list[str] = []
    root = parts.tree(name)
    shapes = list(_shapes(root))
    for shape in sorted(shapes, key=lambda shape: _kind(shape) not in _TITLES):
        for table in shape.iter("tbl"):
            found = [group.text for group in groups(_rows(table))]
            (texts if len(found) == 1 else tables).extend(found)
        lines = _lines(shape)
        if _kind(shape) in _TITLES and lines:
            texts.append("# " + " ".join(" ".join(lines).split()))
        else:
            texts += ["\n".join(f"- {line}" for line in lines)] if len(lines) > 1 else lines
    if notes := parts.one(name, "notesSlide"):
        spoken = [line for shape in _shapes(parts.tree(notes)) for line in _lines(shape)]
        texts += ["Notes: " + "\n\n".join(spoken)] if spoken else []
    yield Page("\n\n".join(texts), place)
    yield from (Page(table, place) for table in tables)


def _shapes(parent: Element) -> Iterator[Element]:
    """The shapes as one reads them, line by line, those of a group together; without what stands on every slide."""
    tree = parent.find("cSld/spTree") if parent.tag in ("sld", "notes") else parent
    for shape in sorted(tree if tree is not None else (), key=_position):
        if shape.tag == "grpSp":
            yield from _shapes(shape)
        elif shape.tag == "AlternateContent":  # the same twice, for newer and older programs
            yield from (found for choice in shape[:1] for found in _shapes(choice))
        elif shape.tag in ("sp", "graphicFrame", "cxnSp") and _kind(shape) not in _FURNITURE:
            yield shape


def _position(shape: Element) -> tuple[int, int]:
    """A pair to sort by; a placeholder without a position of its own, which its layout has, comes first."""
    place = shape.find(".//xfrm/off")
    return (0, 0) if place is None else (int(place.get("y", "0")) // _LINE, int(place.get("x", "0")))


def _kind(shape: Element) -> str:
    """What a shape is the placeholder for."""
    mark = shape.find("nvSpPr/nvPr/ph")
    return "" if mark is None else mark.get("type", "obj")


def _lines(shape: Element) -> list[str]:
    body = shape.find("txBody")
    return [] if body is None else [text for line in body.findall("p") if (text := _text(line))]


def _text(paragraph: Element) -> str:
    texts = {"br": "\n"}
    return clean("".join([texts.get(part.tag) or part.findtext("t") or "" for part in paragraph])).strip()


def _rows(table: Element) -> Iterator[Row]:
    above: dict[int, str] = {}
    for number, row in enumerate(table.findall("tr"), 1):
        above = {
            column: repeated(above.get(column, "")) if cell.get("vMerge") in ("1", "true") else " ".join(_lines(cell))
            for column, cell in enumerate(row.findall("tc"), 1)
        }
        yield number, above
