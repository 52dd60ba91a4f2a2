"""One model's answer to one prompt, as events; knows nothing of judging or of what comes after."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from app.answering.confidence import ConfidenceFilter
from app.answering.events import AttemptEnded, AttemptStarted, Event, Progress, Reasoning, Retrieved, Token
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

Pack = Callable[[int], Awaitable[Retrieved]]
"""Packs the evidence anew into so many tokens."""


class Attempts:
    """Runs attempts against a model server and remembers each model's context length once it has been told."""

    def __init__(self, models: Foundry, settings: Settings) -> None:
        self._models = models
        self._settings = settings
        self._count = TokenCounter().count
        self._limits: dict[str, tuple[int, float]] = {}

    async def run(
        self, number: int, role: Role, service: Service, turn: Turn, retrieved: Retrieved, pack: Pack
    ) -> AsyncGenerator[Event, None]:
        """One attempt, from `AttemptStarted` to `AttemptEnded`.

        A ModelError is raised after `AttemptEnded`, whose attempt then has the finish "error" and the text so far.
        """
        alias = self._settings.small if role == "small" else self._settings.large
        attempt = Attempt(number, role, alias, service.host, "", "error", Metrics())
        yield AttemptStarted(number, role, alias, service.host)
        try:
            model: Model | None = None
            async with aclosing(_narrated(lambda say: self._models.ready(alias, say))) as loading:
                async for step in loading:
                    if isinstance(step, Model):
                        model = step
                    else:
                        yield step
            assert model is not None
            if self._models.busy(model):
                yield Progress(f"Waiting for {alias}: it is answering another question.")
            async with (
                self._models.slot(model),
                aclosing(self._fitted(attempt, model, turn, retrieved, pack)) as events,
            ):
                async for event in events:
                    if isinstance(event, Attempt):
                        attempt = event
                    else:
                        yield event
        except ModelError:
            yield AttemptEnded(attempt)
            raise
        yield AttemptEnded(attempt)

    async def _fitted(
        self, attempt: Attempt, model: Model, turn: Turn, retrieved: Retrieved, pack: Pack
    ) -> AsyncGenerator[Event | Attempt, None]:
        """The stream of one request; a prompt that proves too long is packed anew once, before any text came."""
        for last in (False, True):
            limit, scale = self._limits.get(model.id, (None, 1.0))
            output = self._settings.max_tokens if attempt.role == "small" else self._settings.large_max_tokens
            if limit is not None:
                output = min(output, limit // 3)
                room = int(SPARE * (limit - output) / scale) - self._size(self._prompt(attempt, turn, ()))
                if self._size(self._prompt(attempt, turn, retrieved.evidence)) > SPARE * (limit - output) / scale:
                    retrieved = await pack(max(room, 0))
                    yield retrieved
            prompt = self._prompt(attempt, turn, retrieved.evidence)
            try:
                async with aclosing(self._stream(attempt, model, prompt, output)) as events:
                    async for event in events:
                        yield event
                return
            except ContextOverflow as error:
                if last:
                    raise
                limit = error.limit or (limit or self._size(prompt)) // 2
                scale = error.prompt / self._size(prompt) if error.prompt else 1.0
                self._limits[model.id] = (limit, scale)
                yield Progress(f"The prompt was too long for {attempt.model} ({limit} tokens); using fewer passages.")

    async def _stream(
        self, attempt: Attempt, model: Model, prompt: list[Message], output: int
    ) -> AsyncGenerator[Event | Attempt, None]:
        shown = ConfidenceFilter()
        text: list[str] = []
        clock = Stopwatch()
        first: float | None = None
        end: chat.End | None = None

        def so_far() -> Attempt:
            prompt_tokens, tokens = (end.prompt_tokens, end.completion_tokens) if end else (None, None)
            total = clock.ms
            return replace(
                attempt,
                text="".join(text),
                finish=end.finish if end else "error",
                confidence=shown.level,
                metrics=Metrics(None, None, first, total, prompt_tokens, tokens, speed(tokens, first, total)),
            )

        try:
            async with aclosing(chat.answer(self._models, model, prompt, max_tokens=output)) as stream:
                async for piece in stream:
                    if isinstance(piece, chat.End):
                        end = piece
                    elif piece.reasoning:
                        yield Reasoning(attempt.id, piece.text)
                    else:
                        first = first or clock.ms
                        if visible := shown.feed(piece.text):
                            text.append(visible)
                            yield Token(attempt.id, visible)
            if rest := shown.close():
                text.append(rest)
                yield Token(attempt.id, rest)
        except ContextOverflow:
            raise
        except ModelError:
            if rest := shown.close():
                text.append(rest)
                yield Token(attempt.id, rest)
            yield so_far()
            raise
        yield so_far()

    def _prompt(self, attempt: Attempt, turn: Turn, evidence: Sequence[Evidence]) -> list[Message]:
        ask = self._settings.ask_confidence and attempt.role == "small"
        return messages(turn.question, evidence, turn.history, ask_confidence=ask)

    def _size(self, prompt: Sequence[Message]) -> int:
        return sum(self._count(message["content"]) for message in prompt)


async def _narrated(
    work: Callable[[Callable[[str], None]], Awaitable[Model]],
) -> AsyncGenerator[Progress | Model, None]:
    """Run `work`, passing on what it says as Progress, and its result last."""
    said: asyncio.Queue[str | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(said.put_nowait))
    task.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (text := await said.get()) is not None:
            yield Progress(text)
        yield await task
    finally:
        task.cancel()
