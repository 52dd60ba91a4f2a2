"""The server of the Model Context Protocol, as the client of the package mcp sees it: over stdio and over HTTP."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic import AnyUrl

from app import mcp as tool_server
from app import processes
from app.answering.events import AttemptStarted, Event
from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.cli import serving_commands
from app.settings import ROOT
from app.web.application import application
from tests.support.chat import running
from tests.support.corpora import FERRY
from tests.support.runtime import settings_for, state_of

HOST = "http://127.0.0.1:8000"

PRINTING = """\
import os, sys, threading, time

def work():
    while "app.mcp" not in sys.modules:
        time.sleep(0.01)
    while True:
        print("a library prints", flush=True)
        os.write(1, b"so does one in C\\n")
        time.sleep(0.02)

threading.Thread(target=work, daemon=True).start()
from app.cli.commands import main
try:
    main()
finally:
    open(os.environ["ENDED"], "w", encoding="utf-8").close()
"""
"""`escalator mcp` with libraries that print, and with a file that tells that it ended by itself."""


@dataclass
class Seen:
    """What a client saw in one session."""

    server: types.InitializeResult
    tools: list[types.Tool]
    resources: list[types.Resource]
    templates: list[types.ResourceTemplate]
    found: types.CallToolResult
    fetched: types.CallToolResult
    reply: types.CallToolResult
    contents: types.CallToolResult
    refused: dict[str, types.CallToolResult]
    document: str = ""
    missing: str = ""
    progress: list[tuple[float, str | None]] = field(default_factory=list)
    strange: list[object] = field(default_factory=list)


async def session_of(client: ClientSession, strange: list[object]) -> Seen:
    """Do in one session what clients do."""
    progress: list[tuple[float, str | None]] = []

    async def tell(number: float, total: float | None, text: str | None) -> None:
        progress.append((number, text))

    server = await client.initialize()
    found = await client.call_tool("search", {"query": "When does the ferry leave?", "limit": 3})
    assert found.structuredContent is not None
    seen = Seen(
        server,
        (await client.list_tools()).tools,
        (await client.list_resources()).resources,
        (await client.list_resource_templates()).resourceTemplates,
        found,
        await client.call_tool("fetch", {"id": found.structuredContent["results"][0]["id"]}),
        await client.call_tool("ask", {"question": "When does the museum open?"}, progress_callback=tell),
        await client.call_tool("corpus"),
        {
            "id": await client.call_tool("fetch", {"id": "../state/secret.md"}),
            "mode": await client.call_tool("ask", {"question": "Why?", "mode": "huge"}),
            "tool": await client.call_tool("__init__", {"assistant": 1}),
            "folder": await client.call_tool("search", {"query": "ferry", "folders": ["north/"]}),
        },
        progress=progress,
        strange=strange,
    )
    text = (await client.read_resource(seen.resources[1].uri)).contents[0]
    assert isinstance(text, types.TextResourceContents)
    seen.document = text.text
    with pytest.raises(McpError) as error:
        await client.read_resource(AnyUrl("escalator://corpus/none.md"))
    seen.missing = str(error.value)
    return seen


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with an odd name in it, and with words that no Western European code page has."""
    folder = tmp_path_factory.mktemp("documents") / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    museum = "# The museum\n\nThe museum on the quay (博物館) opens at ten – as Mr Müller says.\n"
    (folder / "Übersicht #2?.md").write_text(museum, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def over_stdio(models: Path, runtime: str, documents: Path) -> Seen:
    """A session with `escalator mcp` in a process of its own, whose pipes are those of Windows in Western Europe."""
    environment = {
        **os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT),
        "ESCALATOR_MODEL_CACHE": str(models), "ESCALATOR_STATE_DIR": str(state_of(models)),
        "ENDED": str(documents.parent / "ended"),
    }  # fmt: skip
    command = StdioServerParameters(
        command=sys.executable, args=["-c", PRINTING, "mcp", "--corpus", str(documents)], env=environment
    )
    strange: list[object] = []

    async def take(message: object) -> None:
        if isinstance(message, Exception):
            strange.append(message)

    async def talk() -> Seen:
        async with (
            stdio_client(command) as (receive, send),
            ClientSession(receive, send, timedelta(seconds=60), message_handler=take) as client,
        ):
            return await session_of(client, strange)

    return asyncio.run(talk())


@asynccontextmanager
async def http_client(app: Any, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process, which seems to be at an address."""
    transport = httpx.ASGITransport(app, client=(address, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url=HOST, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def over_http(models: Path, runtime: str, documents: Path) -> Seen:
    """A session with the application behind `escalator serve`."""

    async def talk() -> Seen:
        settings = settings_for(models, documents, mcp=True)
        assistant = await asyncio.to_thread(Assistant, settings)
        app = await asyncio.to_thread(application, settings, shared(assistant))
        try:
            async with (
                app.router.lifespan_context(app),
                http_client(app) as http,
                streamable_http_client(f"{HOST}/mcp", http_client=http) as (receive, send, _),
                ClientSession(receive, send) as client,
            ):
                return await session_of(client, [])
        finally:
            await assistant.close()

    return asyncio.run(talk())


@pytest.fixture(params=[pytest.param(way, marks=pytest.mark.slow) for way in ("over_stdio", "over_http")])
def seen(request: pytest.FixtureRequest) -> Seen:
    """What a client saw, over each of the two ways."""
    seen: Seen = request.getfixturevalue(request.param)
    return seen


def shared(assistant: Any) -> tool_server.Shared:
    """What hands a server its assistant."""

    async def get() -> Assistant:
        return cast("Assistant", assistant)

    return get


def text_of(result: types.CallToolResult) -> str:
    """The text of a result, which has one."""
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


def test_a_client_learns_who_serves_it_and_that_texts_are_untrusted(seen: Seen) -> None:
    assert (seen.server.serverInfo.name, seen.server.serverInfo.version) == ("escalator", version("escalator-chat"))
    assert "untrusted" in (seen.server.instructions or "")
    assert [tool.name for tool in seen.tools] == ["search", "fetch", "ask", "corpus"]
    assert all(tool.annotations and tool.annotations.readOnlyHint for tool in seen.tools)


def test_results_come_as_data_and_as_text_of_the_same_content(seen: Seen) -> None:
    for result in (seen.found, seen.fetched, seen.reply, seen.contents):
        assert not result.isError
        assert json.loads(text_of(result)) == result.structuredContent
    assert seen.found.structuredContent is not None
    assert seen.found.structuredContent["results"][0]["file"] == "ferry.md"
    assert seen.fetched.structuredContent is not None
    assert seen.fetched.structuredContent["text"] == FERRY


def test_a_question_goes_through_the_whole_cascade(seen: Seen) -> None:
    reply = seen.reply.structuredContent
    assert reply is not None

    assert reply["answer"].startswith("The large model answers at length")
    assert (reply["model"], reply["escalated"]) == ("gpt-oss-20b", True)
    assert reply["drafts"] == [{"model": "phi-4-mini", "text": "I do not know."}]
    assert reply["reason"]
    assert reply["sources"][0]["id"].startswith("%C3%9Cbersicht%20%232%3F.md#")
    assert "博物館" in reply["sources"][0]["text"]


def test_a_client_that_waits_is_told_who_answers_and_why_another_model_is_asked(seen: Seen) -> None:
    numbers, texts = [number for number, _ in seen.progress], [text for _, text in seen.progress]

    assert numbers == sorted(set(numbers))
    assert texts.index("phi-4-mini is answering") < texts.index("gpt-oss-20b is answering")
    assert seen.reply.structuredContent is not None
    assert seen.reply.structuredContent["reason"] in texts


def test_documents_are_resources_under_any_name(seen: Seen) -> None:
    assert [(each.name, each.title) for each in seen.resources] == [
        ("ferry.md", "The ferry"), ("Übersicht #2?.md", "The museum")
    ]  # fmt: skip
    assert [each.uriTemplate for each in seen.templates] == ["escalator://corpus/{+path}"]
    assert "as Mr Müller says" in seen.document
    assert "Take an id from search or corpus." in seen.missing


def test_what_goes_wrong_is_a_sentence_that_names_the_remedy(seen: Seen) -> None:
    texts = {name: text_of(result) for name, result in seen.refused.items()}

    assert all(result.isError for result in seen.refused.values())
    assert texts["id"] == "There is no document '../state/secret.md'. Take an id from search or corpus."
    assert "'huge' is not one of ['auto'," in texts["mode"]
    assert texts["tool"] == "There is no tool __init__. There are: search, fetch, ask, corpus."
    assert texts["folder"].startswith("There is no folder “north/” in your documents")
    assert not any("Traceback" in text for text in texts.values())


@pytest.mark.slow
def test_nothing_but_messages_is_on_stdout_and_the_end_of_stdin_ends_it(over_stdio: Seen, documents: Path) -> None:
    assert over_stdio.strange == []
    assert (documents.parent / "ended").exists()


class Windows(io.TextIOWrapper):
    """Text as Windows writes it unless it is told otherwise."""

    def __init__(
        self, buffer: Any, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> None:
        ending = "\r\n" if newline is None and isinstance(buffer, Kept) else newline
        super().__init__(buffer, encoding or "cp1252", errors, ending)


class Kept(io.BytesIO):
    """Bytes that are there after the file is closed."""

    def close(self) -> None:
        pass


def request(method: str, number: int, **parameters: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    return json.dumps(message).encode() + b"\n"


INITIALIZE = request(
    "initialize", 1, protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "a test", "version": "1"}
)


async def test_lines_end_as_the_protocol_wants_it_on_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_server, "TextIOWrapper", Windows)
    sink = Kept()

    await tool_server.serve_stdio(shared(None), io.BytesIO(INITIALIZE), sink)

    assert json.loads(sink.getvalue())["result"]["serverInfo"]["name"] == "escalator"
    assert sink.getvalue().endswith(b"}\n")


async def test_a_client_that_sends_no_message_and_leaves_is_no_accident(caplog: pytest.LogCaptureFixture) -> None:
    await tool_server.serve_stdio(shared(None), io.BytesIO(INITIALIZE + "é\r\n".encode("cp1252")), Kept())

    assert "Traceback" not in caplog.text


def test_a_person_who_types_the_command_is_told_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(processes, "pipes", lambda: (io.BytesIO(INITIALIZE), Kept()))
    told = []
    for terminal in (False, True):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda terminal=terminal: terminal))
        serving_commands.mcp(corpus)
        told.append(capsys.readouterr())

    assert told[0] == ("", "")
    assert told[1].out == ""
    assert "docs/mcp.md" in told[1].err


class Waiting:
    """An assistant whose model never says anything."""

    retriever = None

    def __init__(self) -> None:
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    async def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        yield AttemptStarted(1, "small", "phi-4-mini", "here")
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@asynccontextmanager
async def connected(assistant: Any) -> AsyncIterator[ClientSession]:
    """A client of a server in this process."""
    async with create_connected_server_and_client_session(tool_server.tool_server(shared(assistant))) as client:
        yield client


async def test_a_client_that_cancels_a_question_ends_its_turn_and_can_go_on() -> None:
    assistant = Waiting()
    async with connected(assistant) as client:
        asking = asyncio.create_task(client.call_tool("ask", {"question": "Why?"}))
        await asyncio.wait_for(assistant.began.wait(), 10)
        cancelled = types.CancelledNotificationParams(requestId=client._request_id - 1)
        await client.send_notification(
            types.ClientNotification(types.CancelledNotification(method="notifications/cancelled", params=cancelled))
        )
        await asyncio.wait_for(assistant.ended.wait(), 10)
        with pytest.raises(McpError, match="cancelled"):
            await asking
        assert len((await client.list_tools()).tools) == 4


async def test_a_client_that_is_gone_ends_its_turn() -> None:
    assistant = Waiting()
    async with connected(assistant) as client:
        asking = asyncio.create_task(client.call_tool("ask", {"question": "Why?"}))
        await asyncio.wait_for(assistant.began.wait(), 10)
        asking.cancel()

    await asyncio.wait_for(assistant.ended.wait(), 10)


async def test_a_long_wait_is_reported_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_server, "REPEAT_SECONDS", 0.02)
    told: list[tuple[float, str | None]] = []
    thrice = asyncio.Event()

    async def tell(number: float, total: float | None, text: str | None) -> None:
        told.append((number, text))
        if len(told) == 3:
            thrice.set()

    async with connected(Waiting()) as client:
        asking = asyncio.create_task(client.call_tool("ask", {"question": "Why?"}, progress_callback=tell))
        await asyncio.wait_for(thrice.wait(), 10)
        asking.cancel()

    assert told[:3] == [(number, "phi-4-mini is answering") for number in (1, 2, 3)]


async def test_over_http_a_foreign_page_or_name_a_form_and_a_huge_message_are_refused(corpus: Path) -> None:
    settings = settings_for(corpus=corpus, mcp=True)
    app = await asyncio.to_thread(application, settings, shared(None))
    message: dict[str, str] = {"accept": "application/json, text/event-stream", "content-type": "application/json"}

    async def status(method: str = "POST", content: bytes = INITIALIZE, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await http.request(method, "/mcp", content=content, headers=message | named)).status_code

    async with app.router.lifespan_context(app), http_client(app) as http:
        assert await status() == 200
        assert await status(host="localhost:8000", origin="http://localhost:8000") == 200
        assert await status(host="evil.example:8000") == 403
        assert await status(host="evil.example:8000", origin="http://evil.example:8000") == 403
        assert await status(origin="http://evil.example") == 403
        assert await status(content_type="text/plain") == 400
        assert await status(content=b" " * (tool_server.LONGEST_REQUEST + 1)) == 413
        assert await status("GET") == 405
        assert await status(mcp_session_id="unknown") == 404


@pytest.mark.parametrize(
    ("address", "key", "status"),
    [
        ("::1", "", 200), ("::ffff:127.0.0.1", "", 200), ("192.168.0.7", "", 403), ("fd00::7", "", 403),
        ("127.0.0.1", "secret", 200), ("127.0.0.1", "wrong", 401), ("192.168.0.7", "secret", 403),
    ],
)  # fmt: skip
async def test_over_http_only_this_machine_is_answered_and_with_a_key_only_who_has_it(
    corpus: Path, address: str, key: str, status: int
) -> None:
    settings = settings_for(corpus=corpus, mcp=True, gateway_key=key and "secret")
    app = await asyncio.to_thread(application, settings, shared(None))
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with app.router.lifespan_context(app), http_client(app, address) as http:
        answer = await http.post("/mcp", content=INITIALIZE, headers=headers | {"authorization": f"Bearer {key}"})

    assert answer.status_code == status


async def test_over_http_a_client_that_leaves_without_cancelling_ends_its_turn(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_server, "REPEAT_SECONDS", 0.02)
    assistant = Waiting()
    app = await asyncio.to_thread(application, settings_for(corpus=corpus, mcp=True), shared(assistant))
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with app.router.lifespan_context(app), http_client(app) as http:
        session = (await http.post("/mcp", content=INITIALIZE, headers=headers)).headers["mcp-session-id"]
        named = [("host", HOST.removeprefix("http://")), ("mcp-session-id", session), *headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "client": ("127.0.0.1", 40_000)}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in named]
        body = request("tools/call", 2, name="ask", arguments={"question": "Why?"})
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await assistant.began.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            pass

        async with asyncio.timeout(5):
            await app(scope, receive, send)
            await assistant.ended.wait()


async def test_over_http_nothing_answers_unless_it_is_switched_on(corpus: Path) -> None:
    app = await asyncio.to_thread(application, settings_for(corpus=corpus), shared(None))
    async with http_client(app) as http:
        assert (await http.post("/mcp", content=INITIALIZE)).status_code == 404


@pytest.mark.slow
async def test_the_chat_serves_clients_beside_its_page_and_ends_while_one_is_connected(
    tmp_path: Path, corpus: Path
) -> None:
    with running(tmp_path, corpus, ESCALATOR_MCP="on") as app:
        async with (
            streamable_http_client(f"{app.url}/mcp", terminate_on_close=False) as (receive, send, _),
            ClientSession(receive, send) as client,
        ):
            await client.initialize()
            found = await client.call_tool("search", {"query": "When does the ferry leave?"})
        async with httpx.AsyncClient() as http:
            foreign = await http.post(f"{app.url}/mcp", headers={"origin": "http://evil.example"})

    assert "9:30" in text_of(found)
    assert foreign.status_code == 403
