"""The choice among the sentences of the passages that were found: which go into a prompt; it knows no tokenizer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.documents.passages import SEPARATOR
from app.retrieval.index import Hit
from app.retrieval.pieces import leads, needs, spans
from app.retrieval.search import Found
from app.retrieval.sentence_ranking import chances, words

MAX_EVIDENCE = 6
"""More numbers than this confuse a small model, and a person."""

NUMBER_BYTES = 60
"""What a sentence costs beside its own bytes: a line in the prompt, and being torn from those around it."""

ALONE_BYTES = 100
"""A shorter stretch goes on by a sentence: "More is not better." says nothing by itself."""

GAP_BYTES = 150
"""A piece up to this long is taken in between two others, which then read as one text under one number."""

SAME = 0.9
"""A sentence is a repetition if this share of its words, and each of its numbers, stand in one that is in already."""

SHORT = 6
"""Different words below which no sentence is taken for a repetition."""

LEAST_CHANCE = 0.00001
"""Sentences below this part of the best one's chance only cost time."""

MISSES = 12
"""So many sentences in a row that do not fit, and the budget is used up."""

Count = Callable[[str], int]
TextOf = Callable[[str], str]

Stretch = tuple[str, int, int]
"""Of a document: file, start, end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence of a passage that was found; offsets in the document's text."""

    hit: Hit
    start: int
    end: int
    text: str
    chance: float
    words: frozenset[str]

    @property
    def file(self) -> str:
        """Its document."""
        return self.hit.passage.file


def gathered(found: Found, hits: Sequence[Hit], before: Sequence[Stretch]) -> list[Piece]:
    """The sentences of the hits by file and place, each once, without what is in the stretches `before`."""
    split = [list(spans(hit.passage.text)) for hit in hits]
    sentences = [
        (hit.score / hits[0].score, [hit.passage.text[start:end] for start, end in parts])
        for hit, parts in zip(hits, split, strict=True)
    ]
    told = chances(found.query, found.weights, sentences)
    taken = list(before)
    pieces = []
    for hit, parts, own in zip(hits, split, told, strict=True):
        passage = hit.passage
        for (start, end), chance in zip(parts, own, strict=True):
            text = passage.text[start:end]
            start, end = passage.start + start, passage.start + end
            if not any(file == passage.file and first < end and start < last for file, first, last in taken):
                pieces.append(Piece(hit, start, end, text, chance, frozenset(words(text).split())))
        taken.append((passage.file, passage.start, passage.end))
    return sorted(pieces, key=lambda piece: (piece.file, piece.start))


class Selection:
    """A choice among pieces, those with the most chance to hold the answer per byte first."""

    def __init__(self, pieces: Sequence[Piece], budget: int, count: Count, text_of: TextOf):
        self._pieces, self._budget, self._count, self._text_of = pieces, budget, count, text_of
        self._follows = [False, *(self._touch(one, two) for one, two in pairwise(pieces)), False]
        starts = [at for at in range(len(pieces) + 1) if not self._follows[at]]
        self._needs = [
            first + need
            for first, end in pairwise(starts)
            for need in needs([piece.text for piece in pieces[first:end]])
        ]
        self._tokens: dict[tuple[int, int], int] = {}

    def windows(self) -> list[tuple[int, int]]:
        """The first and the last piece of each stretch that is chosen."""
        chosen: set[int] = set()
        misses = 0
        for best in sorted(filter(self._stands, range(len(self._pieces))), key=self._gain, reverse=True):
            if best in chosen or self._repeats(best, chosen):
                continue
            more = self._closed(chosen.union(range(self._needs[best], best + 1 + self._goes_on(best, chosen))))
            runs = self._runs(more)
            if len(runs) <= MAX_EVIDENCE and sum(map(self._size, runs)) <= self._budget:
                chosen, misses = more, 0
            elif (misses := misses + 1) == MISSES:
                break
        return self._runs(chosen)

    def text(self, first: int, last: int) -> str:
        """What stands from one piece to another that touches it."""
        one, two = self._pieces[first], self._pieces[last]
        return one.text if one is two else self._text_of(one.file)[one.start : two.end]

    def _stands(self, at: int) -> bool:
        """Whether a piece can be chosen for itself: it has words, a chance, and is no heading of what follows."""
        piece = self._pieces[at]
        heads = self._follows[at + 1] and leads(piece.text, self._pieces[at + 1].text)
        return bool(piece.words) and piece.chance >= LEAST_CHANCE and not heads

    def _gain(self, at: int) -> float:
        """The chance per byte of a piece with what it needs."""
        pieces = self._pieces[self._needs[at] : at + 1]
        size = sum(len(piece.text.encode("utf-8", "replace")) for piece in pieces)
        return sum(piece.chance for piece in pieces) / (size + NUMBER_BYTES)

    def _goes_on(self, at: int, chosen: set[int]) -> bool:
        """Whether a piece would stand alone under a number although it is short and goes on."""
        first = self._needs[at]
        beside = self._follows[first] and first - 1 in chosen
        short = sum(len(piece.text) for piece in self._pieces[first : at + 1]) < ALONE_BYTES
        return short and self._follows[at + 1] and not beside

    def _closed(self, chosen: set[int]) -> set[int]:
        """The choice with the short pieces that are missing between others."""
        gaps = {at + 1 for at in chosen if at + 2 in chosen} - chosen
        return chosen | {
            at for at in gaps if self._follows[at] and self._follows[at + 1] and len(self._pieces[at].text) <= GAP_BYTES
        }

    def _repeats(self, at: int, chosen: set[int]) -> bool:
        """Whether nearly the same is said by a piece that is in already."""
        own = self._pieces[at].words
        numbers = {word for word in own if any(map(str.isdigit, word))}
        said = (self._pieces[other].words for other in chosen)
        return len(own) >= SHORT and any(len(own & other) >= SAME * len(own) and numbers <= other for other in said)

    def _size(self, run: tuple[int, int]) -> int:
        if run not in self._tokens:
            self._tokens[run] = self._count(self.text(*run))
        return self._tokens[run]

    def _runs(self, chosen: set[int]) -> list[tuple[int, int]]:
        firsts = sorted(at for at in chosen if not (at - 1 in chosen and self._follows[at]))
        lasts = sorted(at for at in chosen if not (at + 1 in chosen and self._follows[at + 1]))
        return list(zip(firsts, lasts, strict=True))

    def _touch(self, one: Piece, two: Piece) -> bool:
        """Whether only blanks lie between two pieces of a page."""
        if one.file != two.file:
            return False
        between = self._text_of(one.file)[one.end : two.start]
        return not between.strip() and SEPARATOR not in between
