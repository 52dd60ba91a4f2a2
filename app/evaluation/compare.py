"""The comparison of two models on the same prompt: time to load, to the first token and to the end, and the texts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from statistics import median
from typing import Any

from app.answering.prompt import Message, Prompt
from app.answering.turn import Stopwatch, Turn, speed
from app.errors import InputError, ModelError, ModelGone, ServerError
from app.models import chat
from app.models.catalogue import ModelPair
from app.models.foundry import Foundry, Model
from app.settings import Settings

TIMES = ("load_ms", "first_token_ms", "total_ms", "tokens_per_s", "completion_tokens")
WARM_UP = 1
"""Tokens of a first request, which is not measured, as it prepares what later ones use."""


def pair_named(names: str) -> ModelPair:
    """Parse the names of two models, as A,B; raises InputError."""
    match [name.strip() for name in names.split(",")]:
        case [one, other] if one and other and one != other:
            return ModelPair(one, other)
    raise InputError(f"--models is {names!r}; it must be two different models, as A,B.")


async def compare(
    settings: Settings, prompt: str, rounds: int, tell: Callable[[str], None], *, passages: bool = False
) -> dict[str, Any]:
    """Ask both models of the settings, in turns where memory holds both; return a row for each.

    A row has the medians of the rounds, or the error of a model that did not answer. With `passages` the prompt is a
    question about the corpus. Raises EscalatorError when nothing could be asked.
    """
    Turn(prompt).check()
    plain: list[Message] = [{"role": "user", "content": prompt}]
    request = await asyncio.to_thread(_with_passages, settings, prompt) if passages else plain
    async with Foundry(settings) as foundry:
        await foundry.find()  # starting the runtime is not part of a model's load time
        sides = [_Side(foundry, role, request, tell) for role in foundry.pair.roles]
        for side in sides:
            await side.attempt(side.ready)
        _, loaded, _ = await foundry.offered()
        together = all(side.model.id in loaded for side in sides if side.model)
        # Where memory holds one at a time, taking turns would load a model for every answer.
        turns = [(n, side) for n in range(rounds) for side in sides]
        for number, side in turns if together else sorted(turns, key=lambda turn: turn[1] is sides[0]):
            if not side.error:
                tell(f"{side.name}: round {number + 1} of {rounds}")
                await side.attempt(side.round)
    return {"prompt": prompt, "passages": passages, "rounds": rounds, "in_turns": together,
            "models": [side.row() for side in sides]}  # fmt: skip


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the result for a person: a table, then the text of each model."""
    rows = result["models"]
    width = max(len(row["model"]) for row in rows)
    heads = (" " * width, "load ms", "first token ms", "total ms", "tokens/s", "tokens")
    yield "  ".join(heads)
    for row in rows:
        cells = ("-" if (value := row.get(key)) is None else f"{value:,}" for key in TIMES)
        yield "  ".join([f"{row['model']:{width}}", *(f"{c:>{len(h)}}" for c, h in zip(cells, heads[1:], strict=True))])
    for row in rows:
        cut = " (cut off at its longest length)" if row.get("finish") == "length" else ""
        yield f"\n{row['model']}{cut}:\n{row.get('error') or row['text'].strip()}"


class _Side:
    """One of the two models, and the measurements of its rounds."""

    def __init__(self, foundry: Foundry, role: str, prompt: list[Message], tell: Callable[[str], None]):
        self.name, self._other = foundry.pair.of(role)
        self.model: Model | None = None
        self._foundry, self._prompt, self._tell = foundry, prompt, tell
        self._load_ms: float | None = None
        self._rounds: list[dict[str, Any]] = []
        self.error = ""

    async def attempt(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Run `work`, again while the server fails and tries are left; keep the message of the last failure."""
        settings = self._foundry.settings
        for left in reversed(range(settings.compare_retries + 1)):
            try:
                await work()
                return
            except ModelError as error:
                if not left or not isinstance(error, ServerError | ModelGone):
                    self.error = str(error)
                    return
            if self.model is not None:
                self._foundry.forget(self.model)
            await asyncio.sleep(settings.retry_backoff)

    async def ready(self) -> Model:
        """Return the model, loaded and warmed up; raises ModelError."""
        clock = Stopwatch()
        model = await self._foundry.ready(self.name, self._tell, instead_of=self._other)
        if model is not self.model:
            self.model, self._load_ms = model, self._load_ms or clock.ms
            await self._ask(model, WARM_UP)
        return model

    async def round(self) -> None:
        """Measure one answer; raises ModelError."""
        self._rounds.append(await self._ask(await self.ready(), self._foundry.settings.large_max_tokens))

    async def _ask(self, model: Model, max_tokens: int) -> dict[str, Any]:
        clock, text = Stopwatch(), ""
        began: float | None = None  # of the reasoning too, as its tokens are counted
        first: float | None = None
        async with aclosing(chat.complete(self._foundry, model, self._prompt, max_tokens=max_tokens)) as stream:
            async for piece in stream:
                if isinstance(piece, chat.End):
                    end = piece
                    continue
                began = began or clock.ms
                if isinstance(piece, chat.Retraction):
                    first, text = None, ""
                elif not piece.reasoning:
                    first, text = first or clock.ms, text + piece.text
        total = clock.ms
        return {"first_token_ms": first, "total_ms": total, "text": text, "finish": end.finish,
                "tokens_per_s": speed(end.completion_tokens, began, total),
                "prompt_tokens": end.prompt_tokens, "completion_tokens": end.completion_tokens}  # fmt: skip

    def row(self) -> dict[str, Any]:
        """Return the medians of the rounds, of texts the last, or the error."""
        if self.model is None or self.error:
            return {"model": self.name, "error": self.error}
        row = {"model": self.name, "id": self.model.id, "host": self.model.service.host, "load_ms": self._load_ms}
        for key, last in self._rounds[-1].items():
            values = [each[key] for each in self._rounds if each[key] is not None]
            row[key] = last if isinstance(last, str) or not values else median(values)
        return {key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()}


def _with_passages(settings: Settings, question: str) -> list[Message]:
    from app.answering.context import Retriever
    from app.models.tokens import TokenCounter

    result = Retriever(settings, TokenCounter(settings.state_dir), live=False).retrieve(Turn(question))
    if not result.evidence:
        raise InputError(f"The documents have no passage for “{question}”. Ask without --corpus, or something else.")
    return Prompt(question, result.evidence).messages()
