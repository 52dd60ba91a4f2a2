"""What Chainlit's server lacks: the guard, who asks, our texts, no foreign links, a check of port and settings.

Chainlit has no setting for any of this, so it is added to its server from outside; knows nothing of chats.
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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_INET6
from types import FrameType
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import HANDLED_SIGNALS, Server

from app import logs
from app.errors import SettingsError
from app.guard import MOST_BYTES, Bodies, Guard, Proxies
from app.room import HERE, Room, organiser, person, sits_here
from app.settings import LOOPBACK, Settings
from app.settings import load as load_settings
from app.translation import VARYING, _, choose, load, preferred, script_of_page, supported
from app.ui.members import Members, check_upload

FOREIGN_LINK = re.compile(r"<(?:link|meta)\s[^>]*https?://[^>]*>")
"""A tag in Chainlit's page that loads from another host: a font, a style sheet, a preview picture."""

TEXTS = "/texts.js"
"""A script in the head of the page: its components find the texts in the language of the browser there, with `say`."""

ENDING_SECONDS = 5
"""For requests that are still open when the server is ended."""

SWITCH_SECONDS = 0.001
"""A thread that computes gives way to the event loop after so long; after 0.005 by default."""

SESSION = re.compile(r"[0-9a-f-]{36}")
"""The ids that a page gives its session."""


class Page:
    """ASGI middleware that adds to Chainlit's server what our page needs.

    Each request of the person at this machine gets the `token` of the one user, if there is one: nobody has to log in
    there, and the browser has no secret. It is handled in the language of the browser, whose texts are a script.
    """

    def __init__(self, app: ASGIApp, token: Callable[[], str] = str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if not (is_local() or Room.current):
            organiser.set(False)
        if sits_here() and (token := self._token()):
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


def is_local() -> bool:
    """Whether only this machine can open the page."""
    from chainlit.config import config

    return config.run.host in LOOPBACK


def name_of(user: Any) -> str:
    """Return the person who is a user of Chainlit: "" is the one user."""
    return user.identifier if user is not None and user.identifier != HERE else ""


def _token() -> str:
    """Return the proof that a request comes from the one user; "" if Chainlit knows no users."""
    from chainlit.auth import create_jwt
    from chainlit.user import User

    return create_jwt(User(identifier=HERE)) if "CHAINLIT_AUTH_SECRET" in os.environ else ""


def install(faces: Callable[[ASGIApp], ASGIApp]) -> None:
    """Put guard and other faces before Chainlit's server and remove foreign links from its page; once per process.

    `faces` gets the chat as an application and returns one that also answers what is not the chat's.
    """
    import chainlit.config
    import chainlit.server as server
    from chainlit.config import ChainlitConfig, UISettings, config
    from chainlit.session import BaseSession, WebsocketSession

    if getattr(server, "escalator_guard", False):  # `chainlit run -w` runs main.py again
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    room, settings = Room.current, _settings()
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
    server.app.add_middleware(Page, token=_token)
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


def begin(at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start the log, and do some work as soon as the server is told to end, which first waits for all answers."""
    logs.start()
    gc.freeze()  # what is loaded now stays: so what conversations leave behind is collected sooner, and in less time
    loop = asyncio.get_running_loop()

    def handled(server: Server, number: int, frame: FrameType | None) -> None:
        asyncio.run_coroutine_threadsafe(at_end(), loop)
        server.handle_exit(number, frame)

    for number in HANDLED_SIGNALS:
        server = getattr(signal.getsignal(number), "__self__", None)
        if isinstance(server, Server):
            server.config.timeout_graceful_shutdown = ENDING_SECONDS
            signal.signal(number, partial(handled, server))


def _readme(root: str, tag: str) -> str:
    """Return the page behind *Readme* in the language of ours that a browser asks for."""
    translated = Path(root, f"chainlit_{supported(tag)}.md")
    return (translated if translated.is_file() else Path(root, "chainlit.md")).read_text(encoding="utf-8")


def _settings() -> Settings:
    """Return the settings; exit with a sentence, which Python prints, if one is wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(str(error)) from None


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
