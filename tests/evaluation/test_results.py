"""The result of a comparison comes back from its JSON as it was, and no other file is taken for one."""

import json
from dataclasses import replace

import pytest

from app.errors import InputError
from app.evaluation.question_set import Question
from app.evaluation.results import (
    CitedSentence,
    ComparisonResult,
    Contender,
    Difference,
    Figure,
    MeasuredAnswer,
    MeasuredAttempt,
    MeasuredModel,
    Passage,
    as_json,
    from_json,
)

ANSWER = MeasuredAnswer(
    question="ferry",
    contender="auto",
    round=1,
    retrieval=True,
    text="At 9:30.",
    attempts=(MeasuredAttempt("small", "phi-4-mini", "stop", "At 9:30.", total_ms=120.0, completion_tokens=5),),
    evidence=(Passage(1, "ferry.md", "", "It leaves at 9:30."),),
    citations=(CitedSentence("At 9:30.", 1, "ferry.md", "", True),),
    facts_found=(0,),
    facts_expected=1,
    score=1.0,
)
RESULT = ComparisonResult(
    began="2026-01-02T03:04:05+00:00",
    machine="8 cores",
    questions=(Question("ferry", "When?", (("9:30", "half past nine"),), answerable=True),),
    rounds=2,
    models=(MeasuredModel("phi-4-mini", cold=True, load_ms=1000.0),),
    contenders=(Contender("auto", "auto", ("phi-4-mini",), True, 1, 0.0, {"total_ms": Figure(120.0, None, None, 1)}),),
    answers=(ANSWER,),
    differences=(Difference("total_ms", "small", "large", Figure(5.0, 4.0, 6.0, 9), True),),
)


def test_a_result_comes_back_from_its_json() -> None:
    assert from_json(ComparisonResult, json.loads(json.dumps(as_json(RESULT)))) == RESULT


def test_what_a_later_program_adds_is_left_out_and_what_an_earlier_one_lacks_has_its_default() -> None:
    value = as_json(RESULT)
    value["models"][0]["colour"] = "blue"
    del value["in_turns"]

    assert from_json(ComparisonResult, value) == RESULT


@pytest.mark.parametrize("value", [[], "x", {}, {**as_json(RESULT), "rounds": "two"}, {**as_json(RESULT), "models": 1}])
def test_another_file_is_no_result(value: object) -> None:
    with pytest.raises(InputError, match="no result of escalator compare"):
        from_json(ComparisonResult, value)


def test_a_later_version_is_named() -> None:
    with pytest.raises(InputError, match="of version 2"):
        from_json(ComparisonResult, as_json(RESULT) | {"version": 2})


def test_answers_of_a_contender_are_without_those_that_failed() -> None:
    result = replace(RESULT, answers=(ANSWER, replace(ANSWER, round=2, error="The server is gone.")))

    assert result.of("auto") == (ANSWER,)
