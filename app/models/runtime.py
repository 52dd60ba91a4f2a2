"""The embedded model server, a process of its own: `python -m app.models.runtime CACHE STATE`.

It serves the models of one cache folder on loopback, asks nothing of the network, and lives as long as somebody holds
a lease: an open connection on which the token of its state file was sent. It knows no prompts and no settings.
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
from typing import NoReturn

from app import state
from app.models import sdk
from app.models.catalogue import folders_of

FIRST_LEASE_SECONDS = 15.0
GRACE_SECONDS = 0.4
LOOK_SECONDS = 0.1
TOKEN_SECONDS = 5.0


class Leases:
    """Counts who uses the runtime."""

    def __init__(self, first: float = FIRST_LEASE_SECONDS):
        self.token = secrets.token_hex(16)
        self.answer = secrets.token_hex(16)
        self._held = 0
        self._end = time.monotonic() + first

    async def ended(self) -> None:
        """Return when nobody has held a lease for a while."""
        while self._held or time.monotonic() < self._end:  # noqa: ASYNC110 - a time that moves has no event
            await asyncio.sleep(LOOK_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: without the token it is closed, with it it counts until the other side closes it."""
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
    """Stands in for the public catalogue: at its 404 the runtime reads the saved one at once, and asks nobody."""

    def do_POST(self) -> None:
        """Answer when the request has been read, for who closes before that resets the connection."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(404)

    do_GET = do_POST  # noqa: N815 - the name that is looked for

    def log_message(self, *args: object) -> None:
        """Say nothing: what is logged last is shown to a person if the runtime ends."""


async def run(cache: Path, state_file: Path) -> NoReturn:
    """Serve until the last lease is closed."""
    catalogue = ThreadingTCPServer(("127.0.0.1", 0), NoCatalogue)  # an HTTPServer would look up the machine's name
    threading.Thread(target=catalogue.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{catalogue.server_address[1]}/asset-gallery/v1.0/models"
    models = await asyncio.to_thread(lambda: sorted(folders_of(cache)))
    manager = await asyncio.to_thread(
        sdk.opened, cache, state_file.parent / "foundry", "FATAL", catalog_urls=[(address, None)]
    )
    await asyncio.to_thread(manager.start_web_service)
    url = (manager.urls or [""])[0].rstrip("/")

    leases = Leases()
    server = await asyncio.start_server(leases.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = {"token": leases.token, "answer": leases.answer, "models": models}
    mine = known | {"pid": os.getpid(), "port": port, "url": url}
    await asyncio.to_thread(state.write, state_file, mine)
    await leases.ended()
    # From here to the end of the process nothing waits, so no lease is granted that would not be kept.
    state.remove(state_file, mine)
    os._exit(0)  # closing in order takes seconds, and there is nothing left to save


if __name__ == "__main__":
    try:
        asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2])))
    except Exception as error:
        # One line, for the process that started this one shows it to a person.
        print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201 - goes to the log file
        os._exit(1)
