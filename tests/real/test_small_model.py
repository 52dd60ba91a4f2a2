"""The whole way on a genuine small model, SmolLM2-135M: what holds whatever it writes.

One runtime serves it, once with its own context of 8,192 tokens and once with 2,048. Prompts and answers are short, as
two cores read about 150 tokens of a prompt in a second.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from app.answering.events import AttemptEnded, Event, Finished, Progress, Token
from app.answering.pipeline import Assistant
from app.answering.prompt import Prompt
from app.answering.turn import Answer, Attempt, Turn
from app.retrieval.search import Exchange
from app.settings import ROOT, Settings
from tests.support import scripted
from tests.support.runtime import LARGE, cpu_seconds, held, pid_of, settings_for

CACHE = os.environ.get("ESCALATOR_REAL_MODEL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CACHE, reason="needs ESCALATOR_REAL_MODEL, which tests.support.real_model makes"),
]

QUESTIONS = [each["question"] for each in json.loads((ROOT / "app/ui/starters.json").read_text(encoding="utf-8"))]

GERMAN = "Wann hat der Betriebsrat bei einem lokalen Assistenten mitzubestimmen?"

FORGETFUL = "smollm2-2048"
"""The alias of the model that takes 2,048 tokens at most."""

MARKUP = ("<|", "|>", "<passages", "</passages", "\nQuestion:", "system\n", "user\n", "assistant\n")
"""Template tokens, the words that are left of them, and what surrounds documents and question in the prompt."""


@dataclass(frozen=True)
class Models:
    """A model cache with SmolLM2 as the small model and a scripted large one."""

    cache: Path

    def settings(self, **over: object) -> Settings:
        short = {"small": "smollm2-135m", "evidence_tokens": 200, "max_tokens": 48, "stall_seconds": 60.0}
        return settings_for(self.cache, ROOT / "corpus", **(short | over))

    @property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(next(self.cache.glob("local/*/tokenizer.json"))))


def forgetful(cache: Path) -> None:
    """Add the model anew to a cache, under another name and with a context of 2,048 tokens."""
    [folder] = cache.glob("local/*")
    copy = shutil.copytree(folder, cache / "local" / FORGETFUL, copy_function=os.link)
    catalogue = json.loads((cache / "foundry.modelinfo.json").read_text(encoding="utf-8"))
    entry = next(it for it in catalogue["models"] if it["alias"] == "smollm2-135m")
    named = {"id": f"{FORGETFUL}-generic-cpu:1", "name": f"{FORGETFUL}-generic-cpu", "alias": FORGETFUL}
    catalogue["models"].append({**entry, **named})
    config = json.loads((copy / "genai_config.json").read_text(encoding="utf-8"))
    config["model"]["context_length"] = config["search"]["max_length"] = 2048
    written = {
        cache / "foundry.modelinfo.json": catalogue,
        copy / "genai_config.json": config,
        copy / "inference_model.json": {"Name": named["id"]},
    }
    for path, content in written.items():
        path.unlink()  # it may be a link to the file of another
        path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """A cache with the genuine model's files, linked, and a large model that recites."""
    cache = tmp_path_factory.mktemp("real") / "cache"
    shutil.copytree(CACHE, cache, copy_function=os.link, ignore=shutil.ignore_patterns("*.gguf", "*.json"))
    for path in Path(CACHE).rglob("*.json"):
        shutil.copy(path, cache / path.relative_to(CACHE))
    forgetful(cache)
    scripted.make(cache, LARGE)
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


async def leave(settings: Settings, question: str) -> list[Event]:
    """Ask, and stop at the first word of the answer; return the events until then."""
    assistant = Assistant(settings)
    events: list[Event] = []
    try:
        async with aclosing(assistant.answer(Turn(question, mode="small"))) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, Token):
                    break
    finally:
        await assistant.close()
    return events


def small(answer: Answer) -> Attempt:
    return next(each for each in answer.attempts if each.role == "small")


def assert_sound(answer: Answer, models: Models) -> None:
    """Check what must hold of every answer, whatever a model wrote."""
    draft = small(answer)
    assert draft.failure is None
    assert draft.metrics.first_token_ms is not None
    assert answer.decision is not None
    assert answer.decision.why
    assert answer.escalated == (
        answer.decision.escalate and answer.attempt is not None and answer.attempt.role == "large"
    )
    assert answer.escalated or answer.text == draft.text
    special = [token.content for token in models.tokenizer.get_added_tokens_decoder().values() if token.special]
    for text in (draft.text, answer.text, answer.rendered):
        assert not [mark for mark in (*MARKUP, *special) if mark in text]
    known = {item.number: item for item in answer.evidence}
    for citation in answer.citations:
        if citation.number is None:
            assert not citation.supported
            continue
        item = known[citation.number]
        assert citation.file == item.file
        assert citation.start is not None
        assert citation.end is not None
        span = item.text[citation.start - item.start : citation.end - item.start].lower()
        words = [word for word in citation.sentence.lower().split() if len(word) > 2 and word.isalpha()]
        assert any(word in span for word in words) or not words, f"{citation.sentence!r} has no word of {span!r}"
    assert answer.rendered.strip()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_sample_question_is_answered_judged_and_cited(real: Models, question: str) -> None:
    answer, events = await ask(real.settings(), Turn(question))

    assert_sound(answer, real)
    told = [*takewhile(lambda event: not isinstance(event, AttemptEnded), events)]
    pieces = [event.text for event in told if isinstance(event, Token)]
    draft = small(answer)
    assert len(pieces) > 1
    assert draft.text.strip() in "".join(pieces)
    assert (draft.metrics.first_token_ms or 0) < (draft.metrics.total_ms or 0)
    if question == GERMAN:
        assert answer.evidence[0].file == "modelle-im-unternehmen.md"


async def test_a_follow_up_is_asked_with_the_conversation_in_the_models_own_template(real: Models) -> None:
    before = Exchange("Which port did older guides use for Foundry Local?", "Older guides used the port 5273 [1].")
    answer, _ = await ask(real.settings(), Turn("Why does it change?", history=(before,)))

    assert_sound(answer, real)
    assert answer.evidence[0].file == "foundry-local-setup.md"
    messages = Prompt("Why does it change?", answer.evidence[: small(answer).passages], (before,)).messages()
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    turns = [f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages]
    expected = len(real.tokenizer.encode("".join(turns) + "<|im_start|>assistant\n").ids)
    assert small(answer).metrics.prompt_tokens == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(("alias", "context", "most"), [("smollm2-135m", "8,192", 7_700), (FORGETFUL, "2,048", 1_600)])
async def test_a_prompt_beyond_the_context_is_asked_with_fewer_passages_and_stop_frees_the_model(
    real: Models, alias: str, context: str, most: int
) -> None:
    long = real.settings(small=alias, evidence_tokens=700, max_tokens=most, large_max_tokens=most)
    events = await leave(long, "Explain how BM25 keeps long documents from winning.")

    told = [event.text for event in events if isinstance(event, Progress)]
    assert f"{alias} takes {context} tokens at most; it gets fewer passages." in told
    assert isinstance(events[-1], Token)
    used = cpu_seconds(pid_of(real.cache))
    await asyncio.sleep(1.0)
    assert cpu_seconds(pid_of(real.cache)) - used < 0.5, "the model goes on writing"
    if alias == FORGETFUL:
        answer, _ = await ask(real.settings(small=alias, max_tokens=16), Turn("What is a token?", mode="small"))
        assert small(answer).failure is None
