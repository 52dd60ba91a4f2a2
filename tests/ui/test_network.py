"""A whole session of the chat, with every setting at its default, speaks to this machine alone."""

import asyncio
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.settings import ROOT, Settings, names_of
from tests.support import watch
from tests.support.chat import Chat, command, environment, free_port
from tests.support.waiting import until

FOLDERS = {"CORPUS_DIR", "ESCALATOR_STATE_DIR", "ESCALATOR_MODEL_CACHE"}
"""What may be set: the places of a test. `RETRY_BACKOFF` only shortens a wait."""


async def session(url: str) -> None:
    """Do what a person may do: ask both models, drop a file, look into every panel, come back, rate, and export."""
    async with Chat(url) as chat:
        assert (await chat.ask("When does the ferry leave?", "small", seconds=60))["output"].startswith("The ferry")
        await chat.ask("When does the ferry leave?", "large", seconds=60)
        assert "gpt-oss-20b" in str([step["name"] for step in chat.steps])
        await chat.ask("When does the ferry leave?", "compare", seconds=60)
        await chat.ask("Wann fährt die Fähre vom alten Hafen ab?", seconds=60)
        file = await chat.upload("bread.txt", b"Ada bakes the bread at dawn.\n", "text/plain")
        await chat.ask("Who bakes the bread?", files=[file], seconds=60)
        await chat.documents()
        assert "machine" in str(await chat.call({"name": "models", "payload": {}}))
        await chat.settings(dial="often")
        await chat.call({"name": "export-file", "payload": {"form": "html", "message": "", "figures": True}})
    async with Chat(url, chat.conversation) as again:
        assert len(again.answers) >= 5
        assert await again.listed()


def listening(port: int) -> bool:
    """Whether a server listens on a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def defaults(tmp_path: Path, corpus: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that sets nothing but folders."""
    given = environment(tmp_path, corpus, ESCALATOR_MODEL_CACHE=str(models))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    known = {name for field in Settings.model_fields for name in names_of(field)}
    assert known & {*os.environ} - {"RETRY_BACKOFF"} == FOLDERS


@pytest.mark.slow
@pytest.mark.skipif(not watch.POSSIBLE or shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.usefixtures("defaults")
def test_a_session_with_every_setting_at_its_default_sends_nothing_to_other_machines(tmp_path: Path) -> None:
    port = free_port()
    line = command(port)

    def use() -> None:
        try:
            assert until(lambda: listening(port), 60)
            asyncio.run(session(f"http://127.0.0.1:{port}"))
        finally:  # strace ends with it
            for each in psutil.process_iter(["cmdline", "name"]):
                if (each.info["cmdline"] or [])[-4:] == line[-4:] and each.info["name"] != "strace":
                    each.terminate()

    spoken_to = watch.spoken_to(line, use, tmp_path / "trace", strace=True)

    assert "127.0.0.1" in spoken_to
    assert watch.elsewhere(spoken_to) == set()
