"""The queue for one model: people get their answers in rotation, and whoever waits learns when their turn comes."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import fmean
from time import monotonic

from app.models.server import Notify, ignore
from app.room import person, request
from app.translation import _, figure, time_left

UPDATE_SECONDS = 1.0
"""Between two looks at how long one still has to wait."""

FIRST_SECONDS = 0.02
"""Before the first look, so that a hundred questions that come at once take one look together."""

STEP_SECONDS = 5
"""An estimate is a multiple: it is not more exact, and a line that changes every second reads badly."""

RECENT = 20
"""As many of the last answers tell how long the next one will take."""


@dataclass(eq=False, slots=True)
class Place:
    """A question that waits for a model or holds it, for so many answers at a time, since a moment of `monotonic`."""

    person: str
    request: str
    model: str
    answers: int
    since: float
    admitted: asyncio.Event = field(default_factory=asyncio.Event)


class ModelQueue:
    """Lets so many answers be written at a time, `capacity`; use it from one event loop only.

    Those who wait are admitted in rounds, with one answer for each person in each round, in the order of their arrival.
    """

    def __init__(self, capacity: int) -> None:
        self.holding: list[Place] = []
        self._capacity = capacity
        self._waiting: list[Place] = []
        self._round = 0
        self._next_round: dict[str, int] = {}
        """The first round in which a person who was admitted has not had an answer."""
        self._seconds = deque[float](maxlen=RECENT)
        self._seen: tuple[float, Mapping[Place, tuple[int, float | None]]] = (0.0, {})

    @asynccontextmanager
    async def hold(self, model: str, notify: Notify = ignore, *, alone: bool = False) -> AsyncIterator[None]:
        """Hold the model for an answer, or `alone` so that it writes none; whoever waits is notified of their place."""
        answers, told = self._capacity if alone else 1, ""
        place = Place(person.get(), request.get(), model, answers, monotonic())
        self._waiting.append(place)
        self._admit()
        try:
            while not place.admitted.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(UPDATE_SECONDS if told else FIRST_SECONDS):
                        await place.admitted.wait()
                if not place.admitted.is_set() and (text := _sentence(model, *self.outlook(place)[place])) != told:
                    notify(told := text)
            yield
            if not alone:
                self._seconds.append(monotonic() - place.since)
        finally:
            (self.holding if place.admitted.is_set() else self._waiting).remove(place)
            self._admit()

    def outlook(self, newest: Place | None = None) -> Mapping[Place, tuple[int, float | None]]:
        """Return those who wait, in order, each with the number in line and, if known, the seconds that are left.

        With the `newest` one it may be as old as half an update, as many ask for it.
        """
        now = monotonic()
        if newest not in self._seen[1] or now - self._seen[0] > UPDATE_SECONDS / 2:
            longest = max((now - place.since for place in self.holding), default=0.0)
            mean = max(fmean(self._seconds), longest) if self._seconds else math.nan
            free = [0.0] * self._free
            free += [max(0.0, it.since + mean - now) for it in self.holding for __ in range(it.answers)]
            found: dict[Place, tuple[int, float | None]] = {}
            for number, (place, __) in enumerate(self._in_order(), 1):
                free.sort()
                begins = free[place.answers - 1]
                found[place] = number, begins if self._seconds else None
                free[: place.answers] = [begins + mean] * place.answers
            self._seen = now, found
        return self._seen[1]

    @property
    def _free(self) -> int:
        return self._capacity - sum(place.answers for place in self.holding)

    def _in_order(self) -> list[tuple[Place, int]]:
        """Return those who wait, with their rounds, in the order in which they are to be admitted."""
        before, rounds = Counter[str](), []
        for place in self._waiting:
            first = max(self._round, self._next_round.get(place.person, 0))
            rounds.append((place, first + before[place.person]))
            before[place.person] += 1
        return sorted(rounds, key=lambda it: it[1])  # those of one round remain in the order of arrival

    def _admit(self) -> None:
        for place, number in self._in_order():
            if place.answers > self._free:
                return
            self._waiting.remove(place)
            self.holding.append(place)
            self._round, self._next_round[place.person] = number, number + 1
            place.since = monotonic()
            place.admitted.set()
            self._seen = self._seen[0], {}  # the others have moved up
        if not self.holding:
            self._next_round.clear()


def _sentence(model: str, number: int, seconds: float | None) -> str:
    values = {"model": model, "number": figure(number)}
    if seconds is None and number == 1:
        return _("{model} is answering another question; you are next.", **values)
    if seconds is None:
        return _("{model} is answering other questions; you are number {number} in line.", **values)
    values["left"] = time_left(max(1, math.ceil(seconds / STEP_SECONDS)) * STEP_SECONDS)
    if number == 1:
        return _("{model} is answering another question; you are next, {left}.", **values)
    return _("{model} is answering other questions; you are number {number} in line, {left}.", **values)
