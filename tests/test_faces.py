"""Chat, command line, gateway and MCP are four views of one turn: behind all of them are the same events."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import chainlit as cl
import pytest
from chainlit.context import context_var, init_ws_context
from chainlit.session import WebsocketSession

from app.answering import events
from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.cli import commands
from app.mcp import Tools
from app.ui import conversation
from tests.support.corpora import FERRY
from tests.support.gateway import QUESTION, Models, opened
from tests.support.runtime import settings_for


class Tapped(Assistant):
    """An assistant that notes the events that it gives."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seen: list[events.Event] = []

    def answer(self, turn: Turn) -> AsyncGenerator[events.Event, None]:
        return self._noted(super().answer(turn))

    async def _noted(self, stream: AsyncGenerator[events.Event, None]) -> AsyncGenerator[events.Event, None]:
        self.seen = []
        try:
            async for event in stream:
                self.seen.append(event)
                yield event
        finally:
            await stream.aclose()

    @property
    def told(self) -> list[tuple[object, ...]]:
        """What the turn told, without times; pieces of a text as one."""
        told = filter(None, map(essence, self.seen))
        return [each for each, _ in groupby(told)]


def essence(event: events.Event) -> tuple[object, ...]:
    """What an event says, but for times; nothing for sentences about a wait."""
    match event:
        case events.Progress() | events.Previewed():
            return ()
        case events.Started(turn):
            return "started", turn.question, turn.history, turn.mode, turn.unaided
        case events.Retrieved(_, evidence):
            return "retrieved", evidence
        case events.AttemptEnded(attempt):
            return "ended", attempt.role, attempt.text, attempt.finish
        case events.Finished(answer):
            return "finished", answer.rendered, answer.decision, answer.notices, answer.citations
        case events.Token(id):
            return "Token", id
        case _:
            return type(event).__name__, event


async def in_the_chat(assistant: Tapped, monkeypatch: pytest.MonkeyPatch) -> None:
    async def emit(*_: Any) -> None:
        pass

    monkeypatch.setattr(conversation, "shared_assistant", cache(lambda: assistant))
    session = WebsocketSession("tab", "socket", emit, emit, {}, "webapp")
    token = context_var.set(init_ws_context(session))
    try:
        await conversation.Conversation.current().ask(cl.Message(QUESTION))
    finally:
        context_var.reset(token)
        await session.delete()


@pytest.mark.slow
async def test_all_faces_are_behind_the_same_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # Chainlit's messages sleep for a millisecond.
    request.getfixturevalue("_nothing_blocks").functions["time.sleep"].deactivate()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "ferry.md").write_text(FERRY, encoding="utf-8")
    told: dict[str, list[tuple[object, ...]]] = {}
    async with Models() as models:
        models.small = "I do not know."
        settings = settings_for(None, corpus, endpoint=models.url)
        assistant = Tapped(settings, patience=None)
        async with opened(settings, models, assistant) as client:
            faces: dict[str, Callable[[], Awaitable[object]]] = {
                "gateway": client.complete,
                "stream": client.chunks,
                "mcp": lambda: Tools(assistant, lambda _: None).ask(QUESTION),
                "chat": lambda: in_the_chat(assistant, monkeypatch),
                "command line": lambda: commands._ask(assistant, Turn(QUESTION), as_json=True),  # which closes it
            }
            for name, ask in faces.items():
                assistant.seen = []
                await ask()
                told[name] = assistant.told

    kinds = (
        "started retrieved AttemptStarted Token ended Judged Escalated AttemptStarted Token ended Cited finished"
    ).split()
    assert [kind for kind, *_ in told["gateway"]] == kinds
    for name in faces:
        assert told[name] == told["gateway"], name
