"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def until(true: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
