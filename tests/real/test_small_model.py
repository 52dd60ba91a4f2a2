"""The whole way on a genuine small model, SmolLM2-135M: what holds whatever it writes."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.answering.events import Event, Finished, Progress, Token
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Attempt, Turn
from app.retrieval.search import Exchange
from app.settings import ROOT, Settings
from tests.support import scripted
from tests.support.runtime import LARGE, held, settings_for

CACHE = os.environ.get("ESCALATOR_REAL_MODEL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CACHE, reason="needs ESCALATOR_REAL_MODEL, which tests.support.real_model makes"),
]

QUESTIONS = [each["question"] for each in json.loads((ROOT / "app/ui/starters.json").read_text(encoding="utf-8"))]

MARKUP = ("<|im_", "<|endoftext|>", "<passages", "</passages", "<jupyter", "<repo_name>", "system\n", "assistant\n")
"""Tokens of its template and of its training, and the fence of the prompt: nobody should read any of it."""


@dataclass(frozen=True)
class Models:
    """A model cache with SmolLM2 as the small model and a scripted large one."""

    cache: Path

    def settings(self, **over: object) -> Settings:
        return settings_for(self.cache, ROOT / "corpus", small="smollm2-135m", stall_seconds=60.0, **over)


def cached(folder: Path) -> Path:
    """Return a cache with the genuine model's files, linked, and a large model that recites."""
    shutil.copytree(CACHE, folder, copy_function=os.link, ignore=shutil.ignore_patterns("*.gguf", "*.json"))
    for path in Path(CACHE).rglob("*.json"):
        shutil.copy(path, folder / path.relative_to(CACHE))
    return scripted.make(folder, LARGE)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    models = Models(cached(tmp_path_factory.mktemp("real") / "cache"))
    with held(models.cache):
        yield models


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Models]:
    """A model that takes 2,048 tokens at most."""
    cache = cached(tmp_path / "cache")
    [config] = cache.glob("local/*/genai_config.json")
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["model"]["context_length"] = settings["search"]["max_length"] = 2048
    config.write_text(json.dumps(settings), encoding="utf-8")
    with held(cache):
        yield Models(cache)


async def ask(settings: Settings, turn: Turn) -> tuple[Answer, list[Event]]:
    assistant = Assistant(settings)
    try:
        async with aclosing(assistant.answer(turn)) as stream:
            events = [event async for event in stream]
    finally:
        await assistant.close()
    assert isinstance(events[-1], Finished)
    return events[-1].answer, events


def small(answer: Answer) -> Attempt:
    return next(each for each in answer.attempts if each.role == "small")


def assert_sound(answer: Answer) -> None:
    """Check what must hold of every answer, whatever a model wrote."""
    draft = small(answer)
    assert draft.failure is None
    assert draft.metrics.first_token_ms is not None
    assert (draft.metrics.prompt_tokens or 0) > 100
    assert answer.decision is not None
    assert answer.escalated == (
        answer.decision.escalate and answer.attempt is not None and answer.attempt.role == "large"
    )
    for text in (draft.text, answer.text, answer.rendered):
        assert not [mark for mark in MARKUP if mark in text]
    known = {item.number: item for item in answer.evidence}
    for citation in answer.citations:
        assert citation.number is None or citation.file == known[citation.number].file
    assert answer.rendered.strip()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_sample_question_is_answered_judged_and_cited(real: Models, question: str) -> None:
    answer, events = await ask(real.settings(), Turn(question))

    assert_sound(answer)
    assert any(isinstance(event, Token) for event in events)
    assert answer.escalated or (answer.decision is not None and not answer.decision.escalate)


async def test_a_follow_up_is_asked_with_the_conversation(real: Models) -> None:
    before = Exchange("Which port did older guides use for Foundry Local?", "Older guides used the port 5273 [1].")
    answer, _ = await ask(real.settings(), Turn("Why does it change?", history=(before,)))

    assert_sound(answer)
    assert answer.evidence[0].file == "foundry-local-setup.md"


async def test_a_prompt_beyond_the_models_context_is_asked_with_fewer_passages(forgetful: Models) -> None:
    question = "Summarise workshop-handbook.pdf"
    answer, events = await ask(forgetful.settings(evidence_tokens=4000), Turn(question, mode="small"))

    assert small(answer).failure is None
    assert [event for event in events if isinstance(event, Progress) and "fewer passages" in event.text]


async def test_leaving_an_answer_frees_the_model_for_the_next_question(real: Models) -> None:
    assistant = Assistant(real.settings())
    try:
        async with aclosing(assistant.answer(Turn("Explain what BM25 is.", mode="small"))) as stream:
            async for event in stream:
                if isinstance(event, Token):
                    break
    finally:
        await assistant.close()

    answer, _ = await ask(real.settings(max_tokens=20), Turn("What is a token?", mode="small"))

    assert small(answer).failure is None
