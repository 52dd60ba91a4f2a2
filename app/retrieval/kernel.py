"""Sums of posting lists and their largest values, in numpy or in a loop that numba compiles (the extra `fast`).

The first large search starts the compiler in a thread; numpy does the work until it is done, and for small segments.
Both give equal sums but for rounding. The module knows no formula of the ranking: what a posting adds is given.
"""

import importlib.util
import logging
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.retrieval.postings import Postings

Array = NDArray[Any]
Ranked = tuple[Array, Array]
"""Passages and their values, the largest first, equal ones by passage."""

logger = logging.getLogger(__name__)

LARGE = 5_000
"""Passages below which numpy answers within a millisecond, and compiling does not pay."""

_MOST = 1_000
"""Values that the loop keeps in order by insertion, which is slow for more."""

_SAMPLE = 2_000
"""Postings of a list that give a first guess at the largest sums."""


def top_sums(
    postings: Postings, table: Array, numbers: Array, weights: Array, more: Ranked, alive: Array | None, k: int
) -> Ranked:
    """Return at most `k` passages with the largest sums above 0.

    A posting of list `numbers[i]` adds `weights[i] * table[kind]` to its passage; `more` are further passages and what
    each adds. Passages that are not `alive` are left out.
    """
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


def largest(passages: Array, values: Array, k: int) -> Ranked:
    """Return the `k` passages with the largest values; the passages are given in ascending order."""
    if len(values) > 4 * k > 0:
        near = values >= np.partition(values, len(values) - k)[len(values) - k]
        passages, values = passages[near], values[near]
    order = np.argsort(-values, kind="stable")[:k]
    return passages[order], values[order]


def _loop(passages, kinds, starts, table, numbers, weights, more, added, alive, k, sums, seen):  # numba finds the types
    """Do what `top_sums` does in numpy.

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
