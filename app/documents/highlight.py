"""Where the words of a text stand in the same text as it is printed; it knows no format."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from unicodedata import normalize

from app.documents.sentences import Span

MAX_PAIRS = 6_000_000
"""Pairs of words, or of letters, above which two texts are not compared: it would take more than a few seconds."""

Letters = list[tuple[str, int]]
"""The letters and digits of a word, without case and accents, each with where it stands in its text."""


def cited(text: str, spans: Sequence[Span], printed: str) -> frozenset[int]:
    """Where the letters of the spans stand in the text as it is printed.

    The two are compared word by word, and where they differ letter by letter: one may have lost running heads, joined
    what was broken at the end of a line, or come by another way. Where that leaves most of a span unseen, perhaps
    because columns stand in another order, the span is looked for alone.
    """
    every, there = list(_words(text)), list(_words(printed))
    if len(every) * len(there) > MAX_PAIRS:
        every = []
    pairs = dict(_pairs(every, there))
    found: set[int] = set()
    for start, end in spans:
        alone = list(_words(text[start:end], start))
        own = [at for word in alone for _, at in word]
        seen = {pairs[at] for at in own if at in pairs}
        if 2 * len(seen) < len(own):
            seen = {at for _, at in _pairs(alone, _nearest(alone, there))}
        found |= seen
    return frozenset(found)


def _nearest(words: Sequence[Letters], there: list[Letters]) -> list[Letters]:
    """The part of a page around the longest run of the words."""
    best = _matcher(words, there).find_longest_match() if len(words) * len(there) <= MAX_PAIRS else None
    if best is None or not best.size:
        return []
    return there[max(0, best.b - best.a) : best.b - best.a + len(words) + len(words) // 4]


def _pairs(words: Sequence[Letters], there: Sequence[Letters]) -> Iterator[tuple[int, int]]:
    """Where each letter stands in the one text and in the other."""
    for kind, first, last, begin, end in _matcher(words, there).get_opcodes():
        one = [letter for word in words[first:last] for letter in word]
        other = [letter for word in there[begin:end] for letter in word]
        if kind == "equal":
            yield from ((mine[1], its[1]) for mine, its in zip(one, other, strict=True))
        elif one and other and len(one) * len(other) <= MAX_PAIRS:
            letters = SequenceMatcher(None, [each[0] for each in one], [each[0] for each in other], autojunk=False)
            for mine, its, size in letters.get_matching_blocks():
                yield from ((one[mine + at][1], other[its + at][1]) for at in range(size))


def _matcher(words: Sequence[Letters], there: Sequence[Letters]) -> "SequenceMatcher[str]":
    one, other = (["".join(letter for letter, _ in word) for word in each] for each in (words, there))
    return SequenceMatcher(None, one, other, autojunk=False)


def _words(text: str, offset: int = 0) -> Iterator[Letters]:
    for match in re.finditer(r"\S+", text):
        word = [
            (letter, offset + match.start() + at)
            for at, character in enumerate(match[0])
            for letter in normalize("NFKD", character).casefold()
            if letter.isalnum()
        ]
        if word:
            yield word
