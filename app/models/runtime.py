"""The embedded model server, a process of its own: `python -m app.models.runtime CACHE STATE_FILE`.

It serves the models of one cache folder on loopback, uses no network, and runs as long as somebody holds a lease: an
open connection on which the token of its state file was sent. It knows no prompts and no settings.
"""

import asyncio
import hmac
import os
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, NoReturn

from app.files import remove_json, save_state
from app.models.catalogue import model_folders

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager

FIRST_LEASE_SECONDS = 15.0
GRACE_SECONDS = 0.4
CHECK_SECONDS = 0.1
TOKEN_SECONDS = 5.0


class Leases:
    """Counts the leases on the runtime."""

    def __init__(self, first: float = FIRST_LEASE_SECONDS):
        self.token = secrets.token_hex(16)
        self.answer = secrets.token_hex(16)
        self._held = 0
        self._end = time.monotonic() + first

    async def ended(self) -> None:
        """Return once nobody has held a lease for GRACE_SECONDS, or nobody has taken one."""
        while self._held or time.monotonic() < self._end:  # noqa: ASYNC110 - a time that moves has no event
            await asyncio.sleep(CHECK_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection: close it without the token, else count it until the other side closes it."""
        try:
            line = await asyncio.wait_for(reader.readline(), TOKEN_SECONDS)
            if hmac.compare_digest(line, self.token.encode() + b"\n"):
                await self._hold(reader, writer)
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held += 1
        try:
            writer.write(self.answer.encode() + b"\n")
            await writer.drain()
            while await reader.read(4096):
                pass
        finally:
            self._held -= 1
            self._end = time.monotonic() + GRACE_SECONDS


class NoCatalogue(BaseHTTPRequestHandler):
    """Replaces the public catalogue: on its 404 the runtime uses the saved one at once, and asks no other server."""

    def do_POST(self) -> None:
        """Answer once the request has been read; closing earlier would reset the connection."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(404)

    do_GET = do_POST  # noqa: N815 - the name that http.server looks up

    def log_message(self, *args: object) -> None:
        """Log nothing: the last line of the log is shown to a person if the runtime ends."""


def open_sdk(cache: Path, data: Path, level: str, **options: Any) -> "FoundryLocalManager":
    """Open Foundry Local's SDK, once per process; it logs to standard error from this level on."""
    os.environ["CI"] = "true"  # the only switch that keeps its telemetry off the network; read when it is imported
    from foundry_local_sdk import Configuration, FoundryLocalManager, LogLevel

    options |= {"app_name": "escalator", "app_data_dir": str(data), "model_cache_dir": str(cache)}
    options |= {"log_level": LogLevel[level], "disable_nonessential_telemetry": True}
    return FoundryLocalManager(Configuration(**options))


async def run(cache: Path, state_file: Path) -> NoReturn:
    """Serve until the last lease is closed, then end the process."""
    catalogue = ThreadingTCPServer(("127.0.0.1", 0), NoCatalogue)  # an HTTPServer would look up the machine's name
    threading.Thread(target=catalogue.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{catalogue.server_address[1]}/asset-gallery/v1.0/models"
    models = await asyncio.to_thread(lambda: sorted(model_folders(cache)))
    data = state_file.parent / "foundry"
    manager = await asyncio.to_thread(open_sdk, cache, data, "FATAL", catalog_urls=[(address, None)])
    await asyncio.to_thread(manager.start_web_service)
    url = (manager.urls or [""])[0].rstrip("/")

    leases = Leases()
    server = await asyncio.start_server(leases.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
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
