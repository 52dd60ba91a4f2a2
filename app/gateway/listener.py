"""The application of app/gateway/application.py alone, under uvicorn: `escalator serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.answering.pipeline import Assistant
from app.gateway.application import application
from app.guard import Guard
from app.settings import LOOPBACK, Settings

HEAD_SECONDS = 10.0
"""For a new connection to send the head of its first request; uvicorn would wait for ever."""

CONNECTIONS = 256
"""More are answered 503; each takes a file handle, of which a process may have 1,024."""

PATIENCE = 20.0
"""Seconds that a question waits for a model server to be found: a program that asks does not ask again by itself."""

ENDING_SECONDS = 2
"""For the answers that are written when the server is ended."""


class _Punctual(H11Protocol):
    """A connection that is closed unless it sends a request in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self.scope is None:  # which its type does not say
            self.transport.close()  # type: ignore[unreachable]


def serve(settings: Settings, host: str, listening: socket) -> None:
    """Answer requests to an open port until Ctrl+C."""
    assistant = Assistant(settings, patience=PATIENCE)

    async def shared() -> Assistant:
        return assistant

    @asynccontextmanager
    async def warmed() -> AsyncIterator[None]:
        assistant.warm()
        try:
            yield
        finally:
            await assistant.close()

    config = uvicorn.Config(
        Guard(application(settings, shared, warmed), lambda: host in LOOPBACK),
        http=_Punctual,
        ws="none",
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
