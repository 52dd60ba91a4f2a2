"""The calibration of the threshold: what each would have done to judged drafts, its bound, and the line for .env."""

import json
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import pytest

from app.answering.policy import Policy
from app.errors import InputError
from app.evaluation.threshold import Judged, calibrate, curve, judged_thumbs, upper_bound
from app.history import History
from app.settings import load
from tests.support.terminal import escalator

TWENTY = [Judged(number / 20, bad=number >= 18) for number in range(18)] + [
    Judged(0.89, bad=True),
    Judged(0.99, bad=True, hard=True),
]
"""Eighteen good drafts, a bad one with a high score, and one that is escalated in any case."""


@pytest.mark.parametrize(
    ("bad", "total", "confidence", "bound"),
    [
        (0, 20, 0.9, 1 - 0.1 ** (1 / 20)),
        (1, 10, 0.95, 0.3942),
        (0, 50, 0.95, 0.0582),
        (5, 5, 0.9, 1.0),
        (0, 0, 0.9, 1.0),
    ],
)
def test_the_bound_is_the_exact_one_of_tables(bad: int, total: int, confidence: float, bound: float) -> None:
    assert upper_bound(bad, total, confidence) == pytest.approx(bound, abs=1e-4)


def test_at_the_bound_so_few_bad_ones_are_as_improbable_as_the_confidence_says() -> None:
    share = upper_bound(7, 60, 0.9)

    assert sum(comb(60, k) * share**k * (1 - share) ** (60 - k) for k in range(8)) == pytest.approx(0.1)
    assert 0 < upper_bound(40, 4_000, 0.9) < 0.02  # no overflow


def test_a_curve_says_how_many_calls_of_the_large_model_each_threshold_costs_and_what_it_accepts() -> None:
    points = [*curve(TWENTY, 0.9)]

    assert [point.share for point in points] == pytest.approx([1 - n / 20 for n in range(20)])
    assert [point.bad for point in points] == [0] * 19 + [1]
    for below, point in pairwise(points):
        assert below.threshold < point.threshold
        accepted = [draft for draft in TWENTY if not draft.hard and draft.score < point.threshold]
        assert len(accepted) == point.accepted


def test_the_threshold_for_a_wished_share_of_large_calls_is_the_lowest_that_costs_no_more() -> None:
    chosen = calibrate(TWENTY, 0.2, None, 0.9)["chosen"]

    assert (chosen.share, chosen.accepted, chosen.bad) == (0.2, 16, 0)
    assert 0.75 < chosen.threshold <= 0.8
    assert calibrate(TWENTY, 0.01, None, 0.9)["chosen"].share == 0.05  # hard reasons alone are more


def test_a_bound_on_bad_ones_saves_large_calls_as_long_as_it_holds_or_is_refused() -> None:
    chosen = calibrate(TWENTY, 0.5, 0.15, 0.9)["chosen"]

    assert chosen is None  # half of twenty are too few to be sure
    chosen = calibrate(TWENTY, 0.2, 0.15, 0.9)["chosen"]
    assert (chosen.accepted, chosen.bad) == (18, 0)
    assert calibrate(TWENTY, 0.2, 0.01, 0.9)["setting"] is None


def test_drafts_with_equal_scores_are_accepted_or_escalated_together() -> None:
    drafts = [Judged(0.1, bad=False)] * 10 + [Judged(0.3, bad=True)] * 10

    assert [(point.accepted, point.bad) for point in curve(drafts, 0.9)] == [(0, 0), (10, 0), (20, 10)]


def test_the_bound_covers_what_comes_as_often_as_it_says() -> None:
    import numpy as np

    random = np.random.default_rng(1)
    held = []
    for _ in range(100):
        scores = random.random(30)
        bad = random.random(30) < scores / 2
        point = calibrate([Judged(s, bool(b)) for s, b in zip(scores, bad, strict=True)], 0.3, None, 0.9)["chosen"]
        held.append(point.threshold / 4 <= point.bound)  # of drafts with scores below t, t/4 are bad

    assert sum(held) / len(held) >= 0.88


def test_too_few_judged_drafts_are_refused() -> None:
    with pytest.raises(InputError, match="There are 3 judged answers of drafts with a score"):
        calibrate(TWENTY[:3], 0.2, None, 0.9)


def thumb(number: int, **given: Any) -> dict[str, Any]:
    known = {"id": str(number), "value": 1, "comment": None, "mode": "auto", "role": "small", "decision": None}
    return known | {"score": number / 100, "by_score": True, "evidence": ["ferry.md#0-9"]} | given


def test_a_thumb_judges_a_draft_that_was_the_answer_and_another_draft_counts_as_bad() -> None:
    drafts, unknown = judged_thumbs(
        [
            thumb(1),
            thumb(2, value=0),
            thumb(60, role="large", decision="unsupported"),
            thumb(30, role="large", decision="short", by_score=False),
            thumb(20, mode="small", by_score=False),  # kept by the dial alone
            thumb(5, mode="large", role="large"),
            thumb(6, decision="requested", role="large", score=0.0),
            thumb(90, evidence=[]),
            thumb(8, score=None),
        ]
    )

    assert drafts == [
        Judged(0.01, bad=False),
        Judged(0.02, bad=True),
        Judged(0.6, bad=True),
        Judged(0.3, bad=True, hard=True),
        Judged(0.2, bad=False, hard=True),
    ]
    assert unknown == 1


def test_the_command_reads_thumbs_and_prints_the_line_that_the_settings_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(load().state_dir)
    for number in range(50):
        history.note(thumb(number, value=int(number < 45)))
    history.note(thumb(77, score=None))

    ran = escalator("eval", "threshold", "--share", "0.2")
    result = json.loads(escalator("eval", "threshold", "--share", "0.2", "--json").stdout)

    assert ran.exit_code == 0
    assert "1 thumb from an earlier version without a score; left out." in ran.stderr
    assert "50 judged drafts, 5 of them bad." in ran.stdout
    assert ran.stdout.splitlines()[-1] == result["setting"] == "ESCALATOR_THRESHOLD=0.4"
    assert result["chosen"] == {"threshold": 0.4, "share": 0.2, "accepted": 40, "bad": 0, "bound": 0.0559}
    assert len(result["curve"]) == 51
    name, value = result["setting"].split("=")
    monkeypatch.setenv(name, value)
    policy = Policy(load(corpus=tmp_path))
    assert policy.threshold("When?", "when needed") == 0.4
    assert policy.threshold("When?", "often") == pytest.approx(0.32)


def test_the_command_reads_judged_answers_and_ends_with_1_where_no_threshold_holds_the_bound(tmp_path: Path) -> None:
    said = {"good": "The ferry leaves at 9:30.", "bad": "Penguins raise their young on windswept islands."}
    rows = [
        {"id": f"{kind}{n}", "qid": str(n), "set": "ferry", "question": "When does the ferry leave?", "label": kind}
        | {"answer": said[kind], "context": ["The ferry leaves the harbour at 9:30 every morning."]}
        for kind in said
        for n in range(12)
    ]
    file = tmp_path / "judged.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    held = escalator("eval", "threshold", file, "--share", "0.5", "--max-bad", "0.2")
    refused = escalator("eval", "threshold", file, "--share", "0.5", "--max-bad", "0.1")

    assert (held.exit_code, refused.exit_code) == (0, 1)
    assert "No threshold keeps the bad ones at 10.0%: with 50.0% large calls they may be 17.5%." in refused.stdout
    assert "ESCALATOR_THRESHOLD" not in refused.stdout
