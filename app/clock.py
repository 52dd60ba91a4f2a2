"""A stopwatch for measured times; knows nothing of what is measured."""

import time


class Stopwatch:
    """Milliseconds since the object was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        """Elapsed milliseconds."""
        return (time.perf_counter() - self._start) * 1000
