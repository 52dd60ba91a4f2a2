"""The server of the Model Context Protocol: tools and documents by its messages, over stdio or HTTP.

Nothing else of ours imports the package mcp, whose next version has other names.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from sys import maxsize
from typing import Any, BinaryIO

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from app.answering.pipeline import Assistant
from app.errors import InputError
from app.mcp.tools import Record, Tools

REPEAT_SECONDS = 5.0
"""After which a client is told again what is waited for: some give up after a minute in which they hear nothing."""

SESSIONS = 100
"""Sessions over HTTP at a time; each ends with its client, or after half an hour without a request."""

LONGEST_REQUEST = 100_000
"""Bytes of a request over HTTP; a question has 8,000 characters at most."""

HOSTS = [f"{name}{port}" for name in ("127.0.0.1", "localhost", "[::1]") for port in ("", ":*")]
"""By which names the server may be called over HTTP, wherever it listens: by no other host's (DNS rebinding)."""

SECURITY = TransportSecuritySettings(allowed_hosts=HOSTS, allowed_origins=[f"http://{host}" for host in HOSTS])

VERSION, PLAIN = version("escalator-chat"), "text/plain"

CONTRACT = json.loads((Path(__file__).parent / "tools.json").read_text(encoding="utf-8"))
"""What clients are told at the start: instructions, tools with the schemas of what they take and return, templates."""

TOOLS = {each["name"]: types.Tool(**each) for each in CONTRACT["tools"]}

Shared = Callable[[], Awaitable[Assistant]]
"""Returns the assistant that all user interfaces of a process share; the first call may take a second."""


def tool_server(assistant: Shared) -> Server[Any, Any]:
    """Make the server, which asks for the assistant once a client is connected."""
    server = Server[Any, Any]("escalator", VERSION, CONTRACT["instructions"])

    @asynccontextmanager
    async def tools() -> AsyncIterator[Tools]:
        async with _progress(server.request_context) as tell:
            yield Tools(await assistant(), tell)

    async def connected(_: types.InitializedNotification) -> None:
        await assistant()

    server.notification_handlers[types.InitializedNotification] = connected

    @server.list_tools()
    async def offered() -> list[types.Tool]:
        return [*TOOLS.values()]

    @server.call_tool()
    async def call(name: str, arguments: Record) -> tuple[list[types.TextContent], Record]:
        if name not in TOOLS:
            raise InputError("There is no tool {name}. There are: {names}.", name=name, names=", ".join(TOOLS))
        async with tools() as offered:
            text = _sendable(await getattr(offered, name)(**arguments))
        return [types.TextContent(type="text", text=text)], json.loads(text)

    @server.list_resources()
    async def documents() -> list[types.Resource]:
        async with tools() as offered:
            known = json.loads(_sendable(await offered.corpus(most=maxsize)))["documents"]
        return [types.Resource(uri=it["url"], name=it["file"], title=it["title"], mimeType=PLAIN) for it in known]

    @server.list_resource_templates()
    async def templates() -> list[types.ResourceTemplate]:
        return [types.ResourceTemplate(**each) for each in CONTRACT["templates"]]

    @server.read_resource()
    async def read(url: object) -> list[ReadResourceContents]:
        async with tools() as offered:
            return [ReadResourceContents(json.loads(_sendable(await offered.fetch(str(url), maxsize)))["text"], PLAIN)]

    return server


def _sendable(record: Record) -> str:
    """Write a record as JSON, without what UTF-8 cannot hold: half a pair of surrogates in a document."""
    return json.dumps(record, ensure_ascii=False).encode(errors="replace").decode()


@asynccontextmanager
async def _progress(request: Any) -> AsyncIterator[Callable[[str], object]]:
    """Provide what tells a client that asked for it how a request goes on; the last sentence is repeated."""
    token, sentences = request.meta and request.meta.progressToken, asyncio.Queue[str]()

    async def send() -> None:
        number, text = 0, ""
        while token is not None:
            with suppress(TimeoutError):
                text = await asyncio.wait_for(sentences.get(), REPEAT_SECONDS)
            number += 1
            await request.session.send_progress_notification(token, number, None, text, str(request.request_id))

    sending = asyncio.create_task(send())
    try:
        yield sentences.put_nowait
    finally:
        sending.cancel()


async def serve_stdio(assistant: Shared, source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one client until its messages end."""
    messages = anyio.wrap_file(TextIOWrapper(source, "utf-8", "replace"))
    answers = anyio.wrap_file(TextIOWrapper(sink, "utf-8", newline="\n"))
    server = tool_server(assistant)
    try:
        async with stdio_server(messages, answers) as (received, sent):
            await server.run(received, sent, server.create_initialization_options())
    except* (anyio.ClosedResourceError, BrokenPipeError):
        pass  # the client is gone before it had all answers


def http_server(assistant: Shared) -> tuple[ASGIApp, Callable[[], AbstractAsyncContextManager[None]]]:
    """Make the application that serves clients over HTTP, and what must be open meanwhile: its sessions."""
    sessions = StreamableHTTPSessionManager(
        tool_server(assistant),
        security_settings=SECURITY,
        max_sessions=SESSIONS,
        max_request_body_size=LONGEST_REQUEST,
    )
    return sessions.asgi_app, sessions.run
