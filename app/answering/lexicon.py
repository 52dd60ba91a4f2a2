"""Cue phrases in ten languages: a text declines to answer, is unsure, or asks for an explanation."""

import functools
import json
import re
from pathlib import Path
from typing import Literal

from app.documents.sentences import sentences

Kind = Literal[
    "abstains",
    "unsure",
    "elaborate",
    "reason",
    "concedes",
    "turn",
    "offers",
    "counts",
    "frame",
    "settles",
    "asks",
    "or",
]

MARK = re.compile(r"(?<!\s)\s*\[(?:\d+(?:\s*,\s*\d+)*|[^\[\]\n]{1,200}\.\w{2,5}(?:[#:,][^\[\]\n]{0,80})?)\]")
"""A citation: the numbers of passages, or the name of a file."""

REASON = 0.2
"""Least length of a reason, as a share of the least length of an explanation."""

FIRST = 500
"""Characters of a first sentence in which a refusal is looked for."""

QUOTED = re.compile(r"[\"“„«»”][^\"“„«»”]{0,300}[\"“”«»]|`[^`]*`")


def bare(draft: str) -> str:
    """Remove the citations from a draft."""
    return MARK.sub("", draft).strip()


def own_words(draft: str) -> str:
    """Remove citations and quotations from a draft: a refusal quoted from a document is not the model's."""
    return QUOTED.sub(" ", bare(draft)).strip()


def abstains(draft: str) -> bool:
    """Whether the first sentence declines to answer.

    Only the first: 28 of 61 good answers of a small model decline something later on, one in its first sentence. And
    not what it merely concedes ("while the passages do not name the price, they ...").
    """
    plain = own_words(draft)
    spans = sentences(plain[:FIRST])
    return bool(spans) and find_phrase(_phrases("concedes").sub("", plain[slice(*spans[0])]), "abstains") is not None


def only_abstains(draft: str) -> bool:
    """Whether the draft declines and then adds nothing but more of that, or an offer ("ask the office")."""
    plain = own_words(draft)
    clauses = [
        clause
        for start, end in sentences(plain)
        for clause in _phrases("turn").split(plain[start:end])
        if len(clause.split()) > 2
    ]
    return abstains(draft) and all(
        clause.rstrip().endswith("?") or find_phrase(clause, "abstains") or find_phrase(clause, "offers")
        for clause in clauses
    )


def asks_for(question: str) -> float:
    """Return how much a question asks for: 1 for an explanation, a list or a how-to, 0 for a fact.

    A reason is between: it can be a single clause ("because of the rain").
    """
    if find_phrase(question.strip(), "elaborate"):
        return 1.0
    return REASON if find_phrase(question, "reason") else 0.0


def find_phrase(text: str, kind: Kind, language: str | None = None) -> str | None:
    """Return the first phrase of a kind in a text, in one or any of the languages; None if it has none."""
    match = _phrases(kind, language).search(text)
    return " ".join(match.group().split())[:80] if match else None


def without(text: str, kind: Kind) -> str:
    """Remove the phrases of a kind from a text."""
    return _phrases(kind).sub("", text)


def phrases(kind: str) -> dict[str, list[str]]:
    """Return the phrases of a kind by language; those of messages are folded as by `router.folded`."""
    return {code: kinds[kind] for code, kinds in _languages().items() if kind in kinds}


@functools.cache
def _languages() -> dict[str, dict[str, list[str]]]:
    languages: dict[str, dict[str, list[str]]]
    languages = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
    return languages


@functools.cache
def _phrases(kind: Kind, language: str | None = None) -> re.Pattern[str]:
    every = [phrase for code, each in phrases(kind).items() if language in (code, None) for phrase in each]
    inner = "|".join(phrase.removeprefix(r"\b") for phrase in every if phrase.startswith(r"\b"))
    other = "".join(f"|{phrase}" for phrase in every if not phrase.startswith(r"\b"))
    return re.compile(rf"\b(?:{inner or '(?!)'}){other}", re.IGNORECASE)  # tried at the starts of words only: faster
