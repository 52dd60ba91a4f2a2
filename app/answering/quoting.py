"""Which sentences of the evidence are quoted: as the answer without a model, or one until a model's answer begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.answering.aim import Aim
from app.answering.emitting import Emit
from app.answering.events import Event, Previewed, Retrieved, Token
from app.answering.extractive import MOST, Quote, quotes
from app.answering.summing_up import openings
from app.models.foundry import Foundry, Service

PREVIEW_SECONDS = 0.6
"""So long a model may take to its first token without anything being quoted: what went at once would only flicker."""


def quoted(aim: Aim, retrieved: Retrieved, most: int = MOST) -> tuple[Quote, ...]:
    """The sentences that tell most about a question, or how the parts of a document begin; blocks."""
    if aim.file:
        return openings(retrieved.evidence)
    return quotes(aim.turn.question, retrieved.evidence, retrieved.found.weights, most)


@asynccontextmanager
async def previewing(
    aim: Aim, retrieved: Retrieved, models: Foundry, search: "asyncio.Future[Service]", emit: Emit
) -> AsyncIterator[Emit]:
    """An `emit` for what models do; the best sentence is emitted too if no token comes soon.

    It waits for `search` to find a server, or to start one: no sentence stands before an answer of quotes.
    """

    async def show() -> None:
        if not retrieved.evidence or aim.reworks or aim.turn.earlier is not None:  # which stands on the screen
            return
        await asyncio.sleep(PREVIEW_SECONDS)
        while not (search.done() or models.starting):
            await asyncio.wait([search], timeout=PREVIEW_SECONDS / 4)
        for quote in (await asyncio.to_thread(quoted, aim, retrieved, 1))[:1]:
            emit(Previewed(quote))

    def heard(event: Event) -> None:
        if isinstance(event, Token):
            waiting.cancel()
        emit(event)

    waiting = asyncio.create_task(show())
    try:
        yield heard
    finally:
        waiting.cancel()
