"""`eval answers`: what thumbs and question sets expect, how answers are judged, and what is reported."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from app.evaluation.datasets import Question
from app.evaluation.regression import (
    Expectation,
    figures,
    from_thumbs,
    judged,
    judged_drafts,
    junit,
    merged,
    report,
)
from app.evaluation.results import CitedSentence, MeasuredAnswer, MeasuredAttempt
from app.evaluation.threshold import judged_rows
from app.history import History
from app.settings import load
from tests.support.terminal import escalator

FERRY = Question("ferry", "When does the ferry leave?", (("9:30", "half past nine"), ("Bergen",)), answerable=True)
PRICE = Question("price", "What does it cost?", answerable=False)


def thumb(question: str, text: str, value: int = 1, **given: Any) -> dict[str, Any]:
    known = {"question": question, "text": text, "value": value, "role": "small", "unaided": False, "scope": []}
    return known | {"evidence": ["ferry.md#0-10"], "mode": "auto", "id": f"{question}{text}", "comment": None} | given


def said(text: str, question: Question = FERRY, *, draft: str = "", decision: str | None = None) -> MeasuredAnswer:
    """An answer as it is recorded; with a `draft`, the large model's."""
    from app.evaluation.recording import facts_found, is_abstention, score

    abstained = is_abstention(text)
    attempts = [MeasuredAttempt("small", "phi", "stop", draft or text)]
    attempts += [MeasuredAttempt("large", "gpt", "stop", text)] if draft else []
    return MeasuredAnswer(
        question.id, "", 0, retrieval=True, text=text, model=attempts[-1].model, attempts=tuple(attempts),
        facts_found=facts_found(question, text), facts_expected=len(question.facts), abstained=abstained,
        escalated=bool(draft), decision=decision, score=score(question, text, abstained=abstained), total_ms=1500.0,
    )  # fmt: skip


def test_of_a_liked_answer_the_numbers_and_names_are_expected_that_the_question_lacks(corpus: Path) -> None:
    thumbs = [
        thumb("When does the ferry to Bergen leave?", "It leaves at 9:30 from Askøy, on deck 3 [1]."),
        thumb("Was kostet die Karte?", "Die Karte kostet 12 Euro für Erwachsene und ist an Bord zu haben."),
        thumb("Why?", "Because the harbour is frozen in winter."),
        thumb("What is the price?", "The documents do not say what it costs."),
    ]
    expected, left_out = from_thumbs(thumbs, corpus)

    facts = [[spellings[0] for spellings in it.question.facts] for it in expected]
    assert facts == [["9:30", "3", "Askøy"], ["12"], [], []]
    assert [it.wording for it in expected] == ["", "", "Because the harbour is frozen in winter.", ""]
    assert [it.question.answerable for it in expected] == [True, True, True, False]
    assert left_out == 0


def test_one_question_has_its_last_thumb_up_and_all_that_was_disliked(corpus: Path) -> None:
    thumbs = [
        thumb("When?", "At 9:00.", 1),
        thumb("when? ", "At noon.", 0),
        thumb("When?", "At 9:30.", 1),
        thumb("When?", "Never.", 0),
    ]
    [expected], _ = from_thumbs(thumbs, corpus)

    assert [spellings[0] for spellings in expected.question.facts] == ["9:30"]
    assert expected.unwanted == ("At noon.", "Never.")


def test_thumbs_that_cannot_be_asked_again_are_counted(corpus: Path) -> None:
    thumbs = [
        thumb("And the price?", "5", follows=True),
        thumb("Who?", "Nobody", unaided=True),
        thumb("What?", "> quote", role="extractive"),
        thumb("Which?", "That", evidence=["elsewhere.md#0-9"]),
        thumb("", "5"),
    ]
    assert from_thumbs(thumbs, corpus) == ([], 5)


def test_a_set_says_what_is_expected_where_a_thumb_is_on_the_same_question() -> None:
    disliked = Expectation(Question("thumb-1", "when does THE ferry leave?"), "thumbs", unwanted=("At noon.",))
    other = Expectation(Question("thumb-2", "Who?"), "thumbs")

    assert merged([FERRY], [disliked, other]) == [Expectation(FERRY, unwanted=("At noon.",)), other]


@pytest.mark.parametrize(
    ("expectation", "text", "problems"),
    [
        (Expectation(FERRY), "At half past nine, from Bergen.", []),
        (Expectation(FERRY), "At 19:30, from Bergen.", ["It does not state “9:30”."]),
        (Expectation(FERRY), "I do not know.", ["It declines to answer."]),
        (Expectation(PRICE), "The documents do not say.", []),
        (Expectation(PRICE), "120 kroner.", ["The documents do not hold the answer, and it does not say so."]),
        (
            Expectation(replace(FERRY, facts=(), answerable=None), unwanted=("At noon [1].",)),
            "At  Noon [2].",
            ["It is the answer that was given a thumb down, unchanged."],
        ),
        (Expectation(replace(FERRY, facts=(), answerable=None), unwanted=("At noon.",)), "At one.", []),
        (Expectation(replace(FERRY, facts=()), wording="Frozen harbour in winter"), "The harbour froze in winter", []),
        (
            Expectation(replace(FERRY, facts=()), wording="Frozen harbour in winter"),
            "Because of strikes",
            ["It has less than half of the words of the answer that was given a thumb up."],
        ),
    ],
)
def test_an_answer_is_judged_by_what_is_expected(expectation: Expectation, text: str, problems: list[str]) -> None:
    outcome = judged(expectation, said(text, expectation.question))

    assert list(outcome.problems) == problems
    assert outcome.status == ("failed" if problems else "passed")


def test_a_question_without_expectations_is_skipped_and_a_failure_is_an_error() -> None:
    plain = Expectation(Question("plain", "What is it?"))

    assert judged(plain, said("A ferry.", plain.question)).status == "skipped"
    failed = judged(plain, replace(said("", plain.question), error="The server is gone."))
    assert (failed.status, failed.problems) == ("error", ("The server is gone.",))


RIGHT, WRONG = "At 9:30 from Bergen.", "At noon from Bergen."


def test_the_figures_equal_a_count_by_hand() -> None:
    source = CitedSentence("At 9:30.", 1, "ferry.md", "line 1", supported=True)
    outcomes = [
        judged(Expectation(FERRY), replace(said(RIGHT), citations=(source, replace(source, supported=False)))),
        judged(Expectation(FERRY, unwanted=(WRONG,)), said(WRONG)),
        judged(Expectation(FERRY), said(RIGHT, draft=WRONG, decision="unsupported")),
        judged(Expectation(FERRY), said(RIGHT, draft=RIGHT, decision="short")),
        judged(Expectation(PRICE), said("120 kroner.", PRICE)),
        judged(Expectation(FERRY), replace(said(RIGHT), error="lost")),
    ]

    assert figures(outcomes, "auto") == {
        "facts": 0.875,
        "right": 0.6,
        "abstained": 0.0,
        "citations": 0.5,
        "wrong_kept": 0.6667,
        "right_escalated": 0.5,
        "repeated": 1.0,
    }
    assert figures(outcomes, "small")["wrong_kept"] is None  # where nothing is escalated
    assert not report(outcomes, "auto", {"facts": 0.8})["passed"]  # a question without an answer
    assert report(outcomes[:-1], "auto", {"facts": 0.8, "wrong_kept": 0.7})["passed"]
    broken = report(outcomes[:-1], "auto", {"facts": 0.9, "wrong_kept": 0.6, "repeated": 0.0})["broken"]
    assert broken == [
        "expected facts found: 87.5%; wanted at least 90.0%",
        "wrong drafts that were kept: 66.7%; wanted at most 60.0%",
        "disliked answers that came again: 100.0%; wanted at most 0.0%",
    ]


def test_a_junit_report_has_a_case_for_each_question_and_limit_and_holds_any_text() -> None:
    plain = Expectation(Question("plain", "What is it?"))
    odd = "At\x00noon ]]> <b>\ud800\uffff ☃"
    outcomes = [
        judged(Expectation(FERRY), said(odd)),
        judged(Expectation(FERRY), said(RIGHT)),
        judged(plain, said("A ferry.", plain.question)),
        judged(Expectation(PRICE), replace(said("", PRICE), error="The server is gone.")),
    ]
    suite = ElementTree.fromstring(junit(report(outcomes, "auto", {"facts": 0.8, "right": 0.1})).encode())

    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counted == {"tests": "6", "failures": "2", "errors": "1", "skipped": "1", "time": "6.000"}
    first = next(suite.iter("testcase"))
    assert (first.get("classname"), first.get("name"), first.get("time")) == (
        "questions", "ferry: When does the ferry leave?", "1.500",
    )  # fmt: skip
    [failure] = first.findall("failure")
    assert failure.get("message") == "It does not state “9:30”, “Bergen”."
    assert failure.text == "At�noon ]]> <b>�� ☃"
    assert [it.get("name") for it in suite.iter("testcase") if it.get("classname") == "limits"] == [
        "expected facts found",
        "answers as expected",
    ]


def test_judged_drafts_go_on_to_the_threshold() -> None:
    outcomes = [
        judged(Expectation(FERRY), said(RIGHT, draft=WRONG, decision="unsupported")),
        judged(Expectation(FERRY), said(RIGHT)),
        judged(Expectation(Question("plain", "What?")), said("That.", Question("plain", "What?"))),
    ]
    rows = list(judged_drafts(outcomes, "mine"))

    assert [(row["answer"], row["label"]) for row in rows] == [(WRONG, "incorrect"), (RIGHT, "good")]
    assert [draft.bad for draft in judged_rows(rows)] == [True, False]


@pytest.mark.slow
def test_the_command_asks_as_the_chat_does_and_ends_with_1_below_a_limit(
    tmp_path: Path, corpus: Path, models: Path, runtime: str, use: Callable[[Path], None]
) -> None:
    use(models)
    history = History(load().state_dir)
    history.note(thumb("Where are tickets sold?", "Tickets are sold on board [1].", 0))
    questions, report_file, drafts = tmp_path / "questions.jsonl", tmp_path / "junit.xml", tmp_path / "drafts.jsonl"
    rows = [
        {"id": "leave", "question": "When does the ferry leave?", "facts": ["9:30"]},
        {"id": "moon", "question": "Who walks on the moon?", "answerable": False},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = "eval", "answers", "--questions", questions, "--corpus", corpus

    try:
        with_thumbs = escalator(*asked, "--junit", report_file, "--drafts", drafts)
        good = escalator(*asked, "--no-thumbs", "--min-facts", 1, "--json")
    finally:
        history.thumbs.unlink()

    assert (with_thumbs.exit_code, good.exit_code) == (1, 0)
    assert "It is the answer that was given a thumb down, unchanged." in with_thumbs.stdout
    assert "disliked answers that came again" in with_thumbs.stdout
    result = json.loads(good.stdout)
    assert [(it["status"], it["model"]) for it in result["cases"]] == [("passed", "phi-4-mini"), ("passed", "")]
    assert ElementTree.parse(report_file).getroot().get("failures") == "2"
    [row] = [json.loads(line) for line in drafts.read_text(encoding="utf-8").splitlines()]
    assert (row["id"], row["label"]) == ("leave", "good")
    assert row["context"][0].endswith("Tickets are sold on board.")


def test_bad_input_is_told_in_sentences(tmp_path: Path, corpus: Path) -> None:
    empty, odd = tmp_path / "empty.jsonl", tmp_path / "odd.jsonl"
    empty.write_text("\n", encoding="utf-8")
    odd.write_text('{"question": ""}\n', encoding="utf-8")

    def told(*arguments: object) -> str:
        result = escalator("eval", "answers", "--corpus", corpus, *arguments)
        assert result.exit_code == 2
        return result.stderr

    assert "There is nothing to ask. Give --questions FILE, or thumbs in the chat." in told()
    assert "has no questions. Write one in every line" in told("--questions", empty)
    assert f"Line 1 of {odd} is no question." in told("--questions", odd)
    assert "could not be read" in told("--questions", tmp_path / "none.jsonl")
    assert "The mode is 'fast'; it must be one of auto" in told("--questions", "sample", "--mode", "fast")


def test_without_a_model_every_question_is_an_error(tmp_path: Path, corpus: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "When does the ferry leave?", "facts": ["9:30"]}\n', encoding="utf-8")

    result = escalator("eval", "answers", "--questions", questions, "--corpus", corpus)

    assert result.exit_code == 1
    assert result.stdout.startswith("error ")
    assert "1 question got no answer." in result.stdout


def test_what_was_asked_before_an_interruption_is_reported(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([(None, False, "")])

    async def ask(*_: Any) -> tuple[None, bool, str]:
        if (answer := next(answers, None)) is None:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr("app.evaluation.regression.asked", ask)
    monkeypatch.setattr("app.evaluation.regression.measured", lambda *_, **__: said(RIGHT))
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "When?", "facts": ["9:30"]}\n{"question": "Who?"}\n', encoding="utf-8")

    result = escalator("eval", "answers", "--questions", questions, "--corpus", corpus)

    assert result.exit_code == 1
    assert "passed   When?" in result.stdout
    assert "Interrupted: 1 question not asked." in result.stdout
