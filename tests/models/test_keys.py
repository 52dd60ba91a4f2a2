"""A key goes to the addresses of its own setting, and nothing that a person or a file gets to see has it."""

import asyncio
import logging
import traceback
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.answering.events import Finished
from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.answering.usage import Prices
from app.doctor import _given, lines, markdown
from app.errors import ModelError
from app.evaluation.compare import Comparison
from app.evaluation.datasets import Question
from app.evaluation.plan import Plan
from app.evaluation.summary import document
from app.settings import Settings
from app.ui.comparison import report
from app.ui.turn_view import _record
from tests.models.test_discovery import Elsewhere, Here
from tests.support.runtime import settings_for
from tests.support.servers import Asked, reply

CANARY = "canary"
KEYS = {name: f"sk-{CANARY}-{name}" for name in ("api_key", "small_key", "large_key", "gateway_key")}


def refused(asked: Asked) -> bytes:
    """The answer of a server that repeats the key."""
    key = asked.headers["authorization"]
    return reply(401, {"error": {"message": f"Incorrect key provided: {key}. {key.removeprefix('Bearer ')}"}})


@pytest.mark.slow
async def test_no_key_is_shown_anywhere(
    corpus: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "app")
    seen: list[Any] = []
    async with Here("little") as small, Elsewhere("big") as large, Elsewhere("big") as broken:
        ends = {"small": "little", "large": "big", "small_endpoint": small.url, "large_endpoint": large.url}
        settings: Settings = settings_for(corpus=corpus, retries=0, **ends, **KEYS)
        broken.answers["/v1/chat/completions"] = refused
        assistant = Assistant(settings, patience=None)
        failing = Assistant(settings.model_copy(update={"large_endpoint": broken.url}), patience=None)
        for each in (assistant, failing):
            async with aclosing(each.answer(Turn("When does the ferry leave?", mode="large"))) as stream:
                seen += [event async for event in stream]
            answer = next(it.answer for it in reversed(seen) if isinstance(it, Finished))
            made = await asyncio.to_thread(report, answer, Prices.parse(settings.prices))
            seen += [_record(answer, None), made]
            seen += [each.models.__dict__, {name: it.__dict__ for name, it in each.models.endpoints.items()}]
            seen += [await each.models.ready("big", role="large"), await each.models.openai(answer_service(each))]
        try:
            await failing.models.endpoints["large"].server()
            await failing.models.ready("unknown", role="large")
        except ModelError as error:
            seen += [error, *traceback.TracebackException.from_exception(error, capture_locals=True).format()]
        comparison = Comparison(settings, Plan((Question("1", "Hello?"),), 1), seen.append, lambda what, *_: None)
        await comparison.measure()
        seen += [await asyncio.to_thread(lambda: document(comparison.result()))]
        await assistant.close()
        await failing.close()
    given = await asyncio.to_thread(lambda: [*_given(settings)])
    told = {"checks": [], "settings": [it | {"source": "environment"} for it in given]}
    seen += [
        told,
        *lines(told),
        *(await asyncio.to_thread(lambda: [*markdown(told, settings)])),
        settings,
        settings.model_dump(),
        settings.hidden(str(KEYS)),
    ]
    text = "\n".join([*map(repr, seen), *map(str, seen), caplog.text, *capsys.readouterr()])
    assert "hidden" in text
    assert "When does the ferry leave?" in text
    assert CANARY not in text
    for server, key in ((small, "small_key"), (large, "large_key"), (broken, "large_key")):
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEYS[key]}"}


def answer_service(assistant: Assistant) -> Any:
    """The address of the large model."""
    return assistant.models.endpoints["large"].service
