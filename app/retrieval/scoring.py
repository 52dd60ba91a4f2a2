"""BM25 scores from posting lists: the best passages of a segment for the terms of a question.

Occurrences of a term and of its variants are added up before they are weighed, so that the tenth mention of a compound
adds as little as the tenth mention of the word itself. The formula is that of `bm25.py`, the sums those of `kernel.py`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from app.retrieval import kernel
from app.retrieval.bm25 import saturation
from app.retrieval.expansion import CACHED, Variants
from app.retrieval.kernel import Array, Ranked
from app.retrieval.postings import Postings

NEGLIGIBLE = 1e-9
"""Smaller weights are skipped: the sums use 0 for "not reached"."""

NO_POSITION = -1
"""The position of a term that is not from the question itself."""


class QueryTerm(NamedTuple):
    """A term of a question; `weight` is its weight in the question times its rarity.

    `position` counts the words of the question. Terms with NO_POSITION come last.
    """

    text: str
    weight: float
    variants: Variants
    position: int = 0


class Query(NamedTuple):
    """The terms of a question in one segment.

    `numbers` are the posting lists of all variants, `shares` what an occurrence in each counts, and `owners` the index
    of the term that each belongs to. `weights` and `positions` are those of the terms.
    """

    numbers: Array
    shares: Array
    owners: Array
    weights: Array
    positions: Array

    @property
    def of_question(self) -> "Query":
        """The part of the query that comes from the question itself."""
        size = int((self.positions != NO_POSITION).sum())
        last = int(np.searchsorted(self.owners, size))
        numbers, shares, owners = (lists[:last] for lists in self[:3])
        return Query(numbers, shares, owners, self.weights[:size], self.positions[:size])


class Scorer:
    """Scores the passages of a segment by figures of the whole corpus; `alive` is false for deleted passages."""

    def __init__(self, postings: Postings, mean_length: float, alive: Array | None = None):
        self.postings = postings
        self.mean_length = mean_length or 1.0
        self._alive = alive
        self._table: Array = np.ascontiguousarray(saturation(postings.frequency, postings.length, self.mean_length))
        self._resolve = lru_cache(CACHED)(self._lists)

    def holding(self, *terms: str) -> int:
        """Return the number of passages that contain at least one of the terms."""
        known = self.postings.numbers
        lists = [self.postings.of(known[term])[0] for term in terms if term in known]
        if not lists:
            return 0
        passages = lists[0] if len(lists) == 1 else np.unique(np.concatenate(lists))
        return len(passages) if self._alive is None else int(self._alive[passages].sum())

    def resolve(self, terms: Sequence[QueryTerm]) -> Query:
        """Look the terms of a question up; those that have no variant here are left out."""
        resolved = [(term, *self._resolve(term.variants)) for term in terms if term.weight > NEGLIGIBLE]
        resolved = [(term, numbers, shares) for term, numbers, shares in resolved if numbers]
        return Query(
            np.array([number for _, numbers, _ in resolved for number in numbers], np.int64),
            np.array([share for *_, shares in resolved for share in shares], np.float64),
            np.array([owner for owner, (_, numbers, _) in enumerate(resolved) for _ in numbers], np.int64),
            np.array([term.weight for term, *_ in resolved], np.float64),
            np.array([term.position for term, *_ in resolved], np.int64),
        )

    def top_k(self, query: Query, k: int) -> Ranked:
        """Return at most `k` passages with their scores, best first, equal ones in their order.

        `exact` marks the posting lists of the terms themselves; `more` is the extra score from the terms' variants.
        """
        if not len(query.weights) or k < 1:
            return np.zeros(0, np.int64), np.zeros(0)
        exact = (query.shares == 1.0) & changes(query.owners)
        numbers, weights = query.numbers[exact], query.weights[query.owners[exact]]
        more = self._score_variants(query, exact)
        return kernel.top_sums(self.postings, self._table, numbers, weights, more, self._alive, k)

    def weigh(self, term: QueryTerm, counts: Mapping[int, int], passage: int) -> float:
        """Return what a term adds to a passage's score; `counts` are the occurrences in it by term number."""
        numbers, shares = self._resolve(term.variants)
        frequency = sum(counts.get(number, 0) * share for number, share in zip(numbers, shares, strict=True))
        return float(term.weight * saturation(frequency, int(self.postings.lengths[passage]), self.mean_length))

    def _lists(self, variants: Variants) -> tuple[list[int], list[float]]:
        """Return the posting lists of those variants that occur here, and their shares."""
        known = self.postings.numbers
        pairs = [(known[text], share) for text, share in variants if text in known]
        return [number for number, _ in pairs], [share for _, share in pairs]

    def _score_variants(self, query: Query, exact: Array) -> Ranked:
        """Return passages and the score that variants add to each, beyond the `exact` posting list of their term."""
        postings, size = self.postings, len(self.postings.lengths)
        rest = np.flatnonzero(~exact)
        if not len(rest):
            return np.zeros(0, np.int64), np.zeros(0)
        begins = postings.starts[query.numbers[rest]]
        sizes = postings.starts[query.numbers[rest] + 1] - begins
        at = ranges(begins, sizes)
        cells = np.repeat(query.owners[rest] * size, sizes) + postings.passages[at]  # of terms and passages
        counts = np.repeat(query.shares[rest], sizes) * postings.frequency[postings.kinds[at]]
        order = np.argsort(cells, kind="stable")
        first = np.flatnonzero(changes(cells[order]))
        more, cells = np.add.reduceat(counts[order], first), cells[order[first]]
        owners, passages = np.divmod(cells, size)
        before = np.zeros(len(cells))
        bounds = np.searchsorted(owners, np.arange(len(query.weights) + 1)).tolist()
        for number, owner in zip(query.numbers[exact].tolist(), query.owners[exact].tolist(), strict=True):
            here = slice(*bounds[owner : owner + 2])
            before[here] = self._frequency(number, passages[here])
        lengths = postings.lengths[passages]
        both = saturation(before + more, lengths, self.mean_length)
        return passages, query.weights[owners] * (both - saturation(before, lengths, self.mean_length))

    def _frequency(self, number: int, passages: Array) -> Array:
        """Return how often a term occurs in each of some passages."""
        listed, kinds = self.postings.of(number)
        at = np.minimum(np.searchsorted(listed, passages.astype(listed.dtype)), len(listed) - 1)
        frequency: Array = self.postings.frequency[kinds[at]] * (listed[at] == passages)
        return frequency


def ranges(begins: Array, sizes: Array) -> Array:
    """Return ranges of indices, one after another: begins 2 and 7 with sizes 3 and 2 give 2, 3, 4, 7, 8."""
    ends = np.cumsum(sizes)
    numbers: Array = np.arange(ends[-1]) + np.repeat(begins - ends + sizes, sizes)
    return numbers


def changes(values: Array) -> Array:
    """Return for each value whether it differs from the one before it; the first one counts as different."""
    differs: Array = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs
