"""How well the decision to escalate tells bad answers from good ones, on answers whose worth is known."""

import gzip
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from app.answering.escalation import THRESHOLD, Decision, decide
from app.documents.language import detect
from app.documents.pages import Place
from app.errors import InputError
from app.evaluation.metrics import auroc, caught, interval
from app.retrieval.packing import Evidence

BY_ITSELF = {"nomiracl"}
"""Sets left out of the means: their answers are decisions between yes and no."""

MARKED = {"mushroom"}
"""Sets whose rows tell whether the evidence holds the page that the labels rest on; only where it does they count."""

FIELDS = ("id", "qid", "set", "answer", "label")


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer of a data set and what is decided about it; `counts` where its evidence is what it should be."""

    id: str
    qid: str
    set: str
    bad: bool
    counts: bool
    decision: Decision


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, gzipped or not; raises InputError."""
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} could not be read: {error}. Give a file of JSON lines in UTF-8, or one gzipped."
        ) from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not all(isinstance(row.get(field), str) for field in FIELDS):
            raise InputError(f"Line {number} of {file} is no answer: it needs the texts {', '.join(FIELDS)}.")
        if not isinstance(row.get("context", []), list) or not all(isinstance(p, str) for p in row.get("context", [])):
            raise InputError(f"Line {number} of {file} has a “context” that is no list of texts.")
        rows.append(row)
    if not rows:
        raise InputError(f"{file} has no rows. Give a file with an answer in every line.")
    return rows


def judge(rows: Iterable[Mapping[str, Any]], grounded: set[str]) -> Iterable[Judged]:
    """Decide about every answer; in the `grounded` sets no context means that nothing was found, elsewhere that nobody
    knows what was."""
    for row in rows:
        evidence = _evidence(row.get("context") or []) if row["set"] in grounded else None
        decision = decide(row.get("question") or "", evidence, row["answer"], row.get("finish") or "stop")
        yield Judged(row["id"], row["qid"], row["set"], row["label"] != "good", _counts(row), decision)


def _counts(row: Mapping[str, Any]) -> bool:
    """Whether the evidence holds the page that the answer is judged by, where a set says so."""
    return row["set"] not in MARKED or row.get("gold_page_retrieved") is True


def grounded(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The sets that have passages with at least one of their answers."""
    return {row["set"] for row in rows if row.get("context")}


def figures(judged: Iterable[Judged], with_evidence: set[str]) -> dict[str, Any]:
    """AUROC and recall at 20 % of each set, with 95 % intervals by question, and their means over the sets."""
    by_set: defaultdict[str, list[Judged]] = defaultdict(list)
    for item in judged:
        if item.counts:
            by_set[item.set].append(item)
    sets = {name: _figures(items) for name, items in sorted(by_set.items())}
    names = [name for name in sets if name not in BY_ITSELF and "auroc" in sets[name]]
    groups = {
        "evidence": [sets[name] for name in names if name in with_evidence],
        "answer_only": [sets[name] for name in names if name not in with_evidence],
        "all": [sets[name] for name in names],
    }
    macro = {group: {key: _mean(found, key) for key in ("auroc", "recall@20")} for group, found in groups.items()}
    return {"macro": macro, "sets": sets, "threshold": THRESHOLD}


def write_scores(file: Path, judged: Iterable[Judged]) -> None:
    """One line of JSON for each answer, with its id and its score; raises InputError."""
    lines = (json.dumps({"id": item.id, "score": item.decision.score}) + "\n" for item in judged)
    try:
        file.write_text("".join(lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{file} could not be written: {error}. Give another file for the scores.") from error


def _figures(items: Sequence[Judged]) -> dict[str, Any]:
    bad = [item.bad for item in items]
    score = [item.decision.score for item in items]
    codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        codes[item.decision.code or "stands"]["bad" if item.bad else "good"] += 1
    found: dict[str, Any] = {"rows": len(items), "bad": sum(bad)}
    if 0 < sum(bad) < len(bad):
        hit, wasted = caught(bad, score)
        found |= {"auroc": round(auroc(bad, score), 4), "recall@20": round(hit / sum(bad), 4)}
        found |= {"wasted@20": round(wasted, 1)} | interval([item.qid for item in items], bad, score)
    return found | {"codes": {code: dict(counts) for code, counts in sorted(codes.items())}}


def _mean(sets: Sequence[Mapping[str, Any]], key: str) -> float | None:
    return round(fmean(each[key] for each in sets), 4) if sets else None


def _evidence(context: Sequence[str]) -> tuple[Evidence, ...]:
    place = Place("line", "line 1", 1)
    return tuple(
        Evidence(number, f"passage {number}", "", place, 0, len(text), text, detect(text))
        for number, text in enumerate(context, 1)
    )
