"""The entry point of every user interface: builds the parts that answer turns, and closes them."""

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from app.answering.context import Retriever
from app.answering.escalation import decide
from app.answering.events import Event, stream
from app.answering.generation import Generator
from app.answering.modes import answering
from app.answering.policy import Policy
from app.answering.router import intent
from app.answering.run import Parts, Run
from app.answering.turn import Turn
from app.errors import EscalatorError
from app.models.foundry import Foundry
from app.models.manager import ModelManager
from app.models.tokens import TokenCounter
from app.settings import Settings


class Assistant:
    """Answers turns from a corpus with a small and a large model, or with quotes where there is no model.

    `patience` is how long, in seconds, an answer waits for a model server to be found; None waits for the whole search.
    """

    def __init__(self, settings: Settings, *, patience: float | None = 0.5) -> None:
        counter = TokenCounter(settings.state_dir)
        self.settings = settings
        self.models = Foundry(settings)
        self.manager = ModelManager(self.models)
        self.retriever = Retriever(settings, counter, live=patience is not None)
        generator = Generator(self.models, counter)
        self._warming: asyncio.Future[Any] | None = None  # the event loop itself keeps no reference
        self._parts = Parts(self.retriever, self.models, generator, Policy(settings), patience)

    def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Return the events of one turn, in the grammar of `events.py`; consume them under `contextlib.aclosing`."""
        return stream(lambda emit: Run(self._parts, turn, answering(turn), emit).answer())

    def warm(self) -> None:
        """Look for a model server, read the corpus and import what is heavy, all in the background."""
        work = self.models.find(), self.retriever.run(self._warm)
        self._warming = asyncio.gather(*work, return_exceptions=True)

    async def close(self) -> None:
        """Give the model server back and end all threads."""
        await asyncio.to_thread(self.retriever.close)
        await self.manager.close()
        await self.models.close()

    def _warm(self) -> None:
        with suppress(EscalatorError):  # reported with the first question
            self.retriever.refresh()
        decide("", None, "warm", "stop")
        intent("warm")
        importlib.import_module("openai")  # last, because quotes do without
