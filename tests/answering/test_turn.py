"""The records of a turn: what counts as a whole answer, and how fast one was written."""

import pytest

from app.answering.turn import PLAIN, Attempt, Decision, Metrics, Sampling, speed
from app.errors import ModelError

REPEATED, DECLINED = Decision("repeated", "It repeats itself."), Decision("abstained", "It declines.")


@pytest.mark.parametrize(
    ("finish", "stopped", "whole"),
    [
        ("stop", None, True),
        ("length", None, True),
        ("stopped", REPEATED, True),
        ("stopped", DECLINED, False),
        ("error", None, False),
    ],
)
def test_an_answer_is_whole_unless_more_of_it_was_to_come(finish: str, stopped: Decision | None, whole: bool) -> None:
    failure = ModelError("It broke.") if finish == "error" else None
    attempt = Attempt(1, "small", "m", "h", "It leaves.", finish, Metrics(), None, failure, stopped)

    assert attempt.whole is whole


def test_speed_is_that_of_the_tokens_after_the_first() -> None:
    assert speed(11, 500.0, 1_500.0) == pytest.approx(10.0)
    assert speed(1, 500.0, 500.0) is None
    assert speed(None, 500.0, 1_500.0) is None


@pytest.mark.parametrize(
    ("sampling", "finish", "tokens", "wanted"),
    [
        (Sampling(max_tokens=50), "length", 50, True),
        (Sampling(max_tokens=50), "length", None, True),
        (Sampling(max_tokens=4_096), "length", 640, False),
        (Sampling(max_tokens=50), "stop", 20, False),
        (Sampling(stop=("END",)), "stop", 20, True),
        (PLAIN, "length", 640, False),
        (PLAIN, "length", None, False),
    ],
)
def test_an_answer_may_end_where_it_was_wanted_to(
    sampling: Sampling, finish: str, tokens: int | None, wanted: bool
) -> None:
    attempt = Attempt(1, "small", "m", "h", "It leaves", finish, Metrics(completion_tokens=tokens))

    assert sampling.ends(attempt) is wanted
    assert sampling.most(640) == min(640, sampling.max_tokens or 640)
