"""The page and who may talk to it: no foreign hosts, no foreign origins, no port taken by another program.

Chainlit has no setting for any of this, so it is added to its server from outside; knows nothing of chats.
"""

import logging
import re
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import LOOPBACK

FOREIGN_LINK = re.compile(r"<(?:link|meta)\s[^>]*https?://[^>]*>")
"""Chainlit's page asks Google for a font and jsdelivr for a style sheet, and names a picture on a third host."""

POLICY = "; ".join([
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Chainlit's page configures itself inline
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",  # a picture in an answer could carry the conversation to its host
    "font-src 'self' data:",
    "connect-src 'self' ws://{host} wss://{host}",
    "worker-src 'self' blob:",
    "frame-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'self'",
])  # fmt: skip


class Guard:
    """ASGI middleware: refuses requests from other pages and sends the content policy with every answer.

    A page somewhere on the web must not use this server through its visitor's browser: an `Origin` must be this
    server's own, and while it listens on loopback only, `Host` must be a loopback name (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, loopback_only: Callable[[], bool]) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._welcome(host, headers.get("origin")):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                text = "This request comes from another page. Open the chat's own address in the browser.\n"
                await PlainTextResponse(text, status_code=403)(scope, receive, send)
            return

        if scope["path"].startswith("/public/elements/["):
            # Chainlit looks for an element's component under the name that links it; sources share one.
            scope = {**scope, "path": "/public/elements/Place.jsx"}

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["content-security-policy"] = POLICY.replace("{host}", host)
                out["referrer-policy"] = "no-referrer"
                out["x-content-type-options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, with_policy)

    def _welcome(self, host: str, origin: str | None) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            asker = host if origin is None else urlsplit(origin).netloc
        except ValueError:  # an address with a bracket too few
            return False
        if not re.fullmatch(r"[\w.:\[\]-]*", host) or (self._loopback_only() and name not in LOOPBACK):
            return False
        return asker == host


def install() -> None:
    """Put the guard before Chainlit's server and take the foreign links out of its page; once per process."""
    import chainlit.server as server
    from chainlit.config import config
    from chainlit.session import BaseSession

    if getattr(server, "escalator_guard", False):  # `chainlit run -w` runs main.py again
        return
    original: Callable[[str], str] = server.get_html_template
    changed: dict[str, Any] = {
        "get_html_template": lambda root_path: FOREIGN_LINK.sub("", original(root_path)),
        "escalator_guard": True,
    }
    persist = BaseSession.persist_file

    async def persist_file(self: BaseSession, *given: Any, **named: Any) -> Any:
        if named.get("content") == b"":  # which Chainlit ends with a traceback
            raise HTTPException(400, "it is empty")
        return await persist(self, *given, **named)

    vars(server).update(changed)
    BaseSession.persist_file = persist_file  # type: ignore[method-assign]
    server.app.add_middleware(Guard, loopback_only=lambda: config.run.host in LOOPBACK)
    for chatty in ("httpx", "httpx2", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if config.run.module_name:
        _check_port(config.run.host, config.run.port)


def _check_port(host: str, port: int) -> None:
    """End with a sentence if the port is taken: Chainlit would say that it is available there, and exit with 0."""
    if _bound(host, port) is not None:
        return
    others = (other for other in range(port + 1, min(port + 50, 65_536)) if _bound(host, other) is not None)
    if (free := next(others, None) or _bound(host, 0)) is None:
        return  # the host itself is wrong, which the server says
    command = f"chainlit run app/main.py --port {free}" + ("" if host in LOOPBACK else f" --host {host}")
    said = f"Port {port} is taken by another program. Use another one:\n\n    {command}\n"
    print(said, file=sys.stderr)  # noqa: T201 - there is no chat to say it in
    raise SystemExit(1)


def _bound(host: str, port: int) -> int | None:
    """The port on which a server could listen now, any free one for 0; None if it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if sys.platform != "win32":  # there it would let two programs share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])
