"""Sections of text under headings, for formats whose files have no lines that a person sees."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from app.documents.passages import Page, Place
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
