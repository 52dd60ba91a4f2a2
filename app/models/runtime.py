"""The embedded model server, a process of its own, and the leases by which its users share it.

`acquire` starts it or joins a running one. `python -m app.models.runtime CACHE STATE_FILE` serves the models of one
cache folder on loopback, uses no network, and runs as long as somebody holds a lease: an open connection on which the
token of its state file was sent. It knows no prompts and no settings.
"""

import asyncio
import hashlib
import hmac
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from app import processes
from app.errors import NoModel
from app.files import load_json, remove_json, write_json
from app.models.catalogue import model_folders

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager

START_SECONDS = 120.0
"""An antivirus program that checks every new file can make a start of 3 s take a minute."""

HANDSHAKE_SECONDS = 5.0
PROXIES = re.compile(r"(HTTP|HTTPS|ALL)_PROXY", re.IGNORECASE)

SDK_VARIABLES = {"CI": "true", "MALLOC_MMAP_THRESHOLD_": "1048576"}
"""Variables of a process that contains Foundry Local's SDK. Only CI keeps its telemetry off the network. Without the
threshold, glibc keeps most of an unloaded model's memory, and takes half as much again to load one."""

FIRST_LEASE_SECONDS = 15.0
GRACE_SECONDS = 0.4
CHECK_SECONDS = 0.1
TOKEN_SECONDS = 5.0

NO_CATALOGUE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Replaces the public catalogue: on it the runtime uses the saved one at once, and asks no other server."""


class Lease:
    """A hold on the embedded runtime: an open connection, which the system closes even if this process is killed."""

    def __init__(self, connection: socket.socket, url: str, pid: int):
        self._connection = connection
        self.url = url
        self.pid = pid
        connection.setblocking(False)

    @property
    def alive(self) -> bool:
        """Whether the runtime still runs; looks at the connection and sends nothing."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Release the runtime, which ends within a second if this was the last lease."""
        self._connection.close()

    def __del__(self) -> None:  # where whoever asked for it was cancelled meanwhile
        self.close()


class RuntimeFiles:
    """The files of a model cache's runtime in the state folder, named after the cache: two caches share no runtime."""

    def __init__(self, cache: Path, state_dir: Path):
        name = os.path.normcase(cache.expanduser().resolve())
        self.folder = state_dir.expanduser().absolute() / "runtime" / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.state = self.folder / "state.json"
        self.log = self.folder / "runtime.log"


def acquire(cache: Path, state_dir: Path) -> Lease:
    """Acquire a lease on the runtime of a model cache, which is started if it does not run; blocks, raises NoModel."""
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
    with suppress(OSError):
        connection.sendall(token.encode() + b"\n")
        with connection.makefile("rb") as lines:
            granted = lines.readline(len(answer) + 2) == answer.encode() + b"\n"
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


class Leases:
    """Counts the leases on the runtime, and takes its requests to the public catalogue on the same port."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self.answer = secrets.token_hex(16)
        self._held = 0
        self._end = 0.0

    async def ended(self, first: float = FIRST_LEASE_SECONDS) -> None:
        """Return once nobody has held a lease for GRACE_SECONDS, or nobody has taken one in the first seconds."""
        self._end = time.monotonic() + first
        while self._held or time.monotonic() < self._end:  # noqa: ASYNC110 - a time that moves has no event
            await asyncio.sleep(CHECK_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection: with the token, count it until the other side closes it."""
        try:
            line = await asyncio.wait_for(reader.readline(), TOKEN_SECONDS)
            if hmac.compare_digest(line, self.token.encode() + b"\n"):
                self._held += 1
                try:
                    await _answer(reader, writer, self.answer.encode() + b"\n")
                finally:
                    self._held -= 1
                    self._end = time.monotonic() + GRACE_SECONDS
            elif line.startswith(b"POST "):
                await _answer(reader, writer, NO_CATALOGUE)
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Send an answer, and read until the other side closes the connection."""
    writer.write(answer)
    await writer.drain()
    while await reader.read(4096):
        pass


def open_sdk(cache: Path, data: Path, level: str, **options: Any) -> "FoundryLocalManager":
    """Open Foundry Local's SDK, once per process; it logs to standard error from this level on."""
    os.environ["CI"] = "true"  # the only switch that keeps its telemetry off the network; read when it is imported
    from foundry_local_sdk import Configuration, FoundryLocalManager, LogLevel

    options |= {"app_name": "escalator", "app_data_dir": str(data), "model_cache_dir": str(cache)}
    options |= {"log_level": LogLevel[level], "disable_nonessential_telemetry": True}
    return FoundryLocalManager(Configuration(**options))


async def run(cache: Path, state_file: Path) -> NoReturn:
    """Serve until the last lease is closed, then end the process."""
    leases = Leases()
    server = await asyncio.start_server(leases.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    models = await asyncio.to_thread(lambda: sorted(model_folders(cache)))
    data, catalogue = state_file.parent / "foundry", f"http://127.0.0.1:{port}/asset-gallery/v1.0/models"
    manager = await asyncio.to_thread(open_sdk, cache, data, "FATAL", catalog_urls=[(catalogue, None)])
    await asyncio.to_thread(manager.start_web_service)
    url = (manager.urls or [""])[0].rstrip("/")
    secret = {"token": leases.token, "answer": leases.answer}
    content = {**secret, "models": models, "pid": os.getpid(), "port": port, "url": url}
    await asyncio.to_thread(write_json, state_file, content)
    await leases.ended()
    # From here to the end of the process nothing is awaited, so no lease is granted that would not be kept.
    remove_json(state_file, content)
    os._exit(0)  # an orderly close takes seconds, and there is nothing left to save


if __name__ == "__main__":
    try:
        asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2])))
    except Exception as error:
        # One line, because the process that started this one shows it to a person.
        print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201 - goes to the log file
        os._exit(1)
