"""The web application of all user interfaces that are not the chat: routes, and how it stands before the chat.

A face adds its routes in `application`, and to `open_meanwhile` what must be open while the server runs.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.answering.pipeline import Shared
from app.errors import EscalatorError
from app.gateway import browser, completions
from app.gateway.openai_format import refusal
from app.guard import KeyCheck, ThisMachine
from app.settings import Settings, load

PREFIXES = ("v1", "mcp", "browser")
"""The first parts of paths that the application answers; all others are the chat's."""

Opened = Callable[[], AbstractAsyncContextManager[object]]
"""Opens what a face needs while the server runs."""


def application(settings: Settings, assistant: Shared, *opened: Opened) -> Starlette:
    """Make the application."""
    open_meanwhile = [*opened]
    routes: list[BaseRoute] = [*completions.routes(settings, assistant), *browser.routes(assistant)]
    if settings.mcp:
        from app.mcp.tool_server import http_sessions  # whose import takes half a second

        sessions = http_sessions(assistant)
        routes.append(Route("/mcp", ThisMachine(sessions.asgi_app), methods=["POST", "DELETE"]))
        open_meanwhile.append(sessions.run)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for enter in open_meanwhile:
                await stack.enter_async_context(enter())
            yield

    # The details of other errors are written to the terminal by the server.
    handlers = dict.fromkeys((HTTPException, EscalatorError, Exception), lambda _, error: refusal(error))
    checks = [Middleware(KeyCheck, key=settings.gateway_key.get_secret_value())]
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
