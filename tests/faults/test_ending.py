"""The chat is told to end, and is killed: what was shown is kept, and the next start goes on with it."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.chat import Chat, running, served
from tests.support.gateway import GOOD, QUESTION, Models
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ENDED_SECONDS = 5.0
"""Within so long an app is gone that was told to end while it answers."""


async def answered(url: str) -> str:
    """Ask as another program does, and return what came until the end."""
    body = {"model": "escalator", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/chat/completions", json=body) as response:
        return await response.text()


async def begun(chat: Chat, models: Models) -> str:
    """Ask a question whose answer does not end; return what of it is there after a while."""
    models.small = None
    await chat.send(QUESTION, "small")
    await chat.until(lambda: chat.answers and "It leaves at 40." in chat.answers[-1]["output"])
    return str(chat.answers[-1]["output"])


async def test_what_was_shown_is_kept_when_the_app_is_ended_or_killed(corpus: Path, tmp_path: Path) -> None:
    with served(Models()) as models:
        settings: dict[str, Any] = {"FOUNDRY_LOCAL_ENDPOINT": models.url, "ESCALATOR_PARALLEL": "4"}
        with running(tmp_path, corpus, **settings) as app:
            async with Chat(app.url) as chat:
                first = await chat.ask(QUESTION, "small")
                part = await begun(chat, models)
                other = asyncio.create_task(answered(app.url))
                await chat.send("Is this one begun, too?", "small")  # it waits for its turn
                assert await asyncio.to_thread(until, lambda: len(models.prompts) == 3)

                start = time.monotonic()
                app.process.terminate()
                ended = await other
                await asyncio.to_thread(app.process.wait, ENDED_SECONDS)
                assert time.monotonic() - start < ENDED_SECONDS
            assert "Escalator was ended. Ask again when it runs again." in ended
            assert len(models.prompts) == 3

        models.small = GOOD
        with running(tmp_path, corpus, **settings) as app:
            async with Chat(app.url, chat.conversation) as chat:
                kept = chat.answers
                assert kept[0]["output"] == first["output"]
                assert part.removesuffix(part.split(" ")[-1]) in kept[1]["output"]
                assert not kept[1]["streaming"]
                assert "phi-4-mini stopped" in [step["name"] for step in chat.steps]
                part = await begun(chat, models)
                await asyncio.sleep(1.0)  # a moment is what the history may be behind
                app.process.kill()
                with suppress(Exception):
                    app.process.wait(5)

        models.small = GOOD
        with running(tmp_path, corpus, **settings) as app:
            async with Chat(app.url, chat.conversation) as chat:
                assert [row["output"] for row in chat.answers[:2]] == [row["output"] for row in kept[:2]]
                assert part.split(". ")[0] in chat.answers[-1]["output"]
                again = await chat.ask(QUESTION, "small")
                assert again["output"].startswith(GOOD.removesuffix(" [1]."))
                assert len(await chat.listed()) == 1
