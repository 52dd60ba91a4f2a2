"""The figures of a contender, the worth of a cascade, and what they are made of: medians, intervals, differences."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from app.evaluation.results import Contender, Difference, Figure, MeasuredAnswer, MeasuredModel

RESAMPLES = 2000
SEED = 0
"""Fixed, so that the interval of the same values is the same."""

LEAST = 6
"""Pairs from which a difference can be beyond noise: with five, all have one sign by chance in 6 % of all cases."""

DIGITS = 8
"""Behind the point: an answer may cost a hundred-thousandth of a dollar."""

Groups = Sequence[Sequence[float]]
"""Values by question: those of one question resemble each other."""


def averaged(groups: Groups) -> Groups:
    """Replace the values of each question by their mean: rounds of one question give no new evidence of quality."""
    return [[fmean(group)] for group in groups if group]


def difference(name: str, one: str, other: str, groups: Groups, *, mean: bool = False) -> Difference | None:
    """Describe the paired differences other - one of a figure; None if there is none.

    The interval of a difference must not contain 0, and there must be LEAST pairs, for it to be beyond noise.
    """
    found = figure_of(groups, mean=mean)
    if found is None:
        return None
    low, high = found.low or 0.0, found.high or 0.0
    return Difference(name, one, other, found, found.n >= LEAST and (low > 0 or high < 0))


def figure_of(groups: Groups, *, mean: bool = False) -> Figure | None:
    """Compute the median or the mean of all values, with its interval; None if there is no value.

    For the interval, questions are resampled, and the values of each drawn question, as often as there are of either.
    """
    import numpy as np

    groups = [group for group in groups if group]
    if not groups:
        return None
    sizes = np.array([len(group) for group in groups])
    compute: Callable[..., object] = partial(np.nanmean if mean else np.nanmedian, axis=-1)
    values = np.full((len(groups), sizes.max()), np.nan)
    for row, group in zip(values, groups, strict=True):
        row[: len(group)] = group
    value, n = float(compute(values.ravel())), int(sizes.sum())  # type: ignore[arg-type]
    if n == 1:
        return Figure(round(value, DIGITS), None, None, 1)
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(groups), (RESAMPLES, len(groups)))
    places = (random.random((*drawn.shape, values.shape[1])) * sizes[drawn][..., None]).astype(int)
    samples = values[drawn[..., None], places]
    samples[np.arange(values.shape[1]) >= sizes[drawn][..., None]] = np.nan  # a question keeps its number of values
    low, high = np.quantile(compute(samples.reshape(RESAMPLES, -1)), (0.025, 0.975))  # type: ignore[call-overload]
    value, low, high = (round(float(each), DIGITS) for each in (value, low, high))
    return Figure(value, low, high, n)


def by_question(pairs: Iterable[tuple[str, float | None]]) -> Groups:
    """Group values by the question that each comes with; None is left out."""
    groups: dict[str, list[float]] = {}
    for question, value in pairs:
        if value is not None:
            groups.setdefault(question, []).append(value)
    return list(groups.values())


SINGLE = ("small", "large", "model")
"""The kinds of contenders that are one model."""


Key = tuple[str, int]
"""A question's id, and the round."""


class Outcome(NamedTuple):
    """What an answer took and was worth, or what can be expected of it; None where that is unknown."""

    total_ms: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    cost: float | None
    score: float | None


def with_figures(
    contenders: Iterable[Contender], answers: Sequence[MeasuredAnswer], models: Iterable[MeasuredModel]
) -> tuple[tuple[Contender, ...], tuple[Difference, ...]]:
    """Compute the figures of contenders, add *oracle* and *random* where *auto* is one, and compare them."""
    load = {model.name: model.load_ms for model in models}
    good = {
        it.id: [answer for answer in answers if answer.contender == it.id and not answer.error] for it in contenders
    }
    outcomes = {name: {(it.question, it.round): outcome_of(it) for it in own} for name, own in good.items()}
    found = {it.id: _with_figures(it, good[it.id], outcomes[it.id], load) for it in contenders}
    if all(outcomes.get(name) for name in ("small", "large", "auto")):
        auto = replace(found["auto"], answers=0, figures={}, quality={}, error="")
        escalations = sum(it.escalated for it in good["auto"])
        for kind in ("oracle", "random"):
            outcomes[kind], share = hybrid(outcomes["small"], outcomes["large"], escalations, best=kind == "oracle")
            quality = _present({"score": figure_of(averaged(_values(outcomes[kind], "score")), mean=True)})
            own = replace(auto, id=kind, kind=kind, answers=len(outcomes[kind]), escalated=share, quality=quality)
            found[kind] = replace(own, means=_means(outcomes[kind]))
    return tuple(found.values()), tuple(_differences(found, good, outcomes))


def _with_figures(
    contender: Contender,
    answers: Sequence[MeasuredAnswer],
    outcomes: Mapping[Key, Outcome],
    load: Mapping[str, float | None],
) -> Contender:
    alone = contender.kind in SINGLE
    asked = [(answer.question, by_stage(answer, alone=alone)) for answer in answers if answer.attempts]
    names = dict.fromkeys(name for _, stages in asked for name in stages)
    figures = {name: figure_of(by_question((question, it[name]) for question, it in asked)) for name in names}
    if alone and (loading := load.get(contender.models[0])) is not None:
        figures = {"load_ms": Figure(loading, None, None, 1), **figures}
    return replace(
        contender,
        answers=len(answers),
        escalated=sum(answer.escalated for answer in answers) / len(answers) if answers and not alone else None,
        figures=_present(figures),
        means=_means(outcomes) | _sent(answers),
        quality=_quality(answers),
    )


def by_stage(answer: MeasuredAnswer, *, alone: bool) -> dict[str, float | None]:
    """Add up the stages over the attempts, so that retrieving, preparing, waiting, reading and writing follow."""
    attempts = answer.attempts
    counted = not any(attempt.estimated for attempt in attempts)
    stages = {
        "retrieve_ms": answer.retrieve_ms,
        "prompt_ms": _total((it.prompt_ms for it in attempts), answer.prompt_ms or 0.0),
        "sent_ms": _total(_minus(it.sent_ms, it.prompt_ms) for it in attempts),
        "first_token_ms": _total(it.first_token_ms for it in attempts),
        "writing_ms": _total(_minus(it.total_ms, it.first_token_ms) for it in attempts),
        "total_ms": answer.total_ms,
        "prompt_tokens": _total(it.prompt_tokens for it in attempts) if counted else None,
        "completion_tokens": _total(it.completion_tokens for it in attempts) if counted else None,
        "energy_j": answer.energy_j,
    }
    if not alone:
        return stages
    speed = attempts[0].tokens_per_s if counted else None
    return stages | {"gap_ms": attempts[0].gap_ms, "tokens_per_s": speed}


def _total(values: Iterable[float | None], start: float = 0.0) -> float | None:
    """Add up the values of attempts; None if one of them lacks it."""
    known = [*values]
    return None if None in known else start + sum(filter(None, known))


def _minus(value: float | None, part: float | None) -> float | None:
    return None if value is None or part is None else max(0.0, value - part)


def _means(outcomes: Mapping[Key, Outcome]) -> dict[str, Figure]:
    names = [name for name in Outcome._fields if name != "score"]
    return _present({name: figure_of(_values(outcomes, name), mean=True) for name in names})


def _sent(answers: Sequence[MeasuredAnswer]) -> dict[str, Figure]:
    """Compute how many answers other machines were asked for, and the tokens that these read."""
    away = [(it.question, [each.prompt_tokens or 0 for each in it.attempts if each.elsewhere]) for it in answers]
    if not any(tokens for _, tokens in away):
        return {}
    shares = by_question((question, float(bool(tokens))) for question, tokens in away)
    read = by_question((question, float(sum(tokens))) for question, tokens in away)
    return _present({"sent": figure_of(shares, mean=True), "sent_tokens": figure_of(read, mean=True)})


def _values(outcomes: Mapping[Key, Outcome], name: str) -> Sequence[Sequence[float]]:
    return by_question((question, getattr(outcome, name)) for (question, _), outcome in outcomes.items())


def _quality(answers: Sequence[MeasuredAnswer]) -> dict[str, Figure]:
    """Compute the shares; whether a question has an answer is told by its score where it has no facts."""
    unanswerable = [it for it in answers if not it.facts_expected and it.score is not None]
    shares: dict[str, Iterator[tuple[str, float | None]]] = {
        "score": ((it.question, it.score) for it in answers),
        "right": ((it.question, None if it.score is None else float(it.score == 1)) for it in answers),
        "facts": ((it.question, len(it.facts_found) / it.facts_expected) for it in answers if it.facts_expected),
        "citations": ((it.question, fmean(each.supported for each in it.citations)) for it in answers if it.citations),
        "abstained": ((it.question, float(it.abstained)) for it in unanswerable),
        "wrongly_abstained": ((it.question, float(it.abstained)) for it in answers if it.facts_expected),
    }
    return _present({name: figure_of(averaged(by_question(pairs)), mean=True) for name, pairs in shares.items()})


def _present(figures: Mapping[str, Figure | None]) -> dict[str, Figure]:
    return {name: figure for name, figure in figures.items() if figure is not None}


def _differences(
    found: Mapping[str, Contender],
    answers: Mapping[str, Sequence[MeasuredAnswer]],
    outcomes: Mapping[str, Mapping[Key, Outcome]],
) -> Iterator[Difference]:
    """Compare the models with each other and with themselves without passages, and the hybrid with its rivals."""
    singles = [it for it in found.values() if it.kind in SINGLE]
    pairs = [(a.id, b.id) for a, b in combinations(singles, 2) if a.retrieval == b.retrieval or a.models == b.models]
    hybrids = [("small", "auto"), ("large", "auto"), ("random", "auto"), ("auto", "oracle"), ("large", "refine")]
    hybrids += [("local-first", "cloud-first"), ("local-first", "task")]
    for one, other in (*pairs, *((a, b) for a, b in hybrids if a in found and b in found)):
        alone = ("first_token_ms", "tokens_per_s") if (one, other) in pairs else ()
        for name in ("total_ms", *alone, "cost", "score"):
            before, after = (by_key(name, answers.get(it, ()), outcomes[it]) for it in (one, other))
            groups = by_question((key[0], _change(before[key], after[key])) for key in before if key in after)
            groups = averaged(groups) if name == "score" else groups
            if (it := difference(name, one, other, groups, mean=name in ("cost", "score"))) is not None:
                yield it


def by_key(name: str, answers: Sequence[MeasuredAnswer], outcomes: Mapping[Key, Outcome]) -> dict[Key, float | None]:
    """Return a figure of each answer of a contender, or of what is expected of it."""
    if name in Outcome._fields:
        return {key: getattr(outcome, name) for key, outcome in outcomes.items()}
    return {(it.question, it.round): by_stage(it, alone=True)[name] for it in answers if it.attempts}


def _change(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else other - one


def outcome_of(answer: MeasuredAnswer) -> Outcome:
    """Add up what the attempts of an answer took."""
    read = _total(it.prompt_tokens for it in answer.attempts)
    written = _total(it.completion_tokens for it in answer.attempts)
    return Outcome(answer.total_ms, read, written, answer.cost, answer.score)


def hybrid(
    small: Mapping[Key, Outcome], large: Mapping[Key, Outcome], escalations: int, *, best: bool
) -> tuple[dict[Key, Outcome], float | None]:
    """Escalate so many of the drafts, and return all outcomes and the share.

    The `best` are those whose score gains most, the earlier of two equal ones; else drafts are drawn by lot, and the
    outcomes are what is expected of each. Only answers that both models gave count.
    """
    keys = [key for key in small if key in large]
    share = min(1.0, escalations / len(keys)) if keys else None
    first = sorted(keys, key=lambda key: -(_change(small[key].score, large[key].score) or 0.0))[:escalations]
    chances = dict.fromkeys(first, 1.0) if best else dict.fromkeys(keys, share or 0.0)
    return {key: _escalated(small[key], large[key], chances.get(key, 0.0)) for key in keys}, share


def _escalated(draft: Outcome, other: Outcome, chance: float) -> Outcome:
    """Return what is expected of an answer that is escalated with this probability."""
    kept = (1.0, 1.0, 1.0, 1.0, 1 - chance)  # of the draft: it was written, paid and waited for in any case
    values = zip(kept, draft, other, strict=True)
    return Outcome(*(None if None in (a, b) else share * (a or 0) + chance * (b or 0) for share, a, b in values))
