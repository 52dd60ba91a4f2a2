"""Medians and means with bootstrap intervals, and differences that are more than noise."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from app.evaluation.results import Difference, Figure

RESAMPLES = 2000
SEED = 0
"""Fixed, so that the interval of the same values is the same."""

LEAST = 6
"""Pairs from which a difference can be beyond noise: with five, all have one sign by chance in 6 % of all cases."""

DIGITS = 8
"""Behind the point: an answer may cost a hundred-thousandth of a dollar."""

Groups = Sequence[Sequence[float]]
"""Values by question: those of one question resemble each other."""


def median_of(groups: Groups) -> Figure | None:
    """Compute the median of all values, with its interval; None if there is no value."""
    return _figure(groups, "median")


def mean_of(groups: Groups) -> Figure | None:
    """Compute the mean of all values, with its interval; None if there is no value."""
    return _figure(groups, "mean")


def averaged(groups: Groups) -> Groups:
    """Replace the values of each question by their mean: rounds of one question give no new evidence of quality."""
    return [[sum(group) / len(group)] for group in groups if group]


def difference(name: str, one: str, other: str, groups: Groups, *, mean: bool = False) -> Difference | None:
    """Describe the paired differences other - one of a figure; None if there is none.

    The interval of a difference must not contain 0, and there must be LEAST pairs, for it to be beyond noise.
    """
    found = _figure(groups, "mean" if mean else "median")
    if found is None:
        return None
    low, high = found.low or 0.0, found.high or 0.0
    return Difference(name, one, other, found, found.n >= LEAST and (low > 0 or high < 0))


def _figure(groups: Groups, statistic: Literal["median", "mean"]) -> Figure | None:
    """Resample questions, and the values of each drawn question, as often as there are of either."""
    import numpy as np

    groups = [group for group in groups if group]
    if not groups:
        return None
    sizes = np.array([len(group) for group in groups])
    compute: Callable[..., object] = partial(np.nanmedian if statistic == "median" else np.nanmean, axis=-1)
    values = np.full((len(groups), sizes.max()), np.nan)
    for row, group in zip(values, groups, strict=True):
        row[: len(group)] = group
    value, n = float(compute(values.ravel())), int(sizes.sum())  # type: ignore[arg-type]
    if n == 1:
        return Figure(round(value, DIGITS), None, None, 1)
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(groups), (RESAMPLES, len(groups)))
    places = (random.random((*drawn.shape, values.shape[1])) * sizes[drawn][..., None]).astype(int)
    samples = values[drawn[..., None], places]
    samples[np.arange(values.shape[1]) >= sizes[drawn][..., None]] = np.nan  # a question keeps its number of values
    low, high = np.quantile(compute(samples.reshape(RESAMPLES, -1)), (0.025, 0.975))  # type: ignore[call-overload]
    value, low, high = (round(float(each), DIGITS) for each in (value, low, high))
    return Figure(value, low, high, n)


def by_question(pairs: Iterable[tuple[str, float | None]]) -> Groups:
    """Group values by the question that each comes with; None is left out."""
    groups: dict[str, list[float]] = {}
    for question, value in pairs:
        if value is not None:
            groups.setdefault(question, []).append(value)
    return list(groups.values())
