"""What Chainlit's server lacks: the guard, who asks, our texts, no foreign links, a check of port and settings.

Who asks is known by Chainlit's cookie; in a room `Members` lets nobody else pass. Chainlit has no setting for any of
this, so it is added to its server from outside; knows nothing of chats.
"""

import asyncio
import gc
import logging
import os
import re
import signal
import socket
import sys
import tempfile
from asyncio import selector_events
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from pathlib import Path
from socket import AF_INET, AF_INET6
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import chainlit.config
from chainlit import server
from chainlit.auth import create_jwt, get_token_from_cookies
from chainlit.auth.jwt import decode_jwt
from chainlit.config import ChainlitConfig, UISettings, config
from chainlit.session import BaseSession, WebsocketSession
from chainlit.user import User
from jwt import InvalidTokenError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import HANDLED_SIGNALS, Server

from app import logs
from app.errors import SettingsError
from app.guard import MOST_BYTES, Bodies, Guard, Proxies, is_here, refuse
from app.history import History
from app.room import HERE, Member, Room, cookie, folder_of, organiser, person, sits_here
from app.settings import LOOPBACK, Settings
from app.settings import load as load_settings
from app.translation import VARYING, _, choose, load, preferred, script_of_page, supported

FOREIGN_LINK = re.compile(r"<(?:link|meta)\s[^>]*https?://[^>]*>")
"""A tag in Chainlit's page that loads from another host: a font, a style sheet, a preview picture."""

TEXTS = "/texts.js"
"""A script in the head of the page: its components find the texts in the language of the browser there, with `say`."""

ENDING_SECONDS = 5
"""For requests that are still open when the server is ended."""

RECEIVED = 16 * 1024
"""Bytes that are read at once. Python makes a buffer of that size and cuts it to what came; by default it has 256 KB,
and as long as a message is kept, most of that lies idle between it and the next."""

SWITCH_SECONDS = 0.001
"""A thread that computes gives way to the event loop after so long; after 0.005 by default."""

OPEN = ("", "assets", "auth", "avatars", "element", "favicon", "health", "login", "logo", "logout", "public", "thread")
"""The first parts of paths that are answered without a login: the page, which then asks for one, and its files."""

OPEN_PATHS = (TEXTS, "/project/translations")
"""Further ones, with the words of the page."""

MAX_FILES, MAX_SHARE = 100, 10
"""What one person may have in conversations: so many files, and so many times the size of the largest allowed one."""

_login: ContextVar[tuple[HTTPConnection, list[bytes]]] = ContextVar("login")
"""The request that is being handled, and the cookies that its answer brings."""

_sent: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()
"""The sizes of the files that came in each session, as long as Chainlit has the session and its files."""

SESSION = re.compile(r"[0-9a-f-]{36}")
"""The ids that a page gives its session."""


class Page:
    """ASGI middleware that adds to Chainlit's server what our page needs.

    Each request of the person at this machine gets a token of the one user, if there is one: nobody has to log in
    there, and the browser has no secret. It is handled in the language of the browser, whose texts are a script.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if not (is_local() or Room.current):
            organiser.set(False)
        if sits_here() and "CHAINLIT_AUTH_SECRET" in os.environ:  # else Chainlit knows no users
            token = create_jwt(User(identifier=HERE))
            others = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            scope = {**scope, "headers": [*others, (b"cookie", f"access_token={token}".encode())]}
        if scope["path"].startswith("/public/elements/["):
            # Chainlit looks for an element's component under the name that links it; sources share one.
            scope = {**scope, "path": "/public/elements/Place.jsx"}
        texts = scope["path"].endswith(TEXTS)
        choose(language := preferred(Headers(scope=scope).get("accept-language", "")))
        if texts or scope["type"] == "websocket":
            await asyncio.to_thread(load, language)
        script = Response(script_of_page(language), headers=VARYING, media_type="text/javascript") if texts else None
        await (script or self._app)(scope, receive, send)


class Members:
    """ASGI middleware that lets nobody but logged-in people and this machine pass, and tells whose request it is."""

    def __init__(self, app: ASGIApp, room: Room, *, has_key: bool) -> None:
        self._app, self._room, self._has_key = app, room, has_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request, cookies = HTTPConnection(scope), list[bytes]()
        here, member = is_here(scope), await self._member(request)
        person.set("" if here or member is None else member.name)
        organiser.set(here or (member is not None and member.organiser))
        scope["organiser"] = organiser.get()
        _login.set((request, cookies))

        async def with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = b"; Secure" if scope["scheme"] == "https" else b""
                given = [*message["headers"], *((b"set-cookie", each) for each in cookies)]
                message["headers"] = [(name, it + secure if name == b"set-cookie" else it) for name, it in given]
            await send(message)

        if here or member or self._is_open(scope):
            await self._app(scope, receive, with_cookies)
        else:
            await refuse(scope, receive, send, 401, "{}")  # Chainlit's page reads JSON

    async def _member(self, request: HTTPConnection) -> Member | None:
        """Return who has logged in; None for nobody, and for whoever had a name before it was given away again."""
        try:
            user = decode_jwt(get_token_from_cookies(request.cookies) or "")
        except InvalidTokenError:
            return None
        name, proof = user.identifier, str(user.metadata.get("proof", ""))
        known = self._room.remembers(name, proof) or await asyncio.to_thread(self._room.knows, name, proof)
        return Member(name, proof, user.metadata.get("organiser") is True) if known else None

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        with_key = self._has_key and path.startswith(("/v1/", "/metrics"))  # which the gateway checks
        page = path in OPEN_PATHS or (path.lstrip("/").split("/")[0] in OPEN and path != "/auth/jwt")
        return scope["type"] == "http" and (with_key or page)


async def log_in(room: Room, name: str, code: str) -> Any:
    """Let somebody in, for Chainlit, which gives the browser a cookie; raises HTTPException."""
    request, cookies = _login.get()
    address = request.client.host if request.client else ""
    member = await asyncio.to_thread(room.admit, name, code, request.cookies, address)
    if member.secret:
        kept = f"{cookie(member.name)}={member.secret}; Path=/; Max-Age=31536000; HttpOnly; SameSite=strict"
        cookies.append(kept.encode())
    return User(member.name, metadata={"proof": member.proof, "organiser": member.organiser})


async def check_upload(session: Any, size: int, settings: Settings) -> None:
    """Note a file that comes into a session; raises HTTPException if its person has too much."""
    name = person.get()
    kept = await asyncio.to_thread(History(folder_of(settings.state_dir, name)).files)
    now = [each for other, sizes in _sent.items() if other.user.identifier == name for each in sizes]
    sizes = [*kept, *now, size]
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_SHARE * settings.max_file_mb * 1_000_000:
        raise HTTPException(413, _("you have dropped as much as one person may: delete a conversation with files"))
    _sent.setdefault(session, []).append(size)


def is_local() -> bool:
    """Whether only this machine can open the page."""
    return config.run.host in LOOPBACK


def name_of(user: Any) -> str:
    """Return the person who is a user of Chainlit: "" is the one user."""
    return user.identifier if user is not None and user.identifier != HERE else ""


def install(faces: Callable[[ASGIApp], ASGIApp]) -> None:
    """Put guard and other faces before Chainlit's server and remove foreign links from its page; once per process.

    `faces` gets the chat as an application and returns one that also answers what is not the chat's.
    """
    if getattr(server, "escalator_guard", False):  # `chainlit run -w` runs main.py again
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    selector_events._SelectorTransport.max_size = RECEIVED  # type: ignore[attr-defined]
    if hasattr(asyncio, "_nest_patched"):
        _restore_asyncio()
    room = Room.current
    try:
        settings = load_settings()
    except SettingsError as error:  # a sentence, which Python prints
        raise SystemExit(str(error)) from None
    if config.run.module_name and room is None:
        _check_port(config.run.host, config.run.port)
    get_html_template: Callable[[str], str] = server.get_html_template
    connect = server.sio.handlers["/"]["connect"]
    persist, words, dump = BaseSession.persist_file, ChainlitConfig.load_translation, UISettings.model_dump
    # Chainlit deletes this folder when it ends, also under another app that was started in the same place.
    own_files = Path(tempfile.mkdtemp(prefix="escalator-"))
    vars(chainlit.config).update(FILES_DIRECTORY=own_files)

    async def persist_file(self: BaseSession, *arguments: Any, **options: Any) -> Any:
        if options.get("content") == b"":  # which Chainlit ends with a traceback
            raise HTTPException(400, _("it is empty"))
        if not organiser.get() and person.get() and "path" not in options:  # with which elements of an answer come
            await check_upload(self, len(options["content"]), settings)
        return await persist(self, *arguments, **options)

    async def connect_safely(socket_id: str, environ: dict[str, Any], auth: Any) -> Any:
        if not SESSION.fullmatch(str((auth or {}).get("sessionId"))):  # with which Chainlit names a folder
            raise ConnectionRefusedError("a session has another kind of id")
        return await connect(socket_id, environ, auth)

    def require(socket_id: str) -> WebsocketSession:
        session: WebsocketSession | None = WebsocketSession.get(socket_id)
        if session:
            return session
        raise HTTPException(404, "The server was restarted; the page connects again by itself.")  # without a traceback

    def settings_of_page(self: UISettings, **options: Any) -> dict[str, Any]:
        made = dump(self, **options)
        for link in made["header_links"] or ():
            link.update(name=_(link["name"]), display_name=_(link["display_name"]))
        return made

    def page(root_path: str) -> str:
        script = f'<head><script src="{root_path.rstrip("/")}{TEXTS}"></script>'
        return FOREIGN_LINK.sub("", get_html_template(root_path)).replace("<head>", script, 1)

    vars(server).update(
        get_markdown_str=_readme,
        get_html_template=page,
        FILES_DIRECTORY=own_files,
        escalator_guard=True,
    )
    server.sio.on("connect", connect_safely)
    BaseSession.persist_file = persist_file  # type: ignore[method-assign]
    WebsocketSession.require = require  # type: ignore[method-assign]
    UISettings.model_dump = settings_of_page  # type: ignore[method-assign, assignment]
    # Chainlit would give its own words in 23 languages, and a line in the terminal per page in all others.
    ChainlitConfig.load_translation = lambda self, language: words(self, supported(language))  # type: ignore[method-assign]
    server.app.add_middleware(Page)
    server.app.add_middleware(faces)  # before Chainlit's compression, rules about origins, and page for any path
    if room is None:
        server.app.add_middleware(Guard, hosts=lambda: LOOPBACK if is_local() else ())
    else:
        server.app.add_middleware(Bodies, max_file=(settings.max_file_mb << 20) + MOST_BYTES)
        server.app.add_middleware(Members, room=room, has_key=bool(settings.gateway_key))
        server.app.add_middleware(Guard, hosts=lambda: room.hosts)
        server.app.add_middleware(Proxies, trusted_hosts=room.proxies)
    for chatty in ("httpx", "httpx2", "mcp", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _restore_asyncio() -> None:
    """Undo what Chainlit's command line does for event loops within event loops (nest_asyncio); none is used here.

    All tasks and futures would run in Python, and a cancelled timer would keep all that it refers to until it is due:
    minutes of conversations.
    """
    for module, name in ((asyncio, "Task"), (asyncio.tasks, "Task"), (asyncio, "Future"), (asyncio.futures, "Future")):
        vars(module)[name] = vars(import_module("_asyncio"))[name]
    kind = type(asyncio.get_event_loop())
    if "_run_once" in vars(kind):  # in place of that of its base class
        del kind._run_once  # type: ignore[attr-defined]


def begin(at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start the log, and do some work as soon as the server is told to end, which first waits for all answers."""
    logs.start()
    gc.freeze()  # what is loaded now stays, and need not be searched for garbage
    loop = asyncio.get_running_loop()

    def handled(running: Server, number: int, frame: FrameType | None) -> None:
        asyncio.run_coroutine_threadsafe(at_end(), loop)
        running.handle_exit(number, frame)

    for number in HANDLED_SIGNALS:
        running = getattr(signal.getsignal(number), "__self__", None)
        if isinstance(running, Server):
            running.config.timeout_graceful_shutdown = ENDING_SECONDS
            signal.signal(number, partial(handled, running))


def _readme(root: str, tag: str) -> str:
    """Return the page behind *Readme* in the language of ours that a browser asks for."""
    translated = Path(root, f"chainlit_{supported(tag)}.md")
    return (translated if translated.is_file() else Path(root, "chainlit.md")).read_text(encoding="utf-8")


def _check_port(host: str, port: int) -> None:
    """Exit with an advice if the port is taken: Chainlit would claim to be available there, and exit with 0."""
    others = (other for other in range(port + 1, min(port + 50, 65_536)) if _is_free(host, other))
    if _is_free(host, port) or (free := next(others, None)) is None:
        return  # where none is free, the host itself is wrong, which the server reports
    command = f"chainlit run app/main.py --port {free}" + ("" if host in LOOPBACK else f" --host {host}")
    advice = f"Port {port} is taken by another program. Use another one:\n\n    {command}\n"
    print(advice, file=sys.stderr)  # noqa: T201 - there is no chat yet
    raise SystemExit(1)


def _is_free(host: str, port: int) -> bool:
    """Whether a server could listen on a port now."""
    with suppress(OSError), socket.create_server((host, port), family=AF_INET6 if ":" in host else AF_INET):
        return True
    return False
