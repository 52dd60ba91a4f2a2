"""Pages, places and passages: what readers return, and the units of about 150 words that are indexed.

A passage consists of sentences. Their boundaries are found by punctuation, spacing and common abbreviations, without a
dictionary.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from app.documents.language import SPACELESS
from app.translation import again, mark

PAGE_LABEL, LINE_LABEL = mark("page {number}"), mark("line {number}")

Span = tuple[int, int]
"""Start and end in a text, in code points."""

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
    """The pages of a file, and its title, empty if the file has none."""

    pages: list[Page]
    title: str


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


_END = re.compile(r"([.!?…]+|[。！？｡।॥؟۔።]+)((?:[\"'“”‘’«»)\]*_`」』）】]|\[\d{1,3}\])*)")
_LINE = re.compile(r"[^\n\f]+|\f|\n{2,}")
"""A line, the end of a page, or empty lines."""

_ITEM = re.compile(r"\s*(?:[-*+•◦▪–]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
_HEADING_OR_RULE = re.compile(r"\s{0,3}#{1,6}\s|\s*(?:[-=*_]\s*){3,}$")
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_LABELLED = re.compile(r"\s*[^\s.:][^.:]{0,39}: \S")
_GOES_ON_OR_ENDS = tuple(".!?…,;:-–—(/।؟۔")
_FEWEST = 3
"""Lines that are taken for a list without marks: two may be a heading that is wrapped."""

_NUMBER_OF_ITEM = re.compile(r"\s*\(?\d{1,3}$")
_LAST_WORD = re.compile(r"[^\W\d_][^\W_]*(?:\.[^\W_]+)*$")
_LAST_NUMBER = re.compile(r"(?<![\w.,])\d{1,2}$")
_NEXT_WORD = re.compile(r"\w+")
_BLANKS = re.compile(r"\s+")
_NEXT_INITIAL = re.compile(r"[^\W\d_]\.")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ABBREVIATIONS = _words(
    "mr mrs ms dr prof st sr jr rev gen capt sgt lt gov vs cf ca approx inc ltd corp bros "
    "hr fr dipl bzw vgl evtl ggf inkl exkl zzgl sog insb geb "
    "dhr mevr mw drs bijv incl excl frk jf iflg tlf dvs "
    "mme mlle sra srta dra ud uds vd vds núm avda sig sigg dott avv exmo exma dna inż mgr tzn tzw ul"
)
"""Abbreviations whose full stop, before a capital, does not end a sentence."""

_BEFORE_NUMBER = _words(
    "c no nos nr art abb fig figs eq eqs ch chap sec p pp s f vol ed bd kap abs tab par str blz bl pag pág pt cap "
    "rys poz jan feb mar apr jun jul aug sep sept okt oct nov dec dez"
)
"""Abbreviations whose full stop, before a number, does not end a sentence."""

_AFTER_ORDINAL = _words(
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert "
    "jahrhunderts jahrtausend klasse auflage kapitel platz geburtstag"
)
"""German nouns that follow an ordinal number, which is written with a full stop ("am 3. Oktober")."""


def sentences(text: str) -> list[Span]:
    """Split a text into sentences; return start and end of each in code points, without the blanks around it.

    Headings, list items, table rows and lines of code end with their line; wrapped lines of a paragraph do not. All
    text that is not blank belongs to exactly one sentence.
    """
    return [span for start, end in _blocks(text) for span in _split(text, start, end)]


def _blocks(text: str) -> Iterator[Span]:
    """Yield the blocks that a sentence never leaves: a paragraph, a heading, a list item, a row."""
    lines: list[Span] = []
    fenced = False
    for match in _LINE.finditer(text):
        line = match.group()
        blank = not line.strip()
        fence = bool(_FENCE.match(line))
        row = line.count("|") > 1 or "\t" in line.strip()
        alone = fenced or fence or row or bool(_HEADING_OR_RULE.match(line))
        if blank or alone or _ITEM.match(line):
            yield from _paragraph(text, lines)
            lines = []
        fenced ^= fence
        if alone and not blank:
            yield match.span()
        elif not blank:
            lines.append(match.span())
    yield from _paragraph(text, lines)


def _paragraph(text: str, lines: list[Span]) -> Iterator[Span]:
    """Join wrapped lines; a short line before a capital is a block of its own, such as an unmarked heading."""
    if not lines:
        return
    if _separate([text[start:end] for start, end in lines]):
        yield from lines
        return
    width = max(end - start for start, end in lines)
    start = lines[0][0]
    for (line_start, line_end), (next_start, next_end) in pairwise(lines):
        word = text[next_start:next_end].lstrip()
        first = _NEXT_WORD.match(word)
        needed = line_end - line_start + 1 + (len(first.group()) if first else 0)
        if needed < 0.7 * width and not word[0].islower() and not _SPACELESS.match(word):
            yield start, line_end
            start = next_start
    yield start, lines[-1][1]


def _separate(lines: list[str]) -> bool:
    """Whether lines are no wrapped text: each is a label with a value, or none ends as lines of a sentence may."""
    if len(lines) > 1 and all(map(_LABELLED.match, lines)):
        return True
    starts = [line.lstrip()[0] for line in lines]
    capital = not any(first.islower() or _SPACELESS.match(first) for first in starts)
    return len(lines) >= _FEWEST and capital and not any(line.rstrip().endswith(_GOES_ON_OR_ENDS) for line in lines)


def _split(text: str, start: int, end: int) -> Iterator[Span]:
    for match in _END.finditer(text, start, end):
        if match.end() == end or _ends(text, start, match, end):
            yield from _stripped(text, start, match.end())
            start = match.end()
    yield from _stripped(text, start, end)


def _ends(text: str, start: int, match: re.Match[str], end: int) -> bool:
    mark = match[1]
    if mark[0] not in ".!?…":
        return True
    if (blanks := _BLANKS.match(text, match.end(), end)) is None:
        return False
    after = blanks.end()
    if after == end:
        return True
    closed = mark != "." or bool(match[2])
    return not text[after].islower() and (closed or not _abbreviated(text, start, match.start(), after, end))


def _abbreviated(text: str, start: int, stop: int, after: int, end: int) -> bool:
    """Whether the full stop at `stop` belongs to the word before it; `after` is where the next word begins."""
    before = text[max(start, stop - 24) : stop]
    follows = text[after : min(end, after + 24)]
    if stop - start == len(before) and _NUMBER_OF_ITEM.match(before):
        return True
    if _LAST_NUMBER.search(before):
        following = _NEXT_WORD.match(follows)
        return following is not None and following.group().casefold() in _AFTER_ORDINAL
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    name = word.group().casefold()
    initial = len(name) == 1 and (word.group().isupper() or _NEXT_INITIAL.match(follows) is not None)  # "z. B."
    return "." in name or initial or name in _ABBREVIATIONS or (name in _BEFORE_NUMBER and follows[0].isdigit())


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    stretch = text[start:end]
    left = len(stretch) - len(stretch.lstrip())
    if left < len(stretch):
        yield start + left, start + len(stretch.rstrip())
