"""The comparison of two runs of `escalator eval retrieval` on the same questions."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import InputError
from app.evaluation.datasets import Row, read_rows
from app.evaluation.retrieval_eval import RANKING

CHANGED = 10
"""The number of questions with the largest changes that a comparison names."""

RESAMPLES = 10_000

TIE = 1e-9
"""The largest difference that counts as none."""


def comparison(file: Path) -> Callable[[Sequence[Row]], dict[str, Any]]:
    """Return what compares the rows of a run with those in a file; raises InputError if that holds no run."""
    return partial(compare, old=read_run(file))


def read_run(file: Path) -> list[Row]:
    """Read the rows of a run that `--run` wrote; raises InputError."""

    def valid(row: Row) -> bool:
        return isinstance(row.get("id"), str) and all(isinstance(row.get(n), int | float) for n in RANKING)

    problem = "is no row of a run. Give a file that `escalator eval retrieval --run` wrote."
    return [row for _, row in read_rows(file, valid, problem)]


def compare(new: Sequence[Row], old: Sequence[Row]) -> dict[str, Any]:
    """Compare two runs: the difference new - old of each figure, and the questions whose nDCG changed most.

    Raises InputError if the questions are not the same.
    """
    before = {row["id"]: row for row in old}
    pairs = [(row, before[row["id"]]) for row in new if row["id"] in before]
    if len(pairs) < len(new) or len(old) > len(new):
        raise InputError(
            f"The two runs are not of the same questions: {len(pairs)} ids are in both, of {len(new)} here and "
            f"{len(old)} there. Compare runs of one collection, made with the same options for its questions."
        )
    gains = sorted(((new["ndcg@10"] - old["ndcg@10"], new, old) for new, old in pairs), key=lambda each: -abs(each[0]))
    changed = [
        {"id": new["id"], "text": new.get("text"), "before": old["ndcg@10"], "after": new["ndcg@10"]}
        for gain, new, old in gains[:CHANGED]
        if abs(gain) > TIE
    ]
    differences = {name: difference([new[name] - old[name] for new, old in pairs]) for name in RANKING}
    return {**differences, "changed": changed}


def difference(differences: Sequence[float]) -> dict[str, Any]:
    """Compute the mean of paired differences, its standard error, the middle 95 % of resampled means, p, and wins.

    `p` is two-sided, from a randomisation test: if the runs were equal, each difference could as well have the other
    sign. Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information
    retrieval evaluation" (2007).
    """
    values = np.asarray(differences, float)
    count, mean = len(values), float(values.mean())
    random = np.random.default_rng(0)
    means = [values[random.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    signs = (1 - 2 * random.integers(0, 2, count) for _ in range(RESAMPLES))
    chance = sum(int(abs(values @ sign) >= (abs(mean) - TIE) * count) for sign in signs)
    return {
        "difference": round(mean, 4),
        "standard_error": round(float(values.std(ddof=1)) / count**0.5, 4) if count > 1 else None,
        "interval_95": np.quantile(means, (0.025, 0.975)).round(4).tolist(),
        "p": round((chance + 1) / (RESAMPLES + 1), 4),
        "wins": int((values > TIE).sum()),
        "losses": int((values < -TIE).sum()),
        "ties": int((abs(values) <= TIE).sum()),
    }
