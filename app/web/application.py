"""The web application of all user interfaces that are not the chat: before the chat's, or alone (`escalator serve`).

A face adds its routes in `application`, and to `open_meanwhile` what must be open while the server runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from socket import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from app import gateway, logs
from app.answering.pipeline import Assistant, Shared
from app.errors import EscalatorError
from app.guard import Bodies, Guard, KeyCheck, refused
from app.settings import LOOPBACK, Settings, load
from app.web import pages

PREFIXES = ("v1", "mcp", "browser", "organiser", "metrics")
"""The first parts of paths that the application answers; all others are the chat's."""

HEAD_SECONDS = 10.0
"""For a connection to send the head of its next request; uvicorn would wait for ever."""

CONNECTIONS = 256
"""More are answered 503; each takes a file handle, of which a process may have 1,024."""

PATIENCE = 20.0
"""Seconds that a question waits for a model server to be found: a program that asks does not ask again by itself."""

ENDING_SECONDS = 2
"""For the answers that are written when the server is ended."""

Opened = Callable[[], AbstractAsyncContextManager[object]]
"""Opens what a face needs while the server runs."""


def application(settings: Settings, assistant: Shared, *opened: Opened) -> Starlette:
    """Make the application."""
    open_meanwhile = [*opened]
    routes = [*gateway.routes(settings, assistant), *pages.routes(settings, assistant)]
    if settings.mcp:
        from app.mcp import http_sessions  # whose import takes half a second

        sessions = http_sessions(assistant)
        routes.append(
            Route("/mcp", Guard(sessions.asgi_app, lambda: LOOPBACK, only_here=True), methods=["POST", "DELETE"])
        )
        open_meanwhile.append(sessions.run)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for enter in open_meanwhile:
                await stack.enter_async_context(enter())
            yield

    # The details of other errors are written to the terminal by the server.
    handlers = dict.fromkeys((HTTPException, EscalatorError, Exception), lambda _, error: refused(error))
    checks = [Middleware(Bodies), Middleware(KeyCheck, key=settings.gateway_key.get_secret_value())]
    return Starlette(routes=routes, middleware=checks, lifespan=lifespan, exception_handlers=handlers)


class Gateway:
    """ASGI middleware that has the application answer its own paths, and the chat all others and every websocket.

    The application is open from before the chat's start until after its end.
    """

    def __init__(self, chat: ASGIApp, assistant: Shared) -> None:
        self._chat = chat
        self._application = application(load(), assistant)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._application.router.lifespan_context(self._application):
                await self._chat(scope, receive, send)
            return
        ours = scope["type"] == "http" and scope["path"].split("/")[1] in PREFIXES
        await (self._application if ours else self._chat)(scope, receive, send)


class _Punctual(H11Protocol):
    """A connection that is closed unless it sends a request in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._close_unless_asked, self.scope)

    def on_response_complete(self) -> None:
        answered = self.scope
        super().on_response_complete()  # which may begin the next one, if that is here
        self.loop.call_later(HEAD_SECONDS, self._close_unless_asked, answered)

    def _close_unless_asked(self, before: object) -> None:
        if self.scope is before:
            self.transport.close()


def serve(settings: Settings, host: str, listening: socket) -> None:
    """Answer requests to an open port until Ctrl+C."""
    assistant = Assistant(settings, patience=PATIENCE)

    async def shared() -> Assistant:
        return assistant

    @asynccontextmanager
    async def warmed() -> AsyncIterator[None]:
        logs.start()
        async with assistant:
            assistant.warm()
            yield

    run(
        Guard(application(settings, shared, warmed), lambda: LOOPBACK if host in LOOPBACK else ()), listening, ws="none"
    )


def run(app: ASGIApp, listening: socket, **options: Any) -> None:
    """Answer requests to an open port until Ctrl+C, with these options of uvicorn; slow connections are ended."""
    chosen = {"limit_concurrency": CONNECTIONS, "timeout_graceful_shutdown": ENDING_SECONDS, **options}
    config = uvicorn.Config(app, http=_Punctual, log_level="warning", **chosen)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
