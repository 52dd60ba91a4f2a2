"""One model's answer to one prompt; knows nothing of judging or of what comes after."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from app.answering.confidence import ConfidenceFilter
from app.answering.emitting import Emit
from app.answering.events import AttemptEnded, AttemptStarted, Progress, Reasoning, Token
from app.answering.prompt import Message, messages
from app.answering.sanitizer import SafeMarkdown, addresses
from app.answering.turn import NUMBERS, Attempt, Role, Turn
from app.answering.usage import Metrics, Stopwatch, speed
from app.errors import ContextOverflow, ModelError
from app.models import chat
from app.models.foundry import Foundry, Model, Service
from app.models.tokens import TokenCounter
from app.retrieval.packing import Evidence
from app.settings import Settings

SPARE = 0.9
"""Share of a model's context that is planned for: token counts are estimates."""

READING_SECONDS = 1.0
"""After so long without a word from a model it is said that it reads the prompt."""

LEAST_CHARS = 200
"""What is left of the first passage at the least: without any passage there is nothing to answer from."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a model.

    `draft` goes along as an unverified text, to be kept where `polish` is set; `enough` looks at the text so far and
    may end the attempt.
    """

    role: Role
    turn: Turn
    evidence: tuple[Evidence, ...]
    draft: str | None = None
    polish: bool = False
    enough: Callable[[str], bool] | None = None


class Attempts:
    """Runs attempts against a model server and remembers each model's context length once it has been told."""

    def __init__(self, models: Foundry, settings: Settings, counter: TokenCounter) -> None:
        self._models = models
        self._settings = settings
        self._count = counter.count
        self._limits: dict[str, tuple[int, float]] = {}
        self._heard: set[str] = set()

    async def run(self, order: Order, service: Service, emit: Emit) -> tuple[Attempt, ModelError | None]:
        """One attempt, from `AttemptStarted` to `AttemptEnded`; one that failed has the finish "error" and its text."""
        alias, other = self._models.pair.of(order.role)
        started = AttemptStarted(NUMBERS[order.role], order.role, alias, service.host)
        emit(started)
        answer = _Answer(started, emit, order)
        failure: ModelError | None = None
        try:
            model = await self._models.ready(alias, partial(_say, emit, NUMBERS[order.role]), instead_of=other)
            if self._models.busy(model):
                emit(Progress(f"Waiting for {alias}: it is answering another question.", NUMBERS[order.role]))
            async with self._models.slot(model):
                await self._fitted(answer, model, order)
        except ModelError as error:
            failure = error
        attempt = answer.ended()
        if attempt.finish == "stopped":  # the server's count comes last, so it is missing
            counts = {"prompt_tokens": self._size(order), "completion_tokens": self._count(attempt.text)}
            attempt = replace(attempt, metrics=replace(attempt.metrics, **counts))
        emit(AttemptEnded(attempt))
        return attempt, failure

    async def _fitted(self, answer: "_Answer", model: Model, order: Order) -> None:
        """Ask; a prompt that proves too long for the model's context goes out once more with less evidence."""
        try:
            await self._ask(answer, model, self._trimmed(model, order))
        except ContextOverflow as error:
            counted = self._size(order)
            if error.limit is not None:
                self._limits[model.id] = (error.limit, error.prompt / counted if error.prompt else 1.0)
                what = f"{model.alias} takes {error.limit} tokens at most"
            else:  # the server gave no figure, so none is kept
                order = self._within(order, counted // 2)
                what = f"The prompt seems too long for {model.alias}"
            _say(answer.emit, NUMBERS[order.role], f"{what}; it gets fewer passages.")
            await self._ask(answer, model, self._trimmed(model, order))

    def _trimmed(self, model: Model, order: Order) -> Order:
        """The order with the evidence that fits a model whose context length is known.

        The second number that is remembered of a model is its tokens per counted one.
        """
        if model.id not in self._limits:
            return order
        limit, scale = self._limits[model.id]
        return self._within(order, int((SPARE * limit - self._output(order.role, model)) / scale))

    def _within(self, order: Order, room: int) -> Order:
        """The order with evidence left out from its end until the prompt has `room` tokens; no number changes."""
        while len(order.evidence) > 1 and self._size(order) > room:
            order = replace(order, evidence=order.evidence[:-1])
        over = self._size(order) - room
        if over <= 0 or not order.evidence:
            return order
        first = order.evidence[0]
        kept = max(LEAST_CHARS, int(len(first.text) * (1 - over / max(1, self._count(first.text)))))
        text = first.text[:kept]
        return replace(order, evidence=(replace(first, text=text, end=first.start + len(text)),))

    async def _ask(self, answer: "_Answer", model: Model, order: Order) -> None:
        clock = Stopwatch()
        prompt = self._prompt(order)
        answer.sending(clock.ms)
        output = self._output(order.role, model)
        say = partial(_say, answer.emit, NUMBERS[order.role])
        first = "" if model.id in self._heard else "; the first time takes longest"
        reads = f"{model.alias} reads {self._size(order)} tokens{first}"
        reading = asyncio.get_running_loop().call_later(READING_SECONDS, say, reads)
        _, other = self._models.pair.of(order.role)
        stream = chat.answer(self._models, model, prompt, max_tokens=output, progress=say, instead_of=other)
        try:
            async with aclosing(stream):
                async for piece in stream:
                    reading.cancel()
                    self._heard.add(model.id)
                    if answer.take(piece):
                        break
        finally:
            reading.cancel()

    def _output(self, role: Role, model: Model) -> int:
        most = self._settings.max_tokens if role == "small" else self._settings.large_max_tokens
        return min(most, self._limits[model.id][0] // 3) if model.id in self._limits else most

    def _prompt(self, order: Order) -> list[Message]:
        turn, ask = order.turn, self._settings.ask_confidence and order.role == "small"
        return messages(
            turn.question, order.evidence, turn.history, ask_confidence=ask, draft=order.draft, polish=order.polish
        )

    def _size(self, order: Order) -> int:
        return sum(self._count(message["content"]) for message in self._prompt(order))


def _say(emit: Emit, number: int, text: str) -> None:
    emit(Progress(text, number))


def replay(attempt: Attempt, emit: Emit) -> Attempt:
    """Emit an attempt that is there already, as if it were written now."""
    emit(AttemptStarted(attempt.id, attempt.role, attempt.model, attempt.host))
    emit(Token(attempt.id, attempt.text))
    emit(AttemptEnded(attempt))
    return attempt


class _Answer:
    """An answer as it comes in."""

    def __init__(self, started: AttemptStarted, emit: Emit, order: Order) -> None:
        self.emit = emit
        self._attempt = Attempt(started.id, started.role, started.model, started.host, "", "error", Metrics())
        self._enough = order.enough
        known = addresses(item.text for item in order.evidence)
        self._told = ConfidenceFilter()
        self._safe, self._thought = SafeMarkdown(known), SafeMarkdown(known)
        self._text = ""
        self._begun = self._clock = Stopwatch()
        self._metrics = Metrics()
        self._wrote_ms: float | None = None  # the first token of all, those of reasoning included
        self._end: chat.End | None = None

    def sending(self, prompt_ms: float) -> None:
        """The request goes out now."""
        self._metrics = Metrics(prompt_ms=prompt_ms, sent_ms=self._begun.ms)
        self._clock, self._wrote_ms = Stopwatch(), None

    def take(self, piece: chat.Delta | chat.End) -> bool:
        """Pass a piece of the stream on; returns whether the attempt is to end here."""
        if isinstance(piece, chat.End):
            self._end = piece
            return False
        if self._wrote_ms is None:
            self._wrote_ms = self._clock.ms
        if piece.reasoning:
            self._think(self._thought.feed(piece.text))
        else:
            if self._metrics.first_token_ms is None:
                self._metrics = replace(self._metrics, first_token_ms=self._clock.ms)
            self._show(self._safe.feed(self._told.feed(piece.text)))
            if self._enough is not None and self._enough(self._text):
                self._end = chat.End("stopped", None, None)
                return True
        return False

    def ended(self) -> Attempt:
        """The attempt, after the last piece or the failure."""
        total = self._clock.ms
        self._think(self._thought.close())
        self._show(self._safe.feed(self._told.close()) + self._safe.close())
        finish, prompt, written = "error", None, None
        if self._end is not None:
            finish, prompt, written = self._end.finish, self._end.prompt_tokens, self._end.completion_tokens
        pace = speed(written, self._wrote_ms, total)
        return replace(
            self._attempt,
            text=self._text,
            finish=finish,
            confidence=self._told.level,
            metrics=replace(
                self._metrics, total_ms=total, prompt_tokens=prompt, completion_tokens=written, tokens_per_s=pace
            ),
        )

    def _think(self, text: str) -> None:
        if text:
            self.emit(Reasoning(self._attempt.id, text))

    def _show(self, text: str) -> None:
        if text:
            self._text += text
            self.emit(Token(self._attempt.id, text))
