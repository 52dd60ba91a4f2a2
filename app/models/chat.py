"""One streamed completion: messages in, pieces of text out, every failure an error of our tree with a remedy."""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import AnswerFailed, ContextOverflow, ModelGone, NoModel, ServerBusy, ServerError, StaysHere
from app.models import error_mapping
from app.models.foundry import Foundry
from app.models.reasoning import Delta, ReasoningFilter, Retraction
from app.models.server import Model, Notify, ignore
from app.settings import is_loopback

if TYPE_CHECKING:
    import openai

__all__ = ["Delta", "End", "Retraction", "answer", "complete", "reply", "warm_up"]

SENTENCE_END = re.compile(r"[.!?…。！？।؟](?:[\"'“”’»)*_`\s]|\[[^\[\]]{1,20}\])*$")
REFUSES_EXTRAS = re.compile(
    r"\bstop\b|log_?prob|param|argument|\bfield|\bextra\b|unrecogni|(?:not |un)support|unknown|unexpected|invalid", re.I
)
USAGE_SECONDS = 2.0
LONGEST_PAUSE = 60.0

PAUSE_SECONDS, LONGEST_READING_PAUSE = 0.0025, 0.3
"""Between two looks for new events of an answer, for each answer that is being written, and at most.

What has come meanwhile is handled together: of a hundred answers, token by token, a process would do nothing else.
"""


Messages = Sequence[Mapping[str, Any]]
"""What a model is sent: each message has a role and a content."""


@dataclass(frozen=True, slots=True)
class End:
    """The finish reason of an answer ("stop", "length", …) and its tokens, None where the server does not count.

    `logprobs` are the tokens as they were written, each with the logarithm of its probability; empty where the server
    reports none. `first_at` is when the first token came, by `time.perf_counter`; it may have been held back.
    """

    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None
    logprobs: Sequence[tuple[str, float]] = ()
    first_at: float = field(default=0.0, compare=False)


class _ReasoningStopped(Exception):
    """A text that ends answers occurred in the reasoning, so that there is no answer; never leaves this module."""


class WarmUp(NamedTuple):
    """A model that answers, the seconds until it was loaded, and the seconds that one token took."""

    model: Model
    load_seconds: float
    token_seconds: float

    def __str__(self) -> str:
        return f"ready after {self.load_seconds:.1f} s, a token after {self.token_seconds:.1f} s"


async def answer(
    foundry: Foundry,
    model: Model,
    messages: Messages,
    *,
    kept_here: str,
    stop: Sequence[str] = (),
    notify: Notify = ignore,
    instead_of: str | None = None,
    **how: Any,
) -> AsyncGenerator[Delta | End, None]:
    """Stream one completion, asked for as by `complete`, and try again on a failure before the first piece.

    There are `settings.retries` further tries if the server was busy or lost, and one if it had unloaded the model,
    which is then loaded again, with `instead_of` unloaded for it if memory is short. If the role has other servers,
    each is tried, the least loaded one first; `sending` is told of each request. Where one of the texts in `stop` ended
    the reasoning, the model is asked once more without them. Raises ModelError.
    """
    failures, reloads, moves = 0, 0, len(foundry.addresses(model.role)) - 1
    several = moves > 0
    while True:
        shown = False
        try:
            if failures or reloads or several:
                model = await foundry.ready(model.alias, notify, instead_of, role=model.role, kept_here=kept_here)
            tried = complete(foundry, model, messages, kept_here=kept_here, stop=stop, **how)
            async with aclosing(tried) as stream:
                async for event in stream:
                    shown = True
                    yield event
            return
        except _ReasoningStopped:
            stop = ()
            continue
        except ModelGone:
            if shown or reloads:
                raise
            reloads += 1
        except (AnswerFailed, NoModel) as error:
            if shown or isinstance(error, ContextOverflow):
                raise
            if moves > 0 and foundry.forget(model, private=bool(kept_here)):
                moves -= 1
                continue
            if failures >= foundry.settings.retries or not isinstance(error, ServerError | NoModel):
                raise
            pause = foundry.settings.retry_backoff * 2**failures
            failures += 1
            await asyncio.sleep(min(max(pause, error.seconds if isinstance(error, ServerBusy) else 0.0), LONGEST_PAUSE))
        foundry.forget(model)


async def reply(foundry: Foundry, model: Model, messages: Messages, *, kept_here: str, **how: Any) -> str:
    """Return a whole answer, asked for as by `answer`, without its reasoning; raises ModelError."""
    said = ""
    async with aclosing(answer(foundry, model, messages, kept_here=kept_here, **how)) as stream:
        async for piece in stream:
            if isinstance(piece, Retraction):
                said = ""
            elif isinstance(piece, Delta) and not piece.reasoning:
                said += piece.text
    return said


async def complete(
    foundry: Foundry,
    model: Model,
    messages: Messages,
    *,
    kept_here: str,
    max_tokens: int,
    stop: Sequence[str] = (),
    temperature: float = 0.0,
    seed: int | None = None,
    sending: Callable[[Model], object] = lambda model: None,
) -> AsyncGenerator[Delta | End, None]:
    """Send one request, without retries, and yield its pieces and one End; raises AnswerFailed.

    Nothing else sends text to a model. With a rule that has the messages `kept_here`, which is empty if there is none,
    a model on another machine is sent nothing; raises StaysHere.

    The answer ends before the first of the texts in `stop`, unless the server refuses to look for them. Probabilities
    of tokens are asked for until the server refuses that or reports none. Closing the generator closes the connection,
    upon which the server stops generating.
    """
    if kept_here and not is_loopback(model.service.root):
        raise StaysHere(kept_here)
    client = await foundry.openai(model.service)
    import httpx2
    import openai

    settings = foundry.settings
    began, finish, usage, first_at = False, None, None, 0.0
    sieve = ReasoningFilter()
    first_by = asyncio.get_running_loop().time() + settings.first_token_seconds
    longest: float | None = None  # seconds of silence that are allowed after the first event
    stream: openai.AsyncStream[object] | None = None
    batches: AsyncGenerator[list[_Event], None] | None = None
    sending(model)
    given = {"model": model.id, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    limit = {"max_tokens": max_tokens}
    how: Any = {"cast_to": object, "stream": True, "stream_cls": openai.AsyncStream[object]}
    extras: dict[str, Any] = {"temperature": temperature} | ({"seed": seed} if seed is not None else {})
    extras |= {"stop": list(stop)} if stop else {}
    if model.service.root not in foundry.without_logprobs:
        extras["logprobs"] = True
    logprobs: list[tuple[str, float]] = []
    foundry.streams[model.service.root] += 1
    try:
        async with asyncio.timeout_at(first_by):
            while stream is None:
                try:
                    stream = await client.post("/chat/completions", body=given | limit | extras, **how)
                except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                    if "max_tokens" in limit and "max_completion_tokens" in str(error):  # OpenAI's newer models
                        limit = {"max_completion_tokens": max_tokens}
                        continue
                    if not (extras and REFUSES_EXTRAS.search(str(error))):
                        raise
                    extras.popitem()
        vars(stream).pop("_iterator", None)  # it is not used, and with it the stream would refer to itself
        batches = _batches(stream)
        while True:
            async with asyncio.timeout_at(first_by) if longest is None else asyncio.timeout(longest):
                batch = await anext(batches, None)
            if batch is None:
                break
            began = True
            content, thought = ("".join(each) for each in zip(*(it.texts for it in batch), strict=True))
            finish = next((it.finish for it in reversed(batch) if it.finish), finish)
            usage = next((it.usage for it in reversed(batch) if it.usage), usage)
            logprobs += chain.from_iterable(it.logprobs for it in batch)
            first_at = first_at or (time.perf_counter() if content or thought else 0.0)
            deltas = [*sieve.feed(content, thought)]
            for delta in deltas:
                longest = settings.stall_seconds
                yield delta._replace(events=max(1, sum(any(it.texts) for it in batch) // len(deltas)))
            if finish is not None:  # only the count of tokens may follow
                longest = min(USAGE_SECONDS, settings.stall_seconds)
            elif (streams := foundry.streams.total()) > 1:
                await asyncio.sleep(min(PAUSE_SECONDS * streams, LONGEST_READING_PAUSE))
    except (openai.OpenAIError, httpx2.HTTPError, ValueError, TimeoutError) as error:
        if finish is None:
            raise error_mapping.mapped(error, model, longest, settings) from error
    finally:
        foundry.streams[model.service.root] -= 1
        if stream is not None:
            await stream.close()
        if batches is not None:
            with suppress(Exception):  # its generators end here, not where Python collects them, outside of the loop
                async with asyncio.timeout(USAGE_SECONDS):
                    while await anext(batches, None) is not None:
                        pass
    for delta in sieve.finish(cut=finish == "length"):
        yield delta
    if finish is None and SENTENCE_END.search(sieve.answer):
        # Some servers give no reason; one that breaks off inside of an answer closes no connection well.
        finish = "stop"
    if finish is None:
        raise error_mapping.unfinished(model, began=began)
    if stop and finish == "stop" and sieve.only_reasoned:
        raise _ReasoningStopped
    if "logprobs" not in extras or (sieve.content and not logprobs):
        foundry.without_logprobs.add(model.service.root)
    counts = usage if isinstance(usage, dict) else {}
    yield End(finish, counts.get("prompt_tokens"), counts.get("completion_tokens"), tuple(logprobs), first_at)


async def warm_up(
    foundry: Foundry, alias: str, instead_of: str | None = None, notify: Notify = ignore, *, role: str = ""
) -> WarmUp:
    """Load a model and generate one token, so that the first question does not wait for it; raises ModelError."""
    clock = asyncio.get_running_loop().time
    started = clock()
    model = await foundry.ready(alias, notify, instead_of, role=role)
    async with foundry.slot(model):
        loaded = clock()
        messages = [{"role": "user", "content": "Hello"}]
        async with aclosing(complete(foundry, model, messages, kept_here="", max_tokens=1)) as stream:
            async for _ in stream:
                pass
    return WarmUp(model, loaded - started, clock() - loaded)


class _Event(NamedTuple):
    """One event of a stream: texts of the answer and of the reasoning before it, and what is known at its end."""

    texts: tuple[str, str] = "", ""
    finish: str | None = None
    usage: Any = None
    logprobs: Sequence[tuple[str, float]] = ()


async def _batches(stream: "openai.AsyncStream[object]") -> AsyncGenerator[list[_Event], None]:
    """Yield the events of a stream, together what has come together; raises ValueError and openai.APIError.

    Iterating over the stream itself takes several times as long: it reads, checks and converts event by event.
    """
    rest = b""
    async with aclosing(stream.response.aiter_bytes()) as reads:
        async for read in reads:
            *blocks, rest = (rest + read).replace(b"\r\n", b"\n").split(b"\n\n")
            batch: list[_Event] = []
            try:
                for block in blocks:
                    data = b"\n".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
                    if data not in (b"", b"[DONE]"):
                        batch.append(_event(json.loads(data), stream))
            finally:  # also of those before one that is broken
                if batch:
                    yield batch


def _event(data: Any, stream: "openai.AsyncStream[object]") -> _Event:
    """Read an event; raises openai.APIError if it says what failed, and ValueError if its shape is unknown."""
    import openai

    try:
        if failure := data.get("error"):
            said = failure.get("message") if isinstance(failure, dict) else failure
            raise openai.APIError(str(said), stream.response.request, body=failure)
        if not data.get("choices"):
            return _Event(usage=data.get("usage"))
        choice = data["choices"][0]
        delta = choice.get("delta") or {}
        # Foundry Local and llama.cpp call it reasoning_content, Ollama reasoning; the protocol has no name for it.
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        texts = str(delta.get("content") or ""), str(thought or "")
        return _Event(texts, choice.get("finish_reason"), data.get("usage"), _logprobs(choice))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("an event of an unknown shape") from error


def _logprobs(choice: Any) -> list[tuple[str, float]]:
    """Return the tokens of an event with the logarithms of their probabilities; empty if they have another shape."""
    with suppress(IndexError, KeyError, TypeError, ValueError):
        entries = choice["logprobs"]["content"]
        return [(str(entry["token"]), value) for entry in entries if (value := float(entry["logprob"])) <= 0]
    return []
