"""Figures with intervals that one can defend, and the worth of a cascade, against computations by hand."""

from collections.abc import Iterable

import pytest

from app.evaluation.figures import Outcome, by_question, difference, figure_of, hybrid, with_figures
from app.evaluation.results import Contender, Figure, MeasuredAnswer, MeasuredAttempt, MeasuredModel


def test_a_median_comes_with_the_interval_of_resampled_medians() -> None:
    figure = figure_of([[10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0]])

    assert figure is not None
    assert (figure.value, figure.n) == (13.0, 7)
    assert figure.low is not None
    assert figure.high is not None
    assert 10 <= figure.low < 13 < figure.high <= 16
    assert figure_of([[10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0]]) == figure


def test_one_value_has_no_interval_and_none_has_no_figure() -> None:
    assert figure_of([[3.0]]) == Figure(3.0, None, None, 1)
    assert figure_of([[], []], mean=True) is None


def test_questions_that_differ_make_an_interval_wider_than_rounds_of_one_question_do() -> None:
    apart = figure_of([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [9.0, 9.0, 9.0]], mean=True)
    mixed = figure_of([[1.0, 2.0, 9.0, 1.0, 2.0, 9.0, 1.0, 2.0, 9.0]], mean=True)

    assert apart is not None
    assert mixed is not None
    assert apart.value == mixed.value == 4.0
    assert apart.high is not None
    assert mixed.high is not None
    assert apart.high > mixed.high


def test_a_model_that_slows_down_half_way_has_a_wide_interval_and_loses_to_nobody() -> None:
    slowed, steady = [100.0, 104.0, 98.0, 300.0, 310.0, 305.0], [200.0, 202.0, 199.0, 201.0, 200.0, 198.0]
    figure = figure_of([slowed])
    differs = difference("total_ms", "slowed", "steady", [[b - a for a, b in zip(slowed, steady, strict=True)]])

    assert figure is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 110
    assert figure.high > 290
    assert differs is not None
    assert not differs.beyond_noise


@pytest.mark.parametrize(("changes", "beyond"), [([5.0] * 6, True), ([5.0] * 5, False), ([-5.0, -4.0, -6.0] * 2, True)])
def test_a_difference_is_beyond_noise_if_its_interval_leaves_out_zero_and_six_pairs_say_so(
    changes: list[float], beyond: bool
) -> None:
    found = difference("total_ms", "small", "large", [changes])

    assert found is not None
    assert found.beyond_noise == beyond


def test_values_are_grouped_by_their_question_without_those_that_are_missing() -> None:
    assert by_question([("a", 1.0), ("b", 2.0), ("a", None), ("a", 3.0)]) == [[1.0, 3.0], [2.0]]


SMALL = {
    ("a", 1): Outcome(1000, 100, 10, 0.001, 1.0),
    ("b", 1): Outcome(2000, 200, 20, 0.002, 0.0),
    ("c", 1): Outcome(3000, 300, 30, 0.003, 0.5),
    ("d", 1): Outcome(2000, 200, 20, 0.002, 0.0),
}
LARGE = {
    ("a", 1): Outcome(10_000, 110, 40, 0.010, 0.0),
    ("b", 1): Outcome(10_000, 210, 40, 0.010, 1.0),
    ("c", 1): Outcome(10_000, 310, 40, 0.010, 1.0),
    ("d", 1): Outcome(10_000, 210, 40, 0.010, 0.0),
}


def test_the_oracle_escalates_the_drafts_that_gain_most_at_the_same_rate() -> None:
    outcomes, share = hybrid(SMALL, LARGE, 2, best=True)  # b gains 1, c gains 0.5

    assert share == 0.5
    assert outcomes["b", 1] == Outcome(12_000, 410, 60, 0.012, 1.0)
    assert outcomes["c", 1] == pytest.approx(Outcome(13_000, 610, 70, 0.013, 1.0))
    assert outcomes["a", 1] == SMALL["a", 1]
    assert outcomes["d", 1] == SMALL["d", 1]


def test_a_draw_by_lot_is_computed_as_what_is_expected_of_it() -> None:
    outcomes, share = hybrid(SMALL, LARGE, 1, best=False)

    assert share == 0.25
    assert outcomes["a", 1] == Outcome(3500, 127.5, 20, 0.0035, 0.75)
    assert outcomes["b", 1] == pytest.approx(Outcome(4500, 252.5, 30, 0.0045, 0.25))


def answered(
    who: str,
    question: str,
    total_ms: float,
    tokens: Iterable[tuple[int, int]],
    cost: float,
    right: bool,
    escalated: bool = False,
) -> MeasuredAnswer:
    attempts = [
        MeasuredAttempt(role, role, "stop", "…", 1.0, 11.0, 100.0, 5.0, 400.0, read, written, 20.0)
        for role, (read, written) in zip(("small", "large"), tokens, strict=False)
    ]
    return MeasuredAnswer(
        question, who, 1, True, "…", attempts=tuple(attempts), retrieve_ms=4.0, prompt_ms=2.0, total_ms=total_ms,
        escalated=escalated, score=float(right), cost=cost, facts_expected=1, facts_found=(0,) if right else (),
    )  # fmt: skip


def test_the_figures_of_the_cascade_are_those_of_a_computation_by_hand() -> None:
    answers = [
        answered("small", "a", 1000, [(100, 10)], 0.001, right=True),
        answered("small", "b", 2000, [(200, 20)], 0.002, right=False),
        answered("large", "a", 9000, [(100, 50)], 0.010, right=True),
        answered("large", "b", 11_000, [(200, 70)], 0.020, right=True),
        answered("auto", "a", 1000, [(100, 10)], 0.001, right=True),
        answered("auto", "b", 14_000, [(200, 20), (300, 70)], 0.025, right=True, escalated=True),
    ]
    who = [Contender(name, name, ("s", "l"), True, 0) for name in ("small", "large", "auto")]  # type: ignore[arg-type]

    contenders, differences = with_figures(who, answers, [MeasuredModel("s", load_ms=7.0)])
    found = {it.id: it for it in contenders}

    auto = found["auto"]
    assert (auto.answers, auto.escalated) == (2, 0.5)
    assert auto.means["total_ms"].value == 7500  # (1000 + 14000) / 2
    assert auto.means["prompt_tokens"].value == 300  # (100 + 200 + 300) / 2
    assert auto.means["completion_tokens"].value == 50  # (10 + 20 + 70) / 2
    assert auto.means["cost"].value == 0.013
    assert auto.quality["score"].value == 1.0
    assert found["oracle"].means["total_ms"].value == 7000  # (1000 + 2000 + 11000) / 2
    assert found["oracle"].quality["score"].value == 1.0
    assert found["random"].means["total_ms"].value == 6500  # (1000 + 2000) / 2 + (9000 + 11000) / 2 / 2
    assert found["random"].means["cost"].value == 0.009  # (0.001 + 0.002) / 2 + (0.010 + 0.020) / 2 / 2
    assert found["random"].quality["score"].value == 0.75  # the draft's 0.5 or the large model's 1.0, by lot
    assert [found[name].escalated for name in ("oracle", "random", "small")] == [0.5, 0.5, None]
    small = found["small"].figures
    stages = ("load_ms", "retrieve_ms", "prompt_ms", "sent_ms", "first_token_ms", "writing_ms", "gap_ms")
    assert [small[name].value for name in stages] == [7, 4, 3, 10, 100, 300, 5]
    assert auto.figures["writing_ms"].value == 450  # of one attempt 300, of two 600
    worth = next(it for it in differences if (it.one, it.other, it.name) == ("random", "auto", "score"))
    assert worth.difference.value == 0.25
    assert not worth.beyond_noise


def test_an_answer_that_failed_counts_for_no_figure() -> None:
    good = answered("small", "a", 1000, [(100, 10)], 0.001, right=True)
    bad = MeasuredAnswer("b", "small", 1, True, "", total_ms=90_000, error="The server is gone.")

    ((small,), _) = with_figures([Contender("small", "small", ("s",), True, 0)], [good, bad], [])

    assert small.answers == 1
    assert small.means["total_ms"].value == 1000
