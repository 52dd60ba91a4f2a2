"""The same prompt to two models: what is measured of each, what a failure of one leaves, and what is printed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.compare import Comparison
from app.evaluation.datasets import Question
from app.evaluation.plan import Plan
from app.evaluation.summary import document
from app.models.server import ignore
from app.settings import Settings
from tests.support.runtime import LARGE, SMALL, settings_for
from tests.support.scripted import Script
from tests.support.servers import Fault, FaultProxy
from tests.support.terminal import escalator

THOUGHTS = "The hours of the ferry are wanted."


async def compare(settings: Settings, prompt: str, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Ask both models of the settings the same prompt; return what `escalator compare --json` prints."""
    comparison = Comparison(settings, Plan((Question("1", prompt),), rounds), tell, lambda what, *_: tell(what))
    await comparison.measure()
    return document(comparison.result())


@pytest.mark.slow
async def test_both_models_answer_the_same_prompt_and_take_turns(models: Path, runtime: str) -> None:
    told: list[str] = []

    result = await compare(settings_for(models), "When does the ferry leave?", 2, told.append)

    small, large = result["models"]
    assert (small["model"], small["id"]) == ("phi-4-mini", "Phi-4-mini-instruct-generic-cpu:5")
    assert small["text"] == "The ferry leaves at 9:30 [1]."
    assert large["text"] == "The large model answers at length, from the passages [1]."
    for row in (small, large):
        assert 0 < row["first_token_ms"] <= row["total_ms"]
        assert row["load_ms"] > 0
        assert row["tokens_per_s"] > 0
        assert row["completion_tokens"] > 5
        assert row["finish"] == "stop"
    assert result["in_turns"]
    rounds = [f"{model}: round {number} of 2" for number in (1, 2) for model in ("phi-4-mini", "gpt-oss-20b")]
    assert [said for said in told if "round" in said] == rounds


async def test_a_model_that_is_not_there_leaves_the_other_its_figures(model_cache: Callable[..., Path]) -> None:
    result = await compare(settings_for(model_cache(SMALL)), "The ferry?", 1, ignore)

    small, large = result["models"]
    assert small["text"] == "The ferry leaves at 9:30 [1]."
    assert not set(large) & {"id", "load_ms", "first_token_ms", "total_ms", "tokens_per_s", "text"}
    assert "escalator models get gpt-oss-20b" in large["error"]


@pytest.mark.slow
async def test_where_memory_holds_one_at_a_time_each_model_has_its_rounds_in_a_row(
    model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 3_000)
    cache = model_cache(replace(SMALL, size_mb=2_000), replace(LARGE, size_mb=3_000))
    told: list[str] = []

    result = await compare(settings_for(cache), "The ferry?", 2, told.append)

    assert not result["in_turns"]
    assert [said.partition(":")[0] for said in told if "round" in said] == ["gpt-oss-20b"] * 2 + ["phi-4-mini"] * 2
    assert any("phi-4-mini is unloaded first" in said for said in told)
    assert [row["completion_tokens"] > 5 for row in result["models"]] == [True, True]


async def test_one_model_that_plays_both_parts_has_one_row(models: Path, runtime: str) -> None:
    result = await compare(settings_for(models, large="phi-4-mini"), "The ferry?", 1, ignore)

    assert [row["model"] for row in result["models"]] == ["phi-4-mini"]


@pytest.mark.parametrize(("retries", "answered"), [(2, True), (1, False)])
async def test_a_request_is_tried_again_as_often_as_its_own_setting_says(
    models: Path, runtime: str, retries: int, answered: bool
) -> None:
    async with FaultProxy(runtime, Fault(status=503, times=2)) as proxy:
        settings = settings_for(endpoint=proxy.url, retries=5, compare_retries=retries)
        result = await compare(settings, "The ferry?", 1, ignore)

    assert ["error" not in row for row in result["models"]] == [answered, True]
    assert answered or "failed (503)" in result["models"][0]["error"]


@pytest.mark.slow
async def test_tokens_that_a_model_thinks_are_written_too_but_are_no_first_token(
    model_cache: Callable[..., Path],
) -> None:
    thinking = Script(
        alias="thinker", say=f"<think>{THOUGHTS}</think>Yes.",
        reasoning=("<think>", "</think>"), work=100,
    )  # fmt: skip
    settings = settings_for(model_cache(SMALL, thinking), small="phi-4-mini", large="thinker")

    thought = (await compare(settings, "The ferry?", 1, ignore))["models"][1]

    assert thought["text"].strip() == "Yes."
    assert thought["first_token_ms"] > thought["total_ms"] / 2
    written = thought["total_ms"] - thought["first_token_ms"]
    assert thought["tokens_per_s"] < thought["completion_tokens"] * 1000 / max(written, 1)


def test_a_person_sees_a_table_and_what_each_said(models: Path, runtime: str, use: Callable[[Path], None]) -> None:
    use(models)

    result = escalator("compare", "When", "does", "the", "ferry", "leave?")

    assert result.exit_code == 0
    table, *texts = result.stdout.split("\n\n")
    head, small, large = table.splitlines()
    assert re.split(" {2,}", head.strip()) == ["load ms", "first token ms", "total ms", "tokens/s", "tokens"]
    assert [len(line) for line in (small, large)] == [len(head)] * 2
    assert small.startswith("phi-4-mini ")
    assert [text.strip() for text in texts] == [
        "phi-4-mini:\nThe ferry leaves at 9:30 [1].",
        "gpt-oss-20b:\nThe large model answers at length, from the passages [1].",
    ]


def test_programs_get_the_same_as_json_for_the_models_they_name(
    models: Path, runtime: str, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(models)
    monkeypatch.setenv("COMPARE_PROMPT", "Is there a ticket?")

    found = json.loads(escalator("compare", "--models", "gpt-oss-20b, phi-4-mini", "--rounds", 2, "--json").stdout)

    assert set(found) >= {"prompt", "passages", "rounds", "in_turns", "models"}
    assert (found["prompt"], found["passages"], found["rounds"]) == ("Is there a ticket?", False, 2)
    assert [row["model"] for row in found["models"]] == ["gpt-oss-20b", "phi-4-mini"]
    assert set(found["models"][1]) >= {
        "model", "id", "host", "load_ms", "first_token_ms", "total_ms", "tokens_per_s", "prompt_tokens",
        "completion_tokens", "finish", "text",
    }  # fmt: skip
    assert found["models"][1]["text"] == "Tickets are sold on board [1]."


@pytest.mark.slow
def test_with_a_folder_both_get_its_passages(
    models: Path, runtime: str, use: Callable[[Path], None], corpus: Path
) -> None:
    use(models)

    bare, grounded = (
        json.loads(escalator("compare", "The harbour?", *options, "--json").stdout)
        for options in ([], ["--corpus", corpus])
    )

    assert (bare["passages"], grounded["passages"]) == (False, True)
    assert bare["models"][0]["text"] == "I do not know."
    assert grounded["models"][0]["text"] != "I do not know."  # the passage holds the model's keywords
    assert grounded["models"][0]["prompt_tokens"] > bare["models"][0]["prompt_tokens"]


def test_nothing_is_compared_where_no_model_is(corpus: Path) -> None:
    result = escalator("compare", "The ferry?")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "escalator models get tiny" in result.stderr


def test_a_failed_side_is_named_in_the_table_with_exit_code_1(
    model_cache: Callable[..., Path], use: Callable[[Path], None]
) -> None:
    use(model_cache(SMALL))

    result = escalator("compare", "The ferry?")

    assert result.exit_code == 1
    assert "The ferry leaves at 9:30" in result.stdout
    assert "gpt-oss-20b:\nThere is no model gpt-oss-20b at 127.0.0.1:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "phi-4-mini"], "two different models, as A,B"),
        (["--models", "a,a"], "two different models, as A,B"),
        (["--models", "a,b,a"], "two different models, as A,B"),
        (["--rounds", "0"], "rounds"),
        (["x" * 9000], "9,000 characters"),
        (["Pumpkin soup?", "--corpus", "{corpus}"], "no passage for “Pumpkin soup?”"),
    ],
    ids=lambda given: " ".join(given)[:20] if isinstance(given, list) else "",
)
def test_a_wrong_command_line_is_named_with_exit_code_2(corpus: Path, arguments: list[str], says: str) -> None:
    result = escalator("compare", *(argument.format(corpus=corpus) for argument in arguments))

    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""
