"""The citations of an answer, found in a thread while the answer streams."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from app.answering.citations import ENDING, Citation, Citing
from app.answering.emitting import Emit
from app.answering.events import Event, Token
from app.retrieval.packing import Evidence


class Behind:
    """Hears the tokens of one attempt."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._thread = ThreadPoolExecutor(1, "citing")
        self._citing = self._thread.submit(Citing, evidence)
        self._heard = self._pending = ""

    def hearing(self, emit: Emit) -> Emit:
        """The same with an ear."""

        def heard(event: Event) -> None:
            if isinstance(event, Token):
                self._hear(event.text)
            emit(event)

        return heard

    async def finish(self, text: str) -> tuple[str, tuple[Citation, ...]]:
        """The whole text as `cite` gives it; what was heard of it has been compared already."""
        self._hear(text[len(self._heard) :])
        self._thread.submit(self._feed, self._pending)
        try:
            return await asyncio.wrap_future(self._thread.submit(lambda: self._citing.result().finish()))
        finally:
            self._thread.shutdown(wait=False)

    def _hear(self, text: str) -> None:
        self._heard += text
        self._pending += text
        if ENDING.search(text):
            self._thread.submit(self._feed, self._pending)
            self._pending = ""

    def _feed(self, text: str) -> None:
        self._citing.result().feed(text)
