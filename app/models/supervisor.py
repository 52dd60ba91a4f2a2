"""Starts the embedded runtime or joins a running one: each user of it holds a lease, and it ends with the last one."""

import asyncio
import hashlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from app import processes
from app.errors import NoModel
from app.files import load_json
from app.models.catalogue import model_folders
from app.models.server import Lease

START_SECONDS = 120.0
"""An antivirus program that checks every new file can make a start of 3 s take a minute."""

HANDSHAKE_SECONDS = 5.0
PROXIES = re.compile(r"(HTTP|HTTPS|ALL)_PROXY", re.IGNORECASE)

SDK_VARIABLES = {"CI": "true", "MALLOC_MMAP_THRESHOLD_": "1048576"}
"""Variables of a process that contains Foundry Local's SDK. Only CI keeps its telemetry off the network. Without the
threshold, glibc keeps most of an unloaded model's memory, and takes half as much again to load one."""


class RuntimeFiles:
    """The files of a model cache's runtime in the state folder, named after the cache: two caches share no runtime."""

    def __init__(self, cache: Path, state_dir: Path):
        name = os.path.normcase(cache.expanduser().resolve())
        self.folder = state_dir.expanduser().absolute() / "runtime" / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.state = self.folder / "state.json"
        self.log = self.folder / "runtime.log"


async def acquire(cache: Path, state_dir: Path) -> Lease:
    """Acquire a lease on the runtime of a model cache, which is started if it does not run; raises NoModel."""
    return await asyncio.to_thread(acquire_blocking, cache, state_dir)


def acquire_blocking(cache: Path, state_dir: Path) -> Lease:
    """Do what `acquire` does, without an event loop."""
    from filelock import FileLock, Timeout

    files = RuntimeFiles(cache, state_dir)
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(files.folder / "start.lock", timeout=2 * START_SECONDS):
            models = set(model_folders(cache))
            return join(files, models) or _start(files, cache, models)
    except Timeout:
        raise NoModel(
            "Another process has been starting the model runtime for {seconds} seconds. End it, or delete {folder}, "
            "and try again.",
            seconds=f"{2 * START_SECONDS:.0f}",
            folder=files.folder,
        ) from None
    except OSError as error:
        raise NoModel(
            "The model runtime cannot be started: {error}. Check that {folder} is writable, or name another folder "
            "with ESCALATOR_STATE_DIR.",
            error=error,
            folder=files.folder,
        ) from error


def join(files: RuntimeFiles, models: Collection[str] = ()) -> Lease | None:
    """Acquire a lease on the running runtime; None if none runs, or if it does not know one of the models.

    A runtime learns at its start what has been downloaded; whoever uses one that was started earlier goes on with it.
    A state file may be left over and its port be another program's by now: only the runtime knows its two secrets.
    """
    fields = load_json(files.state) or {}
    try:
        token, answer, url = str(fields["token"]), str(fields["answer"]), str(fields["url"])
        pid, port = int(fields["pid"]), int(fields["port"])
        known = set(fields.get("models") or ())
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


def _start(files: RuntimeFiles, cache: Path, models: Collection[str]) -> Lease:
    environment = processes.environment(PROXIES, **SDK_VARIABLES)  # it connects to this machine only
    arguments = "app.models.runtime", str(cache), str(files.state)
    with files.log.open("wb") as log:
        output: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = processes.start(*arguments, environment=environment, cwd=files.folder, **output)
    # A child whose end is not waited for stays in the process table.
    threading.Thread(target=process.wait, name="runtime-end", daemon=True).start()
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        ended = process.poll() is not None
        if lease := join(files, models):  # not an earlier runtime, which does not know all models
            return lease
        if ended:
            raise NoModel(
                "The model runtime ended at its start: {reason}. Its log is {path}.",
                reason=last_line(files.log.read_bytes())[:300].rstrip(".") or "–",
                path=files.log,
            )
        time.sleep(0.01)
    process.kill()
    raise NoModel(
        "The model runtime did not start within {seconds} seconds. Its log is {path}.",
        seconds=f"{START_SECONDS:.0f}",
        path=files.log,
    )


def last_line(log: bytes) -> str:
    """Return the last line of a log that is not empty; empty if there is none."""
    lines = (line.strip() for line in reversed(log.decode("utf-8", errors="replace").splitlines()))
    return next(filter(None, lines), "")
