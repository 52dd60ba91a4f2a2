"""The server of the Model Context Protocol: what its clients can do with the documents, over stdio or HTTP.

Nothing else of ours imports the package mcp, whose next version has other names.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
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

from app.answering import events
from app.answering.pipeline import Assistant, Shared
from app.answering.turn import Answer, Mode, Turn
from app.documents.document import ROOT, reference, resolve
from app.documents.passages import Passage
from app.errors import EscalatorError, InputError
from app.retrieval.corpus import Reading
from app.retrieval.packing import Evidence
from app.retrieval.snapshot import Snapshot, notes
from app.translation import again

LONGEST_TEXT = 40_000
"""Characters that `fetch` returns at most: about 10,000 tokens, of which clients complain if there are more."""

LISTED = 200
"""Documents, and files that were not read, that `corpus` names at once."""

REPEAT_SECONDS = 5.0
"""After which a client is told again what is waited for: some give up after a minute in which they hear nothing."""

SESSIONS = 100
"""Sessions over HTTP at a time; each ends with its client, or after half an hour without a request."""

LONGEST_REQUEST = 100_000
"""Bytes of a request over HTTP; a question has 8,000 characters at most."""

VERSION, PLAIN = version("escalator-chat"), "text/plain"

CONTRACT = json.loads((Path(__file__).parent / "tools.json").read_text(encoding="utf-8"))
"""What clients are told at the start: instructions, tools with the schemas of what they take and return, templates."""

TOOLS = {each["name"]: types.Tool(**each) for each in CONTRACT["tools"]}

Record = dict[str, Any]


class Tools:
    """The tools for one call, which `tell` what they wait for; they take and return what tools.json says.

    They search and answer as the chat does, and only put its results into other words; but without private documents,
    as nobody knows where the client's model is.
    """

    def __init__(self, assistant: Assistant, tell: Callable[[str], object]) -> None:
        self._assistant, self._retriever, self._tell = assistant, assistant.retriever, tell

    async def search(self, query: str, limit: float = 10, folders: Sequence[str] = ()) -> Record:
        """Find passages."""

        def find() -> Record:
            it = self._retriever.look_up(Turn(query, scope=tuple(folders), public=True))
            results = [_piece(hit.passage) | {"why": str(hit.explanation)} for hit in it.found.hits[: int(limit)]]
            unread = f"Files that were not read, named by corpus: {len(it.problems)}" if it.problems else ""
            return {"results": results, "notes": [*filter(None, (it.found.missing, str(it.reading or ""), unread))]}

        return await self._retriever.wait(find, self._tell)

    async def fetch(self, id: str, most: int = LONGEST_TEXT) -> Record:  # noqa: A002 - the name that clients expect
        """Read `most` characters of a document, with the stretch that the id names in their middle."""
        return await self._retriever.wait(lambda: _read(self._retriever.public(), id, most), self._tell)

    async def ask(self, question: str, mode: Mode = "auto", folders: Sequence[str] = ()) -> Record:
        """Answer a question; raises the failure of a turn that has no answer."""
        failure: EscalatorError | None = None
        turn = Turn(question, mode=mode, scope=tuple(folders), public=True)
        async with aclosing(self._assistant.answer(turn)) as stream:
            async for event in stream:
                match event:
                    case events.Progress(text) | events.Escalated(why=text):
                        self._tell(text)
                    case events.Retrieved(reading=Reading() as reading):
                        self._tell(str(reading))
                    case events.AttemptStarted(model=model):
                        self._tell(f"{model} is answering")
                    case events.Failed(error):
                        failure = error
                    case events.Finished(answer) if answer.rendered or failure is None:
                        return _reply(answer)
        raise failure or AssertionError("a turn always finishes")

    async def corpus(self, offset: float = 0, most: int = LISTED) -> Record:
        """List the documents."""
        snapshot = await self._retriever.wait(self._retriever.public, self._tell)
        known, said = [*snapshot.documents.values()], notes(snapshot)
        listed = [
            _named(it.file, it.title)
            | {"language": it.language, "pages": it.pages, "passages": it.passages, "notes": said.get(it.file, [])}
            for it in known[int(offset) :][:most]
        ]
        unread = [{"file": it.name, "reason": again(it.reason)} for it in snapshot.files if it.entry is None]
        totals = {"total": len(known), "unread_total": len(unread), "reading": str(self._retriever.reading or "")}
        return {"documents": listed, "unread": unread[:most]} | totals


def _named(file: str, title: str, start: int = 0, end: int = 0) -> Record:
    name = reference(file, start, end)
    return {"id": name, "title": title or file, "url": ROOT + name, "file": file}


def _piece(it: Passage | Evidence) -> Record:
    found = {"text": it.text, "place": it.place.shown, "heading": it.place.heading}
    return _named(it.file, it.title, it.start, it.end) | found


def _read(snapshot: Snapshot, name: str, most: int) -> Record:
    file, start, end = resolve(name, snapshot.documents)
    it, whole = snapshot.around(file, start, end, most), len(snapshot.text(file))
    before = reference(file, max(0, it.start - most), it.start) if it.start else ""
    after = reference(file, it.end, it.end + most) if it.end < whole else ""
    metadata = {"language": it.language, "start": it.start, "end": it.end, "characters": whole}
    return _piece(replace(it, start=start, end=end)) | {"metadata": metadata | {"before": before, "after": after}}


def _reply(answer: Answer) -> Record:
    others = [it for it in answer.attempts if it is not answer.attempt and it.text.strip()]
    return {
        "answer": answer.rendered,
        "model": answer.author,
        "escalated": answer.escalated,
        "reason": answer.decision.why if answer.decision is not None else "",
        "sources": [_piece(it) | {"number": it.number, "quotes": answer.quotes(it)} for it in answer.sources],
        "unsupported": [it.sentence for it in answer.citations if not it.supported],
        "drafts": [{"model": it.model, "text": it.text} for it in others],
        "notes": list(answer.notices),
    }


def tool_server(assistant: Shared) -> Server[Any, Any]:
    """Make the server, which asks for the assistant once a client is connected."""
    server = Server[Any, Any]("escalator", VERSION, CONTRACT["instructions"])

    async def result(name: str, **arguments: Any) -> str:
        sentences = asyncio.Queue[str]()
        tools = Tools(await assistant(), sentences.put_nowait)
        working = asyncio.ensure_future(getattr(tools, name)(**arguments))
        reporting = asyncio.ensure_future(_report(server.request_context, sentences))
        try:
            await asyncio.wait([working, reporting], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ConnectionError("the client is gone")
        finally:
            working.cancel()
            reporting.cancel()
        text = json.dumps(working.result(), ensure_ascii=False)
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
    """Send each sentence to a client that wants to know how its request goes on, the last one again and again.

    Returns when the client is gone, which over HTTP nothing else tells.
    """
    number, text = 0, "Still working"
    while request.request is None or not await request.request.is_disconnected():
        with suppress(TimeoutError):
            text = await asyncio.wait_for(sentences.get(), REPEAT_SECONDS)
        if request.meta and (token := request.meta.progressToken) is not None:
            number += 1
            await request.session.send_progress_notification(token, number, None, text, str(request.request_id))


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


def http_sessions(assistant: Shared) -> StreamableHTTPSessionManager:
    """Make what serves clients over HTTP, and must be open meanwhile."""
    return StreamableHTTPSessionManager(
        tool_server(assistant), max_sessions=SESSIONS, max_request_body_size=LONGEST_REQUEST
    )
