"""What a face asks of the assistant, and what it gets: a turn, its attempts and the answer that stands."""

from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from app.answering.citations import Citation, cite
from app.answering.escalation import Decision
from app.answering.sanitizer import addresses, safe
from app.answering.usage import Metrics
from app.documents.document import Document
from app.errors import InputError
from app.retrieval.packing import Evidence
from app.retrieval.search import SearchResult
from app.settings import Dial

Mode = Literal["auto", "small", "large", "compare", "refine"]
Role = Literal["small", "large", "extractive"]

NUMBERS: dict[Role, int] = {"small": 1, "large": 2, "extractive": 3}
"""The id of an attempt within its turn, and within the turns that its buttons begin."""

LONGEST_QUESTION = 8_000
"""Characters; a longer one would leave no room for passages in a context of 4,096 tokens."""


def mode(name: str | None) -> Mode:
    """The mode of this name, "auto" if none was given; raises InputError for a name that is none."""
    for known in get_args(Mode):
        if name in (known, None):
            return cast("Mode", known)
    raise InputError(f"The mode is {name!r}; it must be one of {', '.join(get_args(Mode))}.")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier question of the conversation and the answer that stood."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One model's answer as it ended; `finish` is "stop", "length", "stopped" or "error"."""

    id: int
    role: Role
    model: str
    host: str
    text: str
    finish: str
    metrics: Metrics
    confidence: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is an answer that its model ended by itself, or at its longest length."""
        return bool(self.text.strip()) and self.finish not in ("error", "stopped")


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, the exchanges before it (oldest first), and how it is to be answered.

    `earlier` is the answer that a button refers to: its evidence and its attempts are not asked for again. `dial`
    overrides the settings' one. `brought` are documents that came with the question, `dropped` all that the
    conversation has got so far, these included; they are kept in no index. An `unaided` turn is answered by the models
    alone, without passages; with `earlier` it is the button below a turn to which nothing was found.
    """

    question: str
    history: tuple[Exchange, ...] = ()
    mode: Mode = "auto"
    dial: Dial | None = None
    earlier: "Answer | None" = None
    brought: tuple[Document, ...] = ()
    dropped: tuple[Document, ...] = ()
    unaided: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is unaided, or extends a turn that was."""
        return self.unaided or (self.earlier is not None and self.earlier.turn.unaided)

    def known(self, role: Role) -> Attempt | None:
        """The whole answer of a role that is there already."""
        attempts = self.earlier.attempts if self.earlier is not None else ()
        return next((attempt for attempt in attempts if attempt.role == role and attempt.whole), None)

    def check(self) -> None:
        """Raises InputError for a question that is empty or too long."""
        if not self.question.strip():
            raise InputError("The question is empty. Type a question about your documents.")
        if len(self.question) > LONGEST_QUESTION:
            raise InputError(
                f"The question has {len(self.question):,} characters; at most {LONGEST_QUESTION:,} are taken. Shorten "
                "it, or put the text into a file in the corpus folder and ask about it."
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that is known of a turn when it is over; `attempt` is the one that stands, if any."""

    turn: Turn
    found: SearchResult | None
    evidence: tuple[Evidence, ...]
    attempts: tuple[Attempt, ...]
    attempt: Attempt | None
    decision: Decision | None
    text: str
    rendered: str
    citations: tuple[Citation, ...]
    notices: tuple[str, ...]
    metrics: Metrics

    @property
    def escalated(self) -> bool:
        """Whether the answer that stands is the large model's because the draft was set aside."""
        sent_on = self.decision is not None and self.decision.escalate
        return sent_on and self.attempt is not None and self.attempt.role == "large"

    @property
    def draft(self) -> Attempt | None:
        """The small model's attempt, if it brought a text."""
        return next((each for each in self.attempts if each.role == "small" and each.text.strip()), None)

    def standing(self, attempt: Attempt) -> "Answer":
        """The same turn with another attempt chosen, cited anew; not quick enough for an event loop."""
        rendered, citations = cite(attempt.text, self.evidence)
        shown = safe(rendered, addresses(item.text for item in self.evidence))
        return replace(self, attempt=attempt, text=attempt.text, rendered=shown, citations=citations)

    @property
    def sources(self) -> list[Evidence]:
        """The evidence that the answer rests on, in the order of first use; all of it where none is cited."""
        items = {item.number: item for item in self.evidence}
        used = dict.fromkeys(citation.number for citation in self.citations if citation.number is not None)
        return [items[number] for number in used] or list(self.evidence)
