"""The page asks nothing of other hosts, other pages ask nothing of it, and a taken port is said in a sentence."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Collection
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.guard import Guard
from app.room import HERE
from app.settings import LOOPBACK, ROOT
from app.ui.server_guard import TEXTS, Page
from tests.support.chat import App, Chat, command, environment, running

OWN = "127.0.0.1:8000"


async def hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


def browser(hosts: Collection[str] = LOOPBACK) -> TestClient:
    routes = [Route("/", hello), Route("/error", lambda _: 1 / 0), WebSocketRoute("/ws", greet)]  # type: ignore[arg-type,return-value]
    return TestClient(Guard(Page(Starlette(routes=routes)), lambda: hosts), raise_server_exceptions=False)


@pytest.mark.slow
@pytest.mark.parametrize("host", [OWN, "localhost:8000", "[::1]:8000", "localhost"])
@pytest.mark.parametrize("with_origin", [True, False])
def test_the_chats_own_page_is_served(host: str, with_origin: bool) -> None:
    headers = {"host": host} | ({"origin": f"http://{host}"} if with_origin else {})

    assert browser().get("/", headers=headers).text == "hello"
    with browser().websocket_connect("/ws", headers=headers) as websocket:
        assert websocket.receive_text() == "hello"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": OWN, "origin": "http://evil.example"},
        {"host": OWN, "origin": "http://127.0.0.1:8001"},
        {"host": OWN, "origin": "http://127.0.0.1:8000.evil.example"},
        {"host": OWN, "origin": "http://user@evil.example"},
        {"host": OWN, "origin": "null"},
        {"host": OWN, "origin": ""},
        {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "127.0.0.1:8000, evil.example"},
        {"host": "127.0.0.1:8000; img-src *"},
        {"host": ""},
    ],
    ids=str,
)
def test_a_request_of_another_page_or_under_another_name_is_refused(headers: dict[str, str]) -> None:
    answer = browser().get("/", headers=headers)

    assert answer.status_code == 403
    assert "another page" in answer.text
    with pytest.raises(WebSocketDisconnect), browser().websocket_connect("/ws", headers=headers):
        pass


def test_in_a_local_network_any_name_of_this_machine_will_do_but_no_other_page() -> None:
    lan = browser(())

    assert lan.get("/", headers={"host": "trainer:8000", "origin": "http://trainer:8000"}).status_code == 200
    assert lan.get("/", headers={"host": "trainer:8000", "origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/missing", "/error"])
def test_every_answer_of_the_app_carries_the_policy(path: str) -> None:
    headers = browser().get(path, headers={"host": OWN}).headers

    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["connect-src"] == f"'self' ws://{OWN} wss://{OWN}"
    assert not [rule for rule in policy.values() if re.search(r"\*|https?:", rule)]
    assert headers["referrer-policy"] == "no-referrer"


class Addresses(HTMLParser):
    """The addresses on other hosts that a page names in its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.foreign += [value for _, value in attributes if value and re.search(r"(^|\s)(https?:)?//", value)]


@pytest.mark.slow
def test_the_page_names_no_other_host(without_models: App) -> None:
    with urllib.request.urlopen(without_models.url) as answer:
        page = answer.read().decode()
        policy = answer.headers["content-security-policy"]

    addresses = Addresses()
    addresses.feed(page)
    assert {"link", "meta", "script"} <= addresses.tags
    assert addresses.foreign == []
    assert "default-src 'self'" in policy


async def test_another_page_cannot_open_a_chat(without_models: App) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        await Chat(without_models.url, Origin="http://evil.example").__aenter__()

    async with Chat(without_models.url, Origin=without_models.url) as chat:
        await chat.until(lambda: chat.modes)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
async def test_another_page_cannot_read_the_chats_addresses(without_models: App, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(headers=headers) as http:
        for path in ("/", "/health", "/project/settings", "/public/favicon.svg"):
            async with http.get(without_models.url + path) as answer:
                assert answer.status == 403


@pytest.mark.slow
async def test_other_programs_are_answered_beside_the_chat_and_other_pages_are_not(without_models: App) -> None:
    asked = {"model": "escalator", "messages": [{"role": "user", "content": "When does the ferry leave?"}]}
    url = f"{without_models.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as http:
        async with http.post(url, json=asked) as answer:
            said = await answer.json()
            headers = {name.lower() for name in answer.headers}
        async with http.post(url, json=asked, headers={"Origin": "http://evil.example"}) as refused:
            assert refused.status == 403
        async with http.get(f"{without_models.url}/v1/nothing") as missing:
            assert (missing.status, (await missing.json())["error"]["code"]) == (404, "not_found")

    assert "The ferry leaves at 9:30 from the old harbour." in said["choices"][0]["message"]["content"]
    assert {"content-security-policy", "x-content-type-options"} <= headers
    assert not [name for name in headers if name.startswith("access-control") or name == "content-encoding"]


@pytest.mark.slow
def test_a_taken_port_ends_the_start_with_a_command_that_works(without_models: App, tmp_path: Path) -> None:
    for _ in range(3):  # another test may take the proposed port before this one tries it
        proposed = _proposed_port(without_models, tmp_path)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", proposed)):
            return
    pytest.fail(f"port {proposed} is proposed, but taken")


def _proposed_port(running: App, home: Path) -> int:
    """Start a second server on the port of a running one, and return the port that it proposes instead."""
    second = subprocess.run(
        command(running.port),
        cwd=ROOT,
        env=environment(home, running.corpus),
        capture_output=True,
        check=False,
        timeout=60,
    )

    said = second.stderr.decode()
    assert second.returncode == 1
    assert f"Port {running.port} is taken by another program." in said
    assert "Traceback" not in said
    assert b"available" not in second.stdout
    proposed = re.search(r"chainlit run app/main\.py --port (\d+)", said)
    assert proposed is not None
    return int(proposed[1])


@pytest.mark.parametrize(
    ("languages", "expected"),
    [("de-AT,de;q=0.9,en;q=0.8", "de"), ("nb;q=0.9", "no"), ("fr,de;q=0.5", "en"), ("", "en")],
)
def test_the_page_gets_its_texts_in_the_language_of_the_browser(languages: str, expected: str) -> None:
    answer = browser().get(TEXTS, headers={"host": OWN, "accept-language": languages})

    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["vary"] == "accept-language"
    assert f'lang = "{expected}"' in answer.text


@pytest.mark.slow
def test_chainlits_words_are_in_the_language_of_the_browser_without_a_line_in_the_terminal(without_models: App) -> None:
    def new_chat(tag: str) -> str:
        with urllib.request.urlopen(f"{without_models.url}/project/translations?language={tag}") as answer:
            return str(json.load(answer)["translation"]["navigation"]["newChat"]["button"])

    assert {tag: new_chat(tag) for tag in ("de-AT", "nb-NO", "ro", "en-GB", "fr", "da-DK")} == {
        "de-AT": "Neue Unterhaltung",
        "nb-NO": "Ny samtale",
        "ro": "Conversație nouă",
        "en-GB": "New Chat",
        "fr": "New Chat",
        "da-DK": "Ny samtale",
    }
    assert "not found" not in without_models.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tag", "words"), [("nl-BE", "Alles draait op deze computer"), ("fr", "Everything runs on this machine")]
)
def test_the_readme_is_in_the_language_of_the_browser(without_models: App, tag: str, words: str) -> None:
    with urllib.request.urlopen(f"{without_models.url}/project/settings?language={tag}") as answer:
        assert words in json.load(answer)["markdown"]

    assert "not found" not in without_models.said


@pytest.mark.slow
@pytest.mark.parametrize(("language", "names"), [("da", ["Dokumenter", "Modeller"]), ("fr", ["Documents", "Models"])])
def test_the_links_of_the_header_are_in_the_language_of_the_browser(
    without_models: App, language: str, names: list[str]
) -> None:
    address = f"{without_models.url}/project/settings?language={language}"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept-Language": language})) as answer:
        assert [link["display_name"] for link in json.load(answer)["ui"]["header_links"]] == names


@pytest.mark.slow
async def test_whoever_sits_here_needs_no_login_and_the_browser_gets_no_secret(without_models: App) -> None:
    listing = {"pagination": {"first": 10}, "filter": {}}
    async with aiohttp.ClientSession(cookies={"access_token": "of another app on this machine"}) as http:
        async with http.get(without_models.url) as page, http.get(f"{without_models.url}/user") as user:
            assert not {*page.cookies, *user.cookies}
            assert (await user.json())["identifier"] == HERE
        async with http.post(f"{without_models.url}/project/threads", json=listing) as answer:
            assert answer.status == 200
        async with http.post(
            f"{without_models.url}/project/threads", json=listing, headers={"Origin": "http://evil.example"}
        ) as answer:
            assert answer.status == 403


@pytest.mark.slow
async def test_where_others_can_reach_the_chat_nothing_is_kept(tmp_path: Path, corpus: Path) -> None:
    with running(tmp_path, corpus, CHAINLIT_HOST="0.0.0.0") as app:
        async with Chat(app.url) as chat, aiohttp.ClientSession() as http:
            await chat.ask("When does the ferry leave?")
            async with http.post(
                f"{app.url}/project/threads", json={"pagination": {"first": 10}, "filter": {}}
            ) as answer:
                assert answer.status == 400
            async with http.get(f"{app.url}/project/thread/{chat.conversation}") as answer:
                assert answer.status == 400
    assert not [*app.state.glob("history*")]


STARTED = """
import asyncio, socket, sys, time
import _asyncio
import chainlit as cl
import chainlit.cli
from chainlit.context import init_http_context
sys.path.insert(0, {root!r})
before = cl.Action.to_dict
import app.main

async def main():
    print(isinstance(asyncio.current_task(), _asyncio.Task), isinstance(asyncio.Future(), _asyncio.Future))
    loop = asyncio.get_running_loop()
    for _ in range(300):
        loop.call_later(60, print).cancel()
    await asyncio.sleep(0.01)
    print(len(loop._scheduled) < 150)  # cancelled timers are forgotten, with what they refer to

    received, (here, there) = [], socket.socketpair()
    taker = type("Taker", (asyncio.Protocol,), {{"data_received": lambda self, data: received.append(len(data))}})
    await loop.create_connection(taker, sock=here)
    there.sendall(bytes(60_000))
    while sum(received) < 60_000:
        await asyncio.sleep(0.01)
    print(max(received) < 60_000)  # what is read at once is small, and so is the buffer for it

    init_http_context()
    time.sleep = lambda seconds: print("sleeps")
    cl.Step(name="a row"), cl.Message("a message")

asyncio.run(main())
button = cl.Action(name="ask", payload={{"message": "1"}}, label="Ask", icon="cpu", forId="2")
print(before(button) == button.to_dict())
"""


@pytest.mark.slow
def test_chainlit_holds_up_no_answer_and_keeps_nothing_that_is_over(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTED.format(root=str(ROOT))],
        cwd=ROOT,
        env=environment(tmp_path, tmp_path) | {"CHAINLIT_HOST": "127.0.0.1"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.stdout.decode().split() == ["True"] * 5, done.stderr.decode()
