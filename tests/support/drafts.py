"""The decision on a draft that is given as a text, with what its server and its model would have said of it."""

from collections.abc import Sequence

from app.answering import escalation
from app.answering.escalation import THRESHOLD
from app.answering.turn import Attempt, Decision, Metrics
from app.answering.verification import CheckedAnswer, check
from app.retrieval.packing import Evidence


def decide(
    question: str,
    evidence: Sequence[Evidence] | None,
    text: str,
    finish: str,
    *,
    checked: CheckedAnswer | None = None,
    short_chars: int = 150,
    threshold: float = THRESHOLD,
    certainty: float | None = None,
    echoed: bool = False,
    confidence: str | None = None,
) -> Decision:
    draft = Attempt(1, "small", "", "", text, finish, Metrics(), confidence, certainty=certainty, echoed=echoed)
    if checked is None and evidence is not None:
        checked = check(text, evidence, question)
    return escalation.decide(question, draft, checked, short_chars, threshold)
