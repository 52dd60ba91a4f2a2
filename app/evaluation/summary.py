"""What `escalator compare` prints: JSON for programs, tables for a person, and what has changed since another run.

It also writes the answers in the form of Ragas, a package that evaluates answers with metrics of its own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from rich.table import Table

from app.errors import InputError
from app.evaluation.figures import LEAST, SINGLE, by_key, difference, outcome_of
from app.evaluation.report import NAMES, label, written
from app.evaluation.report_page import table
from app.evaluation.results import ComparisonResult, Contender, Difference, Figure, MeasuredModel
from app.translation import count

TIMES = ("load_ms", "first_token_ms", "total_ms", "tokens_per_s", "completion_tokens")

HEADS = ("", "answers", "escalated", "first token ms", "total ms", "tokens/s", "score", "right", "$ per 1,000")

WORDS = {"first_token_ms": "ms to the first token", "total_ms": "ms in all", "tokens_per_s": "tokens/s",
         "score": "of the score", "cost": "dollars an answer"}  # fmt: skip
"""How the figures are called behind a difference."""


def document(result: ComparisonResult) -> dict[str, Any]:
    """Build what `escalator compare --json` prints: the result, and for each model the medians of its own answers.

    For one prompt "prompt" is there too. A model has only what was measured.
    """
    asked = {} if result.question_set else {"prompt": result.questions[0].text}
    models = [_row(model, result) for model in result.models]
    return {**asked, "passages": bool(result.corpus), **asdict(result), "models": models}


def _row(model: MeasuredModel, result: ComparisonResult) -> dict[str, Any]:
    row = {"model": model.name} | {name: value for name, value in asdict(model).items() if value not in (None, "")}
    contender = next((it for it in result.contenders if it.kind in SINGLE and it.models == (model.name,)), None)
    answers = [it for it in result.of(contender.id) if it.attempts] if contender else []
    if answers:
        attempts = [it.attempts[-1] for it in answers]
        for name in ("first_token_ms", "total_ms", "tokens_per_s", "prompt_tokens", "completion_tokens"):
            values = [value for it in attempts if (value := getattr(it, name)) is not None]
            row[name] = round(median(values), 1) if values else None
        row |= {"finish": attempts[-1].finish, "text": attempts[-1].text}
    return row | ({"error": contender.error} if contender and contender.error else {})


def shown(contender: Contender) -> str:
    """Return the name of a contender for a reader."""
    name = contender.models[0] if contender.kind in SINGLE else contender.kind
    return f"{name} without passages" if contender.id.endswith("-bare") else name


def lines(result: ComparisonResult) -> Iterator[str | Table]:
    """Format the result for a person: a table, what is more than noise, and for one prompt the texts."""
    rows = [_row(model, result) for model in result.models]
    if result.question_set or len(result.contenders) > len(result.models):
        yield table(HEADS, (_cells(it, result) for it in result.contenders))
    else:
        cells = (["-" if row.get(key) is None else f"{row[key]:,}" for key in TIMES] for row in rows)
        heads = ("", "load ms", "first token ms", "total ms", "tokens/s", "tokens")
        yield table(heads, ([row["model"], *own] for row, own in zip(rows, cells, strict=True)))
    names = {it.id: shown(it) for it in result.contenders}
    beyond = [_difference(it, names) for it in result.differences if it.beyond_noise]
    if beyond:
        yield from ("", "More than noise (95 %):", *beyond)
    for row in rows if not result.question_set else ():
        cut = " (cut off at its longest length)" if row.get("finish") == "length" else ""
        yield f"\n{row['model']}{cut}:\n{row.get('error') or row.get('text', '').strip()}"


def _cells(who: Contender, result: ComparisonResult) -> list[str]:
    total = _with_interval(who.figures.get("total_ms"))
    if "total_ms" not in who.figures and "total_ms" in who.means:
        total = f"mean {who.means['total_ms'].value:,.0f}"
    return [
        shown(who),
        str(who.answers),
        "-" if who.escalated is None else f"{who.escalated:.0%}",
        _with_interval(who.figures.get("first_token_ms")),
        total,
        _with_interval(who.figures.get("tokens_per_s"), 1),
        _with_interval(who.quality.get("score"), 2),
        _with_interval(who.quality.get("right"), 2),
        f"{1000 * who.means['cost'].value:.3f}" if "cost" in who.means else "-",
    ]


def _with_interval(figure: Figure | None, digits: int = 0) -> str:
    if figure is None:
        return "-"
    value = f"{figure.value:,.{digits}f}"
    return value if figure.low is None else f"{value} ({figure.low:,.{digits}f}–{figure.high:,.{digits}f})"


def _difference(it: Difference, names: Mapping[str, str]) -> str:
    digits = {"score": 2, "cost": 6}.get(it.name, 0)
    low, high = (f"{value or 0.0:+,.{digits}f}" for value in (it.difference.low, it.difference.high))
    how = f"{it.difference.value:+,.{digits}f} {WORDS[it.name]} ({low} to {high})"
    return f"  {names[it.other]} against {names[it.one]}: {how}"


RAGAS = "ragas"
"""What `--export` calls the form of that package; a contender may stand behind it, as in ragas:large."""


def contender_named(wanted: str) -> str:
    """Return the contender that is named in "ragas:CONTENDER", "" if none is; raises InputError for another form."""
    form, _, name = wanted.partition(":")
    if form != RAGAS:
        raise InputError(f"--export is {wanted!r}; it must be {RAGAS}, or {RAGAS}:CONTENDER.")
    return name


def check_contender(name: str, names: Sequence[str]) -> None:
    """Raise InputError if there is no contender of this name; "" stands for any."""
    if not names or (name and name not in names):
        there = ", ".join(names) or "nobody"
        raise InputError(f"No answers of {name or 'a contender'} can be exported; there are those of {there}.")


def export(result: ComparisonResult, name: str = "") -> str:
    """Write the answers of a contender for Ragas: of the named one, else of *auto*, else of the first.

    `ragas.EvaluationDataset.from_jsonl` reads fields of a SingleTurnSample, in the encoding of the system, so that all
    is ASCII. It takes the fields of the first row for those of all, so that rows with a reference come first. Raises
    InputError.
    """
    names = [contender.id for contender in result.contenders if result.of(contender.id)]
    check_contender(name, names)
    chosen = name or ("auto" if "auto" in names else names[0])
    rows = sorted(_rows(result, chosen), key=lambda row: "reference" not in row)
    return "".join(json.dumps(row) + "\n" for row in rows)


def _rows(result: ComparisonResult, contender: str) -> Iterator[dict[str, Any]]:
    """Yield a row for the first answer to each question.

    The reference is made of the expected facts, or declines, and is absent where nothing is known about the right
    answer.
    """
    questions = {question.id: question for question in result.questions}
    for answer in result.of(contender):
        question = questions.pop(answer.question, None) if answer.text.strip() else None
        if question is None:
            continue
        facts = "; ".join(spellings[0] for spellings in question.facts)
        reference = "The documents do not say." if question.answerable is False else facts
        row: dict[str, Any] = {"user_input": question.text, "response": answer.text}
        row |= {"retrieved_contexts": [item.text for item in answer.evidence]} if answer.retrieval else {}
        yield row | ({"reference": reference} if reference else {})


def changes(before: ComparisonResult, after: ComparisonResult) -> tuple[str, ...]:
    """Say what differs beyond noise, and what makes the runs hard to compare."""
    told = [*_conditions(before, after)]
    old = {it.id: it for it in before.contenders}
    both = [(old[it.id], it) for it in after.contenders if it.id in old]
    if not both:
        return (*told, "The runs have no model and no mode in common.")
    if not any(figure.n >= LEAST for one, _ in both for figure in (*one.means.values(), *one.figures.values())):
        return (*told, f"The answers are too few to tell a difference from noise: ask {LEAST} questions or more.")
    found = [text for pair in both for text in _changed(before, after, *pair)]
    rest = " in other figures" if found else ""
    return (*told, *found, f"There is no difference beyond noise{rest}.")


def _conditions(before: ComparisonResult, after: ComparisonResult) -> Iterator[str]:
    if before.machine != after.machine:
        yield f"The machine was another one before: {before.machine}"
    if before.prices_of != after.prices_of:
        yield "The prices were others before."
    asked = {it.id: it for it in before.questions}
    if before.questions != after.questions:
        shared = sum(asked.get(it.id) == it for it in after.questions)
        yield f"Of {count(len(after.questions), 'question')}, {shared} are those of before."
    old = {it.id: it for it in before.contenders}
    for it in after.contenders:
        if it.id in old and old[it.id].models != it.models:
            yield f"{label(it)} was {', '.join(old[it.id].models)} before."


def _changed(before: ComparisonResult, after: ComparisonResult, old: Contender, new: Contender) -> Iterator[str]:
    """Yield the figures of a contender that differ beyond noise."""
    for name in ("score", "total_ms", "cost", "first_token_ms", "tokens_per_s"):
        one, other = _figure(old, name), _figure(new, name)
        if one is not None and other is not None and _differ(before, after, new.id, name, one, other):
            yield f"{label(new)}: {NAMES[name]} {written(name, other.value)}, before {written(name, one.value)}"


def _figure(contender: Contender, name: str) -> Figure | None:
    return contender.quality.get(name) or contender.means.get(name) or contender.figures.get(name)


def _differ(
    before: ComparisonResult, after: ComparisonResult, contender: str, name: str, one: Figure, other: Figure
) -> bool:
    """Whether a figure differs: over the questions of both runs, or by its intervals if these are too few."""
    was, now = _by_question(before, contender, name), _by_question(after, contender, name)
    pairs = [[now[question] - was[question]] for question in now if question in was]
    if len(pairs) >= LEAST:
        found = difference(name, contender, contender, pairs, mean=True)
        return found is not None and found.beyond_noise
    if one.low is None or one.high is None or other.low is None or other.high is None or min(one.n, other.n) < LEAST:
        return False
    return one.high < other.low or other.high < one.low


def _by_question(result: ComparisonResult, contender: str, name: str) -> dict[str, float]:
    """Return the mean of a figure for each question, by its text."""
    texts = {it.id: it.text for it in result.questions}
    answers = result.of(contender)
    outcomes = {(it.question, it.round): outcome_of(it) for it in answers}
    values: dict[str, list[float]] = {}
    for (question, _), value in by_key(name, answers, outcomes).items():
        if value is not None:
            values.setdefault(texts[question], []).append(value)
    return {question: fmean(given) for question, given in values.items()}
