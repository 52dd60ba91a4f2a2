"""The runtime connects to this machine only, looks up no name, and needs no network."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.models.runtime import RuntimeFiles
from app.settings import ROOT
from tests.support import watch
from tests.support.runtime import SMALL, held, opened, settings_for, state_of
from tests.support.waiting import until

watched = pytest.mark.skipif(not watch.POSSIBLE, reason="this system does not let itself be watched")
both_ways = pytest.mark.parametrize("strace", [True, False])


TELEMETRY_SECONDS = 2.5
"""The runtime's telemetry looks up its host about a second after the start, unless it is switched off."""


def missing(strace: bool) -> bool:
    """Whether strace is asked for but not there."""
    return strace and shutil.which("strace") is None


@pytest.mark.slow
@watched
@both_ways
def test_the_runtime_connects_to_this_machine_only(
    strace: bool, model_cache: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing(strace):
        pytest.skip("strace is not installed; the other way of watching has been used")
    cache = model_cache(SMALL)
    files = RuntimeFiles(cache, state_of(cache))
    files.folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def use() -> None:
        assert until(files.state.exists, 20)
        with held(cache):
            assert asyncio.run(ask(cache)) == "The ferry leaves at 9:30 [1]."
            time.sleep(TELEMETRY_SECONDS)

    runtime = [sys.executable, "-m", "app.models.runtime", str(cache), str(files.state)]
    spoken_to = watch.spoken_to(runtime, use, tmp_path / "trace", strace=strace)
    assert "127.0.0.1" in spoken_to
    assert watch.elsewhere(spoken_to) == set()


async def ask(cache: Path) -> str:
    """Ask a model of the cache."""
    from app.models.chat import Delta, answer

    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready("phi-4-mini")
        question = [{"role": "user", "content": "When does the ferry leave?"}]
        events = [event async for event in answer(foundry, model, question, kept_here="", max_tokens=50)]
        return "".join(event.text for event in events if isinstance(event, Delta))


@watched
@both_ways
def test_a_process_that_connects_to_another_machine_is_seen(strace: bool, tmp_path: Path) -> None:
    """The assumption of the test before this one."""
    if missing(strace):
        pytest.skip("strace is not installed; the other way of watching has been used")
    code = (
        "import socket, time\n"
        "other = socket.socket(type=socket.SOCK_DGRAM)\n"
        "try: other.connect(('192.0.2.1', 53))\n"
        "except OSError: raise SystemExit(3)\n"
        "time.sleep(0.5)"
    )
    if subprocess.run([sys.executable, "-c", code], check=False).returncode == 3 and not strace:
        pytest.skip("there is no way to any other machine, so that nothing can be connected to one")
    spoken_to = watch.spoken_to([sys.executable, "-c", code], lambda: None, tmp_path / "trace", strace=strace)
    assert watch.elsewhere(spoken_to) == {"192.0.2.1"}


ALONE = (
    "import asyncio, pathlib, sys\n"
    "from tests.models.test_network import ask\n"
    "print(asyncio.run(ask(pathlib.Path(sys.argv[1]))))\n"
)
NAMESPACE = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def can_unshare() -> bool:
    """Whether this user may have a network namespace."""
    try:
        return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not can_unshare(), reason="no namespace without a network can be made here")
def test_a_model_is_found_loaded_and_asked_where_there_is_no_network(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL)
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", ALONE, str(cache)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("The ferry leaves at 9:30 [1].\n", "")
