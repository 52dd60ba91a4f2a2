"""How good an answer is: the expected facts that it states, and whether it declines where there is no answer.

A statement is found by its wording. It may stand in a sentence that is wrong otherwise, which only a reader sees.
"""

import re
import unicodedata

from app.answering.lexicon import abstains, bare
from app.evaluation.question_set import Question

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | dict.fromkeys("*_`", None) | {"’": "'"})


def facts_found(question: Question, text: str) -> tuple[int, ...]:
    """Return the positions of the expected facts that a text states, each in any of its spellings."""
    plain = _plain(bare(text))
    return tuple(n for n, spellings in enumerate(question.facts) if any(_states(plain, each) for each in spellings))


def score(question: Question, text: str, *, abstained: bool) -> float | None:
    """Return the share of the expected facts, or whether it rightly declined; None where nothing is expected."""
    if question.answerable is False:
        return float(abstained)
    return len(facts_found(question, text)) / len(question.facts) if question.facts else None


def is_abstention(text: str) -> bool:
    """Return whether a model's answer declines; one without words says nothing, which is no abstention."""
    return bool(text.strip()) and abstains(text)


def _states(text: str, spelling: str) -> bool:
    """Whether a text has these words, and not as parts of others: "12" neither in "112" nor in "12.5"."""
    wanted = re.escape(_plain(spelling))
    return re.search(rf"(?<!\w)(?<!\d[.,]){wanted}(?!\w)(?![.,]\d)", text) is not None


def _plain(text: str) -> str:
    """Fold case, kinds of blanks and dashes, and drop the marks of Markdown."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_DASHES).casefold().split())
