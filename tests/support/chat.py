"""The chat as its users have it: the app in a process of its own, and a browser tab's side of Chainlit's protocol."""

import asyncio
import os
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import socketio

from app.settings import ROOT
from tests.support.forks import AVAILABLE, Forked
from tests.support.servers import Server

START_SECONDS = 60.0
STOP_SECONDS = 15.0

Row = dict[str, Any]
"""A message or a step as Chainlit sends it: id, type, name, output and more."""

AnyServer = TypeVar("AnyServer", bound=Server)


@dataclass(frozen=True, slots=True)
class App:
    """The app as it runs."""

    url: str
    port: int
    process: "subprocess.Popen[bytes] | Forked"
    corpus: Path
    state: Path
    log: Path

    @property
    def said(self) -> str:
        """What it wrote to the terminal."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def command(port: int) -> list[str]:
    """The command of the README, and what keeps it from opening a browser."""
    chainlit = shutil.which("chainlit", path=sysconfig.get_path("scripts"))
    assert chainlit is not None, "chainlit is not installed beside this Python"
    return [chainlit, "run", "app/main.py", "--headless", "--port", str(port)]


def environment(folder: Path, corpus: Path, **settings: str) -> dict[str, str]:
    """What the app is started with; it writes below `folder` only, so that two apps never share Chainlit's files.

    CI would switch Chainlit to a mode of its own.
    """
    root = folder / "chainlit"
    if not root.exists():
        for name in (".chainlit", "public"):
            ignored = shutil.ignore_patterns("runtime", "models")  # of the page /browser, which may be large
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        for readme in ROOT.glob("chainlit*.md"):
            shutil.copy(readme, root)
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return inherited | {
        "CHAINLIT_APP_ROOT": str(root),
        "CORPUS_DIR": str(corpus),
        "ESCALATOR_STATE_DIR": str(folder / "state"),
        "ESCALATOR_MODEL_CACHE": str(folder / "no-models"),
        "RETRY_BACKOFF": "0.01",
        **settings,
    }


@contextmanager
def running(folder: Path, corpus: Path, port: int | None = None, forked: bool = True, **settings: str) -> Iterator[App]:
    """The app, started in the project's folder and ready; it is ended in any case, and must have had no accident.

    Where that is possible it is `forked` from a process that has imported much of it; else it is run by its command.
    """
    port = port or free_port()
    log = folder / f"app-{port}.log"
    process = launched(command(port), ROOT, environment(folder, corpus, **settings), log, log, forked)
    app = App(f"http://127.0.0.1:{port}", port, process, corpus, folder / "state", log)
    try:
        _wait(app)
        yield app
        process.terminate()
        process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in app.said, app.said


def launched(
    line: Sequence[str], cwd: Path, env: dict[str, str], output: Path, errors: Path, forked: bool = True
) -> "subprocess.Popen[bytes] | Forked":
    """A command of Chainlit that was begun, with the files for what it writes; forked as `running` does it."""
    if forked and AVAILABLE:
        return Forked(line, cwd, env, output, errors)
    with output.open("ab") as out, errors.open("ab") as err:
        return subprocess.Popen(line, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def _wait(app: App) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert app.process.poll() is None, app.said
        try:
            with urllib.request.urlopen(app.url + "/health", timeout=5):
                return
        except OSError:  # refused, or reset in between
            time.sleep(0.05)
    raise AssertionError(f"not up after {START_SECONDS:.0f} seconds: {app.said}")


@contextmanager
def served(server: AnyServer) -> Iterator[AnyServer]:
    """A server in a thread with an event loop of its own, for as many tests as wanted."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="served", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Chat:
    """One browser tab: sends what the page would send, and keeps what the page would show."""

    def __init__(
        self, url: str, conversation: str = "", cookies: aiohttp.CookieJar | None = None, **headers: str
    ) -> None:
        self.url = url
        self.conversation = conversation
        """The id in the address of the page, once there is one."""
        self.session = str(uuid.uuid4())
        self.rows: dict[str, Row] = {}
        """Messages and steps by id, in the order in which they came, each as it stands now."""
        self.history: list[tuple[str, Any]] = []
        """Every event, by name."""
        self.elements: list[dict[str, Any]] = []
        self.actions: dict[str, dict[str, Any]] = {}
        self.modes: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.cookies = cookies
        """Those of the browser, of which the tab is one."""
        self._headers = headers
        self._turns = 0
        self._busy = False
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.cookies = self.cookies or aiohttp.CookieJar()
        self._http = aiohttp.ClientSession(headers=self._headers, cookie_jar=self.cookies)
        try:
            await self.open()
            await self.until(lambda: self._turns >= 1)  # the start of a chat is a turn of its own
            if self.conversation:
                await self.until(lambda: "resume_thread" in [name for name, _ in self.history])
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.drop()
        await self._http.close()

    async def open(self) -> None:
        """Connect; a second time, as the same tab."""
        self._socket = socketio.AsyncClient(reconnection=False, http_session=self._http)
        self._socket.on("*", self._take)
        auth = {
            "sessionId": self.session,
            "clientType": "webapp",
            "userEnv": "{}",
            "chatProfile": "",
            "threadId": self.conversation,
        }
        await self._socket.connect(
            self.url, headers=self._headers, auth=auth, transports=["websocket"], socketio_path="/ws/socket.io"
        )
        await self._socket.emit("connection_successful")

    async def drop(self) -> None:
        """Lose the connection."""
        await self._socket.disconnect()

    async def upload(self, name: str, content: bytes, mime: str = "application/octet-stream") -> dict[str, Any]:
        """Drop a file into the composer; what the server says of it, which goes with the next question."""
        form = aiohttp.FormData()
        form.add_field("file", content, filename=name, content_type=mime)
        url = f"{self.url}/project/file?session_id={self.session}"
        async with self._http.post(url, data=form) as response:
            said: dict[str, Any] = await response.json()
            return said

    async def send(
        self,
        question: str,
        mode: str | None = None,
        files: Sequence[dict[str, Any]] = (),
        command: str | None = None,
    ) -> None:
        """Ask, without waiting for anything; a command was chosen in the menu of the composer."""
        message = {
            "id": str(uuid.uuid4()),
            "threadId": "",
            "name": "user",
            "type": "user_message",
            "output": question,
            "createdAt": datetime.now(UTC).isoformat(),
            "modes": {"mode": mode} if mode else None,
            "command": command,
        }
        await self._socket.emit("client_message", {"message": message, "fileReferences": list(files)})

    async def ask(
        self,
        question: str,
        mode: str | None = None,
        seconds: float = 20,
        files: Sequence[dict[str, Any]] = (),
        command: str | None = None,
    ) -> Row:
        """Ask and wait for the end of the turn; the last message of the assistant."""
        before = self._turns
        await self.send(question, mode, files, command)
        await self.until(lambda: self._turns > before, seconds)
        return self.answers[-1]

    async def edit(self, row: Row, text: str) -> Row:
        """Ask a question of the screen in another wording, and wait for the end of the turn, as `ask` does."""
        before = self._turns
        await self.send_edit(row, text)
        await self.until(lambda: self._turns > before)
        return self.answers[-1]

    async def send_edit(self, row: Row, text: str) -> None:
        """Confirm another wording of a question, without waiting for anything; the page removes what is below."""
        below = [*self.rows]
        for name in below[below.index(row["id"]) + 1 :]:
            del self.rows[name]
        await self._socket.emit("edit_message", {"message": {**row, "output": text}})

    async def settings(self, **chosen: str | bool) -> None:
        """Choose settings behind the gear."""
        await self._socket.call("chat_settings_change", chosen)

    async def stop(self) -> None:
        """Press the stop button."""
        await self._socket.emit("stop")

    async def clear(self) -> None:
        """Press the button for a new chat, which is another tab to the server."""
        await self._socket.call("clear_session")
        await self.drop()

    async def request(self, method: str, path: str, **body: Any) -> Any:
        """Ask the server for something, as the list of conversations does; what it answers."""
        async with self._http.request(method, self.url + path, json=body or None) as response:
            said = await response.json()
            assert response.status == 200, said
            return said

    async def listed(self, wanted: str = "") -> list[str]:
        """Return the titles in the list of conversations."""
        return [each["name"] for each in await self._threads(wanted)]

    async def title(self) -> str:
        """Return the title of this conversation in that list."""
        return str(next(each["name"] for each in await self._threads() if each["id"] == self.conversation))

    async def _threads(self, wanted: str = "") -> list[dict[str, Any]]:
        body = {"pagination": {"first": 35}, "filter": {"search": wanted} if wanted else {}}
        return list((await self.request("POST", "/project/threads", **body))["data"])

    async def press(self, action: dict[str, Any]) -> None:
        """Press a button under a message, and wait for the end of what it does."""
        before = self._turns
        await self.call(action)
        await self.until(lambda: self._turns > before)

    async def call(self, action: dict[str, Any]) -> Any:
        """Have an action done, as an element of the page does; what it answers."""
        body = {"sessionId": self.session, "action": action}
        async with self._http.post(f"{self.url}/project/action", json=body) as response:
            assert response.status == 200, await response.text()
            return (await response.json())["response"]

    async def tell(self, message: str) -> None:
        """Send what a script of the page posts to its window."""
        await self._socket.emit("window_message", message)

    async def page(self, source: dict[str, Any]) -> dict[str, Any]:
        """What the viewer gets when it asks for the picture of a source's page."""
        page: dict[str, Any] = await self.call({"name": "show-source", "payload": {"page": source["props"]["page"]}})
        return page

    async def documents(self, wanted: str = "") -> dict[str, Any]:
        """Return what the panel *Documents* shows with this filter."""
        panel: dict[str, Any] = await self.call({"name": "corpus", "payload": {"filter": wanted}})
        return panel

    async def until_read(self, documents: int) -> dict[str, Any]:
        """Wait until so many documents are searchable; returns what the panel *Documents* shows then."""
        async with asyncio.timeout(60):
            while not (panel := await self.documents())["facts"][0].startswith(f"{documents:,} document"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return panel

    async def content(self, link: str) -> bytes:
        """What a link leads to."""
        async with self._http.get(self.url + link) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def until_rest(self) -> None:
        """Wait for the end of the turn that runs."""
        await self.until(lambda: not self._busy)

    async def until_written(self, text: str, characters: int) -> None:
        """Wait until the last answer shows so much of a model's text; the best quote may stand there before."""
        await self.until(
            lambda: self.answers and len(shown := self.answers[-1]["output"]) > characters and text.startswith(shown)
        )

    async def until(self, true: Callable[[], Any], seconds: float = 20) -> None:
        """Wait for something to be on the screen."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            shown = "\n".join(f"{row['type']}: {row['name']} | {row.get('output')}" for row in self.rows.values())
            raise AssertionError(f"not within {seconds} s; on the screen:\n{shown}") from None

    def of_type(self, *types: str) -> list[Row]:
        """The rows of these types."""
        return [row for row in self.rows.values() if row["type"] in types]

    @property
    def answers(self) -> list[Row]:
        """What the assistant said, errors included."""
        return self.of_type("assistant_message")

    @property
    def steps(self) -> list[Row]:
        """The steps of the turns: searching, asking, and drafts that were folded."""
        return self.of_type("tool", "llm")

    def sources(self, row: Row) -> list[dict[str, Any]]:
        """What the viewer can show of a message's sources, in the order in which they came."""
        named = (each for each in self.elements if each["forId"] == row["id"] and "quotes" in (each["props"] or ()))
        return [each for each in named if not each["name"].endswith("]")]  # each is there under its number too

    async def _take(self, name: str, data: Any = None) -> None:
        self.history.append((name, data))
        match name:
            case "new_message" | "update_message" | "stream_start":
                self.rows[data["id"]] = dict(data)
            case "stream_token":
                row = self.rows.setdefault(data["id"], {"id": data["id"], "type": "?", "name": "?"})
                row["output"] = ("" if data["isSequence"] else row.get("output") or "") + data["token"]
            case "first_interaction":
                self.conversation = data["thread_id"]
            case "resume_thread":
                self.rows = {row["id"]: dict(row) for row in data["steps"]}
                self.elements = data["elements"]
            case "delete_message":
                self.rows.pop(data["id"], None)
            case "element":
                self.elements.append(data)
            case "action":
                self.actions[data["id"]] = data
            case "remove_action":
                self.actions.pop(data["id"], None)
            case "set_modes":
                self.modes = data
            case "set_commands":
                self.commands = data
            case "task_start":
                self._busy = True
            case "task_end" if self._busy:  # another one comes with every connection
                self._busy = False
                self._turns += 1
        self._changed.set()
