"""The server of the Model Context Protocol: tools and documents by its messages, over stdio or HTTP.

Nothing else of ours imports the package mcp, whose next version has other names.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
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

from app.answering.pipeline import Shared
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


def tool_server(assistant: Shared) -> Server[Any, Any]:
    """Make the server, which asks for the assistant once a client is connected."""
    server = Server[Any, Any]("escalator", VERSION, CONTRACT["instructions"])

    async def result(name: str, **arguments: Any) -> str:
        sentences = asyncio.Queue[str]()
        reporting = asyncio.create_task(_report(server.request_context, sentences))
        try:
            record = await getattr(Tools(await assistant(), sentences.put_nowait), name)(**arguments)
        finally:
            reporting.cancel()
        text = json.dumps(record, ensure_ascii=False)
        return text.encode(errors="replace").decode()  # a document may hold half a pair of surrogates

    async def connected(_: types.InitializedNotification) -> None:
        await assistant()

    server.notification_handlers[types.InitializedNotification] = connected

    @server.list_tools()
    async def tools() -> list[types.Tool]:
        return [*TOOLS.values()]

    @server.call_tool()
    async def call(name: str, arguments: Record) -> tuple[list[types.TextContent], Record]:
        if name not in TOOLS:
            raise InputError("There is no tool {name}. There are: {names}.", name=name, names=", ".join(TOOLS))
        text = await result(name, **arguments)
        return [types.TextContent(type="text", text=text)], json.loads(text)

    @server.list_resources()
    async def documents() -> list[types.Resource]:
        known = json.loads(await result("corpus", most=maxsize))["documents"]
        return [types.Resource(uri=it["url"], name=it["file"], title=it["title"], mimeType=PLAIN) for it in known]

    @server.list_resource_templates()
    async def templates() -> list[types.ResourceTemplate]:
        return [types.ResourceTemplate(**each) for each in CONTRACT["templates"]]

    @server.read_resource()
    async def read(url: object) -> list[ReadResourceContents]:
        text = json.loads(await result("fetch", id=str(url), most=maxsize))["text"]
        return [ReadResourceContents(text, PLAIN)]

    return server


async def _report(request: Any, sentences: "asyncio.Queue[str]") -> None:
    """Send each sentence to a client that wants to know how its request goes on, the last one again and again."""
    number, text = 0, "Still working"
    while request.meta and request.meta.progressToken is not None:
        with suppress(TimeoutError):
            text = await asyncio.wait_for(sentences.get(), REPEAT_SECONDS)
        number += 1
        await request.session.send_progress_notification(
            request.meta.progressToken, number, None, text, str(request.request_id)
        )


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
