"""Joins the embedded runtime, or starts it: whoever uses it holds a lease, and it ends with the last one."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from app import state
from app.errors import NoModel
from app.models import catalogue
from app.settings import ROOT

START_SECONDS = 120.0
"""An antivirus program that checks every new file can make a start of 3 s take a minute."""

SLOW_SECONDS = 8.0
STARTING = "Starting Foundry Local"
SLOW = (
    "Foundry Local is slow to start. An antivirus program may be checking its new files, which happens once: wait, or "
    f"exclude {sys.prefix} from its checks"
)
"""What is being waited for, and the same after SLOW_SECONDS."""

HANDSHAKE_SECONDS = 5.0
RUNTIME = (sys.executable, "-P", "-X", "utf8", "-m", "app.models.runtime")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Files:
    """What the runtime of one model cache keeps in the state folder, under the cache's path: no two share a runtime."""

    def __init__(self, cache: Path, state_dir: Path):
        name = os.path.normcase(cache.expanduser().resolve())
        self.folder = state_dir.expanduser().absolute() / "runtime" / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.state = self.folder / "state.json"
        self.log = self.folder / "runtime.log"


class Lease:
    """One user's hold on the runtime: an open connection, which the system closes even if this process is killed."""

    def __init__(self, connection: socket.socket, url: str, pid: int):
        self._connection = connection
        self.url = url
        self.pid = pid
        connection.setblocking(False)

    @property
    def alive(self) -> bool:
        """Whether the runtime still runs; asks the connection, sends nothing."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Let go; the runtime ends within a second if this was the last lease."""
        self._connection.close()


async def acquire(cache: Path, state_dir: Path) -> Lease:
    """A lease on the runtime of this model cache, which is started when it does not run; raises NoModel."""
    getting = asyncio.get_running_loop().run_in_executor(None, acquire_now, cache, state_dir)
    try:
        return await asyncio.shield(getting)
    except asyncio.CancelledError:  # the thread goes on, and what it gets is let go
        getting.add_done_callback(lambda got: None if got.exception() else got.result().close())
        raise


def acquire_now(cache: Path, state_dir: Path) -> Lease:
    """The same, blocking."""
    from filelock import FileLock, Timeout

    files = Files(cache, state_dir)
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(files.folder / "start.lock", timeout=2 * START_SECONDS):
            models = set(catalogue.folders_of(cache))
            return join(files, models) or _start(files, cache, models)
    except Timeout:
        raise NoModel(
            f"Another process has been starting the model runtime for {2 * START_SECONDS:.0f} seconds. "
            f"End it, or delete {files.folder}, and try again."
        ) from None
    except OSError as error:
        raise NoModel(
            f"The model runtime cannot be started: {error}. Is {files.folder} writable? "
            "ESCALATOR_STATE_DIR names another folder for it."
        ) from error


def join(files: Files, models: Collection[str] = ()) -> Lease | None:
    """A lease on the running runtime, None when none runs, or when it does not know one of the models.

    It learns what was downloaded at its start, and only then; who uses one that was started earlier goes on with it.

    A state file may be left over and its port be someone else's by now: only who knows the file's two secrets is ours.
    """
    found = state.read(files.state) or {}
    try:
        token, answer, url = str(found["token"]), str(found["answer"]), str(found["url"])
        pid, port = int(found["pid"]), int(found["port"])
        known = set(found.get("models") or ())
        connection = socket.create_connection(("127.0.0.1", port), timeout=HANDSHAKE_SECONDS)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    try:
        connection.sendall(token.encode() + b"\n")
        with connection.makefile("rb") as lines:
            granted = lines.readline(len(answer) + 2) == answer.encode() + b"\n"
    except OSError:
        granted = False
    if granted and known.issuperset(models):
        return Lease(connection, url, pid)
    connection.close()
    return None


def _start(files: Files, cache: Path, models: Collection[str]) -> Lease:
    with files.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module, run by our own interpreter
            [*RUNTIME, str(cache), str(files.state)],
            cwd=files.folder,
            env=environment(without=PROXIES),  # what the runtime asks for lies on this machine
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **detached(sys.platform),
        )
    # Somebody must take note of the end of a child, or it stays in the process table.
    threading.Thread(target=process.wait, name="runtime-end", daemon=True).start()
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        ended = process.poll() is not None
        if lease := join(files, models):  # not one that was started earlier and has been found wanting
            return lease
        if ended:
            raise NoModel(f"The model runtime ended at its start: {last_line(files.log)} Its log is {files.log}.")
        time.sleep(0.01)
    process.kill()
    raise NoModel(f"The model runtime did not start within {START_SECONDS:.0f} seconds. Its log is {files.log}.")


def last_line(log: Path) -> str:
    """The last line of a log that says anything, as a sentence."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    said = [line.strip() for line in text.splitlines() if line.strip()] or ["it left no word"]
    return said[-1][:300].rstrip(".") + "."


def detached(platform: str) -> dict[str, Any]:
    """What keeps Ctrl-C in a terminal, and the terminal's end, away from the runtime and from other users' answers."""
    if platform == "win32":
        return {"creationflags": 0x08000000 | 0x00000200}  # CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP
    return {"start_new_session": True}


def environment(without: Collection[str] = ()) -> dict[str, str]:
    """What a process of ours with the SDK in it is given of this one's environment."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in without}
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    # CI is what keeps the SDK's telemetry off the network. Left to itself, glibc keeps most of an unloaded model's
    # memory, and takes half as much again to load one.
    return kept | {"PYTHONPATH": path, "CI": "true", "MALLOC_MMAP_THRESHOLD_": "1048576"}
