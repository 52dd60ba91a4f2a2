"""The automatic numbers of Word, such as "3.2" or "(b)", as Word shows them (ECMA-376, part 1, 17.9)."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_lowercase
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.documents.readers.ooxml import Package, value

_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MAX_REPEATS = 30
"""Letters: z is followed by aa, bb, …, and Word begins again after thirty times z."""

_COUNTED = re.compile(r"%([1-9])")
_NOTHING = Element("none")


class Item(NamedTuple):
    """A paragraph of a list: its level from 0, and its number, or nothing for a bullet."""

    level: int
    number: str


@dataclass(frozen=True, slots=True)
class _Level:
    """A level of a list: how its number is written, and how it is counted.

    `text` is the number with what is around it, "%1" for that of the first level; `restart` is the number of levels
    above whose items restart this one; `style` is the style whose paragraphs are items of this level.
    """

    form: str
    digits: int
    text: str
    arabic: bool
    start: int
    restart: int
    style: str


@dataclass(frozen=True, slots=True)
class _List:
    """A list; those of the same `definition` are counted on, except for the levels that this one restarts."""

    definition: str
    levels: dict[int, _Level]
    restarted: frozenset[int]


class Numbering:
    """The lists of a document, and how far each is counted."""

    def __init__(self, parts: Package, main: str, styles: Element):
        self._styles = {style.get("styleId", ""): style for style in styles.iterfind("style")}
        self._source = parts, main
        self._lists: dict[str, _List | None] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self._counts: dict[str, dict[int, int]] = {}
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
        form = own.levels[level].form
        number = self._counted(identity, own, level)
        return Item(level, number) if number or form == "bullet" else None

    def _counted(self, identity: str, own: _List, level: int) -> str:
        """Count an item, and return its number."""
        counts = self._counts.setdefault(own.definition, {})
        if level in own.restarted and (identity, level) not in self._begun:
            self._begun.add((identity, level))
            counts.pop(level, None)
        counts[level] = counts[level] + 1 if level in counts else own.levels[level].start
        for deeper, each in own.levels.items():
            if level < min(deeper, each.restart):
                counts.pop(deeper, None)
        return _written(own.levels, level, counts)

    def _place(self, paragraph: Element) -> tuple[str, str]:
        """Return the list and the level of a paragraph, its own or those of its style; "" for none."""
        identity, level = value(paragraph, "pPr/numPr/numId"), value(paragraph, "pPr/numPr/ilvl")
        if identity:
            return identity, level
        style = value(paragraph, "pPr/pStyle")
        if style not in self._places:
            self._places[style] = self._place_of_style(style, len(self._styles))
        identity, inherited = self._places[style]
        return identity, level or inherited

    def _place_of_style(self, identity: str, steps: int) -> tuple[str, str]:
        style = self._styles.get(identity, _NOTHING)
        number, level = value(style, "pPr/numPr/numId"), value(style, "pPr/numPr/ilvl")
        if own := self._list(number) if number else None:
            linked = (str(inner) for inner, each in own.levels.items() if each.style == identity)
            return number, next(linked, level)
        if number or not steps:
            return "", ""
        based = value(style, "basedOn")
        number, inherited = self._place_of_style(based, steps - 1) if based else ("", "")
        return number, level or inherited

    def _list(self, identity: str) -> _List | None:
        if identity not in self._lists:
            number = self._numbers.get(identity)
            self._lists[identity] = None if number is None else self._defined(number)
        return self._lists[identity]

    def _defined(self, number: Element) -> _List:
        """Return a list with what it overrides of its definition, which may be that of a style."""
        identity = value(number, "abstractNumId")
        definition = self._definitions.get(identity, _NOTHING)
        style = self._styles.get(value(definition, "numStyleLink"), _NOTHING)
        linked = self._numbers.get(value(style, "pPr/numPr/numId"), _NOTHING)
        if linked is not _NOTHING:
            identity = value(linked, "abstractNumId")
            definition = self._definitions.get(identity, _NOTHING)
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
    def _numbers(self) -> dict[str, Element]:
        return {each.get("numId", ""): each for each in self._root.iterfind("num")}

    @cached_property
    def _definitions(self) -> dict[str, Element]:
        return {each.get("abstractNumId", ""): each for each in self._root.iterfind("abstractNum")}

    @cached_property
    def _root(self) -> Element:
        """The part that defines the lists; it is large, and many documents have no numbers."""
        parts, main = self._source
        return parts.linked(main, "numbering")


def _level(level: Element) -> _Level:
    form = next(level.iter("numFmt"), _NOTHING)  # within AlternateContent if it is of the program's own
    restart = value(level, "lvlRestart")
    arabic = level.find("isLgl")
    return _Level(
        form=form.get("val", "decimal"),
        digits=len(form.get("format", "").partition(",")[0]),
        text=value(level, "lvlText"),
        arabic=arabic is not None and arabic.get("val") not in ("0", "false"),
        start=int(value(level, "start") or 0),
        restart=int(restart) if restart else 9,
        style=value(level, "pStyle"),
    )


def _written(levels: dict[int, _Level], level: int, counts: dict[int, int]) -> str:
    """Write the number of an item, which may name the numbers of the items above; nothing for a bullet."""
    own = levels[level]
    if own.form == "bullet":
        return ""

    def written(mark: re.Match[str]) -> str:
        inner = int(mark[1]) - 1
        if inner not in levels:
            return ""
        form = levels[inner].form
        form = "decimal" if own.arabic and form != "decimalZero" else form
        return written_number(counts.get(inner, levels[inner].start), form, levels[inner].digits)

    return _COUNTED.sub(written, own.text).strip()


def written_number(number: int, form: str, digits: int = 1) -> str:
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
