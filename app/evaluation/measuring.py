"""What calls take, and processes of their own to measure in."""

import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from app.answering.usage import Stopwatch

Tell = Callable[[str], None]


def took(call: Callable[..., object], *given: object) -> float:
    """Milliseconds of a call."""
    clock = Stopwatch()
    call(*given)
    return clock.ms


def median(times: Sequence[float], digits: int = 3) -> float:
    """The middle one, rounded."""
    return round(statistics.median(times), digits)


@contextmanager
def process(target: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """The line to a process of its own that runs `target` with its other end, and is killed in the end.

    Whoever reads from it when the process is dead gets an EOFError or an OSError.
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
