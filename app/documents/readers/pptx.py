"""Slides (.pptx), one page for each, with the speaker's notes; titles and tables are written as in Markdown."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.documents.passages import Page, Place
from app.documents.readers.ooxml import Package, chart, diagram, embed
from app.documents.readers.sections import comment
from app.documents.readers.tables import Row, groups, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile
from app.translation import mark

_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_AUTHORS = ("commentAuthors", "authors")
"""The parts with the names of commenters, of PowerPoint until 2019 and since."""

_GROUPS = ("cSld", "spTree", "grpSp", "AlternateContent", "Choice")
_INDENT = re.compile(" *")
_LINE = 360_000
"""English Metric Units: shapes whose tops are within a centimetre of each other are in one line."""


class Shape(NamedTuple):
    """A shape of a slide, with its lines of text, and its tables as rows."""

    is_title: bool
    lines: list[str]
    tables: list[Iterator[Row]]


Slide = tuple[list[Shape], list[str]]
"""The shapes in reading order, and the lines of the notes."""


def read(data: bytes) -> list[Page]:
    """Return all slides, also the blank and the hidden ones, so that their numbers stay right."""
    parts = Package(data, ".pptx")
    main = parts.main()
    related = parts.related(main)
    names = [related[slide.get("r:id", "")] for slide in parts.tree(main).iterfind("sldIdLst/sldId")]
    people = {each.get("id"): each.get("name", "") for kind in _AUTHORS for each in parts.linked(main, kind)}
    return pages(_slide(parts, name, people) for name in names)


def pages(slides: Iterable[Slide]) -> list[Page]:
    """Return a page for each slide, its title first; a table of several groups of rows has a page for each."""
    found: list[Page] = []
    for number, (shapes, notes) in enumerate(slides, 1):
        place = Place("slide", mark("slide {number}").format(number=number), number)
        texts: list[str] = []
        tables: list[str] = []
        for is_title, lines, grids in sorted(shapes, key=lambda shape: not shape.is_title):
            if is_title and lines:
                texts.append("# " + " ".join(" ".join(lines).split()))
            else:
                texts += ["\n".join(_INDENT.sub(r"\g<0>- ", line, 1) for line in lines)] if len(lines) > 1 else lines
            for grid in grids:
                parts = [group.text for group in groups(grid)]
                (texts if len(parts) == 1 else tables).extend(parts)
        texts += ["Notes: " + "\n\n".join(notes)] if notes else []
        found += [Page("\n\n".join(texts), place), *(Page(table, place) for table in tables)]
    if not any(page.text for page in found):
        raise UnreadableFile("none of its slides holds text; pictures of text need text recognition first")
    return found


def _slide(parts: Package, name: str, people: dict[str | None, str]) -> Slide:
    slide = parts.tree(name)
    embed(parts, name, slide)
    shapes = [
        Shape(
            _kind(shape) in _TITLES,
            _lines(shape)
            + [f"{'  ' * depth}{text}" for root in shape.iter("dataModel") for depth, text in diagram(root)],
            [*map(_rows, shape.iter("tbl")), *map(chart, shape.iter("chartSpace"))],
        )
        for shape in _shapes(slide)
    ]
    comments = (each for each in parts.linked(name, "comments").iter() if each.tag in ("cm", "reply"))
    said = (
        comment(people.get(each.get("authorId"), ""), each.findtext("text") or " ".join(_lines(each)))
        for each in comments
    )
    shapes.append(Shape(False, list(filter(None, said)), []))
    return shapes, [line for shape in _shapes(parts.linked(name, "notesSlide")) for line in _lines(shape)]


def _shapes(parent: Element) -> Iterator[Element]:
    """Yield the shapes in reading order, line by line, groups together; without what repeats on every slide."""
    for shape in sorted(parent, key=_position):
        if shape.tag in _GROUPS:
            yield from _shapes(shape)
        elif shape.tag in ("sp", "graphicFrame", "cxnSp") and _kind(shape) not in _FURNITURE:
            yield shape


def _position(shape: Element) -> tuple[int, int]:
    """Return a key to sort by; a placeholder whose position is that of its layout comes first."""
    place = shape.find(".//xfrm/off")
    return (0, 0) if place is None else (int(place.get("y", "0")) // _LINE, int(place.get("x", "0")))


def _kind(shape: Element) -> str:
    """Return what a shape is a placeholder for, such as "title"."""
    mark = shape.find("nvSpPr/nvPr/ph")
    return "" if mark is None else mark.get("type", "obj")


def _lines(shape: Element) -> list[str]:
    lines = shape.iterfind("txBody/p")
    texts = ("".join("\n" if part.tag == "br" else part.findtext("t", "") for part in line) for line in lines)
    return list(filter(None, (clean(text).strip() for text in texts)))


def _rows(table: Element) -> Iterator[Row]:
    above: dict[int, str] = {}
    for number, row in enumerate(table.findall("tr"), 1):
        above = {
            column: repeated(above.get(column, "")) if cell.get("vMerge") in ("1", "true") else " ".join(_lines(cell))
            for column, cell in enumerate(row.findall("tc"), 1)
        }
        yield number, above
