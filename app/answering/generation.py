"""One model's answer to one prompt, from the wait for a server to the last token.

Knows nothing of decisions or of what follows an attempt.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from app.answering.events import AttemptEnded, AttemptStarted, Delay, Emitter, Reasoning, Retracted, Token
from app.answering.features import certainty, without_loop
from app.answering.prompt import Message, Prompt
from app.answering.sanitizer import SafeMarkdown, addresses, safe
from app.answering.turn import NUMBERS, Attempt, Decision, Metrics, Role, Sent, Stopwatch, speed
from app.answering.wrapping import AnswerFilter, is_no_answer, joined
from app.errors import AnswerFailed, ContextOverflow, ModelError
from app.models import chat
from app.models.foundry import Foundry, Model
from app.models.tokens import TokenCounter
from app.settings import is_loopback
from app.translation import _, figure

SPARE = 0.9
"""Share of a model's context that is used: token counts are estimates."""

Watch = Callable[[str, bool], Decision | None]
"""Sees what a model has written so far, and whether that is its reasoning; returns why to stop it, if it is to be."""

READING_SECONDS = 1.0
"""Wait for a model's first piece until a message says that it reads the prompt."""


class Generator:
    """Asks models, and remembers the context length of each model once a server has reported it."""

    def __init__(self, foundry: Foundry, counter: TokenCounter) -> None:
        self._foundry, self._settings = foundry, foundry.settings
        self._count = counter.count
        self._limits: dict[str, tuple[int, float]] = {}
        """By model id: context length, and the model's tokens per token that we count."""
        self._answered: set[str] = set()

    async def generate(
        self, role: Role, prompt: Prompt, kept_here: str, watch: Watch, emit: Emitter, patience: float | None = None
    ) -> Attempt:
        """Run an attempt from `AttemptStarted` to `AttemptEnded`; a failed one has its error and the text so far.

        It fails if a rule keeps the prompt here, on this machine, and the model is on another one.
        With a `patience` it fails, too, if its model is not ready after so many seconds, or has not begun so long after
        it was asked; in line it waits as long as the settings allow for a first token.
        """
        prompt = replace(prompt, ask_confidence=self._settings.ask_confidence and role == "small")
        alias, other = self._foundry.pair.of(role)
        started = AttemptStarted(NUMBERS[role], role, alias, self._foundry.host(role))
        emit(started)
        stream = _Stream(started, emit, prompt, watch, kept_here)
        stream.show_begun()
        failure: ModelError | None = None
        allowed, asked = patience, False
        try:
            async with asyncio.timeout(patience) as stream.limit:
                how: dict[str, Any] = {"instead_of": other, "role": role, "kept_here": kept_here}
                model = await self._foundry.ready(alias, stream.progress, **how)
                allowed = stream.allow(patience and self._settings.first_token_seconds)
                async with self._foundry.slot(model, stream.progress):
                    allowed, asked = stream.allow(patience), True
                    await self._ask_fitting(stream, model, prompt)
        except TimeoutError:
            stream.left = asked
            place = {"model": alias, "host": started.host}
            failure = AnswerFailed("{model} at {host} did not begin within {number} s.", number=f"{allowed:g}", **place)
        except ModelError as error:
            failure = error
        if stream.left:  # a server reports its counts last, so they are missing
            prompt_tokens = await asyncio.to_thread(self._size, prompt)
            stream.end = chat.End(stream.end.finish, prompt_tokens, self._count(stream.written))
        attempt = stream.attempt(failure)
        emit(AttemptEnded(attempt))
        return attempt

    async def _ask_fitting(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        """Ask; if the prompt proves too long for the model's context, ask once more with less evidence."""
        if model.id in self._limits:
            prompt = await asyncio.to_thread(self._within, prompt, self._room(stream.role, model, prompt))
        try:
            await self._ask(stream, model, prompt)
        except ContextOverflow as error:
            counted = await asyncio.to_thread(self._size, prompt)
            if error.limit is not None:
                self._limits[model.id] = (error.limit, error.prompt / counted if error.prompt else 1.0)
                room = self._room(stream.role, model, prompt)
                why = _(
                    "{model} takes {number} tokens at most; it gets fewer passages.",
                    model=model.alias,
                    number=figure(error.limit),
                )
            else:  # the server gave no figure to remember
                room = counted // 2
                why = _("The prompt seems too long for {model}; it gets fewer passages.", model=model.alias)
            stream.progress(why)
            await self._ask(stream, model, await asyncio.to_thread(self._within, prompt, room))

    def _room(self, role: Role, model: Model, prompt: Prompt) -> int:
        """Return the tokens, by our count, of the longest prompt for a model whose context length is known."""
        limit, scale = self._limits[model.id]
        return int((SPARE * limit - self._max_tokens(role, model, prompt)) / scale)

    def _within(self, prompt: Prompt, room: int) -> Prompt:
        """Leave out evidence from its end until the prompt has `room` tokens; the first piece remains."""
        while len(prompt.evidence) > 1 and self._size(prompt) > room:
            prompt = replace(prompt, evidence=prompt.evidence[:-1])
        return prompt

    async def _ask(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        clock = Stopwatch()
        sent = prompt.messages()
        stream.sending(prompt, clock.ms)
        pieces = chat.answer(
            self._foundry,
            model,
            sent,
            kept_here=stream.kept_here,
            max_tokens=self._max_tokens(stream.role, model, prompt),
            stop=prompt.stop,
            temperature=prompt.sampling.temperature,
            seed=prompt.sampling.seed,
            notify=stream.progress,
            instead_of=self._foundry.pair.of(stream.role)[1],
            sending=partial(stream.ask, sent),
        )
        reading = Delay(READING_SECONDS, partial(self._explain_wait, stream, model, prompt))
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    reading.cancel()
                    self._answered.add(model.id)
                    if stream.take(piece):
                        break
        finally:
            reading.cancel()

    async def _explain_wait(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        tokens = await asyncio.to_thread(self._size, prompt)
        values = {"model": model.alias, "number": figure(tokens)}
        if model.id in self._answered:
            stream.progress(_("{model} reads {number} tokens", **values))
        else:
            stream.progress(_("{model} reads {number} tokens; the first time takes longest", **values))

    def _max_tokens(self, role: Role, model: Model, prompt: Prompt) -> int:
        allowed = self._settings.max_tokens if role == "small" else self._settings.large_max_tokens
        most = prompt.sampling.most(allowed)
        return min(most, self._limits[model.id][0] // 3) if model.id in self._limits else most

    def _size(self, prompt: Prompt) -> int:
        """Count the tokens of the prompt; the first count may read the vocabulary, so it blocks."""
        return sum(self._count(message["content"]) for message in prompt.messages())


def leaving(messages: Sequence[Message], model: Model) -> list[Sent]:
    """Return what a request sends to another machine: nothing if its model is on this one."""
    if is_loopback(model.service.root):
        return []
    return [Sent(model.alias, model.service.host, tuple((it["role"], it["content"]) for it in messages))]


def replay(attempt: Attempt, emit: Emitter) -> Attempt:
    """Emit an attempt that exists already, as if it were written now."""
    emit(AttemptStarted(attempt.id, attempt.role, attempt.model, attempt.host))
    emit(Token(attempt.id, attempt.text))
    emit(AttemptEnded(attempt))
    return attempt


class _Stream:
    """An answer as it comes in: filtered, measured and emitted."""

    written = ""
    """All that the model has written as its answer, before anything is taken out."""
    end = chat.End("error", None, None)
    left = False
    """Whether the attempt was ended before the model had."""
    limit: asyncio.Timeout | None = None
    """Until when the model must have begun."""
    _stopped: Decision | None = None
    _reasoning = ""
    _metrics = Metrics()
    _first = 1
    """The events of the first piece."""

    def __init__(self, started: AttemptStarted, emit: Emitter, prompt: Prompt, watch: Watch, kept_here: str) -> None:
        self.role, self.progress = started.role, partial(emit.progress, attempt=started.id)
        self._started, self._emit, self._watch = started, emit, watch
        self.kept_here, self._host = kept_here, started.host
        self._sent = started.sent
        self._known = addresses(item.text for item in prompt.evidence)
        self._begin_text(prompt)
        self._safe_reasoning = SafeMarkdown(self._known)
        self._begun = self._clock = Stopwatch()
        self._times: list[float] = []  # of the pieces of any kind, reasoning included
        self._gaps: list[float] = []  # between the events that they came in

    def _begin_text(self, prompt: Prompt) -> None:
        self.text = self.written = ""
        self._prompt, self._filter, self._safe = prompt, AnswerFilter(prompt), SafeMarkdown(self._known)

    def show_begun(self) -> None:
        """Emit the text that the model is to write on with."""
        if self._prompt.begun:
            self._emit(Token(self._started.id, self._prompt.begun))

    def ask(self, messages: Sequence[Message], model: Model) -> None:
        """Note which server is asked, and what one on another machine is sent."""
        self._host = model.service.host
        self._sent += leaving(messages, model)

    def allow(self, seconds: float | None) -> float | None:
        """Let so many seconds pass from now on until the model must have begun, and return them."""
        if self.limit is not None and seconds is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + seconds)
        return seconds

    def sending(self, prompt: Prompt, prompt_ms: float) -> None:
        """Note that the request goes out now."""
        if self.written or prompt is not self._prompt:
            self._begin_text(prompt)
        self._metrics = Metrics(prompt_ms=prompt_ms, sent_ms=self._begun.ms)
        self._clock, self._times, self._gaps = Stopwatch(), [], []

    def take(self, piece: chat.Delta | chat.End) -> bool:
        """Pass a piece of the stream on; returns whether to end the attempt here."""
        if self.limit is not None:
            self.limit.reschedule(None)
        if isinstance(piece, chat.End):
            self.end = piece
            return False
        if isinstance(piece, chat.Retraction):
            self._metrics = replace(self._metrics, first_token_ms=None)
            self._begin_text(self._prompt)
            self._emit(Retracted(self._started.id))
            self.show_begun()
        now = self._clock.ms
        if self._times:
            self._gaps += [(now - self._times[-1]) / piece.events] * piece.events
        else:
            self._first = piece.events
        self._times.append(now)
        if piece.reasoning:
            self._reasoning += piece.text
            self._show(Reasoning, self._safe_reasoning.feed(piece.text))
        else:
            self.written += piece.text
            if self._metrics.first_token_ms is None:
                self._metrics = replace(self._metrics, first_token_ms=now)
            self._show(Token, self._safe.feed(self._filter.feed(piece.text)))
        if self._filter.over:
            self.end = chat.End("stop", None, None)
        elif stopped := self._watch(self._reasoning if piece.reasoning else self.written, piece.reasoning):
            self._stopped, self.end = stopped, chat.End("stopped", None, None)
        self.left = self._filter.over or self._stopped is not None
        return self.left

    def attempt(self, failure: ModelError | None) -> Attempt:
        """Emit the rest and return the attempt, after the last piece or the failure."""
        total_ms, end = self._clock.ms, self.end
        self._show(Reasoning, self._safe_reasoning.close())
        self._show(Token, self._safe.feed(self._filter.close()))
        self._show(Token, self._safe.close())
        finish = "stop" if self._filter.over and end.finish == "length" else end.finish
        if self._stopped is not None and self._stopped.code == "repeated":
            answer = AnswerFilter(self._prompt)
            text = answer.feed(without_loop(self.written)) + answer.close()
            self.text = safe(text.rstrip(), self._known)
        if finish != "error" and is_no_answer(self.text, ended=self.left or self._filter.over):
            self.text = ""
        self.text = joined(self._prompt.begun, self.text)
        now, times, tokens = self._metrics, self._times, (end.prompt_tokens, end.completion_tokens)
        began_ms = self._clock.at(end.first_at) if end.first_at else times[0] if times else None
        gap_ms = median(self._gaps) if self._gaps else None
        stages = now.prompt_ms, now.sent_ms, now.first_token_ms if self._reasoning else began_ms, gap_ms, total_ms
        # What ends an answer takes a step too, and is not counted as a token.
        metrics = Metrics(None, *stages, *tokens, speed(tokens[1], began_ms, times[-1], self._first) if times else None)
        it, level, sure = self._started, self._filter.confidence, certainty(self.text, end.logprobs)
        written = it.id, it.role, it.model, self._host, self.text, finish, metrics
        passages = len(self._prompt.evidence)
        ended = level, failure, self._stopped, sure, self._filter.over, passages
        return Attempt(*written, *ended, tuple(self._sent))

    def _show(self, kind: type[Reasoning] | type[Token], text: str) -> None:
        if text:
            if kind is Token:
                self.text += text
            self._emit(kind(self._started.id, text))
