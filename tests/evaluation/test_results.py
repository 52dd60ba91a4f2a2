"""The result of a comparison comes back from its JSON as it was, and no other file is taken for one."""

import json
from dataclasses import asdict, replace

import pytest

from app.errors import InputError
from app.evaluation.results import CitedSentence, ComparisonResult, Passage, from_json
from tests.support.comparisons import RUN, answer

ANSWER = answer(
    "auto",
    1.0,
    evidence=(Passage(1, "ferry.md", "", "It leaves at 9:30."),),
    citations=(CitedSentence("At 9:30.", 1, "ferry.md", "", True),),
    facts_found=(0,),
    facts_expected=1,
)
RESULT = replace(RUN, answers=(ANSWER,))


def test_a_result_comes_back_from_its_json() -> None:
    assert from_json(ComparisonResult, json.loads(json.dumps(asdict(RESULT)))) == RESULT


def test_what_a_later_program_adds_is_left_out_and_what_an_earlier_one_lacks_has_its_default() -> None:
    value = asdict(RESULT)
    value["models"][0]["colour"] = "blue"
    del value["in_turns"]

    assert from_json(ComparisonResult, value) == RESULT


@pytest.mark.parametrize("value", [[], "x", {}, {**asdict(RESULT), "rounds": "two"}, {**asdict(RESULT), "models": 1}])
def test_another_file_is_no_result(value: object) -> None:
    with pytest.raises(InputError, match="no result of escalator compare"):
        from_json(ComparisonResult, value)


def test_a_later_version_is_named() -> None:
    with pytest.raises(InputError, match="of version 2"):
        from_json(ComparisonResult, asdict(RESULT) | {"version": 2})


def test_answers_of_a_contender_are_without_those_that_failed() -> None:
    result = replace(RESULT, answers=(ANSWER, replace(ANSWER, round=2, error="The server is gone.")))

    assert result.of("auto") == (ANSWER,)
