"""The events of a turn as a completion: chunk by chunk, or whole."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from app.answering import events
from app.answering.run import BEST
from app.answering.sanitizer import label, safe
from app.answering.turn import Answer
from app.errors import EscalatorError
from app.gateway.completion_request import ESCALATED, NOTE, RETRACTED, RULE, SOURCES, CompletionRequest
from app.gateway.refusals import Refusal, described
from app.retrieval.packing import Evidence

DONE = b"data: [DONE]\n\n"

Json = dict[str, Any]


class Completion:
    """A completion in the making; `url_of` returns the address of a document.

    With `as_events` the evidence is sent at the beginning of a stream in events of Open WebUI, which numbers it in this
    order and shows it where the text has a mark, also if it is stopped; there are no annotations and no line then.
    """

    _error: EscalatorError | None = None
    _begun = False
    _sent = 0
    """Sources that were sent as events; more may be found for the large model."""
    _why = ""
    """Why the model is asked that begins next."""

    def __init__(self, request: CompletionRequest, url_of: Callable[[str], str], *, as_events: bool = False) -> None:
        self._request, self._url_of, self._as_events = request, url_of, as_events and request.stream
        self._base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.model}

    @property
    def media_type(self) -> bytes:
        """What `parts` yields."""
        return b"text/event-stream; charset=utf-8" if self._request.stream else b"application/json"

    def parts(self, event: events.Event) -> Iterator[bytes]:
        """Yield what is to be sent for an event; raises Refusal at the end of a turn without an answer."""
        if isinstance(event, events.Failed):
            self._error = event.error
        finished = event.answer if isinstance(event, events.Finished) else None
        if finished and self._error and finished.attempt is None and not finished.rendered:
            raise Refusal.of(self._error)
        if self._request.stream:
            yield from map(_event, self._end(finished) if finished else self._chunks(event))
            yield from [DONE] if finished else []
        elif finished:
            yield _json(self._whole(finished))

    def broken_off(self, error: Exception) -> bytes:
        """Return the end of a stream that has begun and failed."""
        return _event(described(error)) + DONE

    def _chunks(self, event: events.Event) -> Iterator[Json]:
        match event:
            case events.Retrieved(evidence=evidence) if self._as_events:
                for item in evidence[self._sent :]:
                    yield self._chunk() | {"choices": [], "event": {"type": "source", "data": _source(item)}}
                self._sent = len(evidence)
            case events.AttemptStarted() | events.Abstained() if not self._begun:
                self._begun = True
                yield self._chunk(role="assistant", content="")
            case events.Escalated(why=why):
                self._why = _one_line(why)
            case events.AttemptStarted(model=model):
                line = ESCALATED.format(model=label(model), why=self._why) if self._why else ""
                yield self._chunk(content=f"\n\n{line}\n\n")
            case events.Token(_, text):
                yield self._chunk(content=text)
            case events.Reasoning(_, text):
                yield self._chunk(reasoning_content=text)
            case events.Retracted():
                yield self._chunk(content=f"\n\n{RETRACTED}\n\n")

    def _end(self, answer: Answer) -> Iterator[Json]:
        _, best, quote = answer.rendered.partition(f"\n\n{BEST}\n\n")
        text = answer.rendered if answer.attempt is None else best + quote
        cited: Json = {} if self._as_events else {"annotations": self._annotations(answer)}
        yield self._chunk(content=text + self._below(answer), **cited)
        yield self._chunk(_finish(answer)) | {"escalator": _account(answer)}
        if self._request.stream_options and self._request.stream_options.include_usage:
            yield self._chunk() | {"choices": [], "usage": _usage(answer)}

    def _whole(self, answer: Answer) -> Json:
        text, cited = answer.rendered + self._below(answer), self._annotations(answer)
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": cited}
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
        whole = self._base | {"object": "chat.completion", "choices": [choice]}
        return whole | {"usage": _usage(answer), "escalator": _account(answer)}

    def _chunk(self, finish: str | None = None, **delta: Any) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._base | {"object": "chat.completion.chunk", "choices": [choice]}

    def _below(self, answer: Answer) -> str:
        """Return the lines below an answer from the documents: what was noticed, and its sources."""
        lines = [NOTE.format(text=_one_line(notice)) for notice in answer.notices if answer.evidence]
        listed = " · ".join(f"[{item.number}] {_named(item)}" for item in answer.sources)
        lines += [SOURCES.format(listed=listed)] if listed and not self._as_events else []
        return RULE + "\n\n".join(lines) if lines else ""

    def _annotations(self, answer: Answer) -> list[Json]:
        """Return the sources as OpenAI's citations of pages; positions count in the text with corrected marks."""
        found = []
        for item in answer.sources:
            start, end = next((it.shown for it in answer.citations if it.number == item.number), (0, 0))
            cited = {"title": _named(item), "url": self._url_of(item.file), "start_index": start, "end_index": end}
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
    model = answer.attempt.model if answer.attempt is not None and answer.by_model else None
    decision = answer.decision if answer.decision is not None and answer.decision.escalate else None
    reason = {"code": decision and decision.code, "reason": decision and decision.why}
    notices = list(answer.notices)
    return {"model": model, "escalated": answer.escalated, **reason, "notices": notices, "text": answer.rendered}


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


def _json(data: Json) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _event(data: Json) -> bytes:
    return b"data: " + _json(data) + b"\n\n"
