"""Offers a kit on the room's network: its files and nothing else, to be read and not written."""

import html
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.humanize import size
from app.kit.bundle import Kit
from app.room import own_addresses

TELL_SECONDS = 5.0

CODE = (
    "import runpy,urllib.request as u;open('use.pyz','wb').write(u.build_opener(u.ProxyHandler({{}}))"
    ".open('http://{host}/use.pyz').read());runpy.run_path('use.pyz',run_name='__main__')"
)


class Traffic:
    """Counts the bytes that each machine has received, and reports them from time to time."""

    def __init__(self, app: ASGIApp, tell: Callable[[str], Any]):
        self._app, self._tell = app, tell
        self.bytes: Counter[str] = Counter()
        self._told = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            self.bytes[(scope.get("client") or ["?"])[0]] += len(message.get("body", b""))
            if time.monotonic() - self._told > TELL_SECONDS:
                self._told = time.monotonic()
                self._tell(", ".join(f"{host}: {size(got)}" for host, got in self.bytes.items()))

        await self._app(scope, receive, counted if scope["type"] == "http" else send)


def application(folder: Path) -> tuple[Starlette, str]:
    """Make the server of a kit, and the SHA-256 of its kit.json; it offers no file that kit.json does not list."""
    kit = Kit(str(folder))
    page = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))

    def index(request: Request) -> Response:
        host = html.escape(request.headers.get("host", ""), quote=True)
        return HTMLResponse(page.substitute(code=CODE.format(host=host), host=host, sum=kit.digest))

    def file(request: Request) -> Response:
        name = request.path_params["path"]
        if (name not in kit.files and name != "kit.json") or not (folder / name).is_file():
            raise HTTPException(404)
        return FileResponse(folder / name)

    return Starlette(routes=[Route("/", index), Route("/{path:path}", file)]), kit.digest


def addresses(host: str, port: int) -> list[str]:
    """List the addresses of a server that listens at `host`."""
    hosts = [host]
    if host == "0.0.0.0":  # noqa: S104
        hosts = own_addresses()
    return [f"http://{host}:{port}" for host in hosts]
