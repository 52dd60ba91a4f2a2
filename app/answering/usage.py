"""What answers cost: time, tokens, and the money that a cloud would have charged for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from app.answering.turn import Answer, Attempt

Price = tuple[float, float]
"""US dollars per million tokens: of a prompt, of an answer."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Hypothetical prices, as of a date."""

    date: str
    small: Price
    large: Price

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the setting `DATE PROMPT/ANSWER PROMPT/ANSWER`, for the small and the large model."""
        date, *pairs = text.split()
        (a, b), (c, d) = (map(float, pair.split("/")) for pair in pairs)
        return cls(date, (a, b), (c, d))

    def of(self, role: str) -> Price:
        """Return the price of a role; all but the large model have that of the small one."""
        return self.large if role == "large" else self.small

    def cost(self, attempt: Attempt, role: str) -> float:
        """Return what the attempt's tokens would have cost at the price of a role, 0 where they were not counted."""
        return cost([attempt], lambda _: self.of(role)) or 0.0


def cost(attempts: Iterable[Attempt], price_of: Callable[[Attempt], Price | None]) -> float | None:
    """Return what the tokens of attempts would have cost, in dollars; None if a price or a count is missing."""
    total = 0.0
    for attempt in attempts:
        price, tokens = price_of(attempt), (attempt.metrics.prompt_tokens, attempt.metrics.completion_tokens)
        if price is None or tokens[0] is None or tokens[1] is None:
            return None
        total += (tokens[0] * price[0] + tokens[1] * price[1]) / 1_000_000
    return total


@dataclass(frozen=True, slots=True)
class Blend:
    """Means per turn; a turn without the large model counts its draft's tokens under "always large".

    Money in US dollars, times in milliseconds.
    """

    turns: int
    escalated: int
    latency_ms: float | None
    small_latency_ms: float | None
    large_latency_ms: float | None
    cost: float
    small_cost: float
    large_cost: float


def blend(answers: Iterable[Answer], prices: Prices) -> Blend:
    """Compare the cascade with each model alone, over the turns in which a model was asked."""
    asked = [(answer, [a for a in answer.attempts if a.role != "extractive"]) for answer in answers]
    asked = [(answer, attempts) for answer, attempts in asked if attempts]
    small, large = ([a for _, attempts in asked for a in attempts if a.role == role] for role in ("small", "large"))
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


def sent(answers: Iterable[Answer]) -> tuple[int, int]:
    """Return for how many answers other machines were asked, and the tokens that they read, as far as they count."""
    away = [answer for answer in answers if answer.sent]
    return len(away), sum(it.metrics.prompt_tokens or 0 for answer in away for it in answer.attempts if it.sent)


def model_ms(answer: Answer) -> float:
    """Return how long models wrote for an answer, in milliseconds; models asked at once count as the slower one."""
    times = [attempt.metrics.total_ms or 0.0 for attempt in answer.attempts]
    return max(times, default=0.0) if answer.turn.mode == "compare" else sum(times)


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return fmean(numbers) if numbers else None
