"""The endpoints under /v1, which speak as OpenAI's chat completions do."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.answering.pipeline import Assistant, Shared
from app.answering.turn import Turn
from app.errors import EscalatorError, ServerBusy
from app.gateway.openai_format import CompletionRequest, Json, completion, encoded
from app.guard import Refusal, is_here, json_body, refused
from app.room import begin_request, person
from app.settings import Settings

log = logging.getLogger(__name__)

SMALL, LARGE = Turn("", mode="small"), Turn("", mode="large")

MODELS = {"escalator": Turn(""), "escalator-small": SMALL, "escalator-large": LARGE}
"""The models that answer from the documents, and the turn that each stands for."""

EVENT, DONE = b"data: %b\n\n", b"data: [DONE]\n\n"

MOST_WAITING = 32
"""Requests at a time, as the models answer one by one: a workshop's, and no more than can be answered in minutes."""


class Written(StreamingResponse):
    """A completion that is sent while it is written, and ends when whoever asked is gone: then no model writes on.

    It begins with its first part; what fails before is refused with a status of its own, and what fails later is the
    last event of a stream.
    """

    def __init__(self, parts: AsyncGenerator[Json, None], streamed: bool, places: asyncio.Semaphore) -> None:
        kind = "text/event-stream" if streamed else "application/json"
        super().__init__((), headers={"cache-control": "no-cache"}, media_type=kind)
        self._parts, self._streamed, self._places = parts, streamed, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # By later versions of ASGI, Starlette would notice who is gone only when there is something to send.
        await super().__call__({**scope, "asgi": {"spec_version": "2.0"}}, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the parts."""
        begun = False
        try:
            async with self._places, aclosing(self._parts) as parts:
                async for part in parts:
                    if not begun:
                        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                        begun = True
                    data = EVENT % encoded(part) if self._streamed else encoded(part)
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            end = DONE if self._streamed else b""
        except Exception as error:
            if not begun:
                raise
            if not isinstance(error, EscalatorError):
                log.exception("a turn failed")
            end = EVENT % refused(error).body + DONE
        await send({"type": "http.response.body", "body": end})


def routes(settings: Settings, assistant: Shared) -> list[BaseRoute]:
    """Return the routes of the API."""
    places = asyncio.Semaphore(MOST_WAITING)

    def turns(asked: Assistant) -> dict[str, Turn]:
        """Return the turn that each model stands for; the bare ones answer without the documents."""
        if not settings.bare_models:
            return MODELS
        pair = asked.models.pair
        return MODELS | {pair.large: replace(LARGE, unaided=True), pair.small: replace(SMALL, unaided=True)}

    async def models(_: Request) -> Response:
        known = turns(await assistant())
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "escalator"} for name in known]
        return JSONResponse({"object": "list", "data": listed})

    async def document(request: Request) -> Response:
        retriever, file = (await assistant()).retriever, request.path_params["file"]
        if text := await retriever.run(lambda: retriever.snapshot(Turn("")).text(file)):
            return PlainTextResponse(text)
        raise Refusal(404, "There is no such document.")

    async def complete(request: Request) -> Response:
        begin_request()
        if not (person.get() or is_here(request.scope)):
            person.set(request.client.host if request.client else "?")
        asked = await json_body(request, CompletionRequest)
        answering = await assistant()
        turn = await answering.retriever.run(lambda: asked.turn(turns(answering)))
        if places.locked():
            raise ServerBusy("Too many requests are waiting for an answer. Try again in a moment.", 5)
        documents = "" if settings.gateway_key else f"{request.base_url}v1/documents/"  # a browser sends no key
        as_events = "x-openwebui-chat-id" in request.headers
        parts = completion(asked, answering.answer(turn), documents, as_events=as_events)
        return Written(parts, bool(asked.stream), places)

    description = FileResponse(Path(__file__).with_name("openapi.json"), media_type="application/json")
    return [
        Route("/v1/models", models),
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/documents/{file:path}", document),
        Route("/v1/openapi.json", description, methods=["GET"]),
    ]
