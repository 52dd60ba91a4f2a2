"""The index of passages: which of them answer to the words of a question, and how well; it knows no conversation."""

from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from heapq import nsmallest
from itertools import repeat
from typing import TYPE_CHECKING

from app.documents.passages import Passage
from app.retrieval import rerank
from app.retrieval.analysis import QueryWord, normal, query_words
from app.retrieval.expansion import MOST
from app.retrieval.explain import Why, why
from app.retrieval.scoring import ELSEWHERE, REMEMBERED, Counting, Scorer, Term, idf
from app.retrieval.segment import Segment
from app.retrieval.spelling import alphabet, corrected

if TYPE_CHECKING:
    from app.retrieval.postings import Array

KINDRED = 0.2
"""What an occurrence of a kindred term counts, times how alike it is, where one of the term itself counts 1."""

ALONE = 0.4
"""How alike the most alike term is if kindred ones stand for a word that occurs nowhere.

Of XQuAD's words that our sample documents lack 7 % find such, 14 % with 0.3; from 0.45 on too many compounds get lost.
"""

MANY = 32
"""Words of a question from which on they need no kindred ones; bounds the time that a long text takes."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found; why is worked out when it is asked for."""

    rank: int
    score: float
    passage: Passage
    explain: Callable[[], Why] = field(repr=False, compare=False)

    @cached_property
    def why(self) -> Why:
        """What accounts for the score."""
        return self.explain()


Weighted = tuple[QueryWord, float]
"""A word of a question, and what it counts."""

Place = tuple[float, int, int]
"""The score of a passage, its segment, and its number there."""


class Index:
    """Searches segments of passages, each passage in its own language."""

    def __init__(self, segments: Sequence[tuple[Segment, "Array | None"]]):
        """With each segment, what tells for its passages whether they are still there, if some are not."""
        self._segments = segments
        self._size = sum(segment.size if alive is None else int(alive.sum()) for segment, alive in segments)
        self._holding = lru_cache(REMEMBERED)(self._count)
        self._kindred = lru_cache(REMEMBERED)(self._alike)
        self._known = lru_cache(REMEMBERED)(self._held)
        self._meant = lru_cache(REMEMBERED)(self._guessed)

    @classmethod
    def of(cls, passages: Sequence[Passage], documents: Sequence[int] | None = None) -> "Index":
        """An index in memory; `documents` tells for each passage whose it is, without it each is one by itself."""
        return cls([(Segment.of(passages, documents), None)])

    def __len__(self) -> int:
        return self._size

    @cached_property
    def languages(self) -> list[str]:
        """The languages of the passages, the most frequent one first."""
        counts: Counter[str] = Counter()
        for segment, alive in self._segments:
            counts.update(segment.passages.languages(alive))
        return sorted(counts, key=lambda code: (-counts[code], code))

    def words(self, question: str) -> list[QueryWord]:
        """The words of a question that say what it is about."""
        return [word for word in query_words(question, self.languages) if word.content]

    def knows(self, word: QueryWord) -> bool:
        """Whether the word, or another form of it, occurs in a passage."""
        return any(self._holding(term) for term in word.terms)

    def search(self, terms: Sequence[Term], words: Sequence[Weighted], k: int) -> list[Hit]:
        """The `k` best passages for terms, explained by the words that these are of."""
        hits = []
        for rank, (score, at, number) in enumerate(self.best(terms, k), 1):
            passage = self._segments[at][0].passages.passage(number)
            explain = partial(why, self._scorers[at], number, score, passage, words, terms)
            hits.append(Hit(rank, round(score, 4), passage, explain))
        return hits

    def terms(
        self, own: Sequence[Weighted], earlier: Sequence[Weighted] = (), exact: Sequence[Weighted] = ()
    ) -> list[Term]:
        """The terms that words are searched by; a word that occurs nowhere by what may be meant by it.

        `own` are the words of the question, `earlier` those of questions before it, which need not stand together, and
        `exact` those that are searched without their kindred ones.
        """
        found: dict[str, Term] = {}
        credible = self._credible([word for word, _ in own[:MANY]])
        for at, (word, weight) in enumerate([*own, *earlier, *exact]):
            thorough = at < min(len(own) + len(earlier), MANY)
            forms = [(form, *self._known(form, thorough)) for form in word.terms]
            if thorough and credible and not any(rarity for _, rarity, _ in forms):
                forms = [(word.terms[0], *self._meant(word))]
            for form, rarity, counting in forms:
                if rarity:
                    term = Term(form, weight * rarity, counting, at if at < len(own) else ELSEWHERE)
                    before = found.get(form)
                    found[form] = before._replace(weight=before.weight + term.weight) if before else term
        return list(found.values())

    def plain(self, weights: Mapping[str, float]) -> list[Term]:
        """Terms with their weights, to be searched as they are."""
        known = ((text, weight, *self._known(text, False)) for text, weight in weights.items())
        return [Term(text, weight * rarity, counting) for text, weight, rarity, counting in known if rarity]

    def best(self, terms: Sequence[Term], k: int, *, plain: bool = False) -> list[Place]:
        """The `k` best passages that hold one of the terms, equal ones in their order; plain BM25 if so wanted."""
        found: list[Place] = []
        for at, (scorer, (segment, _)) in enumerate(zip(self._scorers, self._segments, strict=True)):
            members = scorer.members(terms)
            best = scorer.best(members, k) if plain else rerank.best(scorer, segment.documents, members, k)
            found += zip(best[1].tolist(), repeat(at), best[0].tolist())
        return found if len(self._scorers) == 1 else nsmallest(k, found, key=lambda place: (-place[0], *place[1:]))

    @cached_property
    def _scorers(self) -> list[Scorer]:
        lengths = [segment.postings.lengths for segment, _ in self._segments]
        living = [alive for _, alive in self._segments]
        pairs = list(zip(lengths, living, strict=True))
        words = sum(int((length if alive is None else length[alive]).sum()) for length, alive in pairs)
        mean = words / max(1, self._size)
        return [Scorer(segment.postings, mean, alive) for segment, alive in self._segments]

    @cached_property
    def _letters(self) -> str:
        return alphabet([term for segment, _ in self._segments for term in segment.postings.terms])

    def _count(self, *terms: str) -> int:
        """How many passages hold at least one of the terms."""
        return sum(scorer.holding(*terms) for scorer in self._scorers)

    def _held(self, term: str, thorough: bool) -> tuple[float, Counting]:
        """How rare a term is, and what counts for it; 0 if it occurs nowhere."""
        holding = self._holding(term)
        kindred = self._kindred(term) if thorough and holding else ()
        return self._rarity(holding), ((term, 1.0), *_lesser(kindred))

    def _credible(self, words: Sequence[QueryWord]) -> bool:
        """Whether to guess at words: if one of them is known, or something may be meant by at least half of them.

        Of many a question about another topic some word resembles one of ours.
        """
        return any(map(self.knows, words)) or 2 * sum(self._meant(word)[0] > 0 for word in words) >= len(words)

    def _guessed(self, word: QueryWord) -> tuple[float, Counting]:
        """The same for a word that occurs nowhere, by what is one typing error away or, if nothing is, much alike."""
        kindred = self._kindred(word.terms[0])
        numbers = [segment.postings.numbers for segment, _ in self._segments]
        near = corrected(normal(word.surface), self.languages, self._letters, ChainMap(*numbers))
        meant = [term for term in near if self._holding(term)]
        if not meant:
            kindred = kindred if kindred and kindred[0][1] >= ALONE else ()
            return self._rarity(self._holding(*(term for term, _ in kindred))), kindred
        others = _lesser((term, alike) for term, alike in kindred if term not in meant)
        return self._rarity(self._holding(*meant)), (*((term, 1.0) for term in meant), *others)

    def _rarity(self, holding: int) -> float:
        return idf(self._size, holding) if holding else 0.0

    def _alike(self, term: str) -> Counting:
        """The terms most alike to one, over all segments, and how alike they are."""
        alike = {other: near for segment, _ in self._segments for other, near in segment.kindred(term)}
        return tuple(nsmallest(MOST, alike.items(), key=lambda item: (-item[1], item[0])))


def _lesser(kindred: Counting | Iterator[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    return ((term, KINDRED * alike) for term, alike in kindred)
