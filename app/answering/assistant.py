"""What every face talks to: an assistant that answers turns with events, and all that it needs for that."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator

from app.answering.context import Searching
from app.answering.emitting import Emit, emitted
from app.answering.escalation import decide
from app.answering.events import Event, Progress
from app.answering.generation import Attempts
from app.answering.pipeline import Course
from app.answering.policy import Policy
from app.answering.router import intent
from app.answering.turn import Turn
from app.errors import EscalatorError, NoModel
from app.models.foundry import Foundry, Service
from app.models.manager import ModelManager
from app.models.tokens import TokenCounter
from app.settings import Settings

TOLD_SECONDS = 0.5
"""Between two looks at what is being waited for."""


class Assistant:
    """Answers turns from a corpus with a small and a large model, or with quotes where there is none.

    `patience` is how long, in seconds, an answer waits for a model server to be found; None waits for the whole search.
    """

    def __init__(self, settings: Settings, *, patience: float | None = 0.5) -> None:
        self.settings = settings
        self.models = Foundry(settings)
        self.manager = ModelManager(self.models)
        counter = TokenCounter(settings.state_dir)
        self.attempts = Attempts(self.models, settings, counter)
        self.searching = Searching(settings, counter, live=patience is not None)
        self.policy = Policy(settings)
        self._patience = patience

    def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of one turn, in the grammar of `events.py`; to be consumed under `contextlib.aclosing`."""
        return emitted(Course(self, turn).run)

    def warm(self) -> None:
        """Look for a model server, import what is heavy and read the corpus, all behind the caller's back."""
        self.look()
        asyncio.get_running_loop().run_in_executor(None, self._warm)

    def look(self) -> asyncio.Future[Service]:
        """Begin the search for a model server, or join it."""
        search = asyncio.ensure_future(self.models.find())
        search.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is told with the answer
        return search

    async def close(self) -> None:
        """Give the model server back."""
        await self.manager.cancel()
        await self.models.close()

    def _warm(self) -> None:
        with contextlib.suppress(EscalatorError):  # said with the first question
            self.searching.refresh()
        decide("", None, "warm", "stop")
        intent("warm")
        importlib.import_module("openai")  # last, because an answer of quotes does without

    async def found(self, search: asyncio.Future[Service], emit: Emit) -> Service:
        """The model server, waited for as long as patience or good hope lasts; raises NoModel."""
        said = ""
        while not (await asyncio.wait([search], timeout=TOLD_SECONDS if said else self._patience or TOLD_SECONDS))[0]:
            doing = self.models.starting
            if not (doing or said or self._patience is None):
                raise NoModel("Foundry Local is still being looked for. Ask again in a moment.")
            doing = doing or said or "Looking for Foundry Local"
            if doing != said:
                emit(Progress(said := doing))
        return await asyncio.shield(search)
