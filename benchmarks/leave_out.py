"""The scores of each set of answers by constants that were chosen on the others: what the choice of them is worth."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from statistics import fmean
from types import ModuleType

from app.answering import escalation, features
from app.answering.escalation import HARD, THRESHOLD, soft_score
from app.answering.features import Support, support
from app.answering.verification import CheckedAnswer
from benchmarks.escalation import Judged, Scores, Sets
from benchmarks.separation import auroc, caught

MEASURING = {"GRAM": (3, 4, 5), "STRETCH": (300, 500, 800), "LEAST_STRETCH": (40, 60, 100)}
WEIGHING = {"PER_CLAIM": (0.0, 0.03, 0.06), "DOUBTFUL": (0.2, 0.3, 0.4)}
"""The constants that are tried, with the values around those of `features` and of `escalation`."""


def left_out(sets: Sets) -> Scores:
    """Judge each set by the constants with the highest mean of AUROC and recall at 20 % over all other sets."""
    tried = list(_every_score(sets))
    worth = [{name: _worth(sets[name], scores[name]) for name in sets} for scores in tried]
    result = {}
    for name in sets:
        means = [fmean([value for other, value in each.items() if other != name] or [0.0]) for each in worth]
        result[name] = tried[means.index(max(means))][name]
    return result


def _worth(items: Sequence[Judged], scores: Sequence[float]) -> float:
    bad = [each.bad for each in items]
    return auroc(bad, scores) + caught(bad, scores)[0] / sum(bad)


def _every_score(sets: Sets) -> Iterator[Scores]:
    """Yield the scores of all answers by every combination of constants."""
    for measuring in _combinations(MEASURING):
        with _set(features, measuring):
            measured = {name: [_support(each) for each in items] for name, items in sets.items()}
        for weighing in _combinations(WEIGHING):
            with _set(escalation, weighing):
                yield {name: list(map(_score, sets[name], measured[name])) for name in sets}


def _support(each: Judged) -> Support:
    checked = each.checked
    passages = checked.evidence if checked else None
    foreign = checked is not None and checked.foreign
    return support(each.row.get("question") or "", passages, each.row["answer"], foreign=foreign)


def _score(each: Judged, measured: Support) -> float:
    """Score an answer as `decide` does, by the constants as they are now; hard reasons keep their score."""
    checked, code = each.checked, each.decision.code
    if each.decision.score == HARD.get(code or "") or (checked and not checked.evidence):
        return each.decision.score
    least = {"abstained": escalation.DOUBTFUL, "short": THRESHOLD}.get(code or "", 0.0)
    return max(least, soft_score(measured, checked or CheckedAnswer(each.row["answer"], ()), None))


def _combinations(grid: Mapping[str, Sequence[float]]) -> Iterator[dict[str, float]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


@contextmanager
def _set(module: ModuleType, values: Mapping[str, float]) -> Iterator[None]:
    """Set constants of a module for a while."""
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
