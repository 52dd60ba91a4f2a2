"""OpenAI's chat completions, under /v1: the endpoints, a request as a turn, and the events of it as a completion."""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.answering import events
from app.answering.pipeline import Assistant, Shared
from app.answering.run import BEST
from app.answering.sanitizer import label, safe
from app.answering.scope import LONGEST_REFERENCE, about_text
from app.answering.turn import Answer, Sampling, Turn
from app.documents.document import ANY
from app.errors import EscalatorError, ServerBusy
from app.guard import Refusal, is_here, json_body, refused
from app.retrieval.packing import Evidence
from app.retrieval.search import Exchange
from app.room import begin_request, person
from app.settings import Settings

log = logging.getLogger(__name__)

SMALL, LARGE = Turn("", mode="small"), Turn("", mode="large")

MODELS = {"escalator": Turn(""), "escalator-small": SMALL, "escalator-large": LARGE}
"""The models that answer from the documents, and the turn that each stands for."""

EVENT, DONE = b"data: %b\n\n", b"data: [DONE]\n\n"

MOST_WAITING = 32
"""Requests at a time, as the models answer one by one: a workshop's, and no more than can be answered in minutes."""

SIDE_CALL = "### Task:"
"""How the requests of Open WebUI begin that want a title, tags or further questions for a conversation."""

ESCALATED, RETRACTED = "*Escalated to {model}: {why}*", "*So far the model was thinking. The answer:*"
"""Our lines above what replaces a text that was sent: a draft, or reasoning that came as if it were the answer."""

NOTE, SOURCES, RULE = "*Note: {text}*", "*Sources: {listed}*", "\n\n---\n\n"
"""Our lines below an answer, and what parts them from it."""

_BELOW = re.compile(rf"{RULE}\*(?:Note|Sources): .*\Z", re.DOTALL)
_ABOVE = re.compile(rf"^(?:\*Escalated to [^\n]*\*|{re.escape(RETRACTED)})$", re.MULTILINE)

Json = dict[str, Any]


class Part(BaseModel):
    """A part of a message; what is not text is left out."""

    type: str
    text: str = ""


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """What was said, without pictures and the like, and without our own lines in an answer."""
        parts = self.content if isinstance(self.content, list) else [Part(type="text", text=self.content or "")]
        text = "\n\n".join(part.text for part in parts if part.type == "text")
        return without_additions(text) if self.role == "assistant" else text


class StreamOptions(BaseModel):
    """What a stream has beside the answer."""

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a completion; fields that are not listed are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=2_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    reference: str | None = Field(None, max_length=LONGEST_REFERENCE)
    """An extension: a text to answer from in place of the documents; empty for none."""

    def turn(self, models: Mapping[str, Turn]) -> Turn:
        """Return the turn of the model that is asked, of `models` by name; blocks, raises Refusal."""
        if self.model not in models:
            text = f"There is no model {self.model}. Name one of these: {', '.join(models)}."
            raise Refusal(404, text, "model", "model_not_found")
        question, history = conversation(self.messages)
        stop = tuple(filter(None, [self.stop] if isinstance(self.stop, str) else self.stop or []))
        limit = self.max_completion_tokens or self.max_tokens
        sampling = Sampling(limit, self.temperature or 0.0, stop, self.seed)
        side_call = question.startswith(SIDE_CALL)
        grounds = (ANY,) if history or side_call or self.reference else ()  # may say what private documents do
        turn = replace(models[self.model], question=question, history=history, sampling=sampling, grounds=grounds)
        if side_call:
            return replace(turn, mode="small", history=(), unaided=True, scope=())
        return turn if self.reference is None else about_text(turn, self.reference)


def conversation(messages: Sequence[Message]) -> tuple[str, tuple[Exchange, ...]]:
    """Return the last question and the exchanges before it; raises Refusal if there is no question.

    Rules of ours take the place of system messages. Of messages of one side in a row, the texts are put together.
    """
    said = [it for it in messages if it.role == "user" or (it.role == "assistant" and it.text)]
    sides = groupby(dropwhile(lambda it: it.role != "user", said), key=lambda it: it.role)
    texts = ["\n\n".join(it.text for it in side).strip() for _, side in sides]
    if not texts:
        raise Refusal(400, "No message has the role user, so there is nothing to answer.", "messages")
    *earlier, last = texts[::2]
    return last, tuple(map(Exchange, earlier, texts[1::2]))


def without_additions(text: str) -> str:
    """Take our own lines out of an answer that comes back, and what another text has replaced."""
    texts = [part.strip() for part in _ABOVE.split(_BELOW.sub("", text))]
    return next(filter(None, reversed(texts)), "")


async def completion(
    asked: CompletionRequest, turn: AsyncGenerator[events.Event, None], documents: str, *, as_events: bool
) -> AsyncGenerator[Json, None]:
    """Yield a completion, chunk by chunk or whole; raises the failure of a turn that has no answer.

    `documents` is the address below which the documents are, or nothing. With `as_events` the evidence is sent at the
    beginning of a stream in events of Open WebUI, which numbers it in this order and shows it where the text has a
    mark, also if it is stopped; there are no annotations and no line of sources then.
    """
    base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
    as_events = as_events and bool(asked.stream)
    failure: EscalatorError | None = None
    begun, sent, why = False, 0, ""

    def chunk(finish: str | None = None, **delta: Any) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return base | {"object": "chat.completion.chunk", "choices": [choice]}

    async with aclosing(turn):
        async for event in turn:
            match event:
                case events.Failed(error):
                    failure = error
                case events.Finished(answer) if failure and answer.attempt is None and not answer.rendered:
                    raise failure
                case events.Finished(answer) if not asked.stream:
                    said = {"role": "assistant", "content": answer.rendered + _below(answer), "refusal": None}
                    message = said | {"annotations": _annotations(answer, documents)}
                    choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
                    whole = base | {"object": "chat.completion", "choices": [choice]}
                    yield whole | {"usage": _usage(answer), "escalator": _account(answer)}
                case _ if not asked.stream:
                    pass
                case events.Retrieved(evidence=evidence) if as_events:
                    for item in evidence[sent:]:
                        yield chunk() | {"choices": [], "event": {"type": "source", "data": _source(item)}}
                    sent = len(evidence)  # more may be found for the large model
                case events.AttemptStarted() | events.Abstained() if not begun:
                    begun = True
                    yield chunk(role="assistant", content="")
                case events.Escalated(why=why):
                    pass
                case events.AttemptStarted(model=model):
                    line = ESCALATED.format(model=label(model), why=_one_line(why)) if why else ""
                    yield chunk(content=f"\n\n{line}\n\n")
                case events.Token(_, text):
                    yield chunk(content=text)
                case events.Reasoning(_, text):
                    yield chunk(reasoning_content=text)
                case events.Retracted():
                    yield chunk(content=f"\n\n{RETRACTED}\n\n")
                case events.Finished(answer):
                    _, best, cited = answer.rendered.partition(f"\n\n{BEST}\n\n")
                    text = answer.rendered if answer.attempt is None else best + cited
                    sources: Json = {} if as_events else {"annotations": _annotations(answer, documents)}
                    yield chunk(content=text + _below(answer, listed=not as_events), **sources)
                    yield chunk(_finish(answer)) | {"escalator": _account(answer)}
                    if asked.stream_options and asked.stream_options.include_usage:
                        yield chunk() | {"choices": [], "usage": _usage(answer)}


def _below(answer: Answer, *, listed: bool = True) -> str:
    """Return the lines below an answer from the documents: what was noticed, and its sources."""
    lines = [NOTE.format(text=_one_line(notice)) for notice in answer.notices if answer.evidence]
    sources = " · ".join(f"[{item.number}] {_named(item)}" for item in answer.sources if listed)
    lines += [SOURCES.format(listed=sources)] if sources else []
    return RULE + "\n\n".join(lines) if lines else ""


def _annotations(answer: Answer, documents: str) -> list[Json]:
    """Return the sources as OpenAI's citations of pages; positions count in the text with corrected marks."""
    found = []
    for item in answer.sources:
        start, end = next((it.shown for it in answer.citations if it.number == item.number), (0, 0))
        url = documents + quote(item.file) if documents else item.file
        cited = {"title": _named(item), "url": url, "start_index": start, "end_index": end}
        more = {"number": item.number, "file": item.file, "place": item.place.label, "quote": item.text}
        found.append({"type": "url_citation", "url_citation": cited | more})
    return found


def _source(item: Evidence) -> Json:
    """Return a source as Open WebUI shows it; passages that are named alike would be one source."""
    name = f"{_named(item)} [{item.number}]"
    metadata = {"source": name, "name": _named(item), "place": item.place.label}
    shown: Json = {"source": {"id": name, "name": _named(item)}, "document": [safe(item.text)]}
    return shown | {"metadata": [metadata], "distances": [round(item.share, 2)]}


def _account(answer: Answer) -> Json:
    """Return what OpenAI's format has no field for; `text` is the answer with corrected marks, without our lines."""
    code = answer.decision and answer.decision.code
    reason = answer.decision.why if answer.decision and code else None
    said = {"notices": list(answer.notices), "text": answer.rendered}
    return {"model": answer.author, "escalated": answer.escalated, "code": code, "reason": reason} | said


def _usage(answer: Answer) -> Json:
    """Add up the tokens of all models that were asked; what a server did not count is missing."""
    prompt = sum(attempt.metrics.prompt_tokens or 0 for attempt in answer.attempts)
    written = sum(attempt.metrics.completion_tokens or 0 for attempt in answer.attempts)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _finish(answer: Answer) -> str:
    return "length" if answer.attempt is not None and answer.attempt.finish == "length" else "stop"


def _named(item: Evidence) -> str:
    return label(f"{item.file}, {item.place.label}")


def _one_line(text: str) -> str:
    return safe(" ".join(text.split())).replace("*", "")


def encoded(data: Json) -> bytes:
    """Return JSON; half a pair of surrogates, which a document may hold, becomes a question mark."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


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
