"""Sections of text under headings, for formats whose files have no lines that a person sees, and the numbers of lists.

Automatic numbers, such as "3.2" or "(b)", are as Word and LibreOffice show them (ECMA-376, part 1, 17.9).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from string import ascii_lowercase
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.documents.passages import Page, Place
from app.documents.readers.ooxml import Package, inherited, value
from app.documents.readers.tables import Row, groups
from app.documents.readers.text import clean
from app.errors import UnreadableFile
from app.translation import mark

BEGINNING = mark("beginning")
"""The label of the text above the first heading."""

_ENUMERATED = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])(?<![ivxIVX])[.)]$")
"""The numbers that mark an item without a dash before them; not Roman ones, most of which are longer."""

_DEEPEST = 9
_WORD = re.compile(r"[^\W\d_]+")
_WORDS_OF_PAGE = 3
"""Fewer words around the number of a page, as in "page 2 of 9", are no text of a header."""


class Block(NamedTuple):
    """A paragraph; `level` is that of a heading, or 0."""

    level: int
    text: str
    listed: bool = False


def item(level: int, number: str, text: str) -> Block:
    """Return an item of a list, whose level counts from 0, with its number, or with a dash."""
    dash = "" if _ENUMERATED.match(number) or not text else "- "
    return Block(0, "  " * min(level, _DEEPEST) + dash + f"{number} {text}".strip(), listed=True)


def comment(author: str, text: str) -> str:
    """Return a comment with its author, if it says anything."""
    return (f"Comment by {author}: {text}" if author else f"Comment: {text}") if text else ""


def margin(parts: Iterable[Iterable[Block | list[Row]]]) -> Iterator[Block | list[Row]]:
    """Return the blocks of headers or footers, those of the same text once, and none as a heading."""
    shown = {}
    for part in parts:
        blocks = [block._replace(level=0) if isinstance(block, Block) else block for block in part]
        shown[str(blocks)] = blocks
    return chain.from_iterable(shown.values())


def numbers_page(text: str) -> bool:
    """Whether a paragraph that shows the number of the page shows nothing else."""
    return len(_WORD.findall(text)) < _WORDS_OF_PAGE


def paged(blocks: Iterable[Block | list[Row]]) -> list[Page]:
    """Return the sections of a document of paragraphs and tables, written as in Markdown; raises UnreadableFile."""
    sections = Sections(marked=True)
    listed = False
    for block in blocks:
        within, listed = listed, isinstance(block, Block) and block.listed
        if not (within and listed):
            sections.gap()
        if not isinstance(block, Block):
            sections.table(block)
        elif block.level:
            sections.heading(block.level, " ".join(block.text.split()))
        else:
            sections.line(block.text)
    if not (pages := sections.pages()):
        raise UnreadableFile("it holds no text; if it shows pictures of pages, they need text recognition first")
    return pages


class Sections:
    """Pages that grow line by line; a heading begins one, unless only higher headings are above it.

    If `marked`, headings are written as in Markdown.
    """

    def __init__(self, *, marked: bool = False) -> None:
        self._marked = marked
        self._pages: list[tuple[Place, list[str]]] = [(Place("heading", BEGINNING, 1), [])]
        self._level: int | None = None
        self._gap = False

    def heading(self, level: int, text: str) -> None:
        """Begin the section of a heading; level 0 is the title of the document, which is not written twice."""
        place, lines = self._pages[-1]
        if lines and (self._level is None or self._level >= level):
            self._pages.append((Place("heading", text, place.number + 1), lines := []))
        else:
            self._pages[-1] = (Place("heading", text, place.number), lines)
        if lines[-1:] != [text]:
            self.gap()
            self.line(f"{'#' * min(level, 6)} {text}" if self._marked else text)
        self._level = level
        self.gap()

    def line(self, text: str) -> None:
        """Add a line, or several."""
        lines = self._pages[-1][1]
        if self._gap and lines:
            lines.append("")
        lines.append(text)
        self._gap, self._level = False, None

    def gap(self) -> None:
        """Leave a blank line before the next one."""
        self._gap = True

    def table(self, rows: Iterable[Row]) -> None:
        """Add a table; a table of several groups of rows has a page for each, at the place of the section."""
        texts = [group.text for group in groups(rows)]
        if len(texts) == 1:
            self.gap()
            self.line(texts[0])
            self.gap()
        elif texts:
            place = self._pages[-1][0]
            self._pages += [*((place, [text]) for text in texts), (place, [])]
            self._level = None

    def pages(self) -> list[Page]:
        """Return the sections; the number of a place is that of its section."""
        texts = ((place, clean("\n".join(lines))) for place, lines in self._pages)
        return [Page(text, place) for place, text in texts if text.strip()]


_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MAX_REPEATS = 30
"""Letters: z is followed by aa, bb, …, and Word begins again after thirty times z."""

_COUNTED = re.compile(r"%([1-9])")
_NOTHING = Element("none")

Counts = dict[int, int]
"""How far each level of a list is counted, levels from 0."""


class Item(NamedTuple):
    """A paragraph of a list: its level from 0, and its number, or nothing for a bullet."""

    level: int
    number: str


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a list: how its number is written, and how it is counted.

    `text` is the number with what is around it, "%1" for that of the first level; `restart` is the number of levels
    above whose items restart this one; `style` is the style whose paragraphs are items of this level.
    """

    form: str
    text: str
    start: int
    digits: int = 1
    arabic: bool = False
    restart: int = 9
    style: str = ""


Levels = Mapping[int, Level]


class _List(NamedTuple):
    """A list; those of the same `definition` are counted on, except for the levels that this one restarts."""

    definition: str
    levels: Levels
    restarted: frozenset[int]


class Numbering:
    """The lists of a document of Word, and how far each is counted."""

    def __init__(self, parts: Package, main: str, styles: Mapping[str, Element]):
        self._styles = styles
        self._source = parts, main
        self._list = cache(self._defined)
        self._of_style = cache(self._place_of_style)
        self._counts: dict[str, Counts] = {}
        self._begun: set[tuple[str, int]] = set()

    def item(self, paragraph: Element) -> Item | None:
        """Return the paragraph as an item if it is one; paragraphs are passed in order, each once."""
        identity, inner = self._place(paragraph)
        if identity in ("", "0"):
            return None
        level = int(inner or 0)
        own = self._list(identity)
        if own is None or level not in own.levels:
            return Item(level, "")
        counts = self._counts.setdefault(own.definition, {})
        if level in own.restarted and (identity, level) not in self._begun:
            self._begun.add((identity, level))
            counts.pop(level, None)
        number = counted(own.levels, level, counts)
        return Item(level, number) if number or own.levels[level].form == "bullet" else None

    def _place(self, paragraph: Element) -> tuple[str, str]:
        """Return the list and the level of a paragraph, its own or those of its style; "" for none."""
        identity, level = value(paragraph, "pPr/numPr/numId"), value(paragraph, "pPr/numPr/ilvl")
        if identity:
            return identity, level
        identity, of_style = self._of_style(value(paragraph, "pPr/pStyle"))
        return identity, level or of_style

    def _place_of_style(self, identity: str) -> tuple[str, str]:
        level = ""
        for name, style in inherited(self._styles, identity):
            own = value(style, "pPr/numPr/ilvl")
            if number := value(style, "pPr/numPr/numId"):
                levels = found.levels.items() if (found := self._list(number)) else ()
                linked = (str(inner) for inner, each in levels if each.style == name)
                return (number, level or next(linked, own)) if found else ("", "")
            level = level or own
        return "", ""

    def _defined(self, identity: str) -> _List | None:
        """Return a list with what it overrides of its definition, which may be that of a style."""
        numbers, definitions = self._stored
        if (number := numbers.get(identity)) is None:
            return None
        identity = value(number, "abstractNumId")
        style = self._styles.get(value(definitions.get(identity, _NOTHING), "numStyleLink"), _NOTHING)
        if (linked := numbers.get(value(style, "pPr/numPr/numId"))) is not None:
            identity = value(linked, "abstractNumId")
        definition = definitions.get(identity, _NOTHING)
        levels = {int(level.get("ilvl", "0")): _level(level) for level in definition.iterfind("lvl")}
        starts = {}
        for override in number.iterfind("lvlOverride"):
            inner = int(override.get("ilvl", "0"))
            if (level := override.find("lvl")) is not None:
                levels[inner] = _level(level)
            if inner in levels and (start := value(override, "startOverride")):
                starts[inner] = replace(levels[inner], start=int(start))
        return _List(identity, levels | starts, frozenset(starts))

    @cached_property
    def _stored(self) -> tuple[dict[str, Element], dict[str, Element]]:
        """The lists and their definitions as stored, in a part that is large; many documents have no numbers."""
        parts, main = self._source
        root = parts.linked(main, "numbering")
        pairs = (("num", "numId"), ("abstractNum", "abstractNumId"))
        numbers, definitions = ({each.get(name, ""): each for each in root.iterfind(tag)} for tag, name in pairs)
        return numbers, definitions


def _level(level: Element) -> Level:
    form = next(level.iter("numFmt"), _NOTHING)  # within AlternateContent if it is of the program's own
    restart = value(level, "lvlRestart")
    arabic = level.find("isLgl")
    return Level(
        form=form.get("val", "decimal"),
        text=value(level, "lvlText"),
        start=int(value(level, "start") or 0),
        digits=len(form.get("format", "").partition(",")[0]),
        arabic=arabic is not None and arabic.get("val") not in ("0", "false"),
        restart=int(restart) if restart else 9,
        style=value(level, "pStyle"),
    )


def counted(levels: Levels, level: int, counts: Counts) -> str:
    """Count an item; return its number, which may name the numbers of the items above, or nothing for a bullet."""
    own = levels[level]
    counts[level] = counts[level] + 1 if level in counts else own.start
    for deeper, each in levels.items():
        if level < min(deeper, each.restart):
            counts.pop(deeper, None)
    if own.form == "bullet":
        return ""

    def written(mark: re.Match[str]) -> str:
        inner = levels.get(int(mark[1]) - 1)
        if inner is None:
            return ""
        form = "decimal" if own.arabic and inner.form != "decimalZero" else inner.form
        return _number(counts.get(int(mark[1]) - 1, inner.start), form, inner.digits)

    return _COUNTED.sub(written, own.text).strip()


def _number(number: int, form: str, digits: int) -> str:
    """Write a number in a form of Word; those of other scripts and in words become digits."""
    if form in ("none", "bullet"):
        return ""
    text = str(number).zfill(2 if form == "decimalZero" else digits)
    if form in ("lowerLetter", "upperLetter") and number > 0:
        repeats, letter = divmod(number - 1, len(ascii_lowercase))
        text = ascii_lowercase[letter] * (repeats % _MAX_REPEATS + 1)
    elif form in ("lowerRoman", "upperRoman"):
        text = ""
        for worth, letters in _ROMAN:
            times, number = divmod(number, worth)
            text += letters * min(times, _MAX_REPEATS)
    return text.upper() if form.startswith("upper") else text
