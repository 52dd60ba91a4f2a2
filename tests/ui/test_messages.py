"""How often a message that grows is pushed to the page."""

import pytest

from app.ui.messages import PUSH_SECONDS, interval


@pytest.mark.parametrize(("characters", "rows", "at_least"), [(0, 0, 0.05), (8_000, 0, 0.15), (0, 120, 0.2)])
def test_a_long_message_and_a_long_conversation_are_pushed_less_often(
    characters: int, rows: int, at_least: float
) -> None:
    assert interval(PUSH_SECONDS, characters, rows) == pytest.approx(at_least)


def test_a_reader_never_waits_longer_than_half_a_second_for_what_is_there() -> None:
    assert interval(PUSH_SECONDS, 1_000_000, 1_000) == 0.5
