"""The evaluation of the decision to escalate: how well it separates bad answers from good ones, labelled by people."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from app.answering.escalation import THRESHOLD, decide
from app.answering.turn import Decision
from app.documents.language import detect
from app.documents.passages import Place
from app.errors import InputError
from app.evaluation.datasets import Row, are_texts, read_rows, write_rows
from app.retrieval.packing import Evidence
from benchmarks.separation import separation

BY_ITSELF = {"nomiracl"}
"""Sets left out of the means: their answers are decisions between yes and no."""

MARKED = {"mushroom"}
"""Sets whose rows say whether the evidence contains the page behind the labels; rows without that page do not count."""

FIELDS = ("id", "qid", "set", "answer", "label")

Judged = tuple[Row, Decision]


def evaluate(
    file: Path, watch: Callable[[Sequence[Row]], Iterator[Row]] = iter, scores: Path | None = None
) -> dict[str, Any]:
    """Decide on every answer of a file of JSON lines, and return AUROC and recall at 20 % of each set with their means.

    `watch` passes the answers on, so that the caller can show the progress. The score of every answer is written to
    `scores`. In a set some of whose answers have passages, no passages means that nothing was found; in other sets it
    means that nobody knows what was found. Raises InputError.
    """
    answers = _answers(file)
    grounded = {row["set"] for row in answers if row.get("context")}
    judged = []
    for row in watch(answers):
        passages = evidence(row.get("context") or []) if row["set"] in grounded else None
        judged.append((row, decide(row.get("question") or "", passages, row["answer"], row.get("finish") or "stop")))
    if scores is not None:
        write_rows(scores, ({"id": row["id"], "score": decision.score} for row, decision in judged))
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


def _answers(file: Path) -> list[Row]:
    def valid(row: Row) -> bool:
        return are_texts([row.get(field) for field in FIELDS]) and are_texts(row.get("context", []))

    problem = f"is no answer: it needs the texts {', '.join(FIELDS)}, and “context”, if any, is a list of texts."
    answers = [row for _, row in read_rows(file, valid, problem)]
    if not answers:
        raise InputError(f"{file} has no rows. Give a file with an answer in every line.")
    return answers


def _figures(items: Sequence[Judged]) -> dict[str, Any]:
    bad = [row["label"] != "good" for row, _ in items]
    codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (_, decision), wrong in zip(items, bad, strict=True):
        codes[decision.code or "stands"]["bad" if wrong else "good"] += 1
    figures = separation([row["qid"] for row, _ in items], bad, [decision.score for _, decision in items])
    counts = {code: dict(counts) for code, counts in sorted(codes.items())}
    return {"rows": len(items), "bad": sum(bad), **figures, "codes": counts}


def evidence(context: Sequence[str]) -> tuple[Evidence, ...]:
    """Turn the passages that came with an answer into evidence."""
    place = Place("line", "line 1", 1)
    return tuple(
        Evidence(number, f"passage {number}", "", place, 0, len(text), text, detect(text))
        for number, text in enumerate(context, 1)
    )


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    rows = result["sets"] | {f"mean {group}": means for group, means in result["macro"].items()}
    for name, row in rows.items():
        yield f"{name:18} AUROC {row.get('auroc')}  recall@20 {row.get('recall@20')}"
