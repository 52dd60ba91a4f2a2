"""From one command to a streamed answer, on a machine that has Python and no network."""

import asyncio
import os
import re
import shutil
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from app.settings import ROOT
from tests.support import watch
from tests.support.chat import Chat
from tests.support.waiting import until

KIT = os.environ.get("ESCALATOR_KIT")
"""A folder in which `python -m tests.workshop.made` made a kit; the gate has one."""

SECONDS = 240.0


@pytest.mark.skipif(not KIT or not shutil.which("strace"), reason="needs ESCALATOR_KIT, a kit of real packages; strace")
def test_from_one_command_to_a_streamed_answer_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "bin"):
        (tmp_path / name).mkdir()
    bare = Path(sys._base_executable)  # type: ignore[attr-defined]
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{bare}" "$@"\n', encoding="utf-8")
    (tmp_path / "bin" / "python3").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "CI"):
        monkeypatch.delenv(name, raising=False)
    log = tmp_path / "log"
    script = Path(str(KIT)) / "kit" / "start.sh"

    def said() -> str:
        return log.read_text(encoding="utf-8") if log.exists() else ""

    async def talk(url: str) -> list[str]:
        async with Chat(url) as chat:
            row = await chat.ask("When does the ferry leave?", seconds=60)
            assert "The ferry leaves at 9:30" in row["output"]
            assert "ferry.md" in row["output"]
            return [data["token"] for name, data in chat.history if name == "stream_token"]

    def answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return True
        except OSError:
            return False

    def use() -> None:
        address = re.compile(r"The chat is at http://localhost(:\d+)")
        assert until(lambda: bool(address.search(said())), SECONDS), said()
        url = f"http://127.0.0.1{address.findall(said())[0]}"
        assert until(lambda: answers(url), 60), said()
        tokens = asyncio.run(talk(url))
        (root,) = (one for one in psutil.process_iter(["cmdline"]) if here(one))
        root.terminate()
        assert len(tokens) > 1, tokens

    def here(process: psutil.Process) -> bool:
        words = process.info["cmdline"] or []
        return str(tmp_path / "home") in " ".join(words[:1]) and "chainlit" in words

    command = ["sh", "-c", f'exec sh "{script}" --headless > "{log}" 2>&1']
    spoken_to = watch.spoken_to(command, use, tmp_path / "trace", strace=True)

    assert watch.elsewhere(spoken_to) == set()
    assert spoken_to, "nothing was seen, not even loopback"
    installed = tmp_path / "home" / "escalator"
    assert (installed / "app" / "errors.py").read_bytes() == (ROOT / "app" / "errors.py").read_bytes()
    assert "Traceback" not in said()
