"""How well a score separates bad answers from good ones; this module does not know where these come from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_RESAMPLES = 1_000

Labelled = tuple[Sequence[str], Sequence[bool], Sequence[float]]
"""Groups, labels and scores of the answers of a set."""


def auroc(bad: Sequence[bool], score: Sequence[float]) -> float:
    """Compute the probability that a bad answer scores above a good one, ties counting half; both kinds must occur."""
    labels = np.asarray(bad, bool)
    _, place, count = np.unique(np.asarray(score, float), return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    wrong = int(labels.sum())
    return float((rank[labels].sum() - wrong * (wrong + 1) / 2) / (wrong * (len(labels) - wrong)))


def caught(bad: Sequence[bool], score: Sequence[float], share: float = 0.2) -> tuple[float, float]:
    """Count the bad and the good answers among the share with the highest scores, ties at their expectation."""
    labels, scores = np.asarray(bad, float), np.asarray(score, float)
    size = max(1, round(share * len(labels)))
    least = np.sort(scores)[-size]
    above, tied = scores > least, scores == least
    wrong = float(labels[above].sum() + (size - above.sum()) * labels[tied].mean())
    return wrong, size - wrong


def resampled(groups: Sequence[str], bad: Sequence[bool], score: Sequence[float]) -> "np.ndarray[Any, Any]":
    """Return both figures in each resample of whole groups, as answers to one question correlate."""
    labels, scores = np.asarray(bad, bool), np.asarray(score, float)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(group == number) for number in range(int(np.max(group)) + 1)]
    random = np.random.default_rng(0)
    figures = []
    for _ in range(_RESAMPLES):
        rows: Any = np.concatenate([members[at] for at in random.integers(0, len(members), len(members))])
        if 0 < (wrong := labels[rows].sum()) < len(rows):
            hit, _ = caught(labels[rows], scores[rows])
            figures.append((auroc(labels[rows], scores[rows]), hit / wrong))
    return np.array(figures).reshape(-1, 2)


def _interval(figures: "np.ndarray[Any, Any]") -> dict[str, list[float]]:
    """Return the middle 95 % of both figures."""
    if not len(figures):
        return {}
    low, high = np.quantile(figures, (0.025, 0.975), axis=0).round(4).tolist()
    return {"auroc_95": [low[0], high[0]], "recall@20_95": [low[1], high[1]]}


def interval(groups: Sequence[str], bad: Sequence[bool], score: Sequence[float]) -> dict[str, list[float]]:
    """Compute the middle 95 % of both figures over resamples of whole groups."""
    return _interval(resampled(groups, bad, score))


def separation(groups: Sequence[str], bad: Sequence[bool], score: Sequence[float]) -> dict[str, Any]:
    """Compute how well a score separates bad answers from good ones; empty unless both kinds occur.

    Returns auroc, recall@20 (the share of the bad answers among the fifth with the highest scores), wasted@20 (the good
    answers in that fifth), and 95 % intervals over the `groups`, of which each answer names one.
    """
    if not 0 < sum(bad) < len(bad):
        return {}
    hit, wasted = caught(bad, score)
    figures = {"auroc": round(auroc(bad, score), 4), "recall@20": round(hit / sum(bad), 4)}
    return {**figures, "wasted@20": round(wasted, 1), **interval(groups, bad, score)}


def mean_separation(sets: Sequence[Labelled]) -> dict[str, Any]:
    """Compute the means of both figures over sets that have both kinds of answers, with their intervals."""
    if not sets:
        return {"auroc": None, "recall@20": None}
    figures = [(auroc(bad, score), caught(bad, score)[0] / sum(bad)) for _, bad, score in sets]
    samples = [resampled(*each) for each in sets]
    least = min(map(len, samples))
    # Each set is drawn by itself, so that the mean varies less than one set.
    means = np.mean([np.random.default_rng(at).permutation(each)[:least] for at, each in enumerate(samples)], axis=0)
    values = np.mean(figures, axis=0).round(4).tolist()
    return {"auroc": values[0], "recall@20": values[1], **_interval(means)}
