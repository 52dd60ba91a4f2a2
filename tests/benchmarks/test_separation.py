"""The figures of a score against plain counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.separation import auroc, caught, interval

ANSWERS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(bad for bad, _ in rows) < len(rows)
)


@given(ANSWERS)
def test_auroc_is_the_share_of_pairs_in_the_right_order_ties_half(rows: list[tuple[bool, int]]) -> None:
    pairs = [(wrong, right) for bad, wrong in rows if bad for good, right in rows if not good]
    expected = sum((wrong > right) + (wrong == right) / 2 for wrong, right in pairs) / len(pairs)

    assert auroc([bad for bad, _ in rows], [score for _, score in rows]) == pytest.approx(expected)


@given(ANSWERS)
def test_ties_at_the_edge_of_the_share_count_at_their_expected_value(rows: list[tuple[bool, int]]) -> None:
    size, hit, used = max(1, round(0.2 * len(rows))), 0.0, 0
    for score in sorted({score for _, score in rows}, reverse=True):
        tied = [bad for bad, own in rows if own == score]
        take = min(len(tied), size - used)
        hit, used = hit + take * sum(tied) / len(tied), used + take

    wrong, good = caught([bad for bad, _ in rows], [score for _, score in rows])

    assert wrong == pytest.approx(hit)
    assert wrong + good == pytest.approx(size)


def test_the_interval_lies_around_the_figure_and_is_the_same_each_time() -> None:
    groups = [f"q{n // 2}" for n in range(60)]
    bad = [n % 3 == 0 for n in range(60)]
    score = [float(n % 3 == 0) + n % 5 / 4 for n in range(60)]
    low, high = interval(groups, bad, score)["auroc_95"]

    assert low < auroc(bad, score) < high
    assert interval(groups, bad, score) == interval(groups, bad, score)
