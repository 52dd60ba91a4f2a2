"""What a comparison asks of whom, as the command line and the settings say, and the prices of tokens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.answering.turn import Mode
from app.answering.usage import Price, Prices
from app.errors import InputError
from app.evaluation.question_set import SAMPLE, Question, read_questions, sample_documents
from app.evaluation.results import Contender, ContenderKind, from_json
from app.settings import RouteName, Settings, load


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Hypothetical prices by model, as of a date."""

    date: str
    models: Mapping[str, Price]

    def check(self, models: tuple[str, ...]) -> None:
        """Raise InputError for a model without a price."""
        if missing := [model for model in models if model not in self.models]:
            raise InputError(
                f"The price table of {self.date} has no price for {' and '.join(missing)}. Add "
                f'"{missing[0]}": [PROMPT, ANSWER], in US dollars per million tokens (0 if it costs nothing).'
            )


def read_prices(file: Path) -> PriceTable:
    """Read a price table: {"date": "2026-01-31", "models": {"phi-4-mini": [0.075, 0.3]}}; raises InputError."""
    try:
        return from_json(PriceTable, json.loads(file.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, InputError) as error:
        form = '{"date": "2026-01-31", "models": {"phi-4-mini": [0.075, 0.3]}}'
        raise InputError(
            f"{file} is no price table ({error}). Write {form}, in US dollars per million tokens."
        ) from error


def default_prices(setting: str, models: tuple[str, ...]) -> PriceTable:
    """Return the prices of the settings for the first of the models, which is the small one, and the last."""
    prices = Prices.parse(setting)
    return PriceTable(prices.date, {models[-1]: prices.large, models[0]: prices.small})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of whom: every question in every round, of each model and in each mode.

    `models` go from the smallest to the largest; none stands for the pair of the settings. `modes` are those of two
    models, and routes of the mode "auto". `retrieval` is with passages, without, or both. `corpus` is the folder, ""
    for that of the settings.
    """

    questions: tuple[Question, ...]
    rounds: int = 1
    models: tuple[str, ...] = ()
    modes: tuple[Mode | RouteName, ...] = ()
    retrieval: tuple[bool, ...] = (False,)
    question_set: str = ""
    corpus: str = ""
    prices: PriceTable | None = None

    def contenders(self, names: Sequence[str]) -> list[Contender]:
        """List who takes turns, in this order, if these are the models; "-bare" are those without passages of two."""
        between: list[ContenderKind] = ["model"] * (len(names) - 2)
        kinds: list[ContenderKind] = ["small", *between, "large"][: len(names)]
        found = []
        for retrieval in self.retrieval:
            bare = "" if retrieval or len(self.retrieval) == 1 else "-bare"
            for kind, name in zip(kinds, names, strict=True):
                found.append(Contender((name if kind == "model" else kind) + bare, kind, (name,), retrieval, 0))
        for mode in self.modes if len(names) > 1 else ():
            found.append(Contender(mode, mode, (names[0], names[-1]), True in self.retrieval, 0))  # type: ignore[arg-type]
        return found


def planned(
    prompt: str,
    models: str | None,
    rounds: int | None,
    corpus: Path | None,
    questions: str | None,
    retrieval: Sequence[bool] | None,
    modes: Sequence[Mode | RouteName],
    prices: Path | None,
) -> tuple[Plan, Settings]:
    """Plan the comparison on a prompt (COMPARE_PROMPT if it is empty) or a set of questions; raises InputError.

    The models are those named, else those of BENCH_MODELS, else the pair; the rounds, if none are given, those of
    BENCH_ROUNDS if that is set, else 1. A set is asked with and without passages, and of the cascade too.
    """
    if questions and prompt:
        raise InputError("Both a prompt and --questions are given. Leave one out.")
    settings = load(corpus=corpus or (sample_documents() if questions == SAMPLE else None))
    named = [name.strip() for name in (settings.bench_models if models is None else models).split(",")]
    if models is not None and (len(named) < 2 or not all(named) or len({*named}) < len(named)):
        raise InputError(f"--models is {models!r}; it must be two different models, as A,B, or more.")
    asked = read_questions(questions) if questions else (Question("1", prompt or settings.compare_prompt),)
    searched = tuple(retrieval or ((True, False) if questions else (corpus is not None,)))
    plan = Plan(
        asked,
        rounds or (settings.bench_rounds if "bench_rounds" in settings.model_fields_set else 1),
        tuple(dict.fromkeys(filter(None, named))),
        tuple(modes) or (("auto", "refine") if questions else ()),
        searched,
        questions or "",
        str(settings.corpus) if True in searched else "",
        read_prices(prices) if prices else None,
    )
    return plan, settings
