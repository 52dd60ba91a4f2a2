"""The result of a comparison of models, as records and as JSON: who answered what, how fast, how well, at what price.

The records are plain values, so that a report, a judge or a program needs nothing else. A field whose value was not
measured is None, never 0. Times are in milliseconds, money is in US dollars.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from app.errors import InputError
from app.evaluation.datasets import Question
from app.settings import RouteName

VERSION = 1
"""Of the JSON form: a higher number means that an earlier program cannot read it."""

ContenderKind = Literal["small", "large", "model", "auto", "refine", "oracle", "random"] | RouteName

STAGES = ("load_ms", "retrieve_ms", "prompt_ms", "sent_ms", "first_token_ms", "writing_ms")
"""The names of the stages of an answer, in the order in which they pass; their figures add up, the cold start aside.

`load_ms` is the cold start, which each model has once; `prompt_ms` is packing passages and writing messages; `sent_ms`
waiting until the request is sent, and loading if that had to be done again; `first_token_ms` lasts from the request to
the text's first token, `writing_ms` from there to its end. Where two models wrote, both are counted.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A median (of `figures`) or a mean (of `means` and `quality`) with its bootstrap interval of 95 %.

    `n` counts the values; one value has no interval.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model: its cold start, the request that warmed it up, and the memory that it took, or why it never answered.

    `cold` is whether it was really loaded, and not in memory already. Prices are per million tokens.
    """

    name: str
    id: str = ""
    host: str = ""
    cold: bool = False
    load_ms: float | None = None
    warm_up_ms: float | None = None
    memory_mb: float | None = None
    prompt_price: float | None = None
    completion_price: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the evidence; `place` is a label for a reader, such as "page 3"."""

    number: int
    file: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of the answer, the passage it is tied to (None: no passage says so), and whether that supports it."""

    sentence: str
    number: int | None
    file: str | None
    place: str | None
    supported: bool


@dataclass(frozen=True, slots=True)
class MeasuredAttempt:
    """What one model wrote for an answer; the tokens are those that the server counted.

    `sent_ms` contains `prompt_ms`; `total_ms` runs from the request to the end, `gap_ms` is the median time between two
    pieces of the text, `tokens_per_s` is of writing only, after the first token. Where the answer was ended before the
    model had, tokens are `estimated`, and neither they nor the speed count for a figure. `elsewhere` is whether another
    machine was asked.
    """

    role: str
    model: str
    finish: str
    text: str
    prompt_ms: float | None = None
    sent_ms: float | None = None
    first_token_ms: float | None = None
    gap_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_s: float | None = None
    estimated: bool = False
    elsewhere: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class MeasuredAnswer:
    """One answer of a contender to a question, in one round; `question` and `contender` are ids.

    `text` is the model's text, `rendered` that with marks. `model` wrote it, "" if none did. `facts_found` are
    positions in the question's facts. `abstained` is whether it declined. `score` is 1 for a right answer, 0 for a
    wrong one, between for some of the facts, and None where nothing is known about the right answer. An answer with an
    `error` counts for no figure.
    """

    question: str
    contender: str
    round: int
    retrieval: bool
    text: str
    rendered: str = ""
    model: str = ""
    attempts: tuple[MeasuredAttempt, ...] = ()
    retrieve_ms: float | None = None
    prompt_ms: float | None = None
    total_ms: float | None = None
    escalated: bool = False
    decision: str | None = None
    decision_score: float | None = None
    why: str = ""
    evidence: tuple[Passage, ...] = ()
    citations: tuple[CitedSentence, ...] = ()
    facts_found: tuple[int, ...] = ()
    facts_expected: int = 0
    abstained: bool = False
    score: float | None = None
    cost: float | None = None
    energy_j: float | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What no other answer of a run has: question, contender and round."""
        return self.question, self.contender, self.round


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to answer, and its figures over all its answers.

    A "model" is a further one of a list. "oracle" escalates those drafts that gain most by it, as many as *auto*
    escalated, "random" as many drawn by lot, as an expectation; both are computed from the answers of the two models,
    and have `means` and `quality` only. `figures` are medians of STAGES, "total_ms" (from the question to the end),
    "gap_ms" (between two pieces of the text), "tokens_per_s", "prompt_tokens", "completion_tokens", "energy_j". `means`
    are "total_ms", "prompt_tokens", "completion_tokens", "cost" per answer, and where other machines were asked "sent",
    the share of answers for which they were, and "sent_tokens", which they read.
    `quality` are shares: "score", "facts", "right", "citations", "abstained" (of what the documents do not answer),
    "wrongly_abstained" (of what they do). A name is absent where nothing was measured. `error` says why the rest of its
    answers is missing.
    """

    id: str
    kind: ContenderKind
    models: tuple[str, ...]
    retrieval: bool
    answers: int
    escalated: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    means: Mapping[str, Figure] = field(default_factory=dict)
    quality: Mapping[str, Figure] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far `other` is from `one` in a figure: the median (or mean) of the pairwise differences other - one.

    It is beyond noise if its interval does not contain 0. Ids are those of contenders.
    """

    name: str
    one: str
    other: str
    difference: Figure
    beyond_noise: bool


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A whole comparison: what was asked of whom, where, and every answer with the figures over them.

    `corpus` is the folder of the documents, "" where nothing was searched. `in_turns` is whether memory held all models
    at once, so that rounds were interleaved. `prices_of` is the date of the price table, `energy_from` names the meter,
    "" where there is none. `problems` are sentences about what is missing. `began` is in ISO format.
    """

    began: str
    machine: str
    questions: tuple[Question, ...]
    rounds: int
    models: tuple[MeasuredModel, ...]
    contenders: tuple[Contender, ...]
    answers: tuple[MeasuredAnswer, ...]
    differences: tuple[Difference, ...] = ()
    question_set: str = ""
    corpus: str = ""
    in_turns: bool = True
    streamed: bool = True
    prices_of: str = ""
    energy_from: str = ""
    server_peak_mb: float | None = None
    problems: tuple[str, ...] = ()
    version: int = VERSION

    def of(self, contender: str) -> tuple[MeasuredAnswer, ...]:
        """Return the answers of a contender without those that failed."""
        return tuple(answer for answer in self.answers if answer.contender == contender and not answer.error)


R = TypeVar("R")


def read_result(file: Path) -> ComparisonResult:
    """Read what `escalator compare --json` printed; raises InputError."""
    try:
        value = json.loads(file.read_bytes())  # in UTF-8 or, as PowerShell 5.1 writes it, in UTF-16
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} could not be read: {error}. Give a file that escalator compare --json wrote."
        ) from None
    return from_json(ComparisonResult, value)


def from_json(kind: type[R], value: Any) -> R:
    """Build a record from its JSON form; raises InputError, also for a later version.

    Keys that are not known are left out, and fields that are missing take their defaults.
    """
    if isinstance(value, Mapping) and value.get("version", VERSION) != VERSION:
        raise InputError(
            f"The file is of version {value['version']}, and this program reads version {VERSION}. "
            "Update Escalator, or compare anew."
        )
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "all of it"
        raise InputError(
            f"This is no result of escalator compare ({where}: {problem['msg']}). Give a file that it wrote."
        ) from None
