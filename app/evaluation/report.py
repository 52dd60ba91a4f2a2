"""The report of a comparison: what its figures are called, which chart shows them, and what each contender answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from statistics import fmean

from app.answering.routes import NAMES as ROUTES
from app.evaluation import report_page, rubric
from app.evaluation.datasets import Question
from app.evaluation.figures import by_stage
from app.evaluation.report_page import Asked, Cell, Page, Reply, Section
from app.evaluation.results import STAGES, ComparisonResult, Contender, Figure, MeasuredAnswer
from app.translation import _, count, figure, listed, mark, percent, size

DASH = "–"

SAMPLE = 1_000
"""Answers whose price is given: that of a single one is too little for anyone to imagine."""

KINDS = {
    "small": mark("Small"),
    "large": mark("Large"),
    "auto": mark("Auto"),
    "refine": mark("Refine"),
    "oracle": mark("Oracle"),
    "random": mark("Random"),
    **ROUTES,
}
"""The names of contenders; that of a further model is its own."""

BARE = "-bare"
"""How the id of a contender ends that gets no passages, where the others do."""

SHAPES: dict[str, report_page.Shape] = {"auto": "hybrid", "refine": "hybrid", "oracle": "bound", "random": "bound"}

PARTS = STAGES[1:]
"""Of the time of an answer; a cold start is none."""

WORTH = {
    "score": mark("Score"),
    "total_ms": mark("Time of an answer"),
    "cost": mark("Price of 1,000 answers"),
    "escalated": mark("Escalated"),
    "sent": mark("Sent to other machines"),
    "sent_tokens": mark("Tokens sent"),
}

QUALITIES = {
    "right": mark("Wholly right"),
    "facts": mark("Facts found"),
    "citations": mark("Citations that hold"),
    "abstained": mark("Declined rightly"),
    "wrongly_abstained": mark("Declined wrongly"),
}

TIMES = {
    "retrieve_ms": mark("Search"),
    "prompt_ms": mark("Prompt"),
    "sent_ms": mark("Wait for the model"),
    "first_token_ms": mark("First token"),
    "writing_ms": mark("Writing"),
    "total_ms": mark("Whole answer"),
}

COUNTS = {
    "tokens_per_s": mark("Tokens per second"),
    "gap_ms": mark("Between tokens"),
    "prompt_tokens": mark("Tokens read"),
    "completion_tokens": mark("Tokens written"),
    "energy_j": mark("Energy"),
}

NAMES = {**COUNTS, **QUALITIES, **TIMES, **WORTH}
"""What each figure is called, in the report and where two runs are compared."""


def page(result: ComparisonResult, changes: Sequence[str] = (), raters: Sequence[rubric.Ratings] = ()) -> Page:
    """Make the report of a comparison, with sentences on what has changed since another one, and ratings.

    Raises InputError where two raters have one name.
    """
    names = [model.name for model in result.models]
    title = _("Comparison of {models}", models=listed(names)) if names else _("Comparison")
    began = result.began[:16].replace("T", " ")
    rated = rubric.samples(result) if raters else ()
    ratings = rubric.sections(rated, raters, {it.id: label(it) for it in result.contenders})
    sections = [*_worth(result), *ratings, *_stages(result), *_speeds(result), *_models(result), *_differences(result)]
    said = {(it.question.text, it.text): rubric.said(it, raters) for it in rated}
    questions = [_asked(result, question, said) for question in result.questions]
    return Page(title, began, [*_facts(result)], changes, sections, questions)


def label(contender: Contender) -> str:
    """Name a contender."""
    name = _(KINDS[contender.kind]) if contender.kind in KINDS else contender.models[0]
    return _("{name}, without documents", name=name) if contender.id.endswith(BARE) else name


def written(name: str, value: float) -> str:
    """Write the value of a figure with its unit."""
    if name.endswith("_ms"):
        return duration(value)
    if name == "cost":
        return f"${figure(value * SAMPLE, 2)}"
    if name in QUALITIES or name in ("score", "escalated", "sent"):
        return percent(value)
    if name == "energy_j":
        return f"{figure(value, 1)} J"
    return _shortly(value, 1) if name == "tokens_per_s" else figure(value)


def duration(ms: float) -> str:
    """Write a time, given in milliseconds, in milliseconds or seconds."""
    if 0 < ms < 100:
        return f"{figure(ms, 0 if ms >= 10 else 1)} ms"
    return f"{_shortly(ms / 1000, 2 if ms < 10_000 else 1)} s"


def _shortly(value: float, digits: int) -> str:
    """Write a number, a whole one without decimals."""
    return figure(value, 0 if value == round(value) else digits)


def cell(given: Figure | None, write: Callable[[float], str]) -> Cell:
    """Write a figure with its interval."""
    if given is None:
        return Cell(DASH)
    if given.low is None or given.high is None:
        return Cell(write(given.value))
    return Cell(write(given.value), _("{low} to {high}", low=write(given.low), high=write(given.high)))


def _facts(result: ComparisonResult) -> Iterator[str]:
    yield result.machine
    if len(result.answers) > len(result.contenders):
        turns = _("all models in turns")
        if not result.in_turns:
            turns = _("one model after another, as memory holds one at a time")
        yield " · ".join([count(len(result.questions), "question"), count(result.rounds, "round"), turns])
    if result.corpus:
        yield _("Documents: {folder}", folder=PurePath(result.corpus).name)
    if not any(contender.retrieval for contender in result.contenders):
        yield _("Asked without documents.")
    if result.prices_of:
        said = _("Prices are hypothetical, those of a cloud on {date}. Here nothing was paid.", date=result.prices_of)
        if any(attempt.elsewhere for answer in result.answers for attempt in answer.attempts):
            said = _("Prices are those of a cloud on {date}; other machines were asked too.", date=result.prices_of)
        yield said
    if any(figure.low is not None for it in result.contenders for figure in (*it.figures.values(), *it.means.values())):
        yield _("Below a figure stands its interval of 95%, from drawing the answers anew.")
    yield from result.problems


def _worth(result: ComparisonResult) -> Iterator[Section]:
    """Yield quality against price, or against time where no prices are known."""
    against = "cost" if any("cost" in it.means for it in result.contenders) else "total_ms"
    points = [
        report_page.Point(
            label(it),
            _range(it.means[against]),
            _range(it.quality["score"]),
            SHAPES.get(it.kind, "hybrid" if it.kind in ROUTES else "alone"),
        )
        for it in result.contenders
        if against in it.means and "score" in it.quality
    ]
    title = _("Time and price") if against == "cost" else _("Time of an answer")
    about, chart = [_("Means per answer.")], None
    if points:
        title = _("Quality and price") if against == "cost" else _("Quality and time")
        about.append(_("Higher and further left is better."))
        words = "; ".join(f"{it.name}: {percent(it.up[1])}, {written(against, it.across[1])}" for it in points)
        scales = partial(written, against), percent
        chart = report_page.Plane(title, words, points, (_(WORTH[against]), _(WORTH["score"])), scales)
    if any(it.kind == "oracle" for it in result.contenders):
        about += [
            _("Oracle and Random give the large model as many questions as Auto: those that gain most by it, and any."),
            _("Auto’s decisions are worth how far it is above Random."),
        ]
    yield from _section(title, " ".join(about), WORTH, _means, result.contenders, chart, models=True)
    yield from _section(_("Quality in detail"), "", QUALITIES, lambda it: it.quality, result.contenders)


def _means(contender: Contender) -> Mapping[str, Figure]:
    share = contender.escalated
    escalated = {} if share is None else {"escalated": Figure(share, None, None, contender.answers)}
    return {**contender.means, **contender.quality, **escalated}


def _section(
    title: str,
    about: str,
    columns: Mapping[str, str],
    given: Callable[[Contender], Mapping[str, Figure]],
    contenders: Sequence[Contender],
    chart: report_page.Chart | None = None,
    key: Sequence[str] = (),
    *,
    models: bool = False,
) -> Iterator[Section]:
    """Yield a table of figures, with a row for each contender and a column for each name, as far as there are any."""
    figures = {it.id: given(it) for it in contenders}
    names = [name for name in columns if any(name in each for each in figures.values())]
    rows = [
        [
            Cell(label(it), " → ".join(it.models) if models else ""),
            *(cell(figures[it.id].get(name), partial(written, name)) for name in names),
        ]
        for it in contenders
        if any(name in figures[it.id] for name in names)
    ]
    if rows:
        yield Section(title, about, ["", *(_(columns[name]) for name in names)], rows, chart, key)


def _stages(result: ComparisonResult) -> Iterator[Section]:
    title = _("Time of an answer, by stage")
    bars = [(label(it), _mean_parts(result.of(it.id))) for it in result.contenders if "total_ms" in it.figures]
    words = "; ".join(f"{name}: {duration(sum(parts))}" for name, parts in bars)
    about = _("The bars are means, which add up; the table has medians. Loading a model is not included.")
    chart, key = report_page.Bars(title, words, bars, duration), [*(_(TIMES[name]) for name in PARTS), _("Other")]
    yield from _section(title, about, TIMES, lambda it: it.figures, result.contenders, chart, key)


def _mean_parts(answers: Sequence[MeasuredAnswer]) -> list[float]:
    """Return the means of PARTS and of the rest over some answers, in milliseconds."""
    rows = []
    for answer in answers:
        if answer.total_ms is not None:
            found = by_stage(answer, alone=False)
            known = [found[name] or 0.0 for name in PARTS]
            rows.append([*known, max(0.0, answer.total_ms - sum(known))])
    return [fmean(values) for values in zip(*rows, strict=True)] if rows else [0.0] * (len(PARTS) + 1)


def _speeds(result: ComparisonResult) -> Iterator[Section]:
    title, write = _("Tokens per second"), partial(written, "tokens_per_s")
    speeds = [
        (label(it), _range(it.figures["tokens_per_s"])) for it in result.contenders if "tokens_per_s" in it.figures
    ]
    words = "; ".join(f"{name}: {write(middle)} ({write(low)}–{write(high)})" for name, (low, middle, high) in speeds)
    about = _("Medians. The speed is that of writing: after the first token, without the time to read the prompt.")
    chart = report_page.Intervals(title, words, speeds, write) if speeds else None
    yield from _section(title, about, COUNTS, lambda it: it.figures, result.contenders, chart)


def _models(result: ComparisonResult) -> Iterator[Section]:
    heads = ["", _("Cold start"), _("First request"), _("Memory")]
    rows = [
        [
            Cell(model.name, model.error or model.id),
            Cell(DASH if model.load_ms is None or not model.cold else duration(model.load_ms)),
            Cell(DASH if model.warm_up_ms is None else duration(model.warm_up_ms)),
            Cell(DASH if model.memory_mb is None else size(model.memory_mb * 1e6)),
        ]
        for model in result.models
        if model.warm_up_ms is not None or model.error
    ]
    about = _("The cold start loads a model from the disk; it is not measured where the model was in memory already.")
    if rows:
        yield Section(_("Models"), about, heads, rows)


def _differences(result: ComparisonResult) -> Iterator[Section]:
    names = {it.id: label(it) for it in result.contenders}
    rows = [
        [
            Cell(f"{_(NAMES.get(it.name, it.name))}: {names.get(it.other, it.other)} − {names.get(it.one, it.one)}"),
            cell(it.difference, partial(_signed, it.name)),
            Cell(_("yes") if it.beyond_noise else _("no")),
        ]
        for it in result.differences
    ]
    if rows:
        about = _("Question by question. A difference is beyond noise if its interval leaves out 0.")
        yield Section(_("Differences"), about, ["", _("Difference"), _("Beyond noise")], rows)


def _signed(name: str, value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{written(name, abs(value))}"


def _range(given: Figure) -> report_page.Range:
    low = given.value if given.low is None else given.low
    return low, given.value, given.value if given.high is None else given.high


def _asked(result: ComparisonResult, question: Question, said: Mapping[tuple[str, str], Sequence[str]]) -> Asked:
    """List what each contender answered to a question, and what raters said of that, by question and text."""
    replies = []
    for contender in result.contenders:
        answers = [it for it in result.answers if (it.question, it.contender) == (question.id, contender.id)]
        if answers:
            whole = [it for it in answers if not it.error]  # the first is shown; other rounds count for the verdict
            scores = [it.score for it in whole if it.score is not None]
            text = whole[0].text if whole else answers[0].error
            remarks = [*_remarks(whole), *said.get((question.text, text), ())]
            replies.append(Reply(label(contender), fmean(scores) if scores else None, text, remarks))
    return Asked(question.text, _expected(question), replies)


def _expected(question: Question) -> str:
    if question.facts:
        return _("A right answer states: {facts}", facts="; ".join(" / ".join(fact) for fact in question.facts))
    return _("The documents do not answer this; a right answer says so.") if question.answerable is False else ""


def _remarks(answers: Sequence[MeasuredAnswer]) -> Iterator[str]:
    if not answers:
        return
    first = answers[0]
    if first.total_ms is not None:
        yield duration(first.total_ms)
    if first.facts_expected:
        found, expected = len(first.facts_found), first.facts_expected
        yield _("{found} of {expected} facts", found=found, expected=expected)
    if first.citations:
        held = sum(it.supported for it in first.citations)
        yield _("{held} of {all} citations hold", held=held, all=len(first.citations))
    if first.escalated:
        yield _("Escalated: {reason}", reason=first.why)
    if len({answer.text for answer in answers}) > 1:
        yield _("Other rounds gave other texts.")
