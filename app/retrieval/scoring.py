"""BM25 scores from posting lists: the best passages of a segment for the terms of a question.

Occurrences of a term and of its variants are added up before they are weighed, so that the tenth mention of a compound
adds as little as the tenth mention of the word itself. The formula is that of `bm25.py`. Posting lists are added up in
numpy, or in a loop that numba compiles (the extra `fast`): the first large search starts the compiler in a thread, and
numpy does the work until it is done, and for small segments. Both give equal sums but for rounding.
"""

import importlib.util
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.retrieval.bm25 import saturation
from app.retrieval.expansion import Variants
from app.retrieval.segment import Postings

Array = NDArray[Any]
Ranked = tuple[Array, Array]
"""Passages and their values, the largest first, equal ones by passage."""

logger = logging.getLogger(__name__)

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
        return self._largest_sums(numbers, weights, (passages, more), k)

    def _largest_sums(self, numbers: Array, weights: Array, more: Ranked, k: int) -> Ranked:
        """Return at most `k` passages with the largest sums above 0, of those that are alive.

        A posting of list `numbers[i]` adds `weights[i]` times the value of its kind to its passage; `more` are further
        passages and what each adds.
        """
        postings, table, alive = self.postings, self._table, self._alive
        size = len(postings.lengths)
        if postings.flat and k <= _MOST and (loop := compiled(size)):
            living = np.zeros(0, bool) if alive is None else alive
            arrays = postings.passages, postings.kinds, postings.starts
            top: Ranked = loop(*arrays, table, numbers, weights, *more, living, min(k, size), *_scratch(size))
            return top
        lists = [postings.of(number) for number in numbers.tolist()]
        parts = [weight * table.take(kinds) for weight, (_, kinds) in zip(weights.tolist(), lists, strict=True)]
        passages = np.concatenate([*(passages for passages, _ in lists), more[0]])
        sums = np.bincount(passages, np.concatenate([*parts, more[1]]))
        least = 0.0
        if alive is None:  # none of the k largest sums is below the k-th largest value of one list
            samples = [part[:_SAMPLE] for part in parts if min(len(part), _SAMPLE) >= k]
            least = max((np.partition(sample, len(sample) - k)[len(sample) - k] for sample in samples), default=0.0)
        else:
            sums *= alive[: len(sums)]
        passages = np.flatnonzero(sums >= least) if least else np.flatnonzero(sums)
        return largest(passages, sums[passages], k)

    def score(self, term: QueryTerm, passages: Array) -> Array:
        """Return what a term adds to the scores of some passages."""
        matches = self.matches(term.variants)
        added = np.zeros(len(passages))
        exact = [(listed, self._table[kinds]) for listed, kinds in map(self.postings.of, matches.exact.tolist())]
        for listed, values in [(matches.passages, matches.more), *exact]:
            if len(listed):
                at = np.minimum(np.searchsorted(listed, passages), len(listed) - 1)
                added += values[at] * (listed[at] == passages)
        return term.weight * added

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


LARGE = 5_000
"""Passages below which numpy answers within a millisecond, and compiling does not pay."""

_MOST = 1_000
"""Values that the loop keeps in order by insertion, which is slow for more."""

_SAMPLE = 2_000
"""Postings of a list that give a first guess at the largest sums."""


def largest(passages: Array, values: Array, k: int) -> Ranked:
    """Return the `k` passages with the largest values; the passages are given in ascending order."""
    if len(values) > 4 * k > 0:
        near = values >= np.partition(values, len(values) - k)[len(values) - k]
        passages, values = passages[near], values[near]
    order = np.argsort(-values, kind="stable")[:k]
    return passages[order], values[order]


def _loop(
    passages: Array, kinds: Array, starts: Array, table: Array, numbers: Array, weights: Array,
    more: Array, added: Array, alive: Array, k: int, sums: Array, seen: Array,
) -> Ranked:  # fmt: skip
    """Do what `Scorer._largest_sums` does in numpy.

    `sums` holds zeros, before and after; `seen` has room for every passage and one.
    """
    count = 0
    for term in range(len(numbers)):
        weight = weights[term]
        for at in range(starts[numbers[term]], starts[numbers[term] + 1]):
            passage = passages[at]
            sum_ = sums[passage]
            seen[count] = passage
            count += sum_ == 0.0  # a branch would be mispredicted half of the time
            sums[passage] = sum_ + weight * table[kinds[at]]
    for at in range(len(more)):
        passage = more[at]
        seen[count] = passage
        count += sums[passage] == 0.0
        sums[passage] += added[at]
    top, values, size = np.empty(k, np.int64), np.empty(k), 0
    for at in range(count):
        passage = seen[at]
        value = sums[passage]
        sums[passage] = 0.0
        if size == k and (value < values[k - 1] or (value == values[k - 1] and passage > top[k - 1])):
            continue
        if len(alive) and not alive[passage]:
            continue
        size = min(size + 1, k)
        place = size - 1
        while place and (values[place - 1] < value or (values[place - 1] == value and top[place - 1] > passage)):
            top[place], values[place] = top[place - 1], values[place - 1]
            place -= 1
        top[place], values[place] = passage, value
    return top[:size], values[:size]


_local = threading.local()
_compiled: Callable[..., Any] | None = None


def _scratch(size: int) -> tuple[Array, Array]:
    """Return this thread's arrays for the loop: making large ones anew takes longer than using them."""
    if len(getattr(_local, "sums", ())) < size:
        _local.sums, _local.seen = np.zeros(size), np.zeros(size + 1, np.int32)
    return _local.sums, _local.seen


def compiled(size: int) -> Callable[..., Any] | None:
    """Return the compiled loop if it is ready; for a large segment, start getting it ready."""
    if size >= LARGE:
        compiler()
    return _compiled


@cache
def compiler() -> threading.Thread:
    """Start the thread that compiles the loop, if numba is installed."""
    thread = threading.Thread(target=_compile, name="compiler", daemon=True)
    thread.start()
    return thread


def _compile() -> None:
    """Compile the loop for the kinds of arrays that it will meet: numba compiles at the first call of each."""
    global _compiled
    if importlib.util.find_spec("numba") is None:
        return
    try:
        from numba import njit

        loop = njit(nogil=True, cache=True, error_model="numpy")(_loop)
        more = np.zeros(1, np.int32), np.zeros(1)
        for kind in (np.uint16, np.int32):
            arrays = np.zeros(1, np.int32), np.zeros(1, kind), np.zeros(2, np.int64)
            for array in arrays:
                array.flags.writeable = False  # like those of postings
            loop(*arrays, np.zeros(1), np.zeros(1, np.int64), np.zeros(1), *more, np.zeros(0, bool), 1, *_scratch(1))
        _compiled = loop
    except Exception as error:  # a numba that does not fit the machine must not cost the answer
        logger.warning("numba cannot be used: %s", type(error).__name__)
