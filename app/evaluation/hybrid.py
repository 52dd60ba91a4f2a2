"""What a cascade is worth beside others: the best choice of the drafts to escalate, and a choice by lot.

Both are computed from the answers of the two models alone. An escalated answer costs the draft and the large model's
answer, in time, tokens and money, as the user has waited for both; its score is the large model's.
"""

from collections.abc import Mapping
from typing import NamedTuple

from app.evaluation.results import MeasuredAnswer

Key = tuple[str, int]
"""A question's id, and the round."""


class Outcome(NamedTuple):
    """What an answer took and was worth, or what can be expected of it; None where that is unknown."""

    total_ms: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    cost: float | None
    score: float | None


def outcome_of(answer: MeasuredAnswer) -> Outcome:
    """Add up what the attempts of an answer took."""
    prompt = [attempt.prompt_tokens for attempt in answer.attempts]
    completion = [attempt.completion_tokens for attempt in answer.attempts]
    read, written = (None if None in each else float(sum(filter(None, each))) for each in (prompt, completion))
    return Outcome(answer.total_ms, read, written, answer.cost, answer.score)


def oracle(
    small: Mapping[Key, Outcome], large: Mapping[Key, Outcome], escalations: int
) -> tuple[dict[Key, Outcome], float | None]:
    """Escalate so many of the drafts, those whose score gains most, and return all outcomes and the share.

    The earlier of two equal gains is taken. Only answers that both models gave count.
    """
    keys = [key for key in small if key in large]
    best = set(sorted(keys, key=lambda key: -_gain(small[key], large[key]))[:escalations])
    return {key: _escalated(small[key], large[key], float(key in best)) for key in keys}, _share(escalations, keys)


def at_random(
    small: Mapping[Key, Outcome], large: Mapping[Key, Outcome], escalations: int
) -> tuple[dict[Key, Outcome], float | None]:
    """Escalate so many of the drafts, drawn by lot: return what is expected of each, and the share."""
    keys = [key for key in small if key in large]
    share = _share(escalations, keys)
    return {key: _escalated(small[key], large[key], share or 0.0) for key in keys}, share


def _share(escalations: int, keys: list[Key]) -> float | None:
    return min(1.0, escalations / len(keys)) if keys else None


def _gain(draft: Outcome, other: Outcome) -> float:
    return 0.0 if draft.score is None or other.score is None else other.score - draft.score


def _escalated(draft: Outcome, other: Outcome, chance: float) -> Outcome:
    """Return what is expected of an answer that is escalated with this probability."""
    ms, read, written, cost = (_sum(a, b, chance) for a, b in zip(draft[:-1], other[:-1], strict=True))
    known = draft.score is not None and other.score is not None
    score = (1 - chance) * (draft.score or 0) + chance * (other.score or 0) if known else None
    return Outcome(ms, read, written, cost, score)


def _sum(draft: float | None, other: float | None, chance: float) -> float | None:
    return None if draft is None or other is None else draft + chance * other
