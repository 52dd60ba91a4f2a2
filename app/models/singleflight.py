"""Work that several callers want at once is done once, and goes on when one of them leaves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Progress = Callable[[str], None]
"""Is told in a sentence what is being waited for."""

Work = Callable[[Progress], Coroutine[Any, Any, T]]


def silent(sentence: str) -> None:
    """The progress of whoever wants to be told nothing."""


class Flights(Generic[T]):
    """The pieces of work under way, by key; a finished one is forgotten, whether it went well or not."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def share(self, key: str, work: Work[T], progress: Progress = silent) -> T:
        """The result of the work of this key, which is begun if it is not under way."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(work)
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        return await flight.join(progress)

    def cancel(self) -> None:
        """Give up all that is under way."""
        for flight in self._flights.values():
            flight.task.cancel()

    def _landed(self, key: str, task: "asyncio.Task[T]") -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # taken note of: whoever waited may have left


class _Flight(Generic[T]):
    def __init__(self, work: Work[T]):
        self._said = ""
        self._listeners: list[Progress] = []
        self.task = asyncio.get_running_loop().create_task(work(self._tell))

    async def join(self, progress: Progress) -> T:
        self._listeners.append(progress)
        if self._said:
            progress(self._said)
        try:
            return await asyncio.shield(self.task)
        finally:
            self._listeners.remove(progress)

    def _tell(self, sentence: str) -> None:
        self._said = sentence
        for listener in self._listeners:
            listener(sentence)
