"""The decision whether a draft stands: a pure function of the question, the evidence and the draft.

It knows no model, no clock and no memory. What it cannot see: an answer that is wrong but worded like the passages, and
errors of arithmetic.
"""

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.documents.sentences import sentences
from app.retrieval.packing import Evidence

Code = Literal[
    "empty", "cut_off", "error", "abstained", "short", "unsupported", "repeated", "unsure", "requested", "routed"
]

QUOTED = re.compile(r"[\"“„«»”][^\"“„«»”]{0,300}[\"“”«»]|`[^`]*`")
MARK = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
OPEN_END = re.compile(r"[,;:(\[–—-]$")
"""A text that ends in one of these goes on: no language closes a sentence with it."""

SHORT_OF_CUTTING = 8
"""Words below which a draft is never called cut off: short answers often lack a full stop (notes, "Cutting")."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to escalate: a code where it is so (None: the draft stands) and a sentence for the reader."""

    code: Code | None
    why: str
    score: float = 0.0

    @property
    def escalate(self) -> bool:
        return self.code is not None


THRESHOLD = 0.5


def opening(draft: str) -> "Decision | None":
    if len(sentences(draft)) > 1 and abstains(draft):
        return Decision("abstained", "The draft does not answer.")
    return None


STANDS = Decision(None, "The draft stands.")


def decide(
    question: str,
    evidence: Sequence[Evidence],
    draft: str,
    finish: str,
    *,
    confidence: str | None = None,
    short_chars: int = 150,
    threshold: float = 0.5,
) -> Decision:
    """Judge a draft; `finish` as the server gave it, `confidence` the model's own word ("low" counts, "high" does not).

    `short_chars` applies only where a list, an explanation or a how-to was asked for: a factoid's answer is short.
    """
    text = MARK.sub("", draft).strip()
    if not text:
        return Decision("empty", "The draft was empty.")
    if finish == "length":
        return Decision("cut_off", "The draft was cut off at its longest allowed length.")
    if len(text.split()) >= SHORT_OF_CUTTING and OPEN_END.search(text):
        return Decision("cut_off", "The draft ends in the middle of a sentence.")
    if confidence == "low":
        return Decision("unsure", "The small model called its confidence low.")
    plain = QUOTED.sub(" ", text)
    if said := _first(plain, "unsure"):
        return Decision("unsure", f"The small model wrote “{said}”.")
    if evidence and abstains(draft):
        return Decision("abstained", f"The draft does not answer, although {_passages(len(evidence))} found.")
    if len(text) < short_chars and asks_for_more(question):
        what = f"The draft has {len(text)} characters, and an explanation, a list or a how-to was asked for"
        return Decision("short", f"{what} (fewer than {short_chars} count as short).")
    return STANDS


def abstains(draft: str) -> bool:
    """Whether the first sentence declines to answer.

    Only the first: 28 of 61 good answers of a small model decline something later on, one in its first sentence.
    """
    plain = QUOTED.sub(" ", MARK.sub("", draft)).strip()
    spans = sentences(plain)
    return bool(spans) and _first(plain[slice(*spans[0])], "abstains") is not None


def asks_for_more(question: str) -> bool:
    """Whether a list, an explanation or a how-to is asked for, so that a few words cannot be the whole answer."""
    return _first(question.strip(), "elaborate") is not None


def _first(text: str, kind: str) -> str | None:
    """What the first matching phrase of the kind says in the text, in any language."""
    found = _phrases(kind).search(text)
    return " ".join(found.group().split())[:80] if found else None


@functools.cache
def _phrases(kind: str) -> re.Pattern[str]:
    languages = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
    return re.compile("|".join(f"(?:{phrase})" for each in languages.values() for phrase in each[kind]), re.IGNORECASE)


def _passages(count: int) -> str:
    return "one passage was" if count == 1 else f"{count} passages were"
