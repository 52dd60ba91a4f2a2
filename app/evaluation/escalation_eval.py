"""How well the decision to escalate tells bad answers from good ones, on answers whose worth is known."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from app.answering.escalation import THRESHOLD, Decision, decide
from app.documents.language import detect
from app.documents.passages import Place
from app.errors import InputError
from app.evaluation import rows
from app.evaluation.figures import auroc, caught, interval
from app.evaluation.rows import Row
from app.retrieval.packing import Evidence

BY_ITSELF = {"nomiracl"}
"""Sets left out of the means: their answers are decisions between yes and no."""

MARKED = {"mushroom"}
"""Sets whose rows tell whether the evidence holds the page that the labels rest on; only where it does they count."""

FIELDS = ("id", "qid", "set", "answer", "label")

Judged = tuple[Row, Decision]


def read(file: Path) -> list[Row]:
    """The rows of a file of JSON lines, gzipped or not; raises InputError."""

    def valid(row: Row) -> bool:
        return rows.texts([row.get(field) for field in FIELDS]) and rows.texts(row.get("context", []))

    lack = f"is no answer: it needs the texts {', '.join(FIELDS)}, and “context”, if any, is a list of texts."
    found = [row for _, row in rows.read(file, valid, lack)]
    if not found:
        raise InputError(f"{file} has no rows. Give a file with an answer in every line.")
    return found


def grounded(answers: Iterable[Row]) -> set[str]:
    """The sets that have passages with at least one of their answers."""
    return {row["set"] for row in answers if row.get("context")}


def judge(answers: Iterable[Row], grounded: set[str]) -> Iterator[Judged]:
    """Decide about every answer; in the `grounded` sets no context means that nothing was found, elsewhere that nobody
    knows what was."""
    for row in answers:
        evidence = given(row.get("context") or []) if row["set"] in grounded else None
        yield row, decide(row.get("question") or "", evidence, row["answer"], row.get("finish") or "stop")


def figures(judged: Iterable[Judged], grounded: set[str]) -> dict[str, Any]:
    """AUROC and recall at 20 % of each set, with 95 % intervals by question, and their means over the sets."""
    by_set: defaultdict[str, list[Judged]] = defaultdict(list)
    for row, decision in judged:
        if row["set"] not in MARKED or row.get("gold_page_retrieved") is True:
            by_set[row["set"]].append((row, decision))
    sets = {name: _figures(items) for name, items in sorted(by_set.items())}
    names = {name for name in sets if name not in BY_ITSELF and "auroc" in sets[name]}
    groups = {"evidence": names & grounded, "answer_only": names - grounded, "all": names}

    def mean(names: set[str], key: str) -> float | None:
        return round(fmean(sets[name][key] for name in names), 4) if names else None

    macro = {group: {key: mean(own, key) for key in ("auroc", "recall@20")} for group, own in groups.items()}
    return {"macro": macro, "sets": sets, "threshold": THRESHOLD}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The figures for a person."""
    found = result["sets"] | {f"mean {group}": each for group, each in result["macro"].items()}
    for name, each in found.items():
        yield f"{name:18} AUROC {each.get('auroc')}  recall@20 {each.get('recall@20')}"


def _figures(items: Sequence[Judged]) -> dict[str, Any]:
    bad = [row["label"] != "good" for row, _ in items]
    score = [decision.score for _, decision in items]
    codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (_, decision), wrong in zip(items, bad, strict=True):
        codes[decision.code or "stands"]["bad" if wrong else "good"] += 1
    found: dict[str, Any] = {"rows": len(items), "bad": sum(bad)}
    if 0 < sum(bad) < len(bad):
        hit, wasted = caught(bad, score)
        found |= {"auroc": round(auroc(bad, score), 4), "recall@20": round(hit / sum(bad), 4)}
        found |= {"wasted@20": round(wasted, 1)} | interval([row["qid"] for row, _ in items], bad, score)
    return found | {"codes": {code: dict(counts) for code, counts in sorted(codes.items())}}


def given(context: Sequence[str]) -> tuple[Evidence, ...]:
    """The passages that came with an answer."""
    place = Place("line", "line 1", 1)
    return tuple(
        Evidence(number, f"passage {number}", "", place, 0, len(text), text, detect(text))
        for number, text in enumerate(context, 1)
    )
