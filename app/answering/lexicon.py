"""Cue phrases in ten languages: a text declines to answer, is unsure, or asks for an explanation.

In `phrases.json`, {texts} and the like stand for the phrases of another kind in the language.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.documents.passages import sentences
from app.retrieval.analysis import function_words

Kind = Literal[
    "abstains",
    "unsure",
    "guesses",
    "opens",
    "elaborate",
    "reason",
    "concedes",
    "caveats",
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

GUESS = 15
"""Words of a guess at most: a longer sentence says more than what it guesses."""

BEFORE_GUESS = 4
"""Words before the word of guessing at most ("The last ferry is probably ..."): further on it concerns a detail."""

_PART = re.compile(r"\{([a-z]+)\}")

QUOTED = re.compile(r"[\"“„«»”][^\"“„«»”]{0,300}[\"“”«»]|`[^`]*`")


def bare(draft: str) -> str:
    """Remove the citations from a draft."""
    return MARK.sub("", draft).strip()


def own_words(draft: str) -> str:
    """Remove citations and quotations from a draft: a refusal quoted from a document is not the model's."""
    return QUOTED.sub(" ", bare(draft)).strip()


def abstains(draft: str) -> bool:
    """Whether the first sentence declines to answer.

    Only the first: 28 of 61 good answers of a small model decline something later on, one in its first sentence.
    """
    return _mainly_declines(_first_sentence(own_words(draft)))


def declines(text: str) -> bool:
    """Whether a text has a phrase that declines, in a language that its function words allow."""
    counts = function_words(text)
    least = max(counts.values(), default=0) - 1
    return any(find_phrase(text, "abstains", code) for code in phrases("abstains") if counts.get(code, 0) >= least)


def only_abstains(draft: str) -> bool:
    """Whether the draft declines or is not sure, and adds nothing but more of that, or an offer ("ask the office")."""
    plain = own_words(draft)
    first = _first_sentence(plain)
    clauses = [
        clause
        for start, end in sentences(plain)
        for clause in _phrases("turn").split(plain[start:end].lower())
        if len(clause.split()) > 2
    ]
    return (_mainly_declines(first) or find_phrase(first, "unsure") is not None) and all(
        clause.rstrip().endswith("?")
        or find_phrase(clause, "unsure")
        or find_phrase(clause, "offers")
        or declines(clause)
        for clause in clauses
    )


def doubt(draft: str, evidence: str) -> str | None:
    """Return the words by which a draft says that it is not sure, or that it guesses; None if it does neither.

    A guess is a short first sentence that begins like one ("Probably six, though ..."). A word of guessing that the
    evidence has, too, is a statement of the documents.
    """
    plain = own_words(draft)
    if phrase := find_phrase(plain, "unsure"):
        return phrase
    first = _first_sentence(plain)
    claim = _phrases("caveats").split(first.lower())[0]
    guess = _phrases("guesses").search(claim)
    if guess is None or len(claim.split()) > GUESS or len(claim[: guess.start()].split()) > BEFORE_GUESS:
        return None
    return None if guess.group() in evidence.lower() else first[slice(*guess.span())]


def asks_for(question: str) -> float:
    """Return how much a question asks for: 1 for an explanation, a list or a how-to, 0 for a fact.

    A reason is between: it can be a single clause ("because of the rain").
    """
    if find_phrase(question.strip(), "elaborate"):
        return 1.0
    return REASON if find_phrase(question, "reason") else 0.0


def find_phrase(text: str, kind: Kind, language: str | None = None) -> str | None:
    """Return the first phrase of a kind in a text, in one or any of the languages; None if it has none."""
    match = _phrases(kind, language).search(text.lower())
    return " ".join(text[slice(*match.span())].split())[:80] if match else None


def without(text: str, kind: Kind) -> str:
    """Remove the phrases of a kind from a text."""
    spans = [match.span() for match in _phrases(kind).finditer(text.lower())]
    ends, starts = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def phrases(kind: str) -> dict[str, list[str]]:
    """Return the phrases of a kind by language; those of messages are folded as by `router.folded`."""
    return {code: kinds[kind] for code, kinds in _languages().items() if kind in kinds}


@functools.cache
def _languages() -> dict[str, dict[str, list[str]]]:
    languages: dict[str, dict[str, list[str]]]
    languages = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
    return languages


def _first_sentence(text: str) -> str:
    """Return the first sentence that is no question, which a draft may repeat before it answers."""
    found = [text[start:end] for start, end in sentences(text[:FIRST])]
    return next((sentence for sentence in found if not sentence.endswith("?")), found[0] if found else "")


def _mainly_declines(sentence: str) -> bool:
    """Whether a sentence declines in what it mainly says.

    Not in what it concedes ("while the passages do not name the price, they ..."), nor in a caveat after a statement
    ("40 euros, though the passages do not say ..."). What opens a refusal is no statement ("I am sorry, but ...", "the
    text mentions a fee, but ..."); it may be the subject of what follows.
    """
    opening = ""
    for clause in _phrases("caveats").split(without(sentence.lower(), "concedes")):
        if declines(f"{opening} {clause.strip()}".strip()):
            return True
        start = _phrases("opens").match(clause)
        if clause.strip() and (start is None or (len(clause.split()) > 2 and find_phrase(clause, "guesses"))):
            return False
        opening = start.group() if start else opening
    return False


def _spelled_out(language: Mapping[str, list[str]], phrase: str) -> str:
    """Replace {texts} and the like by the phrases of that kind."""
    return _PART.sub(lambda part: f"(?:{'|'.join(_spelled_out(language, each) for each in language[part[1]])})", phrase)


@functools.cache
def _phrases(kind: Kind, language: str | None = None) -> re.Pattern[str]:
    languages = [each for code, each in _languages().items() if language in (code, None)]
    every = [_spelled_out(each, phrase) for each in languages for phrase in each.get(kind, ())]
    inner = "|".join(phrase.removeprefix(r"\b") for phrase in every if phrase.startswith(r"\b"))
    other = "".join(f"|{phrase}" for phrase in every if not phrase.startswith(r"\b"))
    # Tried at the starts of words only, and on texts in lower case: ignoring the case would take four times as long.
    return re.compile(rf"\b(?:{inner or '(?!)'}){other}")
