"""The guards of a web server of ours: which hosts, origins, keys and bodies it accepts, and how it refuses others."""

import asyncio
import hmac
import re
import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.errors import EscalatorError, InputError, ServerBusy
from app.room import begin_request, request
from app.settings import LOOPBACK

Body = TypeVar("Body", bound=BaseModel)

ACCIDENT = "Something went wrong inside Escalator. Its terminal shows the details of request {name}."

STATUS = {ServerBusy: 429, InputError: 400, EscalatorError: 503}
"""The status of a request that failed: that of the first kind to which its error belongs."""

CLOSED = {"connection": "close"}
HEADERS = {401: {"www-authenticate": "Bearer"}, 408: CLOSED, 413: CLOSED}
"""The headers of a refusal, by its status."""

FORWARDED = re.compile("forwarded|x-real-ip|x-forwarded-", re.IGNORECASE)
"""Begins the headers by which a proxy says that it passes on a request of another one."""

_HOST = re.compile(r"(\[[\w.:]+\]|[\w.-]*)(?::\d*)?")

MOST_BYTES = 4_000_000
"""A longer body is refused: a conversation of text is shorter, with tools too."""

BODY_SECONDS = 10.0
"""For a body to arrive; it comes from this machine or its neighbourhood."""

BODY_SPEED = 10_000
"""Bytes a second that lengthen this for files; what is slower than the worst wireless network is an attack."""

POLICY = "; ".join([
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Chainlit's page configures itself inline
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",  # a picture in an answer could carry the conversation to its host
    "font-src 'self' data:",
    "connect-src 'self' ws://{host} wss://{host}",
    "worker-src 'self' blob:",
    "frame-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'self'",
])  # fmt: skip


class Guard:
    """ASGI middleware that refuses requests from other pages and sends the content policy with every response.

    A page somewhere on the web must not use this server through its visitor's browser: an `Origin` must be this
    server's own, and `Host` one of the names under which it is reached, if these are known (DNS rebinding). A response
    that has a content policy of its own keeps it.
    """

    def __init__(self, app: ASGIApp, hosts: Callable[[], Collection[str]], *, only_here: bool = False) -> None:
        """Take what returns the names, none where they are not known; with `only_here` other machines are refused."""
        self._app, self._hosts, self._only_here = app, hosts, only_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._only_here and not is_here(scope):
            await refuse(scope, receive, send, 403, "Only programs on the machine of this server are answered here.\n")
            return
        host, hosts = headers.get("host", ""), self._hosts()
        known = _name(host) in hosts if hosts else _HOST.fullmatch(host)
        if not known or headers.get("origin") not in (None, f"http://{host}", f"https://{host}"):
            text = "This request comes from another page. Use the server's own address.\n"
            await refuse(scope, receive, send, 403, text)
            return

        async def received() -> Message:
            return await receive()

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out.setdefault("content-security-policy", POLICY.replace("{host}", host))
                out["referrer-policy"] = "no-referrer"
                out["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, received, with_policy)
        finally:  # Engine.IO leaves a class for each request, which refers to it, and so to the whole connection
            receive = _gone


async def _gone() -> Message:
    """Say that a connection is over."""
    return {"type": "http.disconnect"}


def _name(host: str) -> str:
    """Return the name or address in a header `Host`, without its port; "" for one that is wrong."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""


def is_here(scope: Scope) -> bool:
    """Whether a request comes from a program on the machine of this server, to a name of its own, and by no proxy."""
    (client, _), headers = scope.get("client") or ("", 0), Headers(scope=scope)
    here = client.removeprefix("::ffff:").startswith("127.") or client == "::1"
    own = _name(headers.get("host", LOOPBACK[0])) in LOOPBACK
    return here and own and not any(FORWARDED.match(name) for name in headers)


def organises(scope: Scope) -> bool:
    """Whether a request may see what all people ask of the models: it is the organiser's, or of this machine."""
    return is_here(scope) or scope.get("organiser") is True


class Proxies(ProxyHeadersMiddleware):
    """ASGI middleware that finds who asks, and by which name of the server, if a trusted proxy says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        client, _ = scope.get("client") or ("", 0)
        if client in self.trusted_hosts:
            headers = MutableHeaders(scope=scope)
            headers.setdefault("x-forwarded-for", "")  # whoever comes through it is not here
            headers["host"] = headers.get("x-forwarded-host", headers.get("host", ""))
        await super().__call__(scope, receive, send)  # type: ignore[arg-type]


class Bodies:
    """ASGI middleware that ends requests whose body is too long, above all if it is no file, or comes too slowly."""

    def __init__(self, app: ASGIApp, max_file: int = MOST_BYTES) -> None:
        self._app, self._max_file = app, max_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, got, more = time.monotonic(), 0, True
        most = self._max_file if scope["path"].endswith("/project/file") else MOST_BYTES
        length = Headers(scope=scope).get("content-length", "0")
        said = int(length) if length.isdecimal() else 0

        async def limited() -> Message:
            nonlocal got, more
            if not more:  # whoever asks now waits for the end of the connection
                return await receive()
            seconds = BODY_SECONDS + got / BODY_SPEED
            try:
                async with asyncio.timeout(began + seconds - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, f"The body did not arrive within {seconds:.0f} s.") from None
            got, more = got + len(message.get("body", b"")), message.get("more_body", False)
            if max(got, said) > most:
                raise Refusal(413, f"The body is too long; {most // 1_000_000} MB are the most.")
            return message

        await self._app(scope, limited, send)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str = "") -> None:
    """Answer a request with a status, or close what is to be a websocket."""
    app = WebSocketClose() if scope["type"] == "websocket" else PlainTextResponse(text, status)
    await app(scope, receive, send)


def _needs_key(scope: Scope) -> bool:
    """Whether a request is for more than our pages, which have checks of their own."""
    return scope["method"] == "POST" or not scope["path"].startswith(("/browser", "/organiser"))


class KeyCheck:
    """ASGI middleware that wants a key, if there is one, for all but the page, which a browser opens without any."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if self._key and scope["type"] == "http" and _needs_key(scope):
            given = Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                text = "Send the key of ESCALATOR_GATEWAY_KEY in the header Authorization: Bearer KEY."
                app = refused(Refusal(401, text, code="invalid_api_key"))
        await app(scope, receive, send)


class Refusal(HTTPException):
    """A request that is refused; `param` is the field of its body that is wrong, `code` OpenAI's name for that."""

    def __init__(self, status: int, text: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(status, text, HEADERS.get(status))
        self.param, self.code = param, code


def refused(error: Exception) -> JSONResponse:
    """Return an error as OpenAI's clients read it; of a mistake of ours it says nothing more."""
    if isinstance(error, HTTPException):
        status, text, headers = error.status_code, error.detail, dict(error.headers or {})
    else:
        status = next((each for kind, each in STATUS.items() if isinstance(error, kind)), 500)
        accident = ACCIDENT.format(name=request.get() or begin_request())
        text = str(error) if isinstance(error, EscalatorError) else accident
        headers = {"retry-after": str(max(1, round(error.seconds)))} if isinstance(error, ServerBusy) else {}
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    code = getattr(error, "code", None) or HTTPStatus(status).name.lower()
    described = {"message": text, "type": kind, "param": getattr(error, "param", None), "code": code}
    return JSONResponse({"error": described}, status, headers)


async def json_body(request: Request, kind: type[Body]) -> Body:
    """Read the body of a request; raises Refusal if it is of another kind or no JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Send JSON, with the header Content-Type: application/json.")
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(map(str, first["loc"]))
        raise Refusal(400, f"{param}: {first['msg']}".removeprefix(": "), param or None) from None
