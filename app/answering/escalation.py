"""The decision whether to escalate a draft: a pure function of the question, the evidence and the draft.

It knows no model, no clock and no memory. It cannot detect an answer that is wrong but worded like the passages, nor
errors of arithmetic.
"""

from collections.abc import Sequence
from math import log1p
from textwrap import shorten

from app.answering.alignment import words
from app.answering.features import Support, breaks_off, loops, repeats, support
from app.answering.lexicon import abstains, asks_for, bare, find_phrase, only_abstains, own_words
from app.answering.turn import Code, Decision
from app.answering.verification import CheckedAnswer, check
from app.documents.sentences import sentences
from app.retrieval.packing import Evidence

THRESHOLD = 0.5
"""The soft score from which a draft counts as unsupported, unless a corpus has its own threshold."""

PRIOR_SHARE = 0.4
"""Unsupported share assumed before anything is measured (a prior)."""

PRIOR_WORDS = 8
"""The prior counts like this many words, so short drafts are judged mildly."""

PER_CLAIM = 0.03
"""Factor for unsupported names and numbers, by the logarithm of one plus their number."""

HARD = {"empty": 1.0, "cut_off": 0.99, "repeated": 0.98, "short": 0.96, "unsure": 0.92}
"""Scores of the hard reasons, in the order of their measured precision where that is known."""

REFUSAL_SCORE = 0.35
"""The least soft score of a refusal, from 0 to 1: of the refusals in docs/escalation-evaluation.md 45 % were wrong, and
nothing in the text shows which."""

LIMIT = 0.9
"""The highest soft score, and the score of an answer for which nothing was found."""

LONGEST_QUOTE = 80
"""Characters of a draft that a reason quotes at most."""


def decide(
    question: str,
    evidence: Sequence[Evidence] | None,
    draft: str,
    finish: str,
    *,
    checked: CheckedAnswer | None = None,
    confidence: str | None = None,
    short_chars: int = 150,
    threshold: float = THRESHOLD,
) -> Decision:
    """Decide on a draft; `finish` is the server's, `confidence` the model's own word ("low" counts, "high" does not).

    Empty evidence means that nothing was found, None that the evidence is unknown. `short_chars` applies to questions
    for a list, an explanation or a how-to, a fifth of it to those for a reason: the answer to a factoid is short.
    `threshold` limits the soft score alone. `checked` is the draft checked against the evidence, if that has been done.
    """
    text = bare(draft)
    if not text:
        return _hard("empty", "The draft was empty.")
    if evidence is not None and not evidence:
        return _without_evidence(draft)
    if finish == "length":
        return _hard("cut_off", "The draft was cut off at its longest allowed length.")
    if repeats(text):
        return _hard("repeated", "The draft repeats itself.")
    if confidence == "low":
        return _hard("unsure", "The small model called its confidence low.")
    if phrase := find_phrase(own_words(text), "unsure"):
        return _hard("unsure", f"The small model wrote “{phrase}”.")
    refuses = abstains(draft)
    if not refuses and len(text) < (least := asks_for(question) * short_chars):
        why = f"The draft has {len(text)} characters; fewer than {least:.0f} are short for this question."
        return _hard("short", why)
    measured = support(question, evidence, draft)
    score = _soft(measured)
    if refuses:
        why = "The draft does not answer, although passages were found." if evidence else "The draft does not answer."
        return Decision("abstained", why, max(REFUSAL_SCORE, score))
    if breaks_off(draft):
        return Decision("cut_off", "The draft ends in the middle of a sentence.", score)
    if evidence is not None and (found := _objection(question, checked or check(draft, evidence))):
        return Decision("unsupported", found, score)
    if score >= threshold:
        return Decision("unsupported", _why(measured), score)
    return Decision(None, "The draft is good enough; the large model is not asked.", score)


def early_reason(draft: str, *, has_passages: bool = True) -> Decision | None:
    """Return a reason to stop the draft already while it streams, if there is one: it repeats itself or declines.

    Declining is no reason without passages: `decide` keeps such a refusal, so it must be complete.
    """
    if loops(draft):
        return _hard("repeated", "The draft repeats itself.")
    begun = sentences(own_words(draft[:1_000]))
    if has_passages and len(begun) > 1 and abstains(draft[:1_000]):
        return Decision("abstained", "The draft begins by saying that it cannot answer.", REFUSAL_SCORE)
    return None


def _without_evidence(draft: str) -> Decision:
    """Decide on a draft for which nothing was found: a refusal is right, and a larger model would know no better."""
    if only_abstains(draft):
        return Decision(None, "Nothing was found in the documents, and the draft says so.")
    return Decision(None, "Nothing was found in the documents: this answer does not come from them.", LIMIT)


def _objection(question: str, checked: CheckedAnswer) -> str | None:
    """Say what is wrong with the statements of a draft, or None: a wrong number or name, or more than half unfounded.

    What the question says is not wrong: an answer may take it up ("No, it does not cost 290.").
    """
    asked = set(words(question))
    for sentence in checked.sentences:
        if wrong := [each for each in sentence.verdict.wrong if not asked.issuperset(words(each))]:
            marks = " or ".join(f"[{number}]" for number in sentence.numbers)
            return f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not in {marks or 'your documents'}."
    count, unfounded = len(checked.stating), checked.unfounded
    if 2 * len(unfounded) <= count:
        return None
    if count == 1:
        return f"“{shorten(unfounded[0].bare, LONGEST_QUOTE, placeholder=' …')}” is not in your documents."
    part = "None of its" if len(unfounded) == count else f"{len(unfounded)} of its"
    verb = "is" if len(unfounded) == count else "are not"
    return f"{part} {count} statements {verb} in your documents."


def _hard(code: Code, why: str) -> Decision:
    return Decision(code, why, HARD[code])


def _soft(measured: Support) -> float:
    """Return the unsupported share, averaged with the prior share, plus an addition for claims."""
    score = PER_CLAIM * log1p(measured.claims)
    if measured.wording is not None:
        score += (measured.wording * measured.words + PRIOR_SHARE * PRIOR_WORDS) / (measured.words + PRIOR_WORDS)
    return min(LIMIT, score)


def _why(measured: Support) -> str:
    reasons = []
    if measured.wording is not None:
        reasons.append(f"In its weakest part, {measured.wording:.0%} of the draft's wording is not in the passages.")
    if measured.claims:
        reasons.append(f"Names and numbers that neither the passages nor the question have: {measured.claims}.")
    return " ".join(reasons) or "The model was not sure of its words."
