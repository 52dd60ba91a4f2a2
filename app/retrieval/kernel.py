"""The work of `scoring`, `closeness` and `ranking` by loops that numba compiles, if it is installed (the extra `fast`).

The first question to a large corpus starts the compiler in a thread of its own; until it is done, and in small corpora,
numpy does the same work. Scores are equal but for the last bits.
"""

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.retrieval import closeness, rerank, scoring
from app.retrieval import loops as plain
from app.retrieval.postings import Builder, Postings
from app.retrieval.scoring import Members, Scorer, Term

Array = NDArray[Any]

logger = logging.getLogger(__name__)

_SHELVES = 8

LARGE = 5_000
"""Passages below which numpy answers within a millisecond and compiling does not pay."""


class Loops:
    """The functions of `loops.py`, compiled, and arrays for them to work with."""

    def __init__(self, best: Callable[..., Any], again: Callable[..., Any]):
        self._best, self._again = best, again
        self._shelves: dict[tuple[Any, ...], list[tuple[Array, ...]]] = {}

    def best(self, scorer: Scorer, members: Members, k: int) -> tuple[Array, Array]:
        """What `Scorer.best` finds."""
        passages, scores = self._found(scorer, members, k)
        order = np.lexsort((passages, -scores))
        return passages[order], scores[order]

    def ranked(self, scorer: Scorer, documents: Array, members: Members, depth: int, k: int) -> tuple[Array, Array]:
        """What `rerank.best` finds."""
        found, postings, own = self._found(scorer, members, depth), scorer.postings, members.own
        close = np.array([
            closeness.K1, closeness.K1 * (1 - closeness.B), closeness.K1 * closeness.B / scorer.mean_length,
            closeness.SENTENCE, closeness.FOLLOWING,
        ])  # fmt: skip
        size = len(own.weights) if len(own.weights) <= closeness.MANY else 0
        with self._borrowed(len(postings.starts), "i4", "f8") as words:
            best: tuple[Array, Array] = self._again(
                postings.tokens, postings.begins, documents, postings.lengths, *found, own.numbers,
                closeness.alike(own), own.bounds, own.weights[:size], own.places, close, *words,
                rerank.DOCUMENT, rerank.NEIGHBOUR, k,
            )  # fmt: skip
        return best

    def _found(self, scorer: Scorer, members: Members, k: int) -> tuple[Array, Array]:
        postings, size = scorer.postings, len(scorer.postings.lengths)
        alive = np.zeros(0, bool) if scorer.alive is None else scorer.alive
        with self._borrowed(size + 1, "f8", "f8", "i4", "i4") as room:
            found: tuple[Array, Array] = self._best(
                postings.passages, postings.kinds, postings.starts, scorer.table, postings.frequency,
                postings.lengths, alive, scoring.K1, *scorer.norm, members.numbers, members.shares, members.bounds,
                members.weights, min(k, size), *room,
            )  # fmt: skip
        return found

    @contextmanager
    def _borrowed(self, size: int, *kinds: str) -> Iterator[tuple[Array, ...]]:
        """Arrays of zeros, to be given back as they were: making large ones anew takes longer than using them."""
        if len(self._shelves) > _SHELVES:  # those of earlier generations of an index
            self._shelves = {}
        shelf = self._shelves.setdefault((size, *kinds), [])
        try:
            arrays = shelf.pop()
        except IndexError:
            arrays = tuple(np.zeros(size, kind) for kind in kinds)
        yield arrays
        shelf.append(arrays)


_lock = threading.Lock()
_started = False
_loops: Loops | None = None


def loops(passages: int) -> Loops | None:
    """The compiled functions if they are ready; for a large corpus getting them ready begins."""
    if _loops is None and not _started and passages >= LARGE:
        threading.Thread(target=load, name="compiler", daemon=True).start()
    return _loops


def load() -> bool:
    """Compile, unless that is done or cannot be; False if numba is missing or fails."""
    global _started, _loops
    with _lock:
        if _started:
            return _loops is not None
        _started = True
        if importlib.util.find_spec("numba") is None:
            return False
        try:
            _loops = _warm(_compiled())
        except Exception as error:  # a numba that does not fit the machine must not cost the answer
            logger.warning("numba cannot be used: %s", type(error).__name__)
        return _loops is not None


def _compiled() -> Loops:
    from numba import njit

    compiling = njit(nogil=True, cache=True, error_model="numpy")
    for name in ("closeness", "with_context", "chosen"):  # what the others call
        setattr(plain, name, compiling(getattr(plain, name)))
    return Loops(compiling(plain.best), compiling(plain.again))


def _warm(made: Loops) -> Loops:
    """The functions for the kinds of arrays that they will meet: numba compiles at the first call."""
    builder = Builder()
    builder.add_terms(["one", "two"])
    scorer = Scorer(Postings(builder.arrays()), 2.0)
    terms = [Term(text, 1.0, ((text, 1.0),), place) for place, text in enumerate(("one", "two"))]
    made.ranked(scorer, np.zeros(1, np.int64), scorer.members(terms), 1, 1)
    return made
