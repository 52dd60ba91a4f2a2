"""Figures for a score that should tell bad answers from good ones; they know nothing of what the score is made of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1_000


def auroc(bad: Sequence[bool], score: Sequence[float]) -> float:
    """The chance that a bad answer scores above a good one, a tie counting half; both kinds must be there."""
    import numpy as np

    labels = np.asarray(bad, bool)
    _, place, count = np.unique(np.asarray(score, float), return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    wrong = int(labels.sum())
    return float((rank[labels].sum() - wrong * (wrong + 1) / 2) / (wrong * (len(labels) - wrong)))


def caught(bad: Sequence[bool], score: Sequence[float], share: float = 0.2) -> tuple[float, float]:
    """How many bad and how many good answers are among the share with the highest scores, ties at their expectation."""
    import numpy as np

    labels, scores = np.asarray(bad, float), np.asarray(score, float)
    size = max(1, round(share * len(labels)))
    least = np.sort(scores)[-size]
    above, tied = scores > least, scores == least
    wrong = float(labels[above].sum() + (size - above.sum()) * labels[tied].mean())
    return wrong, size - wrong


def interval(groups: Sequence[str], bad: Sequence[bool], score: Sequence[float]) -> dict[str, list[float]]:
    """The middle 95 % of both figures over resamples of whole groups: answers to one question are no strangers."""
    import numpy as np

    labels, scores = np.asarray(bad, bool), np.asarray(score, float)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    members: list[NDArray[Any]] = [np.flatnonzero(group == number) for number in range(group.max() + 1)]
    random = np.random.default_rng(0)
    figures = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[at] for at in random.integers(0, len(members), len(members))])
        wrong = labels[rows].sum()
        if 0 < wrong < len(rows):
            hit, _ = caught(labels[rows], scores[rows])
            figures.append((auroc(labels[rows], scores[rows]), hit / wrong))
    if not figures:
        return {}
    low, high = np.quantile(np.asarray(figures), (0.025, 0.975), axis=0).round(4).tolist()
    return {"auroc_95": [low[0], high[0]], "recall@20_95": [low[1], high[1]]}
