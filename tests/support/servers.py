"""Small HTTP servers for tests, on raw sockets in the test's own event loop: one with set answers, one with faults."""

import asyncio
import json
import os
import re
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

EVENT_SECONDS = 0.001
"""Between two events of a stream."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    head: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Server:
    """An HTTP server on a free port of loopback; `asked` holds the requests in their order."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def count(self, path: str) -> int:
        """How many requests there were for a path."""
        return sum(asked.path == path for asked in self.asked)

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Write the answer; the connection is closed behind it."""
        raise NotImplementedError

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                asked = await _request(reader)
                self.asked.append(asked)
                await self.respond(asked, writer)
                await writer.drain()
        finally:
            self._tasks.discard(task)
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body, head)


def reply(status: int, data: Any = None, **headers: str) -> bytes:
    """A whole answer; a str is sent as it is, everything else as JSON."""
    body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    lines = {"content-length": str(len(body)), "connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Test\r\n{head}\r\n".encode() + body


def events(*data: Any, done: bool = True) -> bytes:
    """An event stream as a model server sends it; a str is sent as it is."""
    lines = [item if isinstance(item, str) else json.dumps(item) for item in data] + ["[DONE]"] * done
    return EVENTS + "".join(f"data: {line}\n\n" for line in lines).encode()


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One event of a completion."""
    said = delta | ({"content": content} if content is not None else {})
    choice = {"index": 0, "delta": said, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


Answer = bytes | Callable[[Asked], bytes | Awaitable[bytes]]


class Canned(Server):
    """Gives the answer that is set for a path, 404 for all others; `answers` may be changed while it runs."""

    def __init__(self, answers: Mapping[str, Answer]):
        super().__init__()
        self.answers = dict(answers)

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        answer = self.answers.get(asked.path, reply(404, "No mapping for HTTP-method"))
        given = answer(asked) if callable(answer) else answer
        await written(given if isinstance(given, bytes) else await given, writer)


async def written(answer: bytes, writer: asyncio.StreamWriter) -> None:
    """Write an answer, a stream event by event: what comes together is read together."""
    head, *rest = re.split(rb"(?<=\n\n)", answer) if answer.startswith(EVENTS) else [answer]
    writer.write(head)
    for event in rest:
        await asyncio.sleep(EVENT_SECONDS)
        writer.write(event)


class Silent(Server):
    """Takes every request and never answers."""

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()


@dataclass
class Fault:
    """What a proxy does to a completion, `times` over (None: always).

    status: this status, with `headers` and `body`, instead of an answer · raw: these bytes instead · after: the fault
    comes behind so many bytes of the answer · how: "stall" (silence), "drip" (a blank now and then, without end), "cut"
    (FIN) or "reset" (RST) · delay: seconds before the answer · pace: seconds before each piece of at most 64 bytes.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=lambda: {"error": {"message": "injected", "type": "server_error", "code": None}})
    raw: bytes | None = None
    after: int = 0
    how: str = ""
    delay: float = 0.0
    pace: float = 0.0
    times: int | None = None


def is_completion(asked: Asked) -> bool:
    """Whether a request is one for an answer."""
    return asked.path.endswith("/chat/completions")


class FaultProxy(Server):
    """Stands before a model server and spoils the requests that `spoils` chooses, completions unless told otherwise."""

    def __init__(self, upstream: str, fault: Fault | None = None, spoils: Callable[[Asked], bool] = is_completion):
        super().__init__()
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self.fault = fault
        self._spoils = spoils
        self.lost = 0
        """How many of the next requests, of whatever kind, find nobody."""

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if self.lost:
            self.lost -= 1
            _end(writer, "reset")
            return
        fault = self.fault if self._spoils(asked) else None
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times < 0:
                fault = None
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.raw is not None or fault.status is not None:
                writer.write(
                    fault.raw if fault.raw is not None else reply(fault.status or 0, fault.body, **fault.headers)
                )
                return
            if fault.how in ("cut", "reset") and not fault.after:
                _end(writer, fault.how)
                return
        await self._forward(asked, writer, fault or Fault())

    async def _forward(self, asked: Asked, writer: asyncio.StreamWriter, fault: Fault) -> None:
        sent = 0
        async with aclosing(self._answer(asked, 64 if fault.how or fault.pace else 65536)) as pieces:
            async for data in pieces:
                if fault.how and sent + len(data) >= fault.after:
                    writer.write(data[: fault.after - sent])
                    await writer.drain()
                    if fault.how == "stall":
                        await asyncio.Event().wait()
                    while fault.how == "drip":
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(0.02)
                    await asyncio.sleep(0.05)  # RST drops what is still queued
                    _end(writer, fault.how)
                    return
                await asyncio.sleep(fault.pace)
                writer.write(data)
                await writer.drain()
                sent += len(data)

    async def _answer(self, asked: Asked, most: int) -> AsyncGenerator[bytes, None]:
        """Yield the answer of the server behind, in pieces of so many bytes at most."""
        reader, upstream = await asyncio.open_connection(*self._upstream)
        try:
            head = b"\r\n".join(
                line for line in asked.head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")
            )
            upstream.write(head + b"\r\nConnection: close\r\n\r\n" + asked.body)
            while data := await reader.read(most):
                yield data
        finally:
            upstream.close()


def _end(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "reset":
        reset_on_close(writer.get_extra_info("socket"))
    writer.transport.abort()


def reset_on_close(connection: socket.socket) -> None:
    """Make a connection end with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))
