"""Pages, places and passages: what readers return, and the units of about 150 words that are indexed."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.documents.language import SPACELESS
from app.documents.sentences import Span, sentences
from app.translation import again, mark

PAGE_LABEL, LINE_LABEL = mark("page {number}"), mark("line {number}")

PlaceKind = Literal["page", "heading", "slide", "sheet", "cell", "line"]

SEPARATOR = "\f"
"""Separates two pages in the text of a document; offsets count it as one code point."""

AIM_WORDS = 150
MAX_WORDS = 200
MAX_CHARS = 1500
"""Bounds text without spaces, such as base64."""

_SENTENCE_WORDS = MAX_WORDS // 2
_SENTENCE_CHARS = MAX_CHARS // 2
_OVERLAP_WORDS = AIM_WORDS // 3

_WORD = re.compile(rf"\S{{1,{_SENTENCE_WORDS // 4}}}")
"""A word, or a piece of a longer run without blanks, such as base64 or a script without spaces."""

_SPACELESS = re.compile(f"[{SPACELESS}]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text is in its file, as a person finds it: "page 3", a heading, "line 12".

    `heading` is the heading above the place, where the label does not name it.
    """

    kind: PlaceKind
    label: str
    number: int
    heading: str = ""

    @property
    def shown(self) -> str:
        """The label in the language of whoever reads it."""
        return self.label if self.kind == "heading" and self.number > 1 else again(self.label)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a document that no passage crosses: a PDF page, a section under one heading, a text file."""

    text: str
    place: Place
    unread: bool = False
    """Whether the page shows more than its text, such as a scan under a stamp."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The pages of a file, over which it can be iterated, and its title, empty if the file has none."""

    pages: list[Page]
    title: str

    def __iter__(self) -> Iterator[Page]:
        return iter(self.pages)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one page; `start` and `end` count code points in the text of the whole document."""

    file: str
    start: int
    end: int
    text: str
    place: Place
    title: str
    language: str


def joined(pages: list[Page]) -> str:
    """Join pages to the text of the whole document, in which all offsets count."""
    return SEPARATOR.join(page.text for page in pages)


def split(pages: Sequence[Page], file: str, title: str, language: str) -> list[Passage]:
    """Split a document into passages, in order; neighbours on a page share one or two sentences."""
    passages = []
    offset = 0
    for page in pages:
        place, counted = page.place, 0
        for start, end in _spans(page.text):
            if place.kind == "line":
                number = place.number + page.text.count("\n", counted, start)
                place, counted = Place("line", LINE_LABEL.format(number=number), number), start
            passages.append(Passage(file, offset + start, offset + end, page.text[start:end], place, title, language))
        offset += len(page.text) + len(SEPARATOR)
    return passages


def measure(text: str) -> int:
    """Count words; two characters of a script without spaces count as one."""
    return len(text.split()) + (0 if text.isascii() else len(_SPACELESS.findall(text)) // 2)


def _spans(text: str) -> Iterator[Span]:
    """Group the sentences of a page to passages."""
    parts = [part for sentence in sentences(text) for part in _parts(text, *sentence)]
    words = [measure(text[start:end]) for start, end in parts]
    remaining = sum(words)
    first = 0
    while first < len(parts):
        last, total = first, words[first]
        while last + 1 < len(parts):
            more = total + words[last + 1]
            fits = more <= MAX_WORDS and parts[last + 1][1] - parts[first][0] <= MAX_CHARS
            if not fits or (total >= AIM_WORDS and remaining > MAX_WORDS):
                break
            last, total = last + 1, more
        yield parts[first][0], parts[last][1]
        if last + 1 == len(parts):
            return
        following = last + 1 - _overlap(parts, words, first, last)
        remaining -= sum(words[first:following])
        first = following


def _overlap(parts: list[Span], words: list[int], first: int, last: int) -> int:
    """Count the sentences that the next passage repeats: two short ones, or one if the next still fits beside it."""
    for count, limit in ((2, _OVERLAP_WORDS), (1, MAX_WORDS)):
        start = last + 1 - count
        fits = sum(words[start : last + 2]) <= MAX_WORDS and parts[last + 1][1] - parts[start][0] <= MAX_CHARS
        if start > first and fits and sum(words[start : last + 1]) <= limit:
            return count
    return 0


def _parts(text: str, start: int, end: int) -> Iterator[Span]:
    """Cut a sentence of which two would not fit into a passage; others stay whole."""
    if end - start <= _SENTENCE_CHARS and measure(text[start:end]) <= _SENTENCE_WORDS:
        yield start, end
        return
    piece_start = piece_end = start
    total = 0
    spaceless = _SPACELESS.search(text, start, end)
    for match in _WORD.finditer(text, start, end):
        words = measure(match.group()) if spaceless else 1
        too_long = match.end() - piece_start > _SENTENCE_CHARS // 2 or total + words > _SENTENCE_WORDS // 2
        if total and too_long:
            yield piece_start, piece_end
            piece_start, total = match.start(), 0
        piece_end, total = match.end(), total + words
    yield piece_start, piece_end
