"""One streamed completion: messages in, pieces of text out, every fault a sentence."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from app.errors import AnswerFailed, ModelGone, NoModel, ServerBusy, ServerError
from app.models import faults
from app.models.flight import Progress
from app.models.foundry import Foundry, Model
from app.models.reasoning import Piece, ReasoningFilter

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionChunk

USAGE_SECONDS = 2.0
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer, or of the reasoning before it."""

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How the answer ended ("stop", "length", …) and what it took, in tokens; None where the server does not say."""

    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


async def answer(
    foundry: Foundry,
    model: Model,
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    stop: Sequence[str] = (),
    progress: Progress | None = None,
) -> AsyncGenerator[Delta | End, None]:
    """One completion, tried again while nothing has been shown: the settings' `retries` when the server was busy or
    lost, and once when it had unloaded the model, which is then loaded again."""
    failures, reloads = 0, 0
    while True:
        shown = False
        try:
            if failures or reloads:
                model = await foundry.ready(model.alias, progress)
            stream = complete(foundry, model, messages, max_tokens=max_tokens, temperature=temperature, stop=stop)
            async with aclosing(stream):
                async for event in stream:
                    shown = True
                    yield event
            return
        except ModelGone:
            if shown or reloads:
                raise
            reloads += 1
        except (ServerError, NoModel) as error:
            if shown or failures >= foundry.settings.retries:
                raise
            pause = foundry.settings.retry_backoff * 2**failures
            failures += 1
            await asyncio.sleep(min(max(pause, error.seconds if isinstance(error, ServerBusy) else 0.0), LONGEST_PAUSE))
        foundry.forget(model)


async def complete(
    foundry: Foundry,
    model: Model,
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    stop: Sequence[str] = (),
    first_token_seconds: float | None = None,
    stall_seconds: float | None = None,
) -> AsyncGenerator[Delta | End, None]:
    """One request, no second try: pieces, then one End; time-outs are the settings' where none is given.

    Closing the generator closes the connection, at which the server stops writing. Raises AnswerFailed.
    """
    client = await foundry.openai(model.service)
    import httpx2
    import openai

    patience = _Patience(
        model,
        foundry.settings.first_token_seconds if first_token_seconds is None else first_token_seconds,
        foundry.settings.stall_seconds if stall_seconds is None else stall_seconds,
    )
    extra: dict[str, Any] = {"stop": list(stop)} if stop else {}
    reading = _Reading()
    stream = None
    try:
        async with patience.waiting():
            stream = await client.chat.completions.create(
                model=model.id,
                messages=cast("Any", messages),
                max_tokens=max_tokens,
                temperature=temperature,
                stream=True,
                stream_options={"include_usage": True},
                **extra,
            )
        while True:
            async with patience.waiting():
                chunk = await anext(stream, None)
            if chunk is None:
                break
            for delta in reading.take(chunk):
                patience.heard()
                yield delta
            if reading.finish is not None:
                patience.ended()
    except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
        if reading.finish is None:
            raise faults.of(error, model) from error
    except TimeoutError as error:
        if reading.finish is None:
            raise patience.failure() from error
    finally:
        if stream is not None:
            await stream.close()
    for delta in reading.rest():
        yield delta
    yield reading.end(model)


class _Reading:
    """What has come of one answer."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self._chunks = 0
        self._filter = ReasoningFilter()
        self._usage: CompletionUsage | None = None

    def take(self, chunk: "ChatCompletionChunk") -> Iterator[Delta]:
        """The pieces in one event."""
        self._chunks += 1
        content, thought, finish, usage = _parts(chunk)
        self._usage = usage or self._usage
        if thought:
            self._filter.reasoned()
            yield Delta(thought, reasoning=True)
        if content:
            yield from map(_delta, self._filter.feed(content))
        self.finish = finish or self.finish

    def rest(self) -> Iterator[Delta]:
        """The pieces that were held back until the end."""
        return map(_delta, self._filter.finish(cut=self.finish == "length"))

    def end(self, model: Model) -> End:
        """The last event; raises AnswerFailed when the server did not say that the answer is whole."""
        if self.finish is None:
            raise faults.unfinished(model, began=self._chunks > 0)
        usage = self._usage
        return End(self.finish, usage.prompt_tokens if usage else None, usage.completion_tokens if usage else None)


class _Patience:
    """How long to wait for what comes next: long for the first token, shorter within the answer."""

    def __init__(self, model: Model, first: float, stall: float):
        self._model = model
        self._first = first
        self._stall = stall
        self._limit: float | None = None
        self._deadline = asyncio.get_running_loop().time() + first

    def waiting(self) -> asyncio.Timeout:
        """Raises TimeoutError within when it takes too long."""
        return asyncio.timeout_at(self._deadline) if self._limit is None else asyncio.timeout(self._limit)

    def heard(self) -> None:
        """The answer has begun, or goes on."""
        self._limit = self._stall

    def ended(self) -> None:
        """The answer is whole; only the count of tokens may follow."""
        self._limit = min(USAGE_SECONDS, self._stall)

    def failure(self) -> AnswerFailed:
        """What to say when it took too long."""
        if self._limit is None:
            return faults.silent(self._model, self._first)
        return faults.stalled(self._model, self._stall)


def _delta(piece: Piece) -> Delta:
    return Delta(*piece)


def _parts(chunk: "ChatCompletionChunk") -> tuple[str, str, str | None, "CompletionUsage | None"]:
    """Content, reasoning, finish reason and usage of an event, whose shape the client does not check."""
    try:
        if not chunk.choices:
            return "", "", None, chunk.usage
        choice = chunk.choices[0]
        # Foundry Local and llama.cpp call it reasoning_content, Ollama reasoning; the protocol has no name for it.
        thought = getattr(choice.delta, "reasoning_content", None) or getattr(choice.delta, "reasoning", None)
        return str(choice.delta.content or ""), str(thought or ""), choice.finish_reason, chunk.usage
    except (AttributeError, TypeError) as error:
        raise ValueError("an event of another shape") from error
