"""The endpoints under /v1, which speak as OpenAI's chat completions do."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.answering.events import Event
from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.gateway.completion_request import CompletionRequest
from app.gateway.completion_stream import Completion
from app.gateway.refusals import Refusal
from app.settings import Settings

log = logging.getLogger(__name__)

Body = TypeVar("Body", bound=BaseModel)

SMALL, LARGE = Turn("", mode="small"), Turn("", mode="large")

MODELS = {"escalator": Turn(""), "escalator-small": SMALL, "escalator-large": LARGE}
"""The models that answer from the documents, and the turn that each stands for."""

MOST_BYTES = 4_000_000
"""A longer body is refused: a conversation of text is shorter, with tools too."""

BODY_SECONDS = 10.0
"""For a body to arrive; it comes from this machine or its neighbourhood."""

MOST_WAITING = 32
"""Requests at a time, as the models answer one by one: a workshop's, and no more than can be answered in minutes."""


class Completions:
    """The API; `assistant` returns the one that all user interfaces share. Called as ASGI, it completes."""

    def __init__(self, settings: Settings, assistant: Callable[[], Awaitable[Assistant]]) -> None:
        self._settings, self._assistant = settings, assistant
        self._running = 0

    async def models(self, _: Request) -> Response:
        """List the models that can be asked."""
        known = self._turns(await self._assistant())
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "escalator"} for name in known]
        return JSONResponse({"object": "list", "data": listed})

    async def document(self, request: Request) -> Response:
        """Show the text of a document, as it was read."""
        retriever, file = (await self._assistant()).retriever, request.path_params["file"]
        if text := await retriever.run(lambda: retriever.snapshot(Turn("")).text(file)):
            return PlainTextResponse(text)
        raise Refusal(404, "There is no such document.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = await json_body(request, CompletionRequest)
        assistant = await self._assistant()
        turn = await assistant.retriever.run(lambda: asked.turn(self._turns(assistant)))
        if self._running >= MOST_WAITING:
            raise Refusal(429, "Too many requests are waiting for an answer. Try again in a moment.", retry_after="5")

        def url_of(file: str) -> str:
            return file if self._settings.gateway_key else f"{request.base_url}v1/documents/{quote(file)}"

        completion = Completion(asked, url_of, as_events="x-openwebui-chat-id" in request.headers)
        self._running += 1
        try:
            await _while_connected(receive, _answer(assistant.answer(turn), completion, send))
        finally:
            self._running -= 1

    def _turns(self, assistant: Assistant) -> dict[str, Turn]:
        """Return the turn that each model stands for; the bare ones answer without the documents."""
        if not self._settings.bare_models:
            return MODELS
        pair = assistant.models.pair
        return MODELS | {pair.large: replace(LARGE, unaided=True), pair.small: replace(SMALL, unaided=True)}


def routes(settings: Settings, assistant: Callable[[], Awaitable[Assistant]]) -> list[BaseRoute]:
    """Return the routes of the API."""
    api = Completions(settings, assistant)
    description = FileResponse(Path(__file__).with_name("openapi.json"), media_type="application/json")
    return [
        Route("/v1/models", api.models),
        Route("/v1/chat/completions", api, methods=["POST"]),
        Route("/v1/documents/{file:path}", api.document),
        Route("/v1/openapi.json", description, methods=["GET"]),
    ]


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
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    try:
        return kind.model_validate_json(received)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(map(str, first["loc"]))
        raise Refusal(400, f"{param}: {first['msg']}".removeprefix(": "), param or None) from None


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and cancel it when the client is gone, which ends what the models write."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if not tasks[0].cancelled():
        tasks[0].result()


async def _answer(events: AsyncGenerator[Event, None], completion: Completion, send: Send) -> None:
    """Send a completion, its chunks as they come; a turn that fails before the first one is refused."""
    begun = False

    async def put(data: bytes) -> None:
        nonlocal begun
        if not begun:
            begun, headers = True, [(b"content-type", completion.media_type), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": True})

    try:
        async with aclosing(events):
            async for event in events:
                if data := b"".join(completion.parts(event)):
                    await put(data)
    except Exception as error:
        if not begun:
            raise
        if not isinstance(error, Refusal):
            log.exception("a turn failed")
        await put(completion.broken_off(error))
    await send({"type": "http.response.body", "body": b"", "more_body": False})
