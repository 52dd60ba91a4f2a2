"""The people of a room: who sends a request, what is open without a login, how much one may drop into chats."""

import asyncio
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.guard import is_here, refuse
from app.history import History
from app.room import Member, Room, cookie, folder_of, organiser, person
from app.settings import Settings
from app.translation import _

OPEN = ("", "assets", "auth", "avatars", "element", "favicon", "health", "login", "logo", "logout", "public", "thread")
"""The first parts of paths that are answered without a login: the page, which then asks for one, and its files."""

TEXTS = ("/texts.js", "/project/translations")
"""Further ones, with the words of the page."""

MAX_FILES, MAX_SHARE = 100, 10
"""What one person may have in conversations: so many files, and so many times the size of the largest allowed one."""


_login: ContextVar[tuple[HTTPConnection, list[bytes]]] = ContextVar("login")
"""The request that is being handled, and the cookies that its answer brings."""

_sent: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()
"""The sizes of the files that came in each session, as long as Chainlit has the session and its files."""


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
        from chainlit.auth import get_token_from_cookies
        from chainlit.auth.jwt import decode_jwt
        from jwt import InvalidTokenError

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
        page = path in TEXTS or (path.lstrip("/").split("/")[0] in OPEN and path != "/auth/jwt")
        return scope["type"] == "http" and (with_key or page)


async def log_in(room: Room, name: str, code: str) -> Any:
    """Let somebody in, for Chainlit, which gives the browser a cookie; raises HTTPException."""
    from chainlit.user import User

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
