"""The server of the Model Context Protocol: tools and documents by its messages, over stdio or HTTP.

Nothing else of ours imports the package mcp, whose next version has other names.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from sys import maxsize
from typing import TYPE_CHECKING, Any, BinaryIO

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from app.errors import InputError
from app.settings import LOOPBACK

if TYPE_CHECKING:
    from app.answering.pipeline import Assistant
    from app.mcp.tools import Record, Tools

REPEAT_SECONDS = 5.0
"""After which a client is told again what is waited for: some give up after a minute in which they hear nothing."""

SESSIONS = 100
"""Sessions over HTTP at a time; each ends with its client, or after half an hour without a request."""

LONGEST_REQUEST = 100_000
"""Bytes of a request over HTTP; a question has 8,000 characters at most."""

VERSION = version("escalator-chat")

SETTLED = json.loads((Path(__file__).parent / "tools.json").read_text(encoding="utf-8"))
"""What clients are told at the start: instructions, tools with the schemas of what they take and return, templates."""

Shared = Callable[[], Awaitable["Assistant"]]
"""Returns the assistant that all user interfaces of a process share; the first call may take a second."""


def tool_server(assistant: Shared) -> Server[Any, Any]:
    """Make the server, which asks for the assistant once a client is connected."""
    server = Server[Any, Any]("escalator", VERSION, SETTLED["instructions"])
    offered = {each["name"]: types.Tool(**each) for each in SETTLED["tools"]}

    @asynccontextmanager
    async def using() -> AsyncIterator["Tools"]:
        from app.mcp.tools import Tools  # which imports what only answers need

        async with _progress(server.request_context) as tell:
            yield Tools(await assistant(), tell)

    async def connected(_: types.InitializedNotification) -> None:
        await assistant()

    async def listed() -> list[types.Tool]:
        return [*offered.values()]

    async def call(name: str, arguments: "Record") -> tuple[list[types.TextContent], "Record"]:
        if name not in offered:
            raise InputError("There is no tool {name}. There are: {names}.", name=name, names=", ".join(offered))
        async with using() as tools:
            result = _sendable(await getattr(tools, name)(**arguments))
        return [types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))], result

    async def resources(request: types.ListResourcesRequest) -> types.ListResourcesResult:
        offset = int((request.params and request.params.cursor) or 0)
        async with using() as tools:
            found = _sendable(await tools.corpus(offset))
        shown = [
            types.Resource(uri=each["url"], name=each["file"], title=each["title"], mimeType="text/plain")
            for each in found["documents"]
        ]
        more = offset + len(shown)
        return types.ListResourcesResult(resources=shown, nextCursor=str(more) if more < found["total"] else None)

    async def templates() -> list[types.ResourceTemplate]:
        return [types.ResourceTemplate(**each) for each in SETTLED["templates"]]

    async def read(url: object) -> list[ReadResourceContents]:
        async with using() as tools:
            found = _sendable(await tools.fetch(str(url), maxsize))
        return [ReadResourceContents(found["text"], "text/plain")]

    server.notification_handlers[types.InitializedNotification] = connected
    server.list_tools()(listed)
    server.call_tool()(call)
    server.list_resources()(resources)
    server.list_resource_templates()(templates)
    server.read_resource()(read)
    return server


def _sendable(record: "Record") -> "Record":
    """Replace what UTF-8 cannot hold: half a pair of surrogates in a document."""
    sendable: Record = json.loads(json.dumps(record, ensure_ascii=False).encode(errors="replace"))
    return sendable


@asynccontextmanager
async def _progress(request: Any) -> AsyncIterator[Callable[[str], object]]:
    """Provide what tells a client that asked for it how a request goes on; the last sentence is repeated."""
    token, sentences = request.meta and request.meta.progressToken, asyncio.Queue[str]()

    async def send() -> None:
        text = ""
        for number in count(1):
            with suppress(TimeoutError):
                text = await asyncio.wait_for(sentences.get(), REPEAT_SECONDS)
            await request.session.send_progress_notification(token, number, None, text, str(request.request_id))

    sending = asyncio.create_task(send()) if token is not None else None
    try:
        yield sentences.put_nowait
    finally:
        if sending is not None:
            sending.cancel()


async def serve_stdio(assistant: Shared, source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one client until its messages end."""
    messages = anyio.wrap_file(TextIOWrapper(source, "utf-8", "replace"))
    answers = anyio.wrap_file(TextIOWrapper(sink, "utf-8", newline="\n"))
    server = tool_server(assistant)
    async with stdio_server(messages, answers) as (received, sent):
        await server.run(received, sent, server.create_initialization_options())


def http_server(assistant: Shared) -> tuple[ASGIApp, Callable[[], AbstractAsyncContextManager[None]]]:
    """Make the application that serves clients over HTTP, and what must be open meanwhile: its sessions.

    A name of another host is refused (DNS rebinding), also where the server listens to the network.
    """
    names = [f"[{name}]" if ":" in name else name for name in LOOPBACK]
    hosts = [*names, *(f"{name}:*" for name in names)]
    security = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts])
    sessions = StreamableHTTPSessionManager(
        tool_server(assistant),
        security_settings=security,
        max_sessions=SESSIONS,
        max_request_body_size=LONGEST_REQUEST,
    )
    return sessions.asgi_app, sessions.run
