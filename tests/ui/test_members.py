"""A room as its people have it: one running server, who may come in, and what nobody gets of anybody else."""

import asyncio
import io
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import socketio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from yarl import URL

from app.cli.serving_commands import _tell_link
from app.guard import Bodies
from app.history import History
from app.room import folder_of, person
from app.settings import ROOT, Settings
from app.ui import server_guard
from app.ui.composer import Choices
from tests.support.chat import Chat, environment, free_port
from tests.support.corpora import FERRY

pytestmark = pytest.mark.slow

QUESTION = "When does the ferry leave?"
SECRET = "Does the ferry take Anna's horse?"

SLOW = """
from app import guard
from app.cli.commands import main
from app.web import application
application.HEAD_SECONDS = guard.BODY_SECONDS = 1
main()
"""


@dataclass(frozen=True)
class Served:
    """The server of a room behind a proxy on this machine, so that requests from here are not the organiser's."""

    url: str
    port: int
    state: Path
    said: str

    @property
    def code(self) -> str:
        return re.findall("^Code: (.*)$", self.said, re.MULTILINE)[0]

    @property
    def organiser_code(self) -> str:
        return re.findall("organiser.*: (.*)$", self.said, re.MULTILINE)[0]

    async def log_in(self, name: str, code: str = "", **headers: str) -> aiohttp.ClientResponse:
        """Log in; the answer, with the cookies of the browser from then on."""
        async with aiohttp.ClientSession(headers=headers) as http:
            form = {"username": name, "password": code or self.code}
            async with http.post(f"{self.url}/login", data=form) as answer:
                return answer

    async def cookies(self, name: str, code: str = "") -> str:
        """Log in as somebody new; the header Cookie of their browser."""
        answer = await self.log_in(name, code)
        assert answer.status == 200
        return "; ".join(f"{each.key}={each.value}" for each in answer.cookies.values())

    async def status(self, path: str, method: str = "GET", source: str = "127.0.0.1", **given: Any) -> int:
        """The status of what a request gets, from an address of this machine."""
        connector = aiohttp.TCPConnector(local_addr=(source, 0))
        url = URL(self.url + path, encoded=True)
        async with aiohttp.ClientSession(connector=connector) as http, http.request(method, url, **given) as it:
            return it.status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A room, started from another folder, whose output is a pipe in the encoding of Windows."""
    folder = tmp_path_factory.mktemp("room")
    corpus, log, port = folder / "corpus", folder / "log", free_port()
    corpus.mkdir()
    (corpus / "ferry.md").write_text(FERRY, encoding="utf-8")
    given = {"ESCALATOR_PROXY": "127.0.0.1, 10.0.0.0/8", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252"}
    options = ["--port", str(port), "--host", "Room.test", "--host", "0.0.0.0", "--organiser-code"]
    command = [sys.executable, "-c", SLOW, "serve", "--lan", *options]
    with log.open("wb") as written:
        env = environment(folder, corpus, **given)
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=written, stderr=written)
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            assert process.poll() is None, log.read_text(encoding="cp1252")
            assert time.monotonic() < end
            time.sleep(0.05)
        yield Served(f"http://127.0.0.1:{port}", port, folder / "state", log.read_text(encoding="cp1252"))
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(encoding="cp1252")


def test_the_links_are_those_of_the_network_and_a_pipe_gets_no_drawing(served: Served) -> None:
    links = re.findall(r"^    (\S+)$", served.said, re.MULTILINE)

    assert links[0] == f"http://Room.test:{served.port}"
    assert not [link for link in links if "127.0.0.1" in link or "0.0.0.0" in link]
    assert "█" not in served.said


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_terminal_that_can_draw_it_shows_the_code_of_a_link(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
    _tell_link("http://192.168.1.20:8000")

    said = written.getvalue().decode(encoding)
    assert "    http://192.168.1.20:8000\n" in said
    assert ("▀" in said) is (encoding == "utf-8")


async def test_without_a_login_there_is_the_page_and_nothing_else(served: Served) -> None:
    for path in ("/", "/login", "/thread/x", "/texts.js", "/health", "/project/translations", "/public/escalator.css"):
        assert await served.status(path) == 200
    for path in ("/project/settings", "/project/share/x", "/v1/models", "/browser/", "/docs", "/openapi.json", "/user"):
        assert await served.status(path) == 401
    for path in ("/project/threads", "/project/action", "/project/file?session_id=x", "/feedback", "/auth/jwt"):
        assert await served.status(path, "POST", json={}) == 401
    with pytest.raises(socketio.exceptions.ConnectionError):
        await Chat(served.url).__aenter__()
    for token in ("x", "e30.e30.", "eyJhbGciOiJub25lIn0.eyJpZGVudGlmaWVyIjoieW91In0."):
        assert await served.status("/project/settings", headers={"Cookie": f"access_token={token}"}) == 401


async def test_another_page_and_another_name_of_the_server_are_refused(served: Served) -> None:
    cookies = await served.cookies("Origin")
    own = {"Host": f"room.test:{served.port}", "Origin": f"http://room.test:{served.port}"}
    assert await served.status("/user", headers={"Cookie": cookies, **own}) == 200
    foreign = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": f"192.168.77.77:{served.port}"},
        {"Host": "room.test.evil.example"},
    ]
    for headers in foreign:
        assert await served.status("/user", headers={"Cookie": cookies, **headers}) == 403
        assert await served.status("/login", "POST", data={"username": "x", "password": "y"}, headers=headers) == 403
        with pytest.raises(socketio.exceptions.ConnectionError):
            await Chat(served.url, Cookie=cookies, **headers).__aenter__()


async def test_headers_of_proxies_count_only_if_a_trusted_one_sends_them(served: Served) -> None:
    host = {"X-Forwarded-Host": f"room.test:{served.port}"}
    assert await served.status("/", headers=host) == 200
    assert await served.status("/", headers={"X-Forwarded-Host": "evil.example"}) == 403
    tls = await served.log_in("Tls", **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.168.1.4"})
    plain = await served.log_in("Plain")
    for answer, secure in ((tls, True), (plain, False)):
        sent = answer.headers.getall("Set-Cookie")
        assert len(sent) == 2
        for cookie in sent:
            assert "httponly" in cookie.lower()
            assert "samesite" in cookie.lower()
            assert ("; secure" in cookie.lower()) is secure

    if sys.platform == "linux":  # where a machine has all addresses of loopback
        other = "127.0.0.2"
        assert await served.status("/project/settings", source=other) == 200  # the organiser, who sits here
        assert await served.status("/", source=other, headers={"X-Forwarded-Host": "evil.example"}) == 200
        for headers in (
            {"X-Forwarded-For": "127.0.0.1"},
            {"X-Real-Ip": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"X-Forwarded-Proto": "https"},
            {"Host": f"room.test:{served.port}"},
        ):
            assert await served.status("/project/settings", source=other, headers=headers) == 401
    for value in ("127.0.0.1", "::1", "10.1.1.1, 127.0.0.1", ""):
        assert await served.status("/project/settings", headers={"X-Forwarded-For": value}) == 401


async def test_wrong_codes_are_counted_for_each_address(served: Served) -> None:
    one, other = {"X-Forwarded-For": "192.168.1.50"}, {"X-Forwarded-For": "192.168.1.51"}
    said = [(await served.log_in("Guess", "wrong", **one)).status for _ in range(11)]
    assert said == [401] * 10 + [429]
    assert (await served.log_in("Guess", **one)).status == 429
    assert (await served.log_in("Guess", **other)).status == 200
    assert (await served.log_in("Guess", **other)).status == 409


async def test_nobody_gets_anything_of_anybody_else_by_its_id(served: Served) -> None:
    anna, ben = await served.cookies("Anna"), await served.cookies("Ben")
    async with Chat(served.url, Cookie=anna) as hers, Chat(served.url, Cookie=ben) as his:
        file = await hers.upload("horse.md", b"# Horse\n\nAnna's horse is called Blitz.\n", "text/markdown")
        await hers.ask(SECRET, "small", files=[file])
        await hers.settings(dial="often")
        row, element = hers.of_type("user_message", "assistant_message")[0], hers.elements[0]
        thread = hers.conversation
        assert await hers.listed() == [SECRET]
        assert await his.listed() == await his.listed("horse") == []

        known = {"Cookie": ben}
        attempts: list[tuple[str, str, Any]] = [
            ("GET", f"/project/thread/{thread}", None),
            ("GET", f"/project/share/{thread}", None),
            ("GET", f"/project/thread/{thread}/element/{element['id']}", None),
            ("PUT", "/project/thread", {"threadId": thread, "name": "taken"}),
            ("PUT", "/project/thread/share", {"threadId": thread, "isShared": True}),
            ("DELETE", "/project/thread", {"threadId": thread}),
            ("GET", f"/project/file/{file['id']}?session_id={hers.session}", None),
            ("PUT", "/project/element", {"sessionId": hers.session, "element": {**element, "type": "custom"}}),
            ("DELETE", "/project/element", {"sessionId": hers.session, "element": {**element, "type": "custom"}}),
            ("POST", f"/project/file?session_id={hers.session}", None),
        ]
        for name in ("export-file", "show-source", "hits", "corpus", "keep-file", "again"):
            payload = {"form": "md", "message": row["id"], "figures": False, "page": "x", "step": "x", "row": 0}
            action = {"name": name, "payload": payload, "label": "", "id": "x"}
            attempts.append(("POST", "/project/action", {"sessionId": hers.session, "action": action}))
        for method, path, body in attempts:
            data = aiohttp.FormData() if body is None and method == "POST" else None
            if data is not None:
                data.add_field("file", b"x", filename="x.txt", content_type="text/plain")
            given = {"data": data} if data is not None else {"json": body}
            assert await served.status(path, method, headers=known, **given) in (401, 404), (method, path)

        exported = await his.call({"name": "export-file", "payload": {"form": "md", "message": "", "figures": False}})
        assert "horse" not in exported["text"]
        thumb = {"forId": row["id"], "threadId": thread, "value": 1}
        assert await served.status("/feedback", "PUT", headers=known, json={"feedback": thumb, "sessionId": ""}) == 500

        stolen = Chat(served.url, Cookie=ben)
        stolen.session = hers.session
        with pytest.raises(socketio.exceptions.ConnectionError):
            await stolen.__aenter__()
        guest = Chat(served.url, Cookie=ben)
        guest.conversation = thread
        async with aiohttp.ClientSession(headers=known) as guest._http:
            await guest.open()
            await guest.until(lambda: "resume_thread_error" in [name for name, _ in guest.history])
            before = len(hers.history)
            await guest.send(QUESTION, "small")
            await guest.until(lambda: guest.answers)
            await guest.stop()
            await guest.until_rest()
            assert not [row for row in guest.rows.values() if "horse" in str(row)]
            assert len(hers.history) == before
            await guest.drop()
        async with Chat(served.url, thread, Cookie=anna) as again:
            assert [row["output"] for row in again.of_type("user_message")] == [SECRET]
    assert await asyncio.to_thread(titles, served.state, "Anna") == [SECRET]
    assert await asyncio.to_thread(titles, served.state, "Ben") == [QUESTION]
    assert await asyncio.to_thread(titles, served.state, "") == []
    for name, dial in (("Anna", "often"), ("Ben", None), ("", None)):
        assert (await asyncio.to_thread(Choices.load, folder_of(served.state, name))).dial == dial


def titles(state: Path, name: str) -> list[str]:
    """What the history of a person holds."""
    history = History(folder_of(state, name))
    try:
        return [kept.title for kept in history.latest()]
    finally:
        history.close()


async def test_no_id_leads_out_of_the_folder_of_its_session(served: Served, tmp_path: Path) -> None:
    cookies = await served.cookies("Traveller")
    precious = tmp_path / "precious"
    precious.mkdir()
    for session in ("../../x", str(precious), "", f"{uuid.uuid4()}/../x", "." * 36):
        chat = Chat(served.url, Cookie=cookies)
        chat.session = session
        with pytest.raises(socketio.exceptions.ConnectionError):
            await chat.__aenter__()
    async with Chat(served.url, Cookie=cookies) as chat:
        known = {"Cookie": cookies}
        for path in ("/public/../../app/main.py", "/public/%2e%2e/%2e%2e/state/people/signing.json"):
            assert await served.status(path, headers=known) in (400, 404)
        assert await served.status(f"/project/file/..%2F..%2Fx?session_id={chat.session}", headers=known) != 500
        assert (await chat.upload("../../evil.md", b"# Out\n\nOut of the folder.\n"))["id"]
    assert precious.exists()
    assert not [*served.state.parent.rglob("evil*")]


async def test_only_the_organiser_changes_what_all_share(served: Served) -> None:
    async with Chat(served.url, Cookie=await served.cookies("Guest")) as guest:
        file = await guest.upload("bread.md", b"# Bread\n\nBread is baked.\n", "text/markdown")
        await guest.ask("Is bread baked?", "small", files=[file])
        assert not [each for each in guest.actions.values() if each["name"] in ("keep-file", "choose")]
        documents = await guest.documents()
        assert "only by the organiser" in documents["locked"]
        assert documents["folder"] == "corpus"
        for do in ("remove", "launch", "show"):
            assert (await guest.call({"name": "corpus", "payload": {"do": do, "file": "ferry.md"}}))["failed"]
        added = {"do": "add", "id": file["id"], "file": "bread.md"}
        assert (await guest.call({"name": "corpus", "payload": added}))["failed"]
        assert not (await guest.call({"name": "models", "payload": {"do": "look"}}))["free"]
    seen = {401: "", 403: await served.cookies("Watcher"), 200: await served.cookies("Boss", served.organiser_code)}
    assert [await served.status("/organiser", headers={"Cookie": it}) for it in seen.values()] == [*seen]
    async with Chat(served.url, Cookie=await served.cookies("Trainer", served.organiser_code)) as trainer:
        assert not (await trainer.documents())["locked"]
        assert (await trainer.call({"name": "models", "payload": {}}))["free"]
        shown = await trainer.call({"name": "corpus", "payload": {"do": "show"}})
        assert "only for whoever sits at the machine" in shown["said"]
    for code, status in (("", 403), (served.organiser_code, 200)):
        known = {"Cookie": await served.cookies(f"Looks {status}", code)}
        assert await served.status("/organiser/figures", headers=known) == status
    assert await served.status("/organiser/figures") == 401


async def test_connections_and_bodies_that_are_too_slow_or_too_long_are_ended(served: Served) -> None:
    head = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900\r\n\r\nusername="
    beginnings = ["", head, head + form, f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\nGET /h"]

    async def ends(beginning: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(beginning.encode())
        dripping = asyncio.create_task(drip(writer, beginning))
        try:
            async with asyncio.timeout(8):
                return await reader.read(-1)
        finally:
            dripping.cancel()
            writer.close()

    async def drip(writer: asyncio.StreamWriter, beginning: str) -> None:
        while beginning:
            await asyncio.sleep(0.3)
            writer.write(b"x")

    with suppress(ConnectionError):
        answers = await asyncio.gather(*(ends(beginning) for beginning in beginnings))
        assert answers[2].startswith(b"HTTP/1.1 408")
    long = head + form.replace("900", "45000000")
    assert (await ends(long)).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_say_how_long_it_is_ends_where_it_is_too_long() -> None:
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route(path, echo, methods=["POST"]) for path in ("/login", "/project/file")]
    client = TestClient(Bodies(Starlette(routes=routes), 5_000_000))

    def pieces(number: int) -> Iterator[bytes]:
        yield from [b"x" * 1_000_000] * number

    assert client.post("/project/file", content=pieces(5)).text == "5000000"
    assert client.post("/project/file", content=pieces(6)).status_code == 413
    assert client.post("/login", content=pieces(5)).status_code == 413


async def test_a_person_drops_so_many_files_and_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    settings = Settings(ESCALATOR_STATE_DIR=tmp_path, ESCALATOR_MAX_FILE_MB=1)
    person.set("Anna")

    class Session(SimpleNamespace):
        __hash__ = object.__hash__

    first, second = (Session(user=SimpleNamespace(identifier="Anna")) for _ in range(2))
    for number in range(server_guard.MAX_FILES):
        await server_guard.check_upload((first, second)[number % 2], 1, settings)
    with pytest.raises(HTTPException, match="413"):
        await server_guard.check_upload(first, 1, settings)
    del first, second  # the tabs are closed, and Chainlit deletes their files
    last = Session(user=SimpleNamespace(identifier="Anna"))
    await server_guard.check_upload(last, server_guard.MAX_SHARE * 1_000_000, settings)
    with pytest.raises(HTTPException, match="413"):
        await server_guard.check_upload(last, 1, settings)
    person.set("Ben")
    await server_guard.check_upload(Session(user=SimpleNamespace(identifier="Ben")), 1, settings)
