"""What answers cost: time, tokens, and the money that a cloud would have taken for them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from app.answering.turn import Answer, Attempt


@dataclass(frozen=True, slots=True)
class Metrics:
    """Times in milliseconds and tokens; None where it was not measured or the server did not tell.

    `sent_ms` counts from the attempt's start to the sending of the request (loading and waiting), `first_token_ms` from
    the sending to the first token of the text (reasoning excluded), `total_ms` of an attempt from the sending to the
    end, of a turn from the question to the end.
    """

    retrieve_ms: float | None = None
    prompt_ms: float | None = None
    sent_ms: float | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Hypothetical prices in US dollars per million tokens, (prompt, answer), as of a date."""

    date: str
    small: tuple[float, float]
    large: tuple[float, float]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The prices of the setting: `DATE PROMPT/ANSWER PROMPT/ANSWER`, for the small and the large model."""
        date, *pairs = text.split()
        (a, b), (c, d) = (map(float, pair.split("/")) for pair in pairs)
        return cls(date, (a, b), (c, d))

    def cost(self, attempt: "Attempt", role: str) -> float:
        """What the attempt's tokens would have cost at the price of a role, in dollars."""
        prompt, answer = self.large if role == "large" else self.small
        metrics = attempt.metrics
        return ((metrics.prompt_tokens or 0) * prompt + (metrics.completion_tokens or 0) * answer) / 1_000_000


@dataclass(frozen=True, slots=True)
class Blend:
    """Means per turn; where the large model was not asked, "always large" takes its mean time and the draft's tokens.

    Money in US dollars.
    """

    turns: int
    escalated: int
    latency_ms: float | None
    small_latency_ms: float | None
    large_latency_ms: float | None
    cost: float
    small_cost: float
    large_cost: float


def blend(answers: Iterable["Answer"], prices: Prices) -> Blend:
    """The cascade against each model alone, over the turns in which a model was asked.

    Where both were asked at once, the turn took as long as the slower one.
    """
    asked = [(answer, [a for a in answer.attempts if a.role != "extractive"]) for answer in answers]
    asked = [(answer, attempts) for answer, attempts in asked if attempts]
    small = [attempt for _, attempts in asked for attempt in attempts if attempt.role == "small"]
    large = [attempt for _, attempts in asked for attempt in attempts if attempt.role == "large"]
    last_large = [next((a for a in reversed(attempts) if a.role == "large"), attempts[0]) for _, attempts in asked]
    return Blend(
        turns=len(asked),
        escalated=sum(answer.escalated for answer, _ in asked),
        latency_ms=_mean(model_ms(answer) for answer, _ in asked),
        small_latency_ms=_mean(attempt.metrics.total_ms or 0 for attempt in small),
        large_latency_ms=_mean(attempt.metrics.total_ms or 0 for attempt in large),
        cost=_mean(sum(prices.cost(a, a.role) for a in attempts) for _, attempts in asked) or 0.0,
        small_cost=_mean(prices.cost(attempt, "small") for attempt in small) or 0.0,
        large_cost=_mean(prices.cost(attempt, "large") for attempt in last_large) or 0.0,
    )


def model_ms(answer: "Answer") -> float:
    """How long models wrote for an answer, in milliseconds."""
    times = [attempt.metrics.total_ms or 0.0 for attempt in answer.attempts]
    return max(times, default=0.0) if answer.turn.mode == "compare" else sum(times)


def speed(tokens: int | None, first_ms: float | None, total_ms: float) -> float | None:
    """Tokens per second of writing: those after the first one over the time after the first one."""
    if tokens is None or first_ms is None or tokens < 2 or total_ms <= first_ms:
        return None
    return (tokens - 1) * 1000 / (total_ms - first_ms)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000
