"""Every fault of a model server at every stage of a turn: an error with its remedy, or another try; nothing is lost."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import openai
import pytest

from app.answering.events import Failed, Finished
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Turn
from app.models import server
from app.settings import Settings
from app.web.application import application
from tests.support.corpora import FERRY
from tests.support.runtime import settings_for
from tests.support.servers import EVENTS, Asked, Fault, FaultProxy, chunk, events, is_completion, reply

pytestmark = pytest.mark.slow

SECONDS = 0.25
"""The longest silence that is allowed where a fault is one."""

PATIENCE = 10.0
"""A turn that takes longer hangs; the first one imports what is heavy."""

QUESTION, FOREIGN = "When does the ferry leave?", "Wann fährt die Fähre vom alten Hafen ab?"
GOOD, LARGE, UNSURE = "The ferry leaves at 9:30 [1].", "It leaves at 9:30 from the old harbour [1].", "I do not know."
MORE = "Tickets are sold on board [1]."
QUOTE = "The ferry leaves at 9:30 from the old harbour."

PADDING = " " * 600
WITHOUT_END = events(*(chunk(f"Word {number} ") for number in range(4)), done=False)

REMEDY = re.compile(r"[Aa]sk again|[Aa]sk a shorter|[Ss]et |[Cc]orrect |[Ss]tart |[Cc]hoose |escalator doctor")
"""What a sentence about a fault must say, too."""


@dataclass(frozen=True)
class Row:
    """A fault, and what is said of it: by who looks for models, by who loads one, and by who asks one."""

    fault: Fault
    finding: str | None
    loading: str | None
    asking: str | None
    again: bool = False
    """Whether the model is asked a second time."""

    @property
    def patience(self) -> float:
        """The longest silence that is allowed."""
        return SECONDS if self.fault.delay or self.fault.how in ("stall", "drip") else PATIENCE


NOBODY, LOST, REFUSED = "nothing answers", "was lost while it loaded", "could not be loaded"
NO_SERVER, WHICH = "is not a model server", "does not tell which"

FAULTS = {
    "bad request": Row(Fault(status=400), NO_SERVER, REFUSED, "did not accept the request (400)"),
    "wrong key": Row(Fault(status=401), "API_KEY", REFUSED, "API_KEY"),
    "unknown path": Row(Fault(status=404), NO_SERVER, "There is no model", "did not accept the request (404)"),
    "busy": Row(Fault(status=429), None, REFUSED, "is busy (429)", again=True),
    "busy for a moment": Row(
        Fault(status=429, headers={"Retry-After": "0.02"}), None, REFUSED, "is busy (429)", again=True
    ),
    "accident": Row(Fault(status=500), None, REFUSED, "failed (500)", again=True),
    "unavailable": Row(Fault(status=503), None, REFUSED, "failed (503)", again=True),
    "elsewhere": Row(
        Fault(status=302, headers={"location": "http://192.0.2.1/"}),
        NO_SERVER, REFUSED, "did not accept the request (302)",
    ),
    "cut at once": Row(Fault(how="cut"), NOBODY, LOST, "refused or lost", again=True),
    "cut": Row(Fault(how="cut", after=500), NOBODY, LOST, "without a finish reason"),
    "reset at once": Row(Fault(how="reset"), NOBODY, LOST, "refused or lost", again=True),
    "reset": Row(Fault(how="reset", after=500), NOBODY, LOST, "refused or lost"),
    "silent at once": Row(Fault(how="stall"), NOBODY, LOST, "did not begin to answer"),
    "silent": Row(Fault(how="stall", after=500), NOBODY, LOST, "stopped for"),
    "dripping": Row(Fault(how="drip", after=500), NOBODY, LOST, "stopped for"),
    "late": Row(Fault(delay=60), NOBODY, LOST, "did not begin to answer"),
    "trickling": Row(Fault(pace=0.001), None, None, None),
    "broken JSON": Row(
        Fault(raw=EVENTS + b'data: {"choices":[{"delta":{"content":"x\n\n'), NO_SERVER, WHICH, "a broken event"
    ),
    "odd shape": Row(Fault(raw=events({"choices": [7]})), NO_SERVER, WHICH, "a broken event"),
    "error event": Row(Fault(raw=events({"error": {"message": "out of luck"}})), NO_SERVER, WHICH, "out of luck"),
    "no end": Row(Fault(raw=WITHOUT_END), NO_SERVER, WHICH, "without a finish reason"),
    "empty": Row(Fault(raw=EVENTS), NO_SERVER, WHICH, "empty answer"),
    "a page": Row(Fault(raw=reply(200, "<html>Sign in</html>")), NO_SERVER, WHICH, "empty answer"),
}  # fmt: skip


class Models(FaultProxy):
    """A server as Foundry Local is, with two models that are not loaded yet; its answers are longer than a fault."""

    def __init__(self, spoils: Callable[[Asked], bool]) -> None:
        super().__init__("", None, spoils)
        self.loaded: list[str] = []
        self.small = GOOD

    async def _answer(self, asked: Asked, most: int) -> AsyncGenerator[bytes, None]:
        answer = self._says(asked) if is_completion(asked) else self._knows(asked.path)
        for start in range(0, len(answer), most):
            yield answer[start : start + most]

    def _knows(self, path: str) -> bytes:
        parent, name = path.rsplit("/", 1)
        if path == "/v1/models":
            return reply(200, json.dumps({"data": [{"id": "phi-4-mini"}, {"id": "gpt-oss-20b"}]}) + PADDING)
        if parent == "/models/load":
            self.loaded.append(name)
        return reply(200, json.dumps(self.loaded) + PADDING) if parent.startswith("/models") else reply(404)

    def _says(self, asked: Asked) -> bytes:
        said = self.small if asked.data["model"] == "phi-4-mini" else LARGE
        if for_words(asked):
            said = "ferry old harbour leaves"
        elif asked.data["messages"][-1]["content"].startswith("Your answer broke off"):
            said = MORE
        return events(*(chunk(f"{word} ") for word in said.split(" ")), chunk(finish="stop"))


def for_words(asked: Asked) -> bool:
    """Whether search words are asked for."""
    return is_completion(asked) and asked.data["messages"][0]["content"].startswith("Translate")


def of_model(name: str) -> Callable[[Asked], bool]:
    """Choose the requests for an answer of this model."""
    return lambda asked: is_completion(asked) and not for_words(asked) and asked.data["model"] == name


@dataclass
class House:
    """An assistant, the models that it asks, and its settings."""

    assistant: Assistant
    models: Models
    settings: Settings

    async def ask(self, question: str = QUESTION, **turn: object) -> tuple[Answer, str]:
        """Ask; the answer, and what is said to have failed."""
        failed = ""
        async with asyncio.timeout(PATIENCE), aclosing(self.assistant.answer(Turn(question, **turn))) as stream:  # type: ignore[arg-type]
            async for event in stream:
                failed = str(event.error) if isinstance(event, Failed) else failed
        assert isinstance(event, Finished)
        return event.answer, failed

    async def says(self, question: str) -> tuple[str, str]:
        """Ask; the text of the answer, and what is said to have failed."""
        answer, failed = await self.ask(question)
        return answer.text.strip(), failed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that is read once."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "corpus").mkdir()
    (folder / "corpus" / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


@asynccontextmanager
async def opened(folder: Path, spoils: Callable[[Asked], bool], row: Row) -> AsyncIterator[House]:
    """Open a house in which these requests can be spoiled, with the patience for a fault."""
    async with Models(spoils) as models:
        waits = dict.fromkeys(("first_token_seconds", "stall_seconds"), row.patience)
        settings = settings_for(None, folder / "corpus", state_dir=folder / "state", endpoint=models.url, **waits)
        assistant = Assistant(settings, patience=None)
        try:
            yield House(assistant, models, settings)
        finally:
            await assistant.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What no setting shortens, too."""
    patience = FAULTS[name].patience
    for limit in ("PROBE_SECONDS", "LOAD_SECONDS"):
        monkeypatch.setattr(server, limit, patience)
    monkeypatch.setattr(server.Client.get, "__defaults__", (patience,))
    without_certificates = partial(openai.DefaultAsyncHttpxClient, verify=False)
    monkeypatch.setattr(openai, "DefaultAsyncHttpxClient", without_certificates)


@dataclass(frozen=True)
class Stage:
    """A part of a turn: which requests belong to it, and what stands on the screen if they fail for good."""

    spoils: Callable[[Asked], bool]
    kept: str
    asks: str = QUESTION
    small: str = GOOD
    """What the small model says."""
    fine: str = GOOD
    """The answer if nothing fails."""


STAGES = {
    "finding": Stage(lambda asked: asked.path in ("/models/loaded", "/v1/models"), QUOTE),
    "loading": Stage(lambda asked: asked.path.startswith("/models/load/"), QUOTE),
    "search words": Stage(for_words, "Nothing in your documents matches this question", asks=FOREIGN),
    "draft": Stage(of_model("phi-4-mini"), LARGE),
    "large answer": Stage(of_model("gpt-oss-20b"), UNSURE, small=UNSURE, fine=LARGE),
    "both answers": Stage(lambda asked: is_completion(asked) and not for_words(asked), ""),
}


EACH = pytest.mark.parametrize("name", FAULTS)


@EACH
@pytest.mark.parametrize("stage", STAGES)
async def test_a_turn_ends_with_what_there_is_and_a_sentence_and_the_next_one_is_answered(
    name: str, stage: str, folder: Path
) -> None:
    row, at = FAULTS[name], STAGES[stage]
    said = {"finding": row.finding, "loading": row.loading}.get(stage, row.asking)
    async with opened(folder, at.spoils, row) as house:
        house.models.small = at.small
        house.models.fault = row.fault
        answer, failed = await house.ask(at.asks)
        if stage == "draft" and said is not None:  # the large model has answered in its place
            failed = str(answer.attempts[0].failure)
        if said is None:
            assert (answer.text.strip(), failed) == (at.fine, "")
        else:
            assert said in failed
            assert REMEDY.search(failed)
            assert at.kept in answer.rendered
            assert answer.rendered.strip()

        if row.again and said == row.asking:
            house.models.fault = replace(row.fault, times=1)
            assert await house.says(at.asks) == (at.fine, "")
        house.models.fault = None
        assert await house.says(at.asks) == (at.fine, "")


@EACH
async def test_an_answer_that_is_to_go_on_is_kept_and_goes_on_later(name: str, folder: Path) -> None:
    row = FAULTS[name]
    async with opened(folder, of_model("phi-4-mini"), row) as house:
        begun, _ = await house.ask()
        house.models.fault = row.fault
        answer, failed = await house.ask(earlier=begun, continues=True)

        assert answer.text.startswith(GOOD)
        assert (row.asking or "") in failed
        house.models.fault = None
        after, nothing = await house.ask(earlier=answer, continues=True)
        assert (after.text.strip(), nothing) == (f"{GOOD} {MORE}", "")


@EACH
async def test_a_side_call_of_the_gateway_is_refused_with_the_sentence(
    name: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = FAULTS[name]
    asks = {"model": "escalator", "messages": [{"role": "user", "content": "### Task:\nName this conversation."}]}
    async with opened(folder, is_completion, row) as house:

        async def shared() -> Assistant:
            return house.assistant

        transport = httpx.ASGITransport(application(house.settings, shared))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            house.models.fault = row.fault
            async with asyncio.timeout(PATIENCE):
                refused = await client.post("/v1/chat/completions", json=asks)
                streamed = await client.post("/v1/chat/completions", json=asks | {"stream": True})
            house.models.fault = None
            after = await client.post("/v1/chat/completions", json=asks)
    assert after.json()["choices"][0]["message"]["content"].startswith(GOOD.removesuffix(" [1]."))
    if row.asking is None:
        assert refused.status_code == streamed.status_code == 200
    else:
        assert refused.status_code in ({429} if "busy" in name else {503, 200})  # 200 with a part of the answer
        assert row.asking in refused.text
        assert row.asking in streamed.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
