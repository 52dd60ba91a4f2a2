"""One model's answer to one prompt; knows nothing of judging or of what comes after."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from app.answering.confidence import ConfidenceFilter
from app.answering.emitting import Emit
from app.answering.events import AttemptEnded, AttemptStarted, Progress, Reasoning, Retrieved, Token
from app.answering.ledger import Metrics, Stopwatch, speed
from app.answering.prompt import Message, messages
from app.answering.turn import Attempt, Role, Turn
from app.errors import ContextOverflow, ModelError
from app.models import chat
from app.models.foundry import Foundry, Model, Service
from app.models.tokens import TokenCounter
from app.retrieval.packing import Evidence
from app.settings import Settings

SPARE = 0.9
"""Share of a model's context that is planned for: token counts are estimates."""

Repack = Callable[[int], Awaitable[Retrieved]]
"""Packs the evidence anew into so many tokens."""


class Attempts:
    """Runs attempts against a model server and remembers each model's context length once it has been told."""

    def __init__(self, models: Foundry, settings: Settings, counter: TokenCounter) -> None:
        self._models = models
        self._settings = settings
        self._count = counter.count
        self._limits: dict[str, tuple[int, float]] = {}

    async def run(
        self, number: int, role: Role, service: Service, turn: Turn, retrieved: Retrieved, repack: Repack, emit: Emit
    ) -> tuple[Attempt, ModelError | None]:
        """One attempt, from `AttemptStarted` to `AttemptEnded`; one that failed has the finish "error" and its text."""
        alias = self._settings.small if role == "small" else self._settings.large
        started = AttemptStarted(number, role, alias, service.host)
        emit(started)
        answer = _Answer(started, emit)
        failure: ModelError | None = None
        try:
            model = await self._models.ready(alias, lambda text: emit(Progress(text)))
            if self._models.busy(model):
                emit(Progress(f"Waiting for {alias}: it is answering another question."))
            async with self._models.slot(model):
                await self._fitted(answer, model, turn, retrieved, repack)
        except ModelError as error:
            failure = error
        attempt = answer.ended()
        emit(AttemptEnded(attempt))
        return attempt, failure

    async def _fitted(self, answer: "_Answer", model: Model, turn: Turn, retrieved: Retrieved, repack: Repack) -> None:
        """Ask; a prompt that proves too long for the model's context is packed anew once."""
        try:
            await self._ask(answer, model, turn, await self._trimmed(answer, model, turn, retrieved, repack))
        except ContextOverflow as error:
            prompt = self._size(answer.role, turn, retrieved.evidence)
            limit = error.limit or prompt // 2
            self._limits[model.id] = (limit, error.prompt / prompt if error.prompt else 1.0)
            answer.emit(Progress(f"{model.alias} takes {limit} tokens at most; it gets fewer passages."))
            await self._ask(answer, model, turn, await self._trimmed(answer, model, turn, retrieved, repack))

    async def _trimmed(
        self, answer: "_Answer", model: Model, turn: Turn, retrieved: Retrieved, repack: Repack
    ) -> Retrieved:
        """The evidence that fits a model whose context length is known; `scale` is its tokens per counted one."""
        if model.id not in self._limits:
            return retrieved
        limit, scale = self._limits[model.id]
        room = int((SPARE * limit - self._output(answer.role, model)) / scale)
        if self._size(answer.role, turn, retrieved.evidence) <= room:
            return retrieved
        fewer = await repack(max(0, room - self._size(answer.role, turn, ())))
        answer.emit(fewer)
        return fewer

    async def _ask(self, answer: "_Answer", model: Model, turn: Turn, retrieved: Retrieved) -> None:
        prompt = self._prompt(answer.role, turn, retrieved.evidence)
        answer.clock = Stopwatch()
        output = self._output(answer.role, model)
        stream = chat.answer(
            self._models, model, prompt, max_tokens=output, progress=lambda text: answer.emit(Progress(text))
        )
        async with aclosing(stream):
            async for piece in stream:
                answer.take(piece)

    def _output(self, role: Role, model: Model) -> int:
        most = self._settings.max_tokens if role == "small" else self._settings.large_max_tokens
        return min(most, self._limits[model.id][0] // 3) if model.id in self._limits else most

    def _prompt(self, role: Role, turn: Turn, evidence: Sequence[Evidence]) -> list[Message]:
        ask = self._settings.ask_confidence and role == "small"
        return messages(turn.question, evidence, turn.history, ask_confidence=ask)

    def _size(self, role: Role, turn: Turn, evidence: Sequence[Evidence]) -> int:
        return sum(self._count(message["content"]) for message in self._prompt(role, turn, evidence))


class _Answer:
    """An answer as it comes in."""

    def __init__(self, started: AttemptStarted, emit: Emit) -> None:
        self.emit = emit
        self.role = started.role
        self.clock = Stopwatch()
        self._attempt = Attempt(started.id, started.role, started.model, started.host, "", "error", Metrics())
        self._shown = ConfidenceFilter()
        self._text: list[str] = []
        self._first_ms: float | None = None
        self._end: chat.End | None = None

    def take(self, piece: chat.Delta | chat.End) -> None:
        """Pass a piece of the stream on."""
        if isinstance(piece, chat.End):
            self._end = piece
        elif piece.reasoning:
            self.emit(Reasoning(self._attempt.id, piece.text))
        else:
            self._first_ms = self._first_ms or self.clock.ms
            self._show(self._shown.feed(piece.text))

    def ended(self) -> Attempt:
        """The attempt, after the last piece or the failure."""
        total = self.clock.ms
        self._show(self._shown.close())
        prompt, written = (self._end.prompt_tokens, self._end.completion_tokens) if self._end else (None, None)
        return replace(
            self._attempt,
            text="".join(self._text),
            finish=self._end.finish if self._end else "error",
            confidence=self._shown.level,
            metrics=Metrics(None, None, self._first_ms, total, prompt, written, speed(written, self._first_ms, total)),
        )

    def _show(self, text: str) -> None:
        if text:
            self._text.append(text)
            self.emit(Token(self._attempt.id, text))
