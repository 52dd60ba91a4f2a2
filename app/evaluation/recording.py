"""From an answer of the product to the record of a comparison: its stages, tokens, price, sources and quality."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.answering.turn import Answer, Attempt
from app.answering.usage import Price, cost
from app.evaluation.quality import facts_found, is_abstention, score
from app.evaluation.question_set import Question
from app.evaluation.results import CitedSentence, MeasuredAnswer, MeasuredAttempt, Passage

TIMES = ("prompt_ms", "sent_ms", "total_ms", "prompt_tokens", "completion_tokens")
STREAMED = ("first_token_ms", "gap_ms", "tokens_per_s")
"""What is noted of an attempt, and what is only if BENCH_STREAM wants the times of a stream."""


def measured(
    answer: Answer,
    question: Question,
    prices: Mapping[str, Price],
    *,
    declined: bool,
    failure: str,
    streamed: bool,
) -> MeasuredAnswer:
    """Note what is known of an answer; `declined` is whether no model was asked, `failure` the error of its turn.

    A model that wrote nothing has answered, badly: only where one failed is that an error. What the chat quotes in its
    place is not the model's text. Contender, round and energy are for the caller to add.
    """
    attempts = [attempt for attempt in answer.attempts if attempt.role != "extractive"]
    if attempts and all(attempt.failure is None for attempt in attempts):
        failure = ""
    text = answer.text if answer.by_model else ""
    abstained, decision = declined or is_abstention(text), answer.decision
    citations = answer.citations if answer.by_model else ()
    return MeasuredAnswer(
        question=question.id,
        contender="",
        round=0,
        retrieval=not answer.turn.unaided,
        text=text,
        rendered=answer.rendered,
        model=answer.attempt.model if answer.by_model and answer.attempt else "",
        attempts=tuple(_attempt(attempt, TIMES + STREAMED if streamed else TIMES) for attempt in attempts),
        retrieve_ms=_rounded(answer.metrics.retrieve_ms),
        prompt_ms=_rounded(answer.metrics.prompt_ms),
        total_ms=_rounded(answer.metrics.total_ms),
        escalated=answer.escalated,
        decision=decision.code if decision else None,
        decision_score=_rounded(decision.score) if decision else None,
        why=decision.why if decision else "",
        evidence=tuple(Passage(it.number, it.file, it.place.label, it.text) for it in answer.evidence),
        citations=tuple(
            CitedSentence(it.sentence, it.number, it.file, it.place.label if it.place else None, it.supported)
            for it in citations
        ),
        facts_found=facts_found(question, text),
        facts_expected=len(question.facts),
        abstained=abstained,
        score=score(question, text, abstained=abstained),
        cost=cost(attempts, lambda it: prices.get(it.model)),
        error=failure,
    )


def _attempt(attempt: Attempt, names: Sequence[str]) -> MeasuredAttempt:
    values: dict[str, Any] = {name: _rounded(getattr(attempt.metrics, name)) for name in names}
    estimated, error = attempt.stopped is not None or attempt.echoed, str(attempt.failure or "")
    said = attempt.role, attempt.model, attempt.finish, attempt.text
    return MeasuredAttempt(*said, **values, estimated=estimated, error=error)


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value
