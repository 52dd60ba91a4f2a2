"""The ranking of one segment: BM25 over all passages, then a second look at the best of them.

The second look adds how close together the words stand, and then what stands around a passage: a passage whose document
or whose neighbours answer as well is more likely to be the one that is meant.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.retrieval.closeness import closeness
from app.retrieval.scoring import Members, Scorer, Term, ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

DEPTH = 50
"""Passages that are looked at twice."""

DOCUMENT = 1 / 6
"""The part of the way by which a passage moves up to the score of the best passage of its document."""

NEIGHBOUR = 0.04
"""What the better score of the passages before and behind adds."""


def best(scorer: Scorer, documents: "Array", members: Members, k: int) -> tuple["Array", "Array"]:
    """At most `k` passages and their scores, the best first; `documents` tells for each passage whose it is."""
    import numpy as np

    from app.retrieval import kernel

    if not len(members.weights) or k < 1:
        return np.zeros(0, np.int64), np.zeros(0)
    loops = kernel.loops(len(documents))
    if loops is not None:
        return loops.ranked(scorer, documents, members, max(DEPTH, k), k)
    passages, scores = scorer.best(members, max(DEPTH, k))
    order = np.argsort(passages)
    passages, scores = passages[order], scores[order]
    scores = scores + closeness(scorer, members.own, passages)
    return ranked(passages, scores + context(passages, scores, documents), k)


def own_score(scorer: Scorer, terms: Sequence[Term], passage: int, score: float) -> float:
    """What a passage scores by its own words, wherever it stands; `score` is that of its words alone."""
    import numpy as np

    return score + float(closeness(scorer, scorer.members(terms).own, np.array([passage]))[0])


def context(passages: "Array", scores: "Array", documents: "Array") -> "Array":
    """What the other passages of its document add to each of some passages, given in ascending order."""
    import numpy as np

    owners = documents[passages]
    if not len(owners):
        return np.zeros(0)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    sizes = np.diff(starts, append=len(owners))
    of_document = np.repeat(np.maximum.reduceat(scores, starts), sizes)
    next_to = (np.diff(passages) == 1) & (np.diff(owners) == 0)
    beside = np.zeros(len(passages))
    beside[:-1] = scores[1:] * next_to
    beside[1:] = np.maximum(beside[1:], scores[:-1] * next_to)
    added: Array = DOCUMENT * (of_document - scores) + NEIGHBOUR * beside
    return added
