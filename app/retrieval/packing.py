"""Evidence: the sentences for a prompt that tell most within a budget of tokens; it knows no tokenizer.

Sentences are taken by their chance to hold the answer per byte. Those that touch become one stretch of their document,
so that a best passage comes nearly whole, and of further ones what tells something.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from app.documents.passages import Place
from app.retrieval.search import Found
from app.retrieval.selection import MAX_EVIDENCE, Count, Piece, Selection, TextOf, gathered

__all__ = ["LOOKED_AT", "MAX_EVIDENCE", "Evidence", "pack", "widen"]

LOOKED_AT = 20
"""Hits whose sentences are looked at."""

WEAK = 0.3
"""Passages below this part of the best score are left out.

In each of seven collections at most 1 of 100 judged passages among the first ten of a search lies below it.
"""

LEAST_ROOM = 50
"""Tokens below which no further evidence is worth beginning."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document that goes into the prompt under its number; offsets count in the document's text.

    `share` is the score of its passage as a share of the best one's.
    """

    number: int
    file: str
    title: str
    place: Place
    start: int
    end: int
    text: str
    language: str
    share: float = 1.0


def pack(
    found: Found, budget: int, count: Count, text_of: TextOf, before: Sequence[Evidence] = ()
) -> tuple[Evidence, ...]:
    """The evidence for a prompt, in the order of rank, of together at most `budget` tokens by `count`.

    It is made of whole sentences; where not even one fits, the best is cut between words. `text_of` gives the
    text of a document, `before` is what is not to be said again.
    """
    hits = [hit for hit in found.hits[:LOOKED_AT] if hit.score >= WEAK * found.hits[0].score]
    pieces = gathered(found, hits, [(item.file, item.start, item.end) for item in before])
    selection = Selection(pieces, budget, count, text_of)
    windows = [
        (min(piece.hit.rank for piece in pieces[first : last + 1]), pieces[first], selection.text(first, last))
        for first, last in selection.windows()
    ]
    if not windows and pieces:
        best = max(pieces, key=lambda piece: piece.chance)
        windows = [(best.hit.rank, best, _cut(best.text, budget, count))]
    scores = {hit.rank: hit.score / hits[0].score for hit in hits}
    windows.sort(key=lambda window: (window[0], window[1].start))
    numbered = enumerate(windows, len(before) + 1)
    return tuple(_evidence(number, piece, text, scores[rank]) for number, (rank, piece, text) in numbered)


def widen(
    evidence: Sequence[Evidence], found: Found, budget: int, count: Count, text_of: TextOf
) -> tuple[Evidence, ...]:
    """The evidence and more behind it, of together at most `budget` tokens; what has a number keeps it and its text."""
    left = budget - sum(count(item.text) for item in evidence)
    return (*evidence, *(pack(found, left, count, text_of, evidence) if left >= LEAST_ROOM else ()))


def _evidence(number: int, piece: Piece, text: str, share: float) -> Evidence:
    """The text, which begins with the piece, under its number."""
    passage, place = piece.hit.passage, piece.hit.passage.place
    if place.kind == "line":
        line = place.number + passage.text.count("\n", 0, piece.start - passage.start)
        place = Place("line", f"line {line}", line)
    end = piece.start + len(text)
    return Evidence(
        number, passage.file, passage.title, place, piece.start, end, text, passage.language, round(share, 4)
    )


def _cut(text: str, budget: int, count: Count) -> str:
    """As many words of the text as fit, at least one."""
    ends = [*(match.start() for match in re.finditer(r"(?<=\S)\s", text)), len(text)]
    fitting = bisect_right(ends, budget, key=lambda end: count(text[:end]))
    return text[: ends[max(0, fitting - 1)]]
