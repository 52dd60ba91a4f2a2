"""Everybody shares one runtime; it starts with the first lease, ends with the last, and starts again when killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import NoModel
from app.files import load_json, write_json
from app.models import runtime
from app.models.runtime import Lease, RuntimeFiles, acquire, join
from app.settings import ROOT
from tests.support.runtime import SMALL, running, state_of
from tests.support.servers import reset_on_close
from tests.support.waiting import until

HOLD = (
    "import sys; from pathlib import Path; from app.models.runtime import acquire\n"
    "lease = acquire(Path(sys.argv[1]), Path(sys.argv[2])); print(lease.pid, flush=True); sys.stdin.read()"
)


@pytest.fixture
def cache(model_cache: Callable[..., Path]) -> Path:
    return model_cache(SMALL)


@pytest.fixture
def files(cache: Path) -> RuntimeFiles:
    return RuntimeFiles(cache, state_of(cache))


@pytest.fixture
def take(cache: Path) -> Iterator[Callable[[], Lease]]:
    """Takes leases, and ends their runtimes with the test."""
    leases: list[Lease] = []

    def take() -> Lease:
        leases.append(acquire(cache, state_of(cache)))
        return leases[-1]

    yield take
    for lease in leases:
        lease.close()
    assert until(lambda: not any(running(lease.pid) for lease in leases), 5)


@pytest.mark.slow
def test_the_runtime_ends_within_a_second_after_the_last_lease(take: Callable[[], Lease], files: RuntimeFiles) -> None:
    first, second = take(), take()
    assert first.pid == second.pid
    first.close()
    assert not until(lambda: not running(second.pid), 0.7)
    assert second.alive
    second.close()
    assert until(lambda: not running(second.pid), 1)
    assert not files.state.exists()


@pytest.mark.slow
def test_a_lease_taken_shortly_after_the_last_one_finds_the_same_runtime(take: Callable[[], Lease]) -> None:
    first = take()
    first.close()
    second = take()
    assert second.pid == first.pid
    assert not until(lambda: not second.alive, 0.7)


@pytest.mark.slow
def test_two_processes_share_one_runtime_and_being_killed_gives_a_lease_back(
    take: Callable[[], Lease], cache: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(cache), str(state_of(cache))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        pid = int(other.stdout.readline())
        mine = take()
        assert mine.pid == pid
        mine.close()
        assert not until(lambda: not running(pid), 0.7)
        other.kill()
        other.wait()
        assert until(lambda: not running(pid), 1)


@pytest.mark.slow
def test_many_simultaneous_starts_start_one(take: Callable[[], Lease]) -> None:
    with ThreadPoolExecutor(6) as pool:
        leases = list(pool.map(lambda _: take(), range(6)))
    assert len({lease.pid for lease in leases}) == 1


@pytest.mark.slow
def test_a_killed_runtime_is_noticed_and_started_again(take: Callable[[], Lease]) -> None:
    first = take()
    os.kill(first.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert until(lambda: not first.alive, 1)
    second = take()
    assert second.alive
    assert second.pid != first.pid


def test_a_runtime_nobody_takes_a_lease_of_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.models.runtime import Leases

    async def alone() -> None:
        await asyncio.wait_for(Leases().ended(0.05), 1)

    asyncio.run(alone())


@pytest.mark.slow
def test_a_wrong_token_gets_nothing_and_does_no_harm(take: Callable[[], Lease], files: RuntimeFiles) -> None:
    lease = take()
    found = load_json(files.state)
    assert found
    for sent in (b"wrong\n", b"\n", b"x" * 100_000, b"\xff\x00\n", b"GET / HTTP/1.1\r\n\r\n", found["token"].encode()):
        with socket.create_connection(("127.0.0.1", found["port"]), timeout=5) as stranger:
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert stranger.recv(100) == b""
    assert lease.alive
    lease.close()
    assert until(lambda: not running(lease.pid), 1)


@pytest.mark.slow
def test_a_client_that_breaks_off_does_no_harm(take: Callable[[], Lease], files: RuntimeFiles) -> None:
    lease = take()
    found = load_json(files.state)
    assert found
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", found["port"]), timeout=5) as broken:
            reset_on_close(broken)
            broken.sendall(found["token"].encode() + b"\n" + b"more than was asked")
    again = take()
    assert again.pid == lease.pid


@pytest.mark.slow
@pytest.mark.parametrize(
    "left",
    [
        {},
        {"pid": 1, "port": "none", "token": "t", "answer": "a", "url": "u"},
        {"pid": 1, "port": 99999, "token": "t", "answer": "a", "url": "u"},
        {"pid": 1, "port": 1, "token": "t", "answer": "a", "url": "u"},
    ],
)
def test_a_state_file_that_leads_nowhere_is_replaced(
    left: dict[str, object], take: Callable[[], Lease], files: RuntimeFiles
) -> None:
    write_json(files.state, left)
    assert take().alive


def test_whoever_took_over_the_port_of_a_dead_runtime_is_not_trusted(files: RuntimeFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        left = {"pid": os.getpid(), "port": port, "token": "t", "answer": "secret", "url": "http://127.0.0.1:1"}
        write_json(files.state, left)

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"welcome, come in\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert join(files) is None
        thread.join()


@pytest.mark.slow
def test_an_ending_runtime_leaves_its_successors_state_file(take: Callable[[], Lease], files: RuntimeFiles) -> None:
    first = take()
    write_json(files.state, {"pid": 1})
    first.close()
    assert until(lambda: not running(first.pid), 1)
    assert load_json(files.state) == {"pid": 1}


def test_each_cache_has_a_runtime_of_its_own(tmp_path: Path) -> None:
    one, other = (RuntimeFiles(tmp_path / name, tmp_path) for name in ("one", "other"))
    assert one.state != other.state
    assert one.state == RuntimeFiles(tmp_path / "other" / ".." / "one", tmp_path).state


def test_a_runtime_that_ends_at_its_start_is_reported_with_its_last_line(
    cache: Path, files: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    (broken / "foundry_local_sdk").mkdir(parents=True)
    (broken / "foundry_local_sdk" / "__init__.py").write_text(
        'raise ImportError("libonnxruntime: wrong ELF class")', encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(NoModel) as caught:
        acquire(cache, state_of(cache))
    assert "libonnxruntime: wrong ELF class" in str(caught.value)
    assert str(files.log) in str(caught.value)
    assert files.log.is_file()


@pytest.mark.slow
def test_a_state_folder_that_cannot_be_made_is_named(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(NoModel, match="ESCALATOR_STATE_DIR"):
        acquire(cache, tmp_path / "file")


@pytest.mark.slow
def test_a_runtime_that_hangs_at_its_start_is_ended(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow" / "foundry_local_sdk"
    slow.mkdir(parents=True)
    note = tmp_path / "pid"
    (slow / "__init__.py").write_text(
        f"import os, time, pathlib\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\ntime.sleep(60)",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(slow.parent))
    monkeypatch.setattr(runtime, "START_SECONDS", 1.0)
    begun = time.monotonic()
    with pytest.raises(NoModel, match="did not start within 1 seconds"):
        acquire(cache, state_of(cache))
    assert time.monotonic() - begun < 5
    assert until(lambda: not running(int(note.read_text(encoding="utf-8"))), 2)


def test_the_last_line_is_the_last_that_is_not_empty() -> None:
    log = "Traceback\n  line\nOSError: kaputt \xff.\n\n \n".encode("latin-1")
    assert runtime.last_line(log) == "OSError: kaputt \ufffd."
    assert runtime.last_line(b" \n") == ""
