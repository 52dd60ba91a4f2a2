"""The ledger: its means are those that a person computes by hand."""

from dataclasses import replace

import pytest

from app.answering.turn import Answer, Attempt, Decision, Metrics, Mode, Sent, Turn
from app.answering.usage import Prices, blend, cost, sent
from app.retrieval.search import SearchResult

PRICES = Prices.parse("2025-08-05 1.0/2.0 10/20")


def attempt(role: str, ms: float, prompt: int, written: int) -> Attempt:
    metrics = Metrics(total_ms=ms, prompt_tokens=prompt, completion_tokens=written)
    return Attempt(1, role, role, "127.0.0.1:1", "text", "stop", metrics)  # type: ignore[arg-type]


def turned(*attempts: Attempt, mode: Mode = "auto") -> Answer:
    decision = Decision("short", "It is short.") if len(attempts) > 1 and mode == "auto" else None
    last, found = attempts[-1], SearchResult("What?", (), (), (), 0.0)
    return Answer(Turn("What?", mode=mode), found, (), attempts, last, decision, "text", "text", (), (), Metrics())


def test_the_price_setting_names_a_date_and_two_pairs() -> None:
    assert Prices("2025-08-05", (1.0, 2.0), (10.0, 20.0)) == PRICES


def test_an_attempt_costs_its_tokens_at_the_price_of_its_role() -> None:
    assert PRICES.cost(attempt("small", 0, 1_000_000, 500_000), "small") == pytest.approx(2.0)
    assert PRICES.cost(attempt("large", 0, 100_000, 50_000), "large") == pytest.approx(2.0)


def test_what_is_not_counted_or_has_no_price_has_no_cost() -> None:
    small, large = attempt("small", 0, 1_000_000, 500_000), attempt("large", 0, 100_000, 50_000)
    uncounted = replace(small, metrics=Metrics(prompt_tokens=5))

    assert cost([small, large], lambda it: PRICES.of(it.role)) == pytest.approx(4.0)
    assert cost([small, large], lambda it: {"small": PRICES.small}.get(it.role)) is None
    assert cost([small, uncounted], lambda it: PRICES.small) is None
    assert PRICES.cost(uncounted, "small") == 0.0


def test_a_hundred_turns_equal_a_computation_by_hand() -> None:
    turns = []
    for number in range(100):
        draft = attempt("small", 100 + number, 1_000, 10 + number)
        turns.append(turned(draft, attempt("large", 1_000, 2_000, 100)) if number % 4 == 0 else turned(draft))

    result = blend(turns, PRICES)

    assert (result.turns, result.escalated) == (100, 25)
    assert result.small_latency_ms == pytest.approx(149.5)
    assert result.large_latency_ms == pytest.approx(1_000)
    assert result.latency_ms == pytest.approx(149.5 + 25 * 1_000 / 100)
    small_cost = (1_000 * 1 + 59.5 * 2) / 1e6
    assert result.small_cost == pytest.approx(small_cost)
    assert result.cost == pytest.approx(small_cost + 0.25 * (2_000 * 10 + 100 * 20) / 1e6)
    kept = [number for number in range(100) if number % 4]
    hypothetical = sum(1_000 * 10 + (10 + number) * 20 for number in kept) / 1e6
    assert result.large_cost == pytest.approx((hypothetical + 25 * (2_000 * 10 + 100 * 20) / 1e6) / 100)


def test_quotes_are_no_turn_of_a_model() -> None:
    result = blend([turned(attempt("extractive", 5, 0, 0))], PRICES)

    assert (result.turns, result.latency_ms, result.cost) == (0, None, 0.0)


def test_two_that_were_asked_at_once_took_as_long_as_the_slower_one_and_are_no_escalation() -> None:
    both = turned(attempt("small", 100, 10, 10), attempt("large", 1_000, 10, 10), mode="compare")

    result = blend([both], PRICES)

    assert (result.escalated, result.latency_ms) == (0, 1_000)


def test_what_other_machines_read_is_what_left_this_one() -> None:
    here, there = (
        attempt("small", 1, 100, 10),
        replace(attempt("large", 1, 2_000, 10), sent=(Sent("gpt-oss-20b", "api.example.com", ()),)),
    )
    uncounted = replace(there, metrics=Metrics())

    assert sent([turned(here), turned(here, there), turned(there), turned(uncounted)]) == (3, 4_000)
    assert sent([turned(here)]) == (0, 0)
