"""The guards of a web server of ours: which hosts, origins, keys and bodies it accepts, and how it refuses others."""

import asyncio
import hmac
import re
from collections.abc import Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import EscalatorError, InputError, ServerBusy
from app.people import is_here
from app.settings import LOOPBACK

Body = TypeVar("Body", bound=BaseModel)

ACCIDENT = "Something went wrong inside Escalator. Its terminal shows the details."

STATUS = {ServerBusy: 429, InputError: 400, EscalatorError: 503}
"""The status of a request that failed: that of the first kind to which its error belongs."""

MOST_BYTES = 4_000_000
"""A longer body is refused: a conversation of text is shorter, with tools too."""

BODY_SECONDS = 10.0
"""For a body to arrive; it comes from this machine or its neighbourhood."""

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
    server's own, and while it listens on loopback only, `Host` must be a loopback name (DNS rebinding). A response that
    has a content policy of its own keeps it.
    """

    def __init__(self, app: ASGIApp, loopback_only: Callable[[], bool]) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._allows(host, headers.get("origin")):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                text = "This request comes from another page. Use the server's own address.\n"
                await PlainTextResponse(text, status_code=403)(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out.setdefault("content-security-policy", POLICY.replace("{host}", host))
                out["referrer-policy"] = "no-referrer"
                out["x-content-type-options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, with_policy)

    def _allows(self, host: str, origin: str | None) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            requester = host if origin is None else urlsplit(origin).netloc
        except ValueError:  # an address with a bracket too few
            return False
        if not re.fullmatch(r"[\w.:\[\]-]*", host) or (self._loopback_only() and name not in LOOPBACK):
            return False
        return requester == host


class ThisMachine:
    """ASGI middleware that refuses requests from other machines, wherever the server listens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = "Only programs on the machine of this server are answered here.\n"
        await (self._app if is_here(scope) else PlainTextResponse(text, status_code=403))(scope, receive, send)


def _needs_key(scope: Scope) -> bool:
    """Whether a request is for more than the page's files."""
    return scope["method"] == "POST" or not scope["path"].startswith("/browser")


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
        super().__init__(status, text, {"www-authenticate": "Bearer"} if status == 401 else None)
        self.param, self.code = param, code


def refused(error: Exception) -> JSONResponse:
    """Return an error as OpenAI's clients read it; of a mistake of ours it says nothing more."""
    if isinstance(error, HTTPException):
        status, text, headers = error.status_code, error.detail, dict(error.headers or {})
    else:
        status = next((each for kind, each in STATUS.items() if isinstance(error, kind)), 500)
        text = str(error) if isinstance(error, EscalatorError) else ACCIDENT
        headers = {"retry-after": str(max(1, round(error.seconds)))} if isinstance(error, ServerBusy) else {}
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    code = getattr(error, "code", None) or HTTPStatus(status).name.lower()
    described = {"message": text, "type": kind, "param": getattr(error, "param", None), "code": code}
    return JSONResponse({"error": described}, status, headers)


async def json_body(request: Request, kind: type[Body]) -> Body:
    """Read the body of a request; raises Refusal if it is of another kind or no JSON, too long or too slow."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Send JSON, with the header Content-Type: application/json.")
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS), aclosing(request.stream()) as pieces:
            async for piece in pieces:
                received += piece
                if len(received) > MOST_BYTES:
                    raise Refusal(413, f"The body is too long; {MOST_BYTES // 1_000_000} MB are the most.")
        return kind.model_validate_json(received)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(map(str, first["loc"]))
        raise Refusal(400, f"{param}: {first['msg']}".removeprefix(": "), param or None) from None
