"""BM25 from postings: the best passages for the terms of a question, with the same scores as `bm25.py`.

What a term counts by itself and by its kindred terms is added up before it is weighed, so that the tenth mention of a
compound adds as little as the tenth mention of the word itself. This is done in numpy or, in large corpora where numba
is installed, in the loops of `kernel.py`.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from app.retrieval.postings import Postings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

K1 = 1.2
B = 0.75
"""Lucene's values of the two parameters of BM25; on seven collections others are as good or worse."""

REMEMBERED = 10_000
"""Words whose look-up is kept, for they come again in the next question."""

_SAMPLE = 2_000
"""Postings of a term that are looked at for a first guess at what the best passages score."""


Counting = tuple[tuple[str, float], ...]
"""Terms, and what an occurrence of each counts."""


NOTHING = 1e-9
"""A weight up to which a term is left out: what it adds may be 0, by which the loops tell a passage not met yet."""

ELSEWHERE = -1
"""The place of what is not a word of the question itself."""


class Term(NamedTuple):
    """A term of a question: its weight in it times its rarity, and the terms that count for it with how much each does.

    `place` is that of its word in the question; words that follow each other have places that do. Terms from ELSEWHERE
    come last.
    """

    text: str
    weight: float
    counting: Counting
    place: int = 0


class Members(NamedTuple):
    """The terms of some postings that count for those of a question: `bounds` part the `numbers` and their `shares`."""

    numbers: "Array"
    shares: "Array"
    bounds: "Array"
    weights: "Array"
    places: "Array"

    @property
    def own(self) -> "Members":
        """Those of the words of the question itself."""
        size = int((self.places != ELSEWHERE).sum())
        last = self.bounds[size]
        return Members(
            self.numbers[:last], self.shares[:last], self.bounds[: size + 1], self.weights[:size], self.places[:size]
        )


class Scorer:
    """Scores the passages of some postings by figures of the whole corpus; `alive` is false for deleted passages."""

    def __init__(self, postings: Postings, mean_length: float, alive: "Array | None" = None):
        import numpy as np

        self.postings = postings
        self.alive = alive
        self.mean_length = mean_length or 1.0
        self.norm = K1 * (1 - B), K1 * B / self.mean_length
        frequency = postings.frequency
        weights = frequency * (K1 + 1) / (frequency + self.norm[0] + self.norm[1] * postings.length)
        self.table: Array = np.ascontiguousarray(weights)
        self._resolve = lru_cache(REMEMBERED)(self._numbers)

    def holding(self, *terms: str) -> int:
        """How many passages hold at least one of the terms."""
        import numpy as np

        known = self.postings.numbers
        lists = [self.postings.of(known[term])[0] for term in terms if term in known]
        if not lists:
            return 0
        passages = lists[0] if len(lists) == 1 else np.unique(np.concatenate(lists))
        return len(passages) if self.alive is None else int(self.alive[passages].sum())

    def members(self, terms: Sequence[Term]) -> Members:
        """What counts here for the terms of a question; terms for which nothing does are left out."""
        import numpy as np

        numbers: list[int] = []
        shares: list[float] = []
        bounds, weights, places = [0], [], []
        for term in terms:
            own, counts = self._resolve(term.counting)
            if own and term.weight > NOTHING:
                numbers += own
                shares += counts
                bounds.append(len(numbers))
                weights.append(term.weight)
                places.append(term.place)
        whole = np.array([*bounds, *places, *numbers], np.int64)
        parts = np.array([*weights, *shares], np.float64)
        first, last, size = len(bounds), len(bounds) + len(places), len(weights)
        return Members(whole[last:], parts[size:], whole[:first], parts[:size], whole[first:last])

    def best(self, members: Members, k: int) -> tuple["Array", "Array"]:
        """At most `k` passages with their scores, the best first, equal ones in their order; none without a match."""
        import numpy as np

        from app.retrieval import kernel

        if not len(members.weights) or k < 1:
            return np.zeros(0, np.int64), np.zeros(0)
        loops = kernel.loops(len(self.postings.lengths))
        return loops.best(self, members, k) if loops else self._best(members, k)

    def weighed(self, term: Term, held: Mapping[int, int], passage: int) -> float:
        """What a term adds to the score of a passage that holds terms, given by their numbers, so many times."""
        numbers, shares = self._resolve(term.counting)
        frequency = sum(held.get(number, 0) * share for number, share in zip(numbers, shares, strict=True))
        length = self.norm[0] + self.norm[1] * int(self.postings.lengths[passage])
        return term.weight * (K1 + 1) * frequency / (frequency + length)

    def _numbers(self, counting: Counting) -> tuple[list[int], list[float]]:
        """The numbers here of the terms that count for one of a question, and how much they do."""
        known = self.postings.numbers
        pairs = [(known[text], share) for text, share in counting if text in known]
        return [number for number, _ in pairs], [share for _, share in pairs]

    def _best(self, members: Members, k: int) -> tuple["Array", "Array"]:
        import numpy as np

        added = [self._added(members, at) for at in range(len(members.weights))]
        scores = np.bincount(
            np.concatenate([passages for passages, _ in added]), np.concatenate([weights for _, weights in added])
        )
        least = 0.0
        if self.alive is None:
            # No passage of the best k scores less than the k-th best does by one term alone.
            samples = [weights[:_SAMPLE] for _, weights in added if min(len(weights), _SAMPLE) >= k]
            least = max((np.partition(sample, len(sample) - k)[len(sample) - k] for sample in samples), default=0.0)
        else:
            scores *= self.alive[: len(scores)]
        passages = np.flatnonzero(scores >= least) if least else np.flatnonzero(scores)
        return ranked(passages, scores[passages], k)

    def _added(self, members: Members, at: int) -> tuple["Array", "Array"]:
        """The passages that a term of the question counts in, and what it adds to the score of each."""
        import numpy as np

        here = slice(*members.bounds[at : at + 2].tolist())
        numbers, shares, weight = members.numbers[here].tolist(), members.shares[here].tolist(), members.weights[at]
        if shares == [1.0]:
            passages, kinds = self.postings.of(numbers[0])
            return passages, weight * self.table.take(kinds)
        lists = [self.postings.of(number) for number in numbers]
        counts = [share * self.postings.frequency[kinds] for share, (_, kinds) in zip(shares, lists, strict=True)]
        counted = np.bincount(np.concatenate([passages for passages, _ in lists]), np.concatenate(counts))
        passages = np.flatnonzero(counted)
        frequency = counted[passages]
        length = self.norm[0] + self.norm[1] * self.postings.lengths[passages]
        return passages, weight * (K1 + 1) * frequency / (frequency + length)


def idf(passages: int, holding: int) -> float:
    """How rare a term is that `holding` of the passages hold: Lucene's formula, positive in a corpus of one."""
    return math.log(1 + (passages - holding + 0.5) / (holding + 0.5))


def ranked(passages: "Array", scores: "Array", k: int) -> tuple["Array", "Array"]:
    """The `k` best of passages given in ascending order, the best first, equal ones in their order."""
    import numpy as np

    if len(scores) > 4 * k > 0:
        near = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        passages, scores = passages[near], scores[near]
    order = np.argsort(-scores, kind="stable")[:k]
    return passages[order], scores[order]
