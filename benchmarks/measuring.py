"""Helpers of the benchmarks: the time of a call, rounded medians, processes to measure in."""

import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from app.answering.turn import Stopwatch

Tell = Callable[[str], None]


def took(call: Callable[..., object], *given: object) -> float:
    """Return the milliseconds that a call takes."""
    clock = Stopwatch()
    call(*given)
    return clock.ms


def median(times: Sequence[float], digits: int = 3) -> float:
    """Return the rounded median."""
    return round(statistics.median(times), digits)


@contextmanager
def process(target: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """Run `target` in a new process with one end of a pipe as its last argument; yield the other end.

    The process is killed on exit. Reading from the pipe of a dead process raises EOFError or OSError.
    """
    context = multiprocessing.get_context("spawn")
    line, far = context.Pipe()
    child = context.Process(target=target, args=(*given, far), daemon=True)
    child.start()
    far.close()
    with line:
        try:
            yield line
        finally:
            child.kill()
            child.join()
