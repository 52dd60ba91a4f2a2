"""Context packing: whether the hits cover a question, and the sentences of them that are worth most in a prompt.

Sentences are chosen by their chance to hold the answer per byte. Sentences next to each other become one stretch of
their document, so that the best passage comes almost whole, and further ones only in part. The module knows no
tokenizer.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from app.documents.passages import SEPARATOR, Passage, Place
from app.retrieval import analysis
from app.retrieval.expansion import VARIANT
from app.retrieval.search import Hit, SearchResult
from app.retrieval.segment import above
from app.retrieval.sentence_ranking import comparable, dependencies, introduces, rank_sentences

if TYPE_CHECKING:
    from app.retrieval.index import Index

MAX_HITS = 20
"""Hits whose sentences are considered."""

WEAK = 0.3
"""Passages below this share of the best score are left out.

In each of seven collections at most 1 of 100 judged passages among the first ten hits is below it.
"""

MIN_ROOM = 50
"""Tokens below which no further evidence is worth starting."""

MAX_EVIDENCE = 6
"""Stretches of evidence; more numbers than this confuse a small model, and a person."""

NUMBER_BYTES = 60
"""Cost of a sentence beside its own bytes: a line of the prompt, and the loss of its surroundings."""

ALONE_BYTES = 100
"""A shorter stretch is continued by a sentence: "More is not better." is no use by itself."""

GAP_BYTES = 150
"""A gap of one sentence up to this length is filled, so that both sides become one text under one number."""

SAME = 0.9
"""A sentence repeats another if that one contains this share of its words, and all of its numbers."""

MIN_WORDS = 6
"""Different words below which no sentence counts as a repetition."""

MIN_CHANCE = 0.00001
"""Sentences below this share of the best one's chance only cost time."""

MAX_MISSES = 12
"""Sentences in a row that do not fit, after which the budget counts as used up."""

GUESSED = 0.7
"""Coverage of an unknown word by a similar word, where a known word counts 1: some guesses are wrong."""


COVERED = 0.24
"""The least share of a question that the top passage must cover for models to be asked.

Corpora of 1 to 240 passages refuse at most 0.8 % of their own questions, the sample documents 75 to 96 % of these
(docs/retrieval-evaluation.md).
"""

ELSEWHERE = 50
"""Passages without the words of a question by which a corpus is thought larger: a word that each passage of a small
corpus holds is still rare in its language."""

FEW = 12
"""Number of passages of a corpus in which a word that occurs nowhere weighs half: a few passages lack most words."""

LONG = 8
"""Number of words of a question from which on more words demand no more: a long one has a preface or a story in it."""

CountTokens = Callable[[str], int]
TextOf = Callable[[str], str]
"""Returns the text of a document by its file."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A numbered stretch of a document in the prompt; offsets count in the document's text.

    `share` is the score of its passage divided by the best passage's.
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


def pack_context(
    result: SearchResult, budget: int, count: CountTokens, text_of: TextOf, before: Sequence[Evidence] = ()
) -> tuple[Evidence, ...]:
    """Return evidence of at most `budget` tokens together, by `count`: what was there `before`, and more by rank.

    It consists of whole sentences; where not even one fits, the best is cut between words.
    """
    budget -= sum(count(item.text) for item in before)
    if before and budget < MIN_ROOM:
        return tuple(before)
    hits = [hit for hit in result.hits[:MAX_HITS] if hit.score >= WEAK * result.hits[0].score]
    sentences = _candidates(result, hits, before)
    packer = _Packer(sentences, budget, count, text_of)
    stretches = [
        (min(sentence.hit.rank for sentence in sentences[first : last + 1]), sentences[first], packer.text(first, last))
        for first, last in packer.choose()
    ]
    if not stretches and sentences:
        top = max(sentences, key=lambda sentence: sentence.chance)
        stretches = [(top.hit.rank, top, _cut(top.text, budget, count))]
    stretches.sort(key=lambda stretch: (stretch[0], stretch[1].start))
    shares = {hit.rank: round(hit.score / hits[0].score, 4) for hit in hits}
    numbered = enumerate(stretches, len(before) + 1)
    more = (_evidence(number, first, text, shares[rank]) for number, (rank, first, text) in numbered)
    return (*before, *more)


def is_answerable(index: "Index", result: SearchResult) -> bool:
    """Return whether models are asked: the top passage covers the question, or more than its words were searched."""
    if not result.hits:
        return False
    more = bool(result.earlier_words or result.translation)
    return more or answerability(index, result.query, result.hits[0]) >= COVERED


def answerability(index: "Index", question: str, hit: Hit) -> float:
    """Return the share, from 0 to 1, of a question's words that a passage covers, weighted by their rarity.

    The weights depend little on the size of a small corpus (ELSEWHERE, FEW), and a long question needs no
    more words than a shorter one (LONG). A word that a similar term matches is covered as much as these are similar. A
    question without content words is covered. The best passage alone predicts more than several together, over which
    the words of many topics are scattered.
    """
    words = index.words(question)
    searched = {term.text: term for term in index.terms(words)}
    held = set(analysis.terms(f"{above(hit.passage)} {hit.passage.text}", hit.passage.language))
    covered = total = 0.0
    size = len(index)
    for word in words:
        own = [searched[text] for text in word.terms if text in searched]
        share = max((share for term in own for text, share in term.variants if text in held), default=0.0)
        rarity = index.rarity(index.holding(word), ELSEWHERE)
        if index.knows(word):
            share = min(1.0, share / VARIANT)
        else:
            rarity *= size / (size + FEW)
            share *= GUESSED
        total += rarity
        covered += rarity * share
    enough = LONG * index.rarity(1, ELSEWHERE) * max(0.5, size / (size + FEW))
    return min(1.0, covered / min(total, enough)) if total else 1.0


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a retrieved passage; offsets count in the document's text."""

    hit: Hit
    file: str
    start: int
    end: int
    text: str
    chance: float

    def overlaps(self, other: Evidence | Passage) -> bool:
        """Return whether the other text contains a part of the sentence."""
        return self.file == other.file and self.start < other.end and other.start < self.end


def _candidates(result: SearchResult, hits: Sequence[Hit], before: Sequence[Evidence]) -> list[_Sentence]:
    """Return the sentences of the hits by file and position, each once, without those that overlap `before`."""
    passages = [(hit.score / hits[0].score, hit.passage.text) for hit in hits]
    taken: list[Evidence | Passage] = list(before)
    sentences = []
    for hit, spans in zip(hits, rank_sentences(result.query, result.weights, passages), strict=True):
        passage = hit.passage
        for start, end, chance in spans:
            text = passage.text[start:end]
            sentence = _Sentence(hit, passage.file, passage.start + start, passage.start + end, text, chance)
            if not any(map(sentence.overlaps, taken)):
                sentences.append(sentence)
        taken.append(passage)
    return sorted(sentences, key=lambda sentence: (sentence.file, sentence.start))


class _Packer:
    """A greedy choice among sentences, those with the most chance to hold the answer per byte first."""

    def __init__(self, sentences: Sequence[_Sentence], budget: int, count: CountTokens, text_of: TextOf):
        self._sentences, self._budget, self._count, self._text_of = sentences, budget, count, text_of
        self._continues = [False, *(self._touch(one, two) for one, two in pairwise(sentences)), False]
        starts = [at for at in range(len(sentences) + 1) if not self._continues[at]]
        self._first = [
            start + first
            for start, end in pairwise(starts)
            for first in dependencies([sentence.text for sentence in sentences[start:end]])
        ]
        self._words = [frozenset(comparable(sentence.text).split()) for sentence in sentences]

    def choose(self) -> list[tuple[int, int]]:
        """Return the first and the last sentence of each chosen stretch."""
        size = cache(lambda stretch: self._count(self.text(*stretch)))
        chosen: set[int] = set()
        misses = 0
        for at in sorted(filter(self._eligible, range(len(self._sentences))), key=self._gain, reverse=True):
            if at in chosen or self._repeats(at, chosen):
                continue
            more = self._fill_gaps(chosen.union(range(self._first[at], at + 1 + self._needs_next(at, chosen))))
            stretches = self._stretches(more)
            if len(stretches) <= MAX_EVIDENCE and sum(map(size, stretches)) <= self._budget:
                chosen, misses = more, 0
            elif (misses := misses + 1) == MAX_MISSES:
                break
        return self._stretches(chosen)

    def text(self, first: int, last: int) -> str:
        """Return the document's text from one sentence to another of the same stretch."""
        one, two = self._sentences[first], self._sentences[last]
        return one.text if one is two else self._text_of(one.file)[one.start : two.end]

    def _eligible(self, at: int) -> bool:
        """Return whether a sentence can be chosen: it has words, a chance, and does not just introduce the next."""
        sentence = self._sentences[at]
        heading = self._continues[at + 1] and introduces(sentence.text, self._sentences[at + 1].text)
        return bool(self._words[at]) and sentence.chance >= MIN_CHANCE and not heading

    def _gain(self, at: int) -> float:
        """Return the chance per byte of a sentence with those it depends on."""
        sentences = self._sentences[self._first[at] : at + 1]
        size = sum(len(sentence.text.encode("utf-8", "replace")) for sentence in sentences)
        return sum(sentence.chance for sentence in sentences) / (size + NUMBER_BYTES)

    def _needs_next(self, at: int, chosen: set[int]) -> bool:
        """Return whether a sentence would be a short stretch of its own that the next one continues."""
        first = self._first[at]
        joined = self._continues[first] and first - 1 in chosen
        short = sum(len(sentence.text) for sentence in self._sentences[first : at + 1]) < ALONE_BYTES
        return short and self._continues[at + 1] and not joined

    def _fill_gaps(self, chosen: set[int]) -> set[int]:
        """Add the short sentences that are missing between two chosen ones."""
        gaps = {at + 1 for at in chosen if at + 2 in chosen and self._continues[at + 1] and self._continues[at + 2]}
        return chosen | {at for at in gaps if len(self._sentences[at].text) <= GAP_BYTES}

    def _repeats(self, at: int, chosen: set[int]) -> bool:
        """Return whether a chosen sentence says almost the same."""
        own = self._words[at]
        numbers = {word for word in own if any(map(str.isdigit, word))}
        others = [self._words[other] for other in chosen if len(own) >= MIN_WORDS]
        return any(len(own & other) >= SAME * len(own) and numbers <= other for other in others)

    def _stretches(self, chosen: set[int]) -> list[tuple[int, int]]:
        firsts = sorted(at for at in chosen if not (at - 1 in chosen and self._continues[at]))
        lasts = sorted(at for at in chosen if not (at + 1 in chosen and self._continues[at + 1]))
        return list(zip(firsts, lasts, strict=True))

    def _touch(self, one: _Sentence, two: _Sentence) -> bool:
        """Return whether only blanks separate two sentences of a page."""
        between = self._text_of(one.file)[one.end : two.start]
        return one.file == two.file and not between.strip() and SEPARATOR not in between


def _evidence(number: int, first: _Sentence, text: str, share: float) -> Evidence:
    """Return the evidence for a text that begins with a sentence."""
    passage, place = first.hit.passage, first.hit.passage.place
    if place.kind == "line":
        line = place.number + passage.text.count("\n", 0, first.start - passage.start)
        place = Place("line", f"line {line}", line)
    end = first.start + len(text)
    return Evidence(number, passage.file, passage.title, place, first.start, end, text, passage.language, share)


def _cut(text: str, budget: int, count: CountTokens) -> str:
    """Return as many words of the text as fit, at least one."""
    ends = [*(match.start() for match in re.finditer(r"(?<=\S)\s", text)), len(text)]
    fitting = bisect_right(ends, budget, key=lambda end: count(text[:end]))
    return text[: ends[max(0, fitting - 1)]]
