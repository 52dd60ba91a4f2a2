"""The answers of a comparison in the form of Ragas, a package that evaluates answers with metrics of its own.

A row is what `ragas.EvaluationDataset.from_jsonl` reads: fields of a SingleTurnSample. All is ASCII, because that reads
a file in the encoding of the system.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from app.errors import InputError
from app.evaluation.results import ComparisonResult

NAME = "ragas"
"""What `--export` calls this form; a contender may stand behind it, as in ragas:large."""

DECLINES = "The documents do not say."
"""The reference where the documents do not hold the answer."""


def contender_named(wanted: str) -> str:
    """Return the contender that is named in "ragas:CONTENDER", "" if none is; raises InputError for another form."""
    form, _, name = wanted.partition(":")
    if form != NAME:
        raise InputError(f"--export is {wanted!r}; it must be {NAME}, or {NAME}:CONTENDER.")
    return name


def check(name: str, names: Sequence[str]) -> None:
    """Raise InputError if there is no contender of this name; "" stands for any."""
    if not names or (name and name not in names):
        there = ", ".join(names) or "nobody"
        raise InputError(f"No answers of {name or 'a contender'} can be exported; there are those of {there}.")


def export(result: ComparisonResult, name: str = "") -> str:
    """Write the answers of a contender as JSON lines: of the named one, else of *auto*, else of the first.

    Ragas takes the fields of the first row for those of all, so that rows with a reference come first. Raises
    InputError.
    """
    names = [contender.id for contender in result.contenders if result.of(contender.id)]
    check(name, names)
    chosen = name or ("auto" if "auto" in names else names[0])
    rows = sorted(_rows(result, chosen), key=lambda row: "reference" not in row)
    return "".join(json.dumps(row) + "\n" for row in rows)


def _rows(result: ComparisonResult, contender: str) -> Iterator[dict[str, Any]]:
    """Yield a row for the first answer to each question.

    The reference is made of the expected facts, and absent where nothing is known about the right answer.
    """
    questions = {question.id: question for question in result.questions}
    for answer in result.of(contender):
        question = questions.pop(answer.question, None) if answer.text.strip() else None
        if question is None:
            continue
        facts = "; ".join(spellings[0] for spellings in question.facts)
        reference = DECLINES if question.answerable is False else facts
        row: dict[str, Any] = {"user_input": question.text, "response": answer.text}
        row |= {"retrieved_contexts": [item.text for item in answer.evidence]} if answer.retrieval else {}
        yield row | ({"reference": reference} if reference else {})
