"""The journal of a process: the turns that run, what came of those that have ended, and how fast models answer."""

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from app.answering.run import Run
from app.answering.turn import Attempt
from app.errors import TooManyTurns
from app.room import begin_request, person, request

log = logging.getLogger(__name__)

OUTCOMES = ("answered", "escalated", "quoted", "abstained", "failed", "stopped")
"""What comes of a turn; where it is quoted, there was no model's answer, and where it is abstained, none was needed."""

LATEST = 500
"""As many of the last figures count in a percentile."""


class Series:
    """Figures of one kind: the last ones, and the number and the sum of all."""

    def __init__(self) -> None:
        self.count, self.sum = 0, 0.0
        self._latest = deque[float](maxlen=LATEST)

    def add(self, figure: float) -> None:
        """Add a figure."""
        self.count, self.sum = self.count + 1, self.sum + figure
        self._latest.append(figure)

    def percentile(self, share: float) -> float:
        """Return the figure that this share of the last ones does not exceed."""
        return sorted(self._latest)[ceil(share * len(self._latest)) - 1]


@dataclass(eq=False)
class Entry:
    """A turn: who asks, and what came of it."""

    run: Run
    known: tuple[Attempt, ...]
    """The attempts of the answer that a button refers to."""
    person: str = field(default_factory=person.get)
    request: str = field(default_factory=lambda: request.get() or begin_request())

    @property
    def attempts(self) -> list[Attempt]:
        """What models have written in it."""
        made = (each for each in self.run.attempts.values() if not any(each is known for known in self.known))
        return [each for each in made if each.role != "extractive"]

    @property
    def outcome(self) -> str:
        """What came of it: one of the OUTCOMES."""
        answer = self.run.result
        if answer is not None and answer.attempt is not None:
            return "quoted" if answer.author is None else "escalated" if answer.escalated else "answered"
        return "failed" if self.run.errors else "stopped" if answer is None else "abstained"

    @property
    def line(self) -> dict[str, Any]:
        """What the log says of it: no text of a question, an answer or a document."""
        run, made, decision = self.run, self.attempts, self.run.decision
        measured, route = [each.metrics for each in made], getattr(run, "route", None)
        return {
            "mode": run.turn.mode,
            "route": run.turn.route,
            "kind": (route and route.kind) or "question",
            "outcome": self.outcome,
            "decision": decision.code if decision is not None else None,
            "errors": run.errors,
            "models": [each.model for each in made],
            "hosts": [each.host for each in made],
            "waited_ms": [round(each.sent_ms or 0) for each in measured],
            "first_token_ms": [round(each.first_token_ms or 0) for each in measured],
            "total_ms": round(run.clock.ms),
            "prompt_tokens": sum(each.prompt_tokens or 0 for each in measured),
            "completion_tokens": sum(each.completion_tokens or 0 for each in measured),
        }


class Journal:
    """Notes the turns of a process, of which one person of a room may have `per_person` at a time, if that is not 0."""

    def __init__(self, per_person: int) -> None:
        self.running: list[Entry] = []
        self.outcomes, self.errors = Counter[str](dict.fromkeys(OUTCOMES, 0)), Counter[str]()
        self.first_token_s, self.tokens_per_s = defaultdict[str, Series](Series), defaultdict[str, Series](Series)
        self._per_person = per_person

    @contextmanager
    def noting(self, run: Run) -> Iterator[None]:
        """Note a turn while it runs, and what came of it at its end, in a line of the log too."""
        entry = Entry(run, tuple(run.attempts.values()))
        self.running.append(entry)
        try:
            yield
        except Exception as error:
            run.errors.append(type(error).__name__)
            raise
        finally:
            self.running.remove(entry)
            self._note_end(entry)

    def check(self) -> None:
        """Raise TooManyTurns if the person whose turn runs has more of them than allowed."""
        who = person.get()
        if who and 0 < self._per_person < sum(entry.person == who for entry in self.running):
            raise TooManyTurns(
                "You may have {most} questions in line or being answered at a time. Ask again when one is answered.",
                seconds=5,
                most=self._per_person,
            )

    def _note_end(self, entry: Entry) -> None:
        self.outcomes[entry.outcome] += 1
        self.errors.update(
            {*entry.run.errors, *(type(each.failure).__name__ for each in entry.attempts if each.failure)}
        )
        for attempt in entry.attempts:
            if (first_ms := attempt.metrics.first_token_ms) is not None:
                self.first_token_s[attempt.model].add(first_ms / 1000)
            if (speed := attempt.metrics.tokens_per_s) is not None:
                self.tokens_per_s[attempt.model].add(speed)
        if log.isEnabledFor(logging.INFO):
            fields = entry.line
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if value)
            log.info("turn %s %s", entry.request, shown, extra={"fields": fields})
