"""Two runs of the same questions are compared question by question."""

from math import sqrt
from typing import Any

import pytest

from app.errors import InputError
from app.evaluation.retrieval_eval import RANKING
from benchmarks.paired import compare, difference


def figures_of(**values: float) -> list[dict[str, Any]]:
    return [{"id": name, "text": f"{name}?", **dict.fromkeys(RANKING, value)} for name, value in values.items()]


@pytest.mark.slow
def test_the_questions_that_changed_most_come_first() -> None:
    found = compare(figures_of(a=0.5, b=0.0, c=1.0), figures_of(c=0.9, a=0.5, b=1.0))

    assert found["changed"] == [
        {"id": "b", "text": "b?", "before": 1.0, "after": 0.0},
        {"id": "c", "text": "c?", "before": 0.9, "after": 1.0},
    ]
    assert found["ndcg@10"]["difference"] == -0.3
    assert all(found[name]["ties"] == 1 for name in RANKING)


@pytest.mark.parametrize("other", [figures_of(a=1.0), figures_of(a=1.0, c=1.0), figures_of(a=1.0, b=1.0, c=1.0)])
def test_runs_of_other_questions_cannot_be_compared(other: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="not of the same questions"):
        compare(figures_of(a=1.0, b=1.0), other)


def test_a_difference_has_a_mean_an_error_and_winners() -> None:
    found = difference([0.2, 0.4, -0.3, 0.0])

    assert found["difference"] == 0.075
    assert found["standard_error"] == round(sqrt((0.125**2 + 0.325**2 + 0.375**2 + 0.075**2) / 3) / 2, 4)
    assert (found["wins"], found["losses"], found["ties"]) == (2, 1, 1)


@pytest.mark.slow
def test_chance_is_the_share_of_signs_that_do_as_much() -> None:
    assert difference([0.1, 0.1, 0.1])["p"] == pytest.approx(2 / 8, abs=0.02)  # all three up, or all three down
    assert difference([0.3, 0.1])["p"] == pytest.approx(2 / 4, abs=0.02)
    assert difference([0.0, 0.0])["p"] == 1
    assert difference([0.1] * 20)["p"] < 0.001


def test_the_interval_holds_the_mean_and_narrows_with_more_questions() -> None:
    few, many = difference([0.2, -0.1] * 10), difference([0.2, -0.1] * 400)

    assert few["interval_95"][0] < few["difference"] < few["interval_95"][1]
    assert few["interval_95"][0] < many["interval_95"][0] < many["interval_95"][1] < few["interval_95"][1]
    low, high = many["interval_95"]
    assert (high - low) / 2 == pytest.approx(1.96 * many["standard_error"], rel=0.1)


def test_one_question_has_no_standard_error() -> None:
    assert difference([0.5])["standard_error"] is None
