"""The records of a turn: what a user interface asks, what each model wrote and how fast, and the answer that is shown.

Nothing here searches, decides or asks a model.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast, get_args

from app.documents.document import RULE, Document
from app.documents.passages import Place
from app.errors import InputError, ModelError
from app.retrieval.packing import Evidence
from app.retrieval.search import Exchange, SearchResult
from app.settings import Dial, RouteName, is_loopback
from app.translation import figure

Mode = Literal["auto", "small", "large", "compare", "refine"]
Role = Literal["small", "large", "extractive"]
Code = Literal[
    "empty", "cut_off", "error", "abstained", "short", "language", "unsupported", "repeated", "unsure", "requested",
    "routed",
]  # fmt: skip

NUMBERS: dict[Role, int] = {"small": 1, "large": 2, "extractive": 3}
"""The id of an attempt within its turn, and within the turns that buttons start from it."""

IN = re.compile(r"(?:^|(?<=\s))in ?:", re.IGNORECASE)
"""What stands before the folders to which a question is limited."""

LONGEST_QUESTION = 8_000
"""Characters; a longer question would leave no room for passages in a context of 4,096 tokens."""


def mode(name: str | None) -> Mode:
    """Return the mode of this name, "auto" for None; raises InputError for an unknown name."""
    for known in get_args(Mode):
        if name in (known, None):
            return cast("Mode", known)
    raise InputError("The mode is {name}; it must be one of {names}.", name=repr(name), names=", ".join(get_args(Mode)))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Times in milliseconds and token counts; None where nothing was measured or the server gave no figure.

    `sent_ms` runs from the start of the attempt to the request (loading and waiting), `first_token_ms` from the request
    to the first token of the text (reasoning excluded). `gap_ms` is the median time between two pieces of the stream.
    `total_ms` of an attempt runs from the request to its end, of a turn from the question to the end.
    """

    retrieve_ms: float | None = None
    prompt_ms: float | None = None
    sent_ms: float | None = None
    first_token_ms: float | None = None
    gap_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_s: float | None = None


class Stopwatch:
    """Milliseconds since the object was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        """Elapsed milliseconds."""
        return self.at(time.perf_counter())

    def at(self, moment: float) -> float:
        """Return the milliseconds at a moment of `time.perf_counter`."""
        return (moment - self._start) * 1000


def speed(tokens: int | None, first_ms: float | None, last_ms: float, first: int = 1) -> float | None:
    """Return the tokens per second of writing: those after the `first` ones, by the time from these to the last."""
    if tokens is None or first_ms is None or tokens <= first or last_ms <= first_ms:
        return None
    return (tokens - first) * 1000 / (last_ms - first_ms)


class Sent(NamedTuple):
    """What a server on another machine was sent: for which model, its host, and the role and text of each message."""

    model: str
    host: str
    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One model's answer as it ended; `finish` is "stop", "length", "stopped" or, if it is a part, "error".

    An answer that was stopped while it was written has the decision that did so, and no repetitions at its end.
    `certainty` is the probability of its least certain words, if the server reports it. Behind an answer that is
    `echoed` its model repeated the prompt. `passages` counts those that its model was given, of the evidence the first.
    `sent` is what went to other machines.
    """

    id: int
    role: Role
    model: str
    host: str
    text: str
    finish: str
    metrics: Metrics
    confidence: str | None = None
    failure: ModelError | None = None
    stopped: "Decision | None" = None
    certainty: float | None = None
    echoed: bool = False
    passages: int = 0
    sent: tuple[Sent, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether the model is on another machine."""
        return bool(self.host) and not is_loopback(f"//{self.host}")

    @property
    def whole(self) -> bool:
        """Whether the model ended the answer by itself or at its maximum length, or would only have repeated itself."""
        ended = self.finish != "error" and (self.stopped is None or self.stopped.code == "repeated")
        return ended and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to escalate: a code if so (None keeps the draft), and a sentence for the reader."""

    code: Code | None
    why: str
    score: float = 0.0
    """Evidence against the draft, from 0 to 1; comparable between the drafts of one corpus."""
    by_score: bool = field(default=False, compare=False)
    """Whether nothing but the threshold of the score decides, also where the dial then says otherwise."""

    @property
    def escalate(self) -> bool:
        """Whether the large model is to be asked."""
        return self.code is not None

    @property
    def rejects(self) -> bool:
        """Whether something is wrong with the draft: nothing is if the large model was asked for, or always is."""
        return self.code not in (None, "requested", "routed")


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer and the span that supports it; offsets in the document's text, None without support.

    `support` is 1 where the evidence has every word, and falls with the words that it lacks. `missing` holds the
    numbers and names, as written, that the span lacks. `shown` is the position of the sentence in the displayed answer.
    """

    sentence: str
    number: int | None
    file: str | None
    place: Place | None
    start: int | None
    end: int | None
    supported: bool
    support: float = 1.0
    missing: tuple[str, ...] = ()
    shown: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model is to write: a lower limit of tokens than the settings', texts that end the answer, and chance.

    At the temperature 0 the answer is the most probable one, and the same each time.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def most(self, allowed: int) -> int:
        """Return the longest answer in tokens, of which the settings allow so many."""
        return min(allowed, self.max_tokens or allowed)

    def ends(self, attempt: Attempt) -> bool:
        """Whether an answer may have ended where whoever asks wanted it to."""
        limited = self.max_tokens is not None and attempt.metrics.completion_tokens in (None, self.max_tokens)
        return bool(self.stop) or (attempt.finish == "length" and limited)


PLAIN = Sampling()
"""As the settings say."""

VARIED = Sampling(temperature=0.7)
"""For an answer that is to be another one than before, which a model would repeat at 0."""


def resting_on(evidence: Iterable[Evidence], history: Iterable[Exchange], given: Iterable[str]) -> tuple[str, ...]:
    """Return the grounds of a text that was written with evidence, after a history."""
    earlier = (ground for exchange in history for ground in exchange.grounds)
    return tuple(dict.fromkeys([*given, *(item.file for item in evidence), *earlier]))


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, the exchanges before it (oldest first), and how to answer it.

    `earlier` is the answer that a button refers to: its evidence and attempts are reused. `dial` and `route` override
    those of the settings; `route` counts in the mode "auto" alone, and an answer's turn has the one that it took.
    `brought` holds documents that came with the question, `dropped` all documents of the conversation, these included;
    no index keeps them. An `unaided` turn is answered by the models alone, without passages; together
    with `earlier` it is the button below a turn for which nothing was found. `scope` are the folders and files of the
    corpus that it is limited to, none for all of it, and None for those that the latest question with "in:" names. A
    turn that `continues` has the model of the earlier answer write on where that ends. `grounds` are what its question,
    and what it continues, rest on. A `public` turn is answered without private documents.
    """

    question: str
    history: tuple[Exchange, ...] = ()
    mode: Mode = "auto"
    dial: Dial | None = None
    route: RouteName | None = None
    earlier: "Answer | None" = None
    brought: tuple[Document, ...] = ()
    dropped: tuple[Document, ...] = ()
    unaided: bool = False
    scope: tuple[str, ...] | None = None
    continues: bool = False
    sampling: Sampling = PLAIN
    grounds: tuple[str, ...] = ()
    public: bool = False

    @property
    def may_be_limited(self) -> bool:
        """Whether it has a scope, or its question or one before it may name one."""
        asked = (self.question, *(exchange.question for exchange in self.history))
        return bool(self.scope) or any(map(IN.search, asked))

    def known(self, role: Role) -> Attempt | None:
        """Return the whole answer of a role that the earlier answer already has."""
        attempts = self.earlier.attempts if self.earlier is not None else ()
        return next((attempt for attempt in attempts if attempt.role == role and attempt.whole), None)

    def check(self) -> None:
        """Raise InputError for a question that is empty or too long."""
        if not self.question.strip():
            raise InputError("The question is empty. Type a question about your documents.")
        if len(self.question) > LONGEST_QUESTION:
            raise InputError(
                "The question has {number} characters; the limit is {limit}. Shorten it, or put the text into a file "
                "in the corpus folder and ask about it.",
                number=figure(len(self.question)),
                limit=figure(LONGEST_QUESTION),
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything known about a finished turn; `attempt` is the one shown as the answer, if any."""

    turn: Turn
    found: SearchResult
    evidence: tuple[Evidence, ...]
    attempts: tuple[Attempt, ...]
    attempt: Attempt | None
    decision: Decision | None
    text: str
    rendered: str
    citations: tuple[Citation, ...]
    notices: tuple[str, ...]
    metrics: Metrics
    rule: str = ""
    """What kept it on this machine; empty if nothing did."""
    sent_besides: tuple[Sent, ...] = ()
    """What went to other machines besides its attempts: for search words, and for attempts that were stopped."""

    @property
    def sent(self) -> tuple[Sent, ...]:
        """What went to other machines."""
        return (*self.sent_besides, *(it for attempt in self.attempts for it in attempt.sent))

    @property
    def grounds(self) -> tuple[str, ...]:
        """What it rests on, by which what rests on it may have to stay on this machine."""
        rule = (RULE + self.rule,) if self.rule else ()
        return resting_on(self.evidence, self.turn.history, (*self.turn.grounds, *rule))

    @property
    def escalated(self) -> bool:
        """Whether the answer is the large model's because the draft was rejected."""
        rejected = self.decision is not None and self.decision.escalate
        return rejected and self.attempt is not None and self.attempt.role == "large"

    @property
    def author(self) -> str | None:
        """The model that wrote the answer; None for quotes, and where no model was needed."""
        return self.attempt.model if self.attempt is not None and self.attempt.role != "extractive" else None

    @property
    def draft(self) -> Attempt | None:
        """The small model's attempt, if it has any text."""
        return next((each for each in self.attempts if each.role == "small" and each.text.strip()), None)

    @property
    def sources(self) -> list[Evidence]:
        """The evidence that the answer cites, in the order of first use; all evidence if none is cited."""
        items = {item.number: item for item in self.evidence}
        used = dict.fromkeys(citation.number for citation in self.citations if citation.number is not None)
        return [items[number] for number in used] or list(self.evidence)

    def quotes(self, item: Evidence) -> list[str]:
        """Return the words of a piece of evidence that sentences of the answer rest on."""
        spans = [(it.start, it.end) for it in self.citations if it.number == item.number]
        cited = (item.text[start - item.start : end - item.start] for start, end in spans if start is not None and end)
        return list(dict.fromkeys(filter(None, cited)))
