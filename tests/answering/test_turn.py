"""The records of a turn: what counts as a whole answer, and how fast one was written."""

import pytest

from app.answering.turn import Attempt, Decision, Metrics, speed
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
