"""The dial and the ration: hard reasons pass, the soft score is compared with recent turns of the same corpus."""

from pathlib import Path

import pytest

from app.answering.escalation import LIMIT, THRESHOLD
from app.answering.policy import MIN_SCORES, MIN_THRESHOLD, Policy, with_dial
from app.answering.turn import Attempt, Decision, Metrics, Turn
from app.answering.verification import check
from app.evaluation.threshold import evidence
from app.settings import load
from tests.support.drafts import decide


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(load(corpus=tmp_path, state_dir=tmp_path / "state"))


def soft(score: float) -> Decision:
    return Decision(None, "The draft is good enough; the large model is not asked.", score)


def test_until_there_are_enough_turns_a_fixed_threshold_holds(policy: Policy) -> None:
    for number in range(MIN_SCORES - 1):
        policy.remember(f"question {number}", soft(0.9))

    assert policy.threshold("another", "when needed") == THRESHOLD


def test_then_the_worst_fifth_of_recent_turns_is_sent_on_and_half_where_the_dial_says_often(policy: Policy) -> None:
    for number in range(50):
        policy.remember(f"question {number}", soft(0.5 + number / 100))

    assert policy.threshold("another", "when needed") == pytest.approx(0.9)
    assert policy.threshold("another", "often") == pytest.approx(0.75)


def test_only_the_last_fifty_turns_count(policy: Policy) -> None:
    for number in range(50):
        policy.remember(f"old {number}", soft(0.99))
    for number in range(50):
        policy.remember(f"new {number}", soft(0.6))

    assert policy.threshold("another", "when needed") == pytest.approx(0.6)


def test_where_all_drafts_are_good_none_is_sent_on(policy: Policy) -> None:
    for number in range(50):
        policy.remember(f"question {number}", soft(0.01))

    assert policy.threshold("another", "when needed") == MIN_THRESHOLD


def test_a_question_that_is_asked_again_meets_the_same_threshold(policy: Policy) -> None:
    for number in range(60):
        policy.remember(f"question {number}", soft(0.5 + number / 200))
    before = policy.threshold("again", "when needed")

    policy.remember("again", soft(0.99))

    assert policy.threshold("again", "when needed") == before


def test_answers_without_passages_leave_the_threshold_as_it_is(policy: Policy) -> None:
    for number in range(50):
        draft = Attempt(1, "small", "phi-4-mini", "", f"Answer {number}.", "stop", Metrics())
        assert policy.judge(Turn(f"Question {number}?", unaided=True), check(draft.text, ()), draft).score == LIMIT

    assert policy.threshold("another", "when needed") == THRESHOLD


def test_scores_outlive_the_process_and_are_kept_for_each_corpus(tmp_path: Path) -> None:
    state = tmp_path / "state"
    one = Policy(load(corpus=tmp_path, state_dir=state))
    for number in range(MIN_SCORES):
        one.remember(f"question {number}", soft(0.9))

    again = Policy(load(corpus=tmp_path, state_dir=state))
    other = Policy(load(corpus=tmp_path / "elsewhere", state_dir=state))

    assert again.threshold("another", "when needed") == pytest.approx(0.9)
    assert other.threshold("another", "when needed") == THRESHOLD


def test_no_question_is_kept_in_words(tmp_path: Path) -> None:
    Policy(load(corpus=tmp_path, state_dir=tmp_path / "state")).remember("a private question", soft(0.9))

    [kept] = (tmp_path / "state").rglob("scores.json")
    assert "private" not in kept.read_text(encoding="utf-8")


def test_hard_reasons_are_not_rationed(policy: Policy) -> None:
    for number in range(50):
        policy.remember(f"question {number}", Decision("abstained", "It does not answer.", 0.9))

    assert policy.threshold("another", "when needed") == THRESHOLD


def test_a_file_that_was_damaged_is_begun_anew(policy: Policy, tmp_path: Path) -> None:
    policy.remember("question", soft(0.9))
    [kept] = (tmp_path / "state").rglob("scores.json")
    kept.write_text('{"scores": {"a": "b"', encoding="utf-8")

    policy.remember("question 2", soft(0.8))

    assert policy.threshold("another", "when needed") == THRESHOLD


def test_the_dial_at_never_sends_nothing_on_and_at_always_everything() -> None:
    abstained = Decision("abstained", "It does not answer.", 0.9)

    assert with_dial(abstained, "never").code is None
    assert with_dial(soft(0.1), "always").code == "routed"
    assert with_dial(abstained, "always") == with_dial(abstained, "when needed") == abstained
    assert with_dial(soft(0.1), "when needed") == soft(0.1)


def test_a_decision_by_score_alone_is_known_as_such_whatever_the_dial_says() -> None:
    passages = evidence(["The ferry leaves the old harbour of Bergen at 9:30 every morning."])
    stands = decide("When?", passages, "The ferry leaves at 9:30.", "stop")
    unfounded = decide("When?", passages, "Nine penguins swim to islands near Antarctica, far from Bergen.", "stop")
    by_score = decide("When?", passages, "The ferry leaves at 9:30.", "stop", threshold=0.0)

    assert [each.by_score for each in (stands, unfounded, by_score)] == [True, False, True]
    assert [with_dial(each, "never").by_score for each in (unfounded, by_score)] == [False, True]
