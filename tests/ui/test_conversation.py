"""A conversation as one object: what it remembers."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chainlit.context import init_ws_context
from chainlit.session import WebsocketSession

from app.settings import load
from app.ui.conversation import Conversation
from app.ui.keeper import Keeper
from app.ui.screen import Screen


@pytest.fixture
async def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    keeper = Keeper(load(state_dir=tmp_path))
    monkeypatch.setattr(Keeper, "current", lambda: keeper)
    yield keeper
    await keeper.close()


async def test_the_mode_of_a_conversation_comes_back_also_while_its_screen_is_still_in_memory(keeper: Keeper) -> None:
    screen = Screen.of("a thread")  # as one that is being written
    first = Conversation("a thread")
    await first._recall()
    screen.begun, screen.choices = True, {"mode": "small", "dial": None}
    del first
    gc.collect()

    again = Conversation("a thread")
    await again._recall()

    assert again.screen is screen
    assert again.choices.mode == "small"


async def test_a_document_that_was_opened_from_the_list_is_no_change_for_the_history_when_a_screen_is_cleared() -> None:
    screen = Screen.of("another thread")
    screen.pages["opened"] = {"id": "opened"}
    screen.take("page", {"id": "cited"})

    await screen.clear("")

    assert not screen.pages
    assert [(item.id, item.data) for item in screen.changes()] == [("cited", None)]


async def test_a_tab_that_is_gone_does_not_keep_the_task_of_its_last_event_which_would_keep_the_tab(
    keeper: Keeper,
) -> None:
    async def emit(*_: object) -> None:
        """Send nothing."""

    session = WebsocketSession("a tab", "a socket", emit, emit, {}, "webapp")
    init_ws_context(session)
    session.current_task = asyncio.current_task()
    conversation = Conversation("a thread")

    conversation.disconnect()

    assert session.current_task is None
    await session.delete()
    for task in conversation._tasks:
        task.cancel()
