"""A room of people who ask one chat at the same time: everybody gets the answer to their own question, in order."""

import pytest

from benchmarks import room


@pytest.mark.slow
def test_five_people_get_their_own_answers_in_order() -> None:
    result = room.bench_room([5], 2, 0, print, bare=False, pace=1_000)

    [row] = result["rows"]
    assert (row["users"], row["turns"]) == (5, 10)
    assert {name: row[name] for name in ("errors", "mixed", "disordered")} == {"errors": 0, "mixed": 0, "disordered": 0}
    assert 0 < row["first_ms"]["p50"] <= row["turn_ms"]["p50"]
    assert row["memory_mb"]["begin"] > 50
    assert "longest" in row["loop"]
    assert "5 people" in next(room.lines(result))


def test_an_answer_to_somebody_else_and_one_out_of_order_are_seen() -> None:
    tally, other = room.Tally(), "".join(room.tokens("zeta2x1"))

    room.note("zeta1x1", "".join(room.tokens("zeta1x1")), tally)
    assert (tally.mixed, tally.disordered) == (0, 0)
    room.note("zeta1x1", "".join(room.tokens("zeta1x1")) + other, tally)
    assert (tally.mixed, tally.disordered) == (1, 1)
