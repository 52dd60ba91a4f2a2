"""A set of questions with the facts that right answers state: the records, and their file of JSON lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from app.answering.turn import LONGEST_QUESTION
from app.errors import InputError
from app.evaluation.datasets import Row, are_texts, read_rows
from app.settings import ROOT

SAMPLE = "sample"
"""The name of the set that ships, over the sample documents."""

Kind = Literal["question", "briefing"]

FORM = (
    "is no question. It needs a “question”, which is a text of at most {longest} characters, and may have an “id”, a "
    "“language” (de), “facts” (texts, or lists of spellings of one), “answerable” (true, false), a “kind” ({kinds})."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what a right answer states: of each fact, one of its spellings.

    A question that the documents do not answer has no facts: there, a right answer declines. Nothing is known of the
    right answer where `answerable` is None. A briefing is a longer text to be written, which *refine* polishes.
    """

    id: str
    text: str
    facts: tuple[tuple[str, ...], ...] = ()
    answerable: bool | None = None
    language: str = "en"
    kind: Kind = "question"


def read_questions(name: str) -> tuple[Question, ...]:
    """Read the set that ships, or one in a file; raises InputError."""
    file = Path(str(resources.files("app.evaluation") / "sample.jsonl")) if name == SAMPLE else Path(name)
    problem = FORM.format(longest=f"{LONGEST_QUESTION:,}", kinds=" or ".join(get_args(Kind)))
    found: dict[str, Question] = {}
    for number, (position, row) in enumerate(read_rows(file, _is_question, problem), 1):
        question = _question(row, str(number))
        if found.setdefault(question.id, question) is not question:
            raise InputError(f"{position} repeats the id {question.id!r}. Give every question an id of its own.")
    if not found:
        raise InputError(f"{file} has no questions. Write one in every line, as a JSON object.")
    return tuple(found.values())


def sample_documents() -> Path:
    """Return the folder of the sample documents, to which the set that ships belongs; raises InputError."""
    if not (ROOT / "corpus").is_dir():
        raise InputError("The sample documents are not installed. Clone the repository, or give a set of your own.")
    return ROOT / "corpus"


def _is_question(row: Row) -> bool:
    text, facts = row.get("question"), row.get("facts", [])
    return (
        isinstance(text, str)
        and 0 < len(text.strip()) <= LONGEST_QUESTION
        and isinstance(row.get("id", ""), str | int)
        and isinstance(row.get("language", ""), str)
        and row.get("kind", "question") in get_args(Kind)
        and isinstance(row.get("answerable"), bool | None)
        and isinstance(facts, list)
        and all(_is_fact(fact) for fact in facts)
        and not (facts and row.get("answerable") is False)
    )


def _is_fact(fact: Any) -> bool:
    spellings: Sequence[Any] = fact if isinstance(fact, list) else [fact]
    return bool(spellings) and are_texts([*spellings]) and all(spelling.strip() for spelling in spellings)


def _question(row: Row, number: str) -> Question:
    facts = tuple((fact,) if isinstance(fact, str) else tuple(fact) for fact in row.get("facts", []))
    answerable = row.get("answerable", True if facts else None)
    name, language, kind = str(row.get("id", number)), row.get("language", "en"), row.get("kind", "question")
    return Question(name, row["question"].strip(), facts, answerable, language, kind)
