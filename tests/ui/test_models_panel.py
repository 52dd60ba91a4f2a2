"""The panel of models: pairs for this machine, got from a store on loopback by the SDK's own ways."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.ui.models_panel import NAME, PRESS
from tests.support.chat import App, Chat, running
from tests.support.store import LARGE, TINY, Store, offering


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with offering(tmp_path, *TINY, *LARGE) as shop:
        yield shop


@pytest.fixture
def app(store: Store, tmp_path: Path, corpus: Path) -> Iterator[App]:
    """The chat of somebody who has no model."""
    cache = {"ESCALATOR_MODEL_CACHE": str(tmp_path / "cache")}
    with running(tmp_path, corpus, **store.environment(tmp_path), **cache) as found:
        yield found


async def told(chat: Chat, **pressed: str) -> dict[str, Any]:
    found: dict[str, Any] = await chat.call({"name": PRESS, "payload": pressed})
    return found


def started(chat: Chat) -> list[str]:
    """What an empty chat was told to say of models, each time."""
    return [data["lines"][1] for name, data in chat.history if name == "window_message" and data["about"] == "start"]


async def when(chat: Chat, true: Any, seconds: float = 60) -> dict[str, Any]:
    """The panel as soon as something is true of it."""
    async with asyncio.timeout(seconds):
        while not true(found := await told(chat)):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
    return found


async def test_the_button_in_the_header_and_the_one_below_quotes_open_the_panel(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.tell(NAME)
        await chat.until(lambda: ("set_sidebar_title", NAME) in chat.history)

        await chat.ask("When does the ferry leave?")
        [action] = [action for action in chat.actions.values() if action["label"] == "Choose models for this machine"]
        chat.history.clear()
        await chat.call(action)
        await chat.until(lambda: ("set_sidebar_title", NAME) in chat.history)


async def test_before_anything_is_asked_the_pairs_are_offered_with_the_sizes_that_are_listed(
    without_models: App,
) -> None:
    async with Chat(without_models.url) as chat:
        found = await told(chat)

    assert [offer["name"] for offer in found["offers"]] == ["tiny", "standard", "large"]
    assert found["used"] == "No model is on this disk: answers are quotes from your documents."
    assert "of memory" in found["machine"]
    tiny = found["offers"][0]
    assert tiny["pair"] == "qwen2.5-0.5b, then qwen2.5-1.5b"
    assert tiny["facts"].startswith("2.8 GB to download")
    assert found["variants"] == []


@pytest.mark.slow
async def test_a_pair_is_got_with_its_progress_and_the_smaller_model_answers_meanwhile(app: App, store: Store) -> None:
    async with Chat(app.url) as chat:
        assert (await chat.ask("When does the ferry leave?"))["output"].startswith("> ")
        await told(chat, do="look")
        found = await when(chat, lambda it: not it["busy"])
        assert [one["id"] for one in found["variants"]] == sorted(
            (it.full_id for it in (*TINY, *LARGE)), key=str.casefold
        )

        store.pace = 0.02
        await told(chat, do="get", pair="tiny")
        found = await when(chat, lambda it: it["download"] and "qwen2.5-1.5b" in it["download"]["text"])
        store.stalled = True
        assert "qwen2.5-0.5b answers" in found["used"]
        assert (await chat.ask("When does the ferry leave?"))["output"].startswith("I do not know")
        store.stalled = False
        found = await when(chat, lambda it: not it["busy"])

        assert found["error"] == ""
        assert found["used"] == "qwen2.5-0.5b answers, and qwen2.5-1.5b when needed."
        assert found["offers"][0]["facts"].startswith("on this disk")
        assert started(chat)[0].startswith("No model is on this disk")
        await chat.until(lambda: started(chat)[-1].startswith(found["used"]))
        assert found["offers"][0]["button"] == ""
        assert (await chat.ask("When does the ferry leave?"))["output"].startswith("The ferry leaves at 9:30")


@pytest.mark.slow
async def test_a_download_is_cancelled_and_goes_on_later(app: App, store: Store, tmp_path: Path) -> None:
    store.pace = 0.05
    async with Chat(app.url) as chat:
        await told(chat, do="get", pair="tiny")
        await when(
            chat, lambda it: it["download"] and "1.5b" in it["download"]["text"] and it["download"]["percent"] > 20
        )
        found = await told(chat, do="cancel")
        assert not found["busy"]
        before, store.pace = store.sent, 0.0

        await told(chat, do="get", pair="tiny")
        found = await when(chat, lambda it: not it["busy"])
        assert found["error"] == ""
        assert found["offers"][0]["facts"].startswith("on this disk")
        tiny = (it for it in store.offered if it.alias.startswith(("qwen2.5-0", "qwen2.5-1")))
        whole = sum(path.stat().st_size for it in tiny for path in it.files().values())
        assert store.sent - before < whole, "what had arrived was not fetched again"


@pytest.mark.slow
async def test_a_catalogue_that_is_blocked_is_said_with_a_way_on(app: App, store: Store) -> None:
    store.refuses = 403
    async with Chat(app.url) as chat:
        await told(chat, do="look")
        found = await when(chat, lambda it: not it["busy"])

    assert found["error"].startswith("The public catalogue of models cannot be reached: ")
    assert "`escalator kit use`" in found["error"]


@pytest.mark.long
@pytest.mark.slow
async def test_one_button_starts_with_a_small_pair_and_the_larger_one_takes_over_when_it_is_here(
    app: App, store: Store
) -> None:
    async with Chat(app.url) as chat:
        await told(chat, do="look")
        found = await when(chat, lambda it: not it["busy"])
        assert found["start"]["button"] == "Start with tiny, get large meanwhile"
        store.pace = 0.02

        await told(chat, do="start")
        found = await when(chat, lambda it: it["download"] and "phi-4-mini" in it["download"]["text"])
        store.stalled = True
        assert found["start"] is None
        assert found["download"]["plan"] == "Large is used as soon as it is here."
        assert found["used"] == "qwen2.5-0.5b answers, and qwen2.5-1.5b when needed."
        assert (await chat.ask("When does the ferry leave?"))["output"].startswith("The ferry leaves at 9:30")

        async with Chat(app.url) as reloaded:
            assert (await told(reloaded))["download"]["plan"] == "Large is used as soon as it is here."
        store.stalled = False
        found = await when(chat, lambda it: not it["busy"])
        assert (found["error"], found["interrupted"]) == ("", "")
        assert found["used"] == "phi-4-mini answers, and gpt-oss-20b when needed."
        assert (await chat.ask("When does the ferry leave?"))["output"].startswith("A ferry leaves at 9:30")


@pytest.mark.slow
async def test_after_a_restart_the_panel_offers_to_go_on_with_the_larger_pair(
    store: Store, tmp_path: Path, corpus: Path
) -> None:
    settings = store.environment(tmp_path) | {"ESCALATOR_MODEL_CACHE": str(tmp_path / "cache")}
    with running(tmp_path, corpus, **settings) as app:
        async with Chat(app.url) as chat:
            await told(chat, do="look")
            await when(chat, lambda it: not it["busy"])
            store.pace = 0.02
            await told(chat, do="start")
            await when(chat, lambda it: it["download"] and "phi-4-mini" in it["download"]["text"])
            store.stalled = True
    store.stalled, store.pace = False, 0.0

    with running(tmp_path, corpus, **settings) as app:
        async with Chat(app.url) as chat:
            found = await when(chat, lambda it: it["used"].startswith("qwen2.5-0.5b answers, and qwen2.5-1.5b"))
            assert found["interrupted"] == "The download of large was interrupted."
            await told(chat, do="resume")
            found = await when(chat, lambda it: not it["busy"])
            assert found["used"] == "phi-4-mini answers, and gpt-oss-20b when needed."


@pytest.mark.slow
async def test_a_start_that_is_cancelled_keeps_the_small_pair_and_offers_nothing(app: App, store: Store) -> None:
    async with Chat(app.url) as chat:
        await told(chat, do="look")
        await when(chat, lambda it: not it["busy"])
        store.pace = 0.02
        await told(chat, do="start")
        await when(chat, lambda it: it["download"] and "phi-4-mini" in it["download"]["text"])

        found = await told(chat, do="cancel")
        assert (found["busy"], found["interrupted"], found["start"]) == (False, "", None)
        assert found["used"] == "qwen2.5-0.5b answers, and qwen2.5-1.5b when needed."
