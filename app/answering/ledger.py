"""What an answer cost in time and tokens."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metrics:
    """Times in milliseconds and tokens; None where it was not measured or the server did not tell.

    `first_token_ms` counts from the sending of the request to the first token of the text (reasoning excluded),
    `total_ms` of an attempt from the sending to the end, of a turn from the question to the end.
    """

    retrieve_ms: float | None = None
    prompt_ms: float | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_s: float | None = None


def speed(tokens: int | None, first_ms: float | None, total_ms: float) -> float | None:
    """Tokens per second of writing: those after the first one over the time after the first one."""
    if tokens is None or first_ms is None or tokens < 2 or total_ms <= first_ms:
        return None
    return (tokens - 1) * 1000 / (total_ms - first_ms)


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000
