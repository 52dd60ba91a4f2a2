"""BM25 scores from posting lists: the best passages of a segment for the terms of a question.

Occurrences of a term and of its variants are added up before they are weighed, so that the tenth mention of a compound
adds as little as the tenth mention of the word itself. The formula is that of `bm25.py`, the sums those of `kernel.py`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from app.retrieval import kernel
from app.retrieval.bm25 import saturation
from app.retrieval.expansion import Variants
from app.retrieval.kernel import Array, Ranked
from app.retrieval.postings import Postings

NEGLIGIBLE = 1e-9
"""Smaller weights are skipped: the sums use 0 for "not reached"."""

NO_POSITION = -1
"""The position of a term that is not from the question itself."""

FUNCTION = -2
"""The position of a function word, which ranks passages that other words find."""

CACHED_MATCHES = 1_000
"""Terms whose matches are kept, some 20 kB each in 100,000 passages: a conversation searches by them repeatedly."""


class QueryTerm(NamedTuple):
    """A term of a question; `weight` is its weight in the question times its rarity, `position` counts the words."""

    text: str
    weight: float
    variants: Variants
    position: int = 0

    @property
    def finds(self) -> bool:
        """Whether the term finds passages, and does not only rank them."""
        return self.position != FUNCTION


class Matches(NamedTuple):
    """What a term matches in a segment.

    `numbers` are the posting lists of its variants that occur here, `shares` what an occurrence in each counts. The
    first list alone, if its share is 1, is `exact`; `passages` are those of the others, and `more` is what the others
    add to each of them, for a term of weight 1.
    """

    numbers: Array
    shares: Array
    exact: Array
    passages: Array
    more: Array


class Scorer:
    """Scores the passages of a segment by figures of the whole corpus; `alive` is false for deleted passages."""

    def __init__(self, postings: Postings, mean_length: float, alive: Array | None = None):
        self.postings = postings
        self.mean_length = mean_length or 1.0
        self.matches = lru_cache(CACHED_MATCHES)(self._matches)
        self._alive = alive
        self._table: Array = np.ascontiguousarray(saturation(postings.frequency, postings.length, self.mean_length))

    def holding(self, *terms: str) -> int:
        """Return the number of passages that contain at least one of the terms."""
        known = self.postings.numbers
        lists = [self.postings.of(known[term])[0] for term in terms if term in known]
        if not lists:
            return 0
        passages = lists[0] if len(lists) == 1 else np.unique(np.concatenate(lists))
        return len(passages) if self._alive is None else int(self._alive[passages].sum())

    def top_k(self, terms: Sequence[QueryTerm], k: int) -> Ranked:
        """Return at most `k` passages with their scores, best first, equal ones in their order."""
        weighted = [(term.weight, self.matches(term.variants)) for term in terms if term.weight > NEGLIGIBLE]
        if not weighted or k < 1:
            return np.zeros(0, np.int64), np.zeros(0)
        numbers = np.concatenate([each.exact for _, each in weighted])
        weights = np.array([weight for weight, each in weighted if len(each.exact)])
        passages = np.concatenate([each.passages for _, each in weighted])
        more = np.concatenate([weight * each.more for weight, each in weighted])
        return kernel.top_sums(self.postings, self._table, numbers, weights, (passages, more), self._alive, k)

    def score(self, term: QueryTerm, passage: int) -> float:
        """Return what a term adds to the score of a passage."""
        matches = self.matches(term.variants)
        added = matches.more[matches.passages == passage].sum()
        for number in matches.exact.tolist():
            passages, kinds = self.postings.of(number)
            added += self._table[kinds[passages == passage]].sum()
        return float(term.weight * added)

    def _matches(self, variants: Variants) -> Matches:
        postings = self.postings
        here = [(postings.numbers[text], share) for text, share in variants if text in postings.numbers]
        numbers, shares = np.array([number for number, _ in here], np.int64), np.array([share for _, share in here])
        exact = numbers[:1][shares[:1] == 1.0]
        others = [(*postings.of(number), share) for number, share in here[len(exact) :]]
        listed = np.concatenate([np.zeros(0, np.int32), *(passages for passages, *_ in others)])
        counts = np.concatenate([np.zeros(0), *(share * postings.frequency[kinds] for _, kinds, share in others)])
        passages, at = np.unique(listed, return_inverse=True)
        before = np.zeros(len(passages))
        for number in exact.tolist():
            own, kinds = postings.of(number)
            near = np.minimum(np.searchsorted(own, passages), len(own) - 1)
            before = postings.frequency[kinds[near]] * (own[near] == passages)
        frequency = before + np.bincount(at, counts, len(passages))
        both, alone = (saturation(tf, postings.lengths[passages], self.mean_length) for tf in (frequency, before))
        return Matches(numbers, shares, exact, passages, both - alone)


def changes(values: Array) -> Array:
    """Return for each value whether it differs from the one before it; the first one counts as different."""
    differs: Array = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs
