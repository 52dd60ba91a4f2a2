"""What a comparison asks of whom, the prices of tokens, and the file with which an interrupted comparison goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.answering.turn import Mode
from app.answering.usage import Price, Prices
from app.errors import InputError
from app.evaluation.datasets import SAMPLE, Question, parse_object, read_questions, sample_documents
from app.evaluation.results import VERSION, Contender, ContenderKind, MeasuredAnswer, MeasuredModel, from_json
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

    def contenders(self, names: Sequence[str]) -> Iterator[Contender]:
        """Yield who takes turns, in this order, if these are the models; "-bare" are those without passages of two."""
        between: list[ContenderKind] = ["model"] * (len(names) - 2)
        kinds: list[ContenderKind] = ["small", *between, "large"][: len(names)]
        for retrieval in self.retrieval:
            bare = "" if retrieval or len(self.retrieval) == 1 else "-bare"
            for kind, name in zip(kinds, names, strict=True):
                yield Contender((name if kind == "model" else kind) + bare, kind, (name,), retrieval, 0)
        for mode in self.modes if len(names) > 1 else ():
            yield Contender(mode, mode, (names[0], names[-1]), True in self.retrieval, 0)  # type: ignore[arg-type]


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


FOLDER = "comparisons"
"""The folder of the state folder in which runs are kept."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a file of a run holds: its plan, when it began, and what was measured, without answers that failed."""

    plan: Plan
    began: str
    models: tuple[MeasuredModel, ...]
    answers: tuple[MeasuredAnswer, ...]


class RunFile:
    """A file of JSON lines: the plan, and whatever is measured; the methods block.

    A row that cannot be written waits, and is written with the next one for which the disk has room.
    """

    def __init__(self, path: Path, *rows: Mapping[str, Any]) -> None:
        self.path = path
        self._waiting: list[Mapping[str, Any]] = [*rows]

    def append(self, kind: str, record: Any) -> None:
        """Add a record, "model" or "answer"; raises OSError, after which the file ends with a whole row."""
        self._waiting.append({kind: asdict(record)})
        self.flush()

    def flush(self) -> None:
        """Write what waits; raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            whole = file.tell()
            try:
                rows = (json.dumps(row, ensure_ascii=False) + "\n" for row in self._waiting)
                file.write("".join(rows).encode())
                file.flush()
            except OSError:
                file.truncate(whole)
                raise
        self._waiting.clear()

    @property
    def lost(self) -> int:
        """How many records are not in the file."""
        return len(self._waiting)


def read_run(path: Path) -> Done:
    """Read what a run has done, without a last row that was cut off; raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        folder = load().state_dir / FOLDER
        latest = max(folder.glob("*.jsonl"), default=None)
        or_else = f"The latest run of the state folder is {latest}" if latest else f"{folder} has no run either"
        raise InputError(f"{path} could not be read: {error}. Give a file that --run named. {or_else}.") from error
    head, *rows = [parse_object(line) or {} for line in text.split("\n") if line.strip()] or [{}]
    if "plan" not in head:
        raise InputError(f"{path} holds no comparison that could go on. Give a file that escalator compare wrote.")
    from_json(dict, head)  # refuses a later version
    models = {row["model"].get("name"): row["model"] for row in rows if "model" in row}
    answers = [from_json(MeasuredAnswer, row["answer"]) for row in rows if "answer" in row]
    kept = {answer.key: answer for answer in answers if not answer.error}
    known = tuple(from_json(MeasuredModel, model) for model in models.values())
    plan = from_json(Plan, head["plan"])
    if len(known) > 1 and not plan.models:  # the pair may be another one now; one name alone is half of a pair
        plan = replace(plan, models=tuple(model.name for model in known))
    return Done(plan, str(head.get("began", "")), known, tuple(kept.values()))


def resumed(path: Path) -> RunFile:
    """Open a file to go on with, without a last row that was cut off; raises OSError."""
    before, end, last = path.read_bytes().rpartition(b"\n")
    if last:
        whole = parse_object(last.decode("utf-8", errors="replace")) is not None
        path.write_bytes(before + end + (last + b"\n" if whole else b""))
    return RunFile(path)


def begun(settings: Settings, plan: Plan, path: Path | None) -> RunFile | None:
    """Return a new file for a run, in the state folder if no path is given; raises InputError.

    None if nothing is to be kept (ESCALATOR_HISTORY). A file of the state folder is made with its first row.
    """
    now = datetime.now(UTC)
    head = {"version": VERSION, "began": now.isoformat(timespec="seconds"), "plan": asdict(plan)}
    if path is None:
        name = f"{now:%Y%m%d-%H%M%S-%f}.jsonl"
        return RunFile(settings.state_dir / FOLDER / name, head) if settings.history else None
    if path.exists():
        raise InputError(f"{path} is there already. Go on with it (--resume {path}), or name another file.")
    file = RunFile(path, head)
    try:
        file.flush()
    except OSError as error:
        raise InputError(f"{path} could not be written: {error}. Give another file.") from error
    return file
