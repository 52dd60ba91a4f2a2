"""The evaluation of the decision to escalate: how well it separates bad answers from good ones, labelled by people."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.answering.escalation import THRESHOLD
from app.answering.turn import Decision
from app.answering.verification import CheckedAnswer
from app.evaluation.datasets import Row, write_rows
from app.evaluation.threshold import decided
from benchmarks.judged import read
from benchmarks.separation import mean_separation, separation

BY_ITSELF = {"nomiracl"}
"""Sets left out of the means: their answers are decisions between yes and no."""

MARKED = {"mushroom"}
"""Sets whose rows say whether the evidence contains the page behind the labels; rows without that page do not count."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with the decision on it; `checked` is None where nobody knows the evidence."""

    row: Row
    checked: CheckedAnswer | None
    decision: Decision

    @property
    def bad(self) -> bool:
        """Whether people called it bad."""
        return bool(self.row["label"] != "good")


Sets = Mapping[str, Sequence[Judged]]
Scores = Mapping[str, Sequence[float]]
"""The scores of the answers of each set."""


def evaluate(
    sources: Sequence[Path],
    watch: Callable[[Sequence[Row]], Iterator[Row]] = iter,
    scores: Path | None = None,
    leave_out: Callable[[Sets], Scores] | None = None,
) -> dict[str, Any]:
    """Decide on every answer of some sources, and return AUROC and recall at 20 % of each set with their means.

    `watch` passes the answers on, so that the caller can show the progress. The score of every answer is written to
    `scores`. In a set some of whose answers have passages, no passages means that nothing was found; in other sets it
    means that nobody knows what was found. `leave_out` gives the scores of each set by constants chosen without it.
    Raises InputError.
    """
    answers = [row for source in sources for row in read(source)]
    grounded = {row["set"] for row in answers if row.get("context")}
    sets: defaultdict[str, list[Judged]] = defaultdict(list)
    written = []
    for row in watch(answers):
        each = _judged(row, grounded=row["set"] in grounded)
        written.append({"id": row["id"], "score": each.decision.score})
        if row["set"] not in MARKED or row.get("gold_page_retrieved") is True:
            sets[row["set"]].append(each)
    if scores is not None:
        write_rows(scores, written)
    result = _figures(sets, {name: [each.decision.score for each in items] for name, items in sets.items()}, grounded)
    for name, items in sets.items():
        result["sets"][name] |= _decisions(items)
    if leave_out is not None:
        named = {name: items for name, items in sets.items() if name not in BY_ITSELF and _two_kinds(items)}
        result["left_out"] = _figures(named, leave_out(named), grounded)
    return result | {"threshold": THRESHOLD}


def _judged(row: Row, *, grounded: bool) -> Judged:
    decision, checked = decided(row, grounded=grounded)
    return Judged(row, checked, decision)


def _two_kinds(items: Sequence[Judged]) -> bool:
    return 0 < sum(each.bad for each in items) < len(items)


def _figures(sets: Sets, scores: Scores, grounded: set[str]) -> dict[str, Any]:
    """Compute the figures of each set, and their means over the sets with evidence, without, and all."""
    labelled = {
        name: ([each.row["qid"] for each in items], [each.bad for each in items], scores[name])
        for name, items in sorted(sets.items())
    }
    names = {name for name in sets if name not in BY_ITSELF and _two_kinds(sets[name])}
    groups = {"evidence": names & grounded, "answer_only": names - grounded, "all": names}
    return {
        "macro": {group: mean_separation([labelled[name] for name in sorted(own)]) for group, own in groups.items()},
        "sets": {name: separation(*each) for name, each in labelled.items()},
    }


def _decisions(items: Sequence[Judged]) -> dict[str, Any]:
    """Count the answers, the bad ones, and the decisions; `flagged` are the shares that are escalated."""
    codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    flagged: dict[str, list[bool]] = {"good": [], "bad": []}
    for each in items:
        kind = "bad" if each.bad else "good"
        codes[each.decision.code or "stands"][kind] += 1
        flagged[kind].append(each.decision.escalate)
    return {
        "rows": len(items),
        "bad": len(flagged["bad"]),
        "flagged": {kind: round(sum(each) / len(each), 4) for kind, each in flagged.items() if each},
        "codes": {code: dict(counts) for code, counts in sorted(codes.items())},
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for title, part in (("", result), ("constants chosen without the set", result.get("left_out"))):
        if part is None:
            continue
        yield from [title] if title else []
        rows = part["sets"] | {f"mean {group}": means for group, means in part["macro"].items()}
        for name, row in rows.items():
            flagged = "".join(f"  {kind} escalated {share:.1%}" for kind, share in row.get("flagged", {}).items())
            yield f"{name:24} AUROC {row.get('auroc')}  recall@20 {row.get('recall@20')}{flagged}"
