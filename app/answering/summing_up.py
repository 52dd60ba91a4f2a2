"""The evidence for a summary: how each part of a document begins, within a budget of tokens."""

from collections.abc import Sequence
from itertools import pairwise

from app.answering.extractive import Quote, sentences_of, stands_alone
from app.documents.passages import SEPARATOR, Passage
from app.retrieval.packing import CountTokens, Evidence
from app.retrieval.sentence_ranking import introduces, sentence_spans

PARTS = 8
"""Parts at most that a document is taken in."""

ENDS = tuple(".!?…。！？।")


def spread(passages: Sequence[Passage], text: str, budget: int, count: CountTokens) -> tuple[Evidence, ...]:
    """The beginnings of the parts of a document, in its order; `passages` are all of it, `text` is the whole.

    Parts are its sections and pages, evenly chosen if there are many, or its passages if there are few. All grow by a
    sentence in turn, so that a short document comes whole.
    """
    starts = _chosen(_starts(passages, text))
    parts = [_sentences(text, one, two) for one, two in pairwise([*(each.start for each in starts), len(text)])]
    taken = [0] * len(parts)
    left = budget
    growing = list(range(len(parts)))
    while growing:
        for at in list(growing):
            following = _next(parts[at], text, taken[at])
            cost = count(text[parts[at][taken[at]][0] : parts[at][following - 1][1]]) if following > taken[at] else 0
            if not cost or (cost > left and any(taken)):
                growing.remove(at)
            else:
                taken[at], left = following, left - cost
    kept = [(first, part[:size]) for first, part, size in zip(starts, parts, taken, strict=True) if size]
    return tuple(
        Evidence(
            number, first.file, first.title, first.place, part[0][0], part[-1][1], text[part[0][0] : part[-1][1]],
            first.language,
        )
        for number, (first, part) in enumerate(kept, 1)
    )  # fmt: skip


def openings(evidence: Sequence[Evidence]) -> tuple[Quote, ...]:
    """The first whole sentence of each piece of evidence that has one, else of each piece the first."""
    every = [quotes for item in evidence if (quotes := sentences_of(item))]
    whole = ([each for each in quotes if stands_alone(each.text) and each.text.endswith(ENDS)] for quotes in every)
    return tuple(quotes[0] for quotes in whole if quotes) or tuple(quotes[0] for quotes in every)


def _starts(passages: Sequence[Passage], text: str) -> list[Passage]:
    """The passages that begin a page or section, or all if there are few pages."""
    pages = {text.count(SEPARATOR, 0, passage.start): passage for passage in reversed(passages)}
    return sorted(pages.values(), key=lambda passage: passage.start) if len(pages) >= PARTS // 2 else list(passages)


def _chosen(starts: Sequence[Passage]) -> list[Passage]:
    most = min(PARTS, len(starts))
    return [starts[at * (len(starts) - 1) // max(1, most - 1)] for at in range(most)]


def _sentences(text: str, start: int, following: int) -> list[tuple[int, int]]:
    """Those of a part, which ends where the next one begins or its page ends."""
    page = text[start:following].partition(SEPARATOR)[0]
    return [(start + first, start + last) for first, last in sentence_spans(page)]


def _next(part: Sequence[tuple[int, int]], text: str, taken: int) -> int:
    """How many sentences are taken next: one, with the headings before it."""
    following = taken + 1
    while following < len(part) and introduces(text[slice(*part[following - 1])], text[slice(*part[following])]):
        following += 1
    return min(following, len(part))
