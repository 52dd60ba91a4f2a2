"""The events of a turn, their grammar, and how they reach user interfaces and listeners.

    Started  Abstained?  Finished                                                          where nothing is searched
    Started  Progress*  Retrieved  Progress*  ( Abstained | Attempt+  Cited? )  Finished
    Attempt = AttemptStarted  ( Progress | Reasoning | Token | Retracted )*  AttemptEnded  Judged?  Retrieved?

`Previewed` comes if no `Token` comes soon, after the first `Retrieved`, and again after `Escalated`.
`Escalated` comes between two attempts; in the mode "compare" two attempts interleave, told apart by their ids. `Failed`
may come anywhere before `Finished`, which always comes last.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.answering.turn import Answer, Attempt, Citation, Decision, Role, Sent, Turn
from app.documents.document import Problem
from app.errors import EscalatorError, ModelError
from app.retrieval.corpus import Reading
from app.retrieval.packing import Evidence
from app.retrieval.search import SearchResult


class Event:
    """Something that happened in a turn."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The turn begins."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """A sentence about the current wait, of an attempt if `id` is given."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved(Event):
    """The search is over; `problems` are unreadable files of the corpus, `reading` is set while files are unread.

    `scope` names the folders and files that were searched, if not all were. `failure` is why no search words in the
    language of the documents could be had, `sent` what went to other machines to get some.
    """

    found: SearchResult
    evidence: tuple[Evidence, ...]
    problems: tuple[Problem, ...] = ()
    packed_ms: float = 0.0
    reading: Reading | None = None
    scope: tuple[str, ...] = ()
    failure: ModelError | None = None
    sent: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True)
class Previewed(Event):
    """The top quote of the evidence, shown until the first token of a model; `text` is the quote in Markdown."""

    quote: Evidence
    text: str


@dataclass(frozen=True, slots=True)
class Abstained(Event):
    """No model is asked; `text` is the reply: to a greeting, about the app or the corpus, or that nothing was found.

    With `unaided` a button may ask the models nevertheless, by an unaided turn with this turn's answer as `earlier`.
    """

    text: str
    unaided: bool = False


@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    """A model is asked, or sentences are quoted where there is no model (role "extractive").

    `sent` is what goes to other machines; it is noted when it goes, also for an attempt that is stopped.
    """

    id: int
    role: Role
    model: str
    host: str
    sent: list[Sent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reasoning(Event):
    """A piece of what the model thinks before it answers; never part of the answer."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Token(Event):
    """A piece of the answer."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Retracted(Event):
    """The tokens of the attempt so far were reasoning; they come again as such, and the answer begins after them."""

    id: int


@dataclass(frozen=True, slots=True)
class AttemptEnded(Event):
    """The attempt is over."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Judged(Event):
    """The decision on a draft."""

    id: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Escalated(Event):
    """The large model is asked in place of attempt `source`; `why` is a sentence."""

    source: int
    target: int
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """Something went wrong; the attempt `kept_attempt`, if any, is the answer nevertheless."""

    error: EscalatorError
    kept_attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Cited(Event):
    """The sentences of the answer with their sources; `rendered` is the text with corrected marks."""

    rendered: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The turn is over."""

    answer: Answer


E = TypeVar("E", bound=Event)


class Emitter:
    """Delivers every event to one consumer, after the listeners that subscribed to its type."""

    def __init__(self, deliver: Callable[[Event], None]) -> None:
        self._deliver = deliver
        self._listeners: defaultdict[type[Any], list[Callable[[Any], object]]] = defaultdict(list)

    def on(self, kind: type[E], listener: Callable[[E], object]) -> None:
        """Call the listener with each event of this type."""
        self._listeners[kind].append(listener)

    def __call__(self, event: Event) -> None:
        """Emit an event; never blocks."""
        for listener in self._listeners[type(event)]:
            listener(event)
        self._deliver(event)

    def end(self) -> None:
        """Forget the listeners: they refer to what emits, and would keep all of a turn until garbage is collected."""
        self._listeners.clear()

    def progress(self, text: str, attempt: int | None = None) -> None:
        """Emit a sentence about the current wait."""
        self(Progress(text, attempt))


async def stream(work: Callable[[Emitter], Awaitable[None]]) -> AsyncGenerator[Event, None]:
    """Yield what `work` emits, in order, then raise its exception, if any.

    Closing the generator cancels the work and waits for its end, which also closes an upstream stream.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    emit = Emitter(events.put_nowait)
    task = asyncio.ensure_future(work(emit))
    task.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        emit.end()


class Delay:
    """Work that begins after some seconds, unless it is cancelled before; then it is cancelled in the middle.

    Until it begins it is no task: one that is cancelled keeps all that it would have used until garbage is collected.
    """

    def __init__(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(seconds, self._begin, work)
        self._task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether the work is done, or was cancelled."""
        return self._timer is None and (self._task is None or self._task.done())

    def cancel(self) -> None:
        """Do not begin, or stop."""
        timer, self._timer = self._timer, None
        for planned in (timer, self._task):
            if planned is not None:
                planned.cancel()

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._timer, self._task = None, asyncio.create_task(work())
