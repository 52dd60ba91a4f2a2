"""The embedded model server, a process of its own: `python -m app.models.runtime CACHE STATE_FILE`.

It serves the models of one cache folder on loopback, uses no network, and runs as long as somebody holds a lease: an
open connection on which the token of its state file was sent. It knows no prompts and no settings.
"""

import asyncio
import hmac
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from app.files import remove_json, save_state
from app.models.catalogue import model_folders

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager

FIRST_LEASE_SECONDS = 15.0
GRACE_SECONDS = 0.4
CHECK_SECONDS = 0.1
TOKEN_SECONDS = 5.0


NO_CATALOGUE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Replaces the public catalogue: on it the runtime uses the saved one at once, and asks no other server."""


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
    await asyncio.to_thread(save_state, state_file, content)
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
