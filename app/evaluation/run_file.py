"""The file in which every answer of a comparison is kept at once, so that it goes on after an interruption."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.errors import InputError
from app.evaluation.datasets import parse_object
from app.evaluation.plan import Plan
from app.evaluation.results import VERSION, MeasuredAnswer, MeasuredModel, from_json
from app.settings import Settings, load

FOLDER = "comparisons"
"""The folder of the state folder in which runs are kept."""

ANOTHER = "{file} holds no comparison that could go on. Give a file that escalator compare wrote."


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
        self._waiting = [_line(row) for row in rows]

    def append(self, kind: str, record: Any) -> None:
        """Add a record, "model" or "answer"; raises OSError, after which the file ends with a whole row."""
        self._waiting.append(_line({kind: asdict(record)}))
        self.flush()

    def flush(self) -> None:
        """Write what waits; raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            whole = file.tell()
            try:
                file.write("".join(self._waiting).encode())
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
        raise InputError(ANOTHER.format(file=path))
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


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
