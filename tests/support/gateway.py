"""A gateway in the test's own event loop, before a model server whose every word is known."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.answering.pipeline import Assistant
from app.guard import Guard
from app.settings import LOOPBACK, Settings
from app.web.application import application
from tests.support.runtime import settings_for
from tests.support.servers import EVENTS, Asked, Canned, chunk, events, reply

GOOD = "The ferry leaves at 9:30 from the old harbour [1]."
QUESTION = "When does the ferry leave?"
ORIGIN = "http://127.0.0.1:8001"

Data = dict[str, Any]


def spoken(text: str, finish: str = "stop") -> bytes:
    """A model's answer word by word, with 100 tokens of prompt and one for each word."""
    words = [f"{word} " for word in text.split(" ")]
    usage = {"prompt_tokens": 100, "completion_tokens": len(words), "total_tokens": 100 + len(words)}
    return events(*map(chunk, words), chunk(finish=finish), chunk() | {"choices": [], "usage": usage})


class Models(Canned):
    """A server with both models; `small` and `large` are what they answer, a str in words, bytes as they are."""

    small: str | bytes | None = GOOD
    large: str | bytes = "The large model says: the ferry leaves at 9:30 [1]."

    def __init__(self) -> None:
        listed = reply(200, {"data": [{"id": "phi-4-mini"}, {"id": "gpt-oss-20b"}]})
        self.begun, self.left = asyncio.Event(), asyncio.Event()
        super().__init__({"/v1/models": listed, "/v1/chat/completions": self._say})

    @property
    def prompts(self) -> list[Data]:
        """The bodies of the requests for completions."""
        return [asked.data for asked in self.asked if asked.path.endswith("/chat/completions")]

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Write an answer; one that is None goes on until nobody reads it, which `left` says."""
        if asked.path.endswith("/chat/completions") and self.small is None:
            writer.write(EVENTS)
            self.begun.set()
            try:
                for number in itertools.count():
                    writer.write(f"data: {json.dumps(chunk(f'It leaves at {number}. '))}\n\n".encode())
                    await writer.drain()
                    await asyncio.sleep(0.01)
            finally:
                self.left.set()
        await super().respond(asked, writer)

    def _say(self, asked: Asked) -> bytes:
        said = self.small if asked.data["model"] == "phi-4-mini" else self.large
        return spoken(said) if isinstance(said, str) else said or b""


class Client(httpx.AsyncClient):
    """Sends requests for completions to a gateway."""

    models: Models
    assistant: Assistant
    app: Any

    async def complete(self, question: str = QUESTION, headers: Data | None = None, **body: Any) -> httpx.Response:
        """Ask for a completion; `body` are further fields, or other messages."""
        asked = {"model": "escalator", "messages": [{"role": "user", "content": question}]} | body
        return await self.post("/v1/chat/completions", json=asked, headers=headers)

    async def chunks(self, question: str = QUESTION, headers: Data | None = None, **body: Any) -> list[Data]:
        """Ask for a stream; its chunks, behind which [DONE] came."""
        response = await self.complete(question, headers, stream=True, **body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        *lines, done, empty = response.text.split("\n\n")
        assert (done, empty) == ("data: [DONE]", "")
        return [json.loads(line.removeprefix("data: ")) for line in lines]


def text_of(chunks: list[Data]) -> str:
    """The text that the chunks of a stream make."""
    return "".join(part["delta"].get("content") or "" for each in chunks for part in each["choices"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with two documents."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(
        "# The ferry\n\nThe ferry leaves at 9:30 from the old harbour. Tickets are sold on board.\n", encoding="utf-8"
    )
    (folder / "boat *house*.md").write_text("# Boats\n\nThe boat house opens at 8:00.\n", encoding="utf-8")
    return folder


@asynccontextmanager
async def opened(settings: Settings, models: Models, own: Assistant | None = None) -> AsyncIterator[Client]:
    """A gateway with these settings, and a client of it."""
    assistant = own or Assistant(settings, patience=None)

    async def shared() -> Assistant:
        return assistant

    app = Guard(application(settings, shared), lambda: LOOPBACK)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with Client(transport=transport, base_url=ORIGIN) as client:
            client.models, client.assistant, client.app = models, assistant, app
            yield client
    finally:
        await assistant.close()


@pytest.fixture
def gateway_with(corpus: Path) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """Opens a gateway with the given settings."""

    @asynccontextmanager
    async def open_it(**over: Any) -> AsyncIterator[Client]:
        async with (
            Models() as models,
            opened(settings_for(None, corpus, **{"endpoint": models.url} | over), models) as client,
        ):
            yield client

    return open_it


@pytest.fixture
async def gateway(gateway_with: Callable[..., AbstractAsyncContextManager[Client]]) -> AsyncIterator[Client]:
    """A gateway without a key."""
    async with gateway_with() as client:
        yield client
