"""The calibration of the decision to escalate: a threshold of the soft score for a corpus, from judged drafts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import log, log1p
from typing import Any

import numpy as np

from app.answering.escalation import LIMIT, decide
from app.answering.turn import NUMBERS, Attempt, Decision, Metrics
from app.answering.verification import CheckedAnswer, check
from app.documents.language import detect
from app.documents.passages import Place
from app.errors import InputError
from app.evaluation.datasets import Row
from app.retrieval.packing import Evidence
from app.translation import count

LEAST = 20
"""Judged drafts below which no bound is worth its name: with 20 of which none is bad, up to 11 % may be (90 %)."""

USUAL = 50
"""Judged drafts that are enough for a first threshold."""

MOST_POINTS = 100
"""Thresholds of a curve at most."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A draft with its soft score, whether it is `bad`, and whether it is escalated whatever the threshold is."""

    score: float
    bad: bool
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would have done to the judged drafts.

    `share` are the large calls; of the `accepted` drafts `bad` are, and at most the share `bound` of all to come is.
    """

    threshold: float
    share: float
    accepted: int
    bad: int
    bound: float


def judged_thumbs(opinions: Iterable[Mapping[str, Any]]) -> tuple[list[Judged], int]:
    """Turn thumbs into judged drafts, and count those whose draft has no score.

    A thumb judges the draft if the draft was the answer. If the large model was asked, nobody has judged the draft, and
    it counts as bad: the bound then errs on the safe side. Where nothing was found, no threshold decides.
    """
    drafts, unknown = [], 0
    for each in opinions:
        drafted = each.get("mode") in ("auto", "small", "refine") and each.get("decision") != "requested"
        if not (drafted and each.get("evidence")):
            continue
        score, by_score = each.get("score"), each.get("by_score")
        if isinstance(score, int | float) and isinstance(by_score, bool):
            bad = each.get("role") != "small" or not each["value"]
            drafts.append(Judged(score, bad=bad, hard=not by_score))
        else:
            unknown += 1
    return drafts, unknown


def judged_rows(rows: Sequence[Row]) -> Iterator[Judged]:
    """Score judged answers, which count as bad unless they are labelled "good".

    A draft that was stopped while it was written is escalated in any case. Those for which nothing was found are left
    out, as no threshold decides on them: in a set some of whose answers have passages, the ones without.
    """
    grounded = {row["set"] for row in rows if row.get("context")}
    for row in rows:
        if row.get("context") or row["set"] not in grounded:
            decision, _ = decided(row, grounded=row["set"] in grounded)
            hard = not decision.by_score or row.get("finish") == "stopped"
            yield Judged(decision.score, row["label"] != "good", hard)


def decided(row: Row, *, grounded: bool) -> tuple[Decision, CheckedAnswer | None]:
    """Decide on the answer of a row, without its evidence unless it is `grounded`."""
    passages = evidence(row.get("context") or []) if grounded else None
    question, finish = row.get("question") or "", row.get("finish") or "stop"
    checked = check(row["answer"], passages, question) if passages is not None else None
    draft = Attempt(NUMBERS["small"], "small", "", "", row["answer"], finish, Metrics())
    return decide(question, draft, checked), checked


def evidence(context: Sequence[str]) -> tuple[Evidence, ...]:
    """Turn the passages that came with an answer into evidence."""
    place = Place("line", "line 1", 1)
    return tuple(
        Evidence(number, f"passage {number}", "", place, 0, len(text), text, detect(text))
        for number, text in enumerate(context, 1)
    )


def calibrate(drafts: Sequence[Judged], share: float, max_bad: float | None, confidence: float) -> dict[str, Any]:
    """Choose the threshold for a wished share of large calls; return it with the curve of all thresholds.

    With `max_bad` the threshold rises from there, for fewer large calls, as long as the bound on the accepted bad
    drafts stays below. The order of these tests does not depend on the labels, so that each may use the whole error
    probability (fixed sequence testing: Angelopoulos et al., "Learn then Test", 2021). `chosen` is None where no
    threshold holds the bound. Raises InputError for too few drafts.
    """
    if len(drafts) < LEAST:
        remedy = f"Judge at least {LEAST}, better {USUAL}: with thumbs in the chat, or in a file."
        raise InputError(f"There are {count(len(drafts), 'judged answer')} of drafts with a score. {remedy}")
    points = [*curve(drafts, confidence)]
    allowed = [point for point in points if point.share <= share] or points[-1:]
    held = list(takewhile(lambda point: max_bad is None or point.bound <= max_bad, allowed))
    chosen = next(iter(held if max_bad is None else held[::-1]), None)
    return {
        "drafts": len(drafts),
        "bad": sum(draft.bad for draft in drafts),
        "hard": sum(draft.hard for draft in drafts),
        "share": share,
        "max_bad": max_bad,
        "confidence": confidence,
        "chosen": chosen,
        "first": allowed[0],
        "setting": f"ESCALATOR_THRESHOLD={chosen.threshold}" if chosen is not None else None,
        "curve": points,
    }


def curve(drafts: Sequence[Judged], confidence: float) -> Iterator[Point]:
    """Yield a point for each threshold that makes a difference, from the lowest to the highest."""
    soft = sorted({draft.score for draft in drafts if not draft.hard})
    soft = soft[:: -(-len(soft) // MOST_POINTS) or 1]
    for below, above in zip([None, *soft], [*soft, None], strict=True):
        accepted = [draft for draft in drafts if not draft.hard and below is not None and draft.score <= below]
        bad = sum(draft.bad for draft in accepted)
        large = 1 - len(accepted) / len(drafts)
        threshold = _between(0.0 if below is None else below, LIMIT + 0.1 if above is None else above)
        bound = upper_bound(bad, len(accepted), confidence)
        yield Point(threshold, round(large, 4), len(accepted), bad, round(bound, 4))


def upper_bound(bad: int, total: int, confidence: float) -> float:
    """Return the share of bad ones that is not exceeded with this confidence, if `bad` of `total` were.

    One-sided, exact: Clopper and Pearson, "The use of confidence or fiducial limits" (1934). 1 where nothing was seen.
    """
    if bad >= total:
        return 1.0
    few = np.arange(bad + 1)
    ways = np.cumsum([0.0, *np.log((total - few[:-1]) / (few[:-1] + 1))])  # the logarithms of the binomial coefficients
    low, high = bad / total, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        at_most = np.exp(ways + few * log(middle) + (total - few) * log1p(-middle)).sum()
        low, high = (middle, high) if at_most > 1 - confidence else (low, middle)
    return high


def _between(below: float, above: float) -> float:
    """Return a number above `below` and at most `above`, with as few digits as that needs."""
    middle = (below + above) / 2
    return next((short for digits in range(2, 15) if below < (short := round(middle, digits)) <= above), above)


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Format the curve for a person, and say what to put into .env."""
    chosen, first = result["chosen"], result["first"]
    yield f"{count(result['drafts'], 'judged draft')}, {result['bad']} of them bad."
    yield f"{'threshold':>9}  {'large calls':>11}  {'accepted':>8}  {'bad':>4}  {'bad at most':>11}"
    for it in _shown(result):
        figures = f"{it.threshold:9}  {it.share:11.1%}  {it.accepted:8}  {it.bad:4}  {it.bound:11.1%}"
        yield figures + ("  <" if it == chosen else "")
    yield f"“bad at most”: of accepted drafts to come, with {result['confidence']:.0%} confidence (Clopper-Pearson)."
    if first.share > result["share"]:
        yield f"{first.share:.1%} go to the large model at any threshold, as the drafts are cut off, wrong or the like."
    if chosen is None:
        yield (
            f"No threshold keeps the bad ones at {result['max_bad']:.1%}: with {first.share:.1%} large calls they may "
            f"be {first.bound:.1%}. Allow more large calls (--share), or judge more answers."
        )
        return
    yield f"{chosen.share:.1%} large calls; at most {chosen.bound:.1%} of the accepted drafts are bad. Put into .env:"
    yield result["setting"]


def _shown(result: Mapping[str, Any]) -> list[Point]:
    """Pick about twenty points of the curve, the chosen one among them."""
    points: list[Point] = result["curve"]
    step = -(-len(points) // 20)
    return [point for at, point in enumerate(points) if at % step == 0 or point in (result["chosen"], points[-1])]
