"""What has changed from one comparison to another beyond noise, in sentences of the command line."""

from collections.abc import Iterator
from statistics import fmean

from app.evaluation.figures import LEAST, difference
from app.evaluation.report import NAMES, SAMPLE, label, written
from app.evaluation.results import ComparisonResult, Contender, Figure, MeasuredAnswer
from app.humanize import count

COMPARED = ("score", "total_ms", "cost", "first_token_ms", "tokens_per_s")


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
    for name in COMPARED:
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
    values: dict[str, list[float]] = {}
    for answer in result.of(contender):
        if (value := _value(answer, name)) is not None:
            values.setdefault(texts[answer.question], []).append(value)
    return {question: fmean(given) for question, given in values.items()}


def _value(answer: MeasuredAnswer, name: str) -> float | None:
    match name:
        case "score":
            return answer.score
        case "total_ms":
            return answer.total_ms
        case "cost":
            return None if answer.cost is None else answer.cost * SAMPLE
    values = [getattr(each, name) for each in answer.attempts if not each.estimated]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
