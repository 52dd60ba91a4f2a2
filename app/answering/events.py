"""What happens while a turn is answered; every face translates these and nothing else.

    Started  Abstained?  Finished                                                          where nothing is searched
    Started  Progress*  Retrieved  Progress*  ( Abstained | Attempt+  Cited? )  Finished
    Attempt = AttemptStarted  ( Progress | Reasoning | Token )*  AttemptEnded  Judged?  Retrieved?

`Previewed` stands once, before the first `Token`, if a model takes its time: at any place behind the first `Retrieved`.
`Escalated` stands between two attempts; in the mode "compare" two attempts interleave, told apart by id. `Failed` may
stand anywhere before `Finished`, which always comes last.
"""

from dataclasses import dataclass

from app.answering.citations import Citation
from app.answering.escalation import Decision
from app.answering.extractive import Quote
from app.answering.turn import Answer, Attempt, Role, Turn
from app.documents.document import Problem
from app.errors import EscalatorError
from app.retrieval.corpus import Reading
from app.retrieval.packing import Evidence
from app.retrieval.search import SearchResult


@dataclass(frozen=True, slots=True)
class Started:
    """The turn was taken up."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Progress:
    """A sentence about what is being waited for, by an attempt if `id` is given."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The search is over; `problems` are files of the corpus that could not be read, `reading` tells of unread ones."""

    found: SearchResult
    evidence: tuple[Evidence, ...]
    problems: tuple[Problem, ...]
    packed_ms: float
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Previewed:
    """The best sentence of the evidence, to be read until a model's first token comes."""

    quote: Quote


@dataclass(frozen=True, slots=True)
class Abstained:
    """No model is asked; `text` is the reply: to a greeting, about the app or the corpus, or that nothing was found.

    With `unaided` the models may be asked nevertheless, by such a turn that has this one's answer as `earlier`.
    """

    text: str
    unaided: bool = False


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request goes out to a model, or sentences are quoted where there is none (role "extractive")."""

    id: int
    role: Role
    model: str
    host: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks before it answers; never part of the answer."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The attempt as it ended."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided of a draft."""

    id: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Escalated:
    """The draft is not good enough and the large model is asked; `why` is a sentence."""

    source: int
    target: int
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Something went wrong; the attempt `kept_attempt`, if any, stands nevertheless."""

    error: EscalatorError
    kept_attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Cited:
    """The sentences of the answer tied to the documents; `rendered` is the text with its marks put right."""

    rendered: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is over."""

    answer: Answer


Event = (
    Started
    | Progress
    | Retrieved
    | Previewed
    | Abstained
    | AttemptStarted
    | Reasoning
    | Token
    | AttemptEnded
    | Judged
    | Escalated
    | Failed
    | Cited
    | Finished
)
