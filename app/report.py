"""Answers and hits as JSON, the machine-readable surface of the command line; its keys are kept stable."""

from dataclasses import asdict
from typing import Any

from app.answering.ledger import Metrics, Prices, blend
from app.answering.turn import Answer, Attempt
from app.documents.pages import Place
from app.retrieval.index import Hit
from app.retrieval.search import Found


def found(result: Found) -> dict[str, Any]:
    """What `escalator search --json` prints."""
    return {
        "query": result.query,
        "took_ms": round(result.took_ms, 3),
        "unknown_words": list(result.unknown_words),
        "hits": [_hit(hit) for hit in result.hits],
    }


def answer(result: Answer, prices: Prices) -> dict[str, Any]:
    """What `escalator ask --json` prints; the ledger is that of this one turn, its costs are in US dollars."""
    decision = result.decision
    escalated = {"code": decision.code, "why": decision.why} if decision is not None and decision.escalate else None
    return {
        "answer": result.text,
        "rendered": result.rendered,
        "mode": result.turn.mode,
        "model": result.attempt.model if result.attempt and result.attempt.role != "extractive" else None,
        "escalated": result.escalated,
        "reason": escalated,
        "attempts": [_attempt(attempt, prices) for attempt in result.attempts],
        "citations": [
            {
                "sentence": citation.sentence,
                "file": citation.file,
                "place": place(citation.place) if citation.place else None,
                "start": citation.start,
                "end": citation.end,
                "supported": citation.supported,
            }
            for citation in result.citations
        ],
        "evidence": [
            {
                "n": item.number,
                "file": item.file,
                "place": place(item.place),
                "start": item.start,
                "end": item.end,
                "text": item.text,
            }
            for item in result.evidence
        ],
        "unknown_words": list(result.found.unknown_words) if result.found else [],
        "notices": list(result.notices),
        "metrics": metrics(result.metrics),
        "ledger": {"prices_of": prices.date, **asdict(blend([result], prices))},
    }


def metrics(result: Metrics) -> dict[str, float | int | None]:
    """Times in milliseconds, tokens, and tokens per second."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 1)

    return {
        "retrieve_ms": rounded(result.retrieve_ms),
        "prompt_ms": rounded(result.prompt_ms),
        "sent_ms": rounded(result.sent_ms),
        "first_token_ms": rounded(result.first_token_ms),
        "total_ms": rounded(result.total_ms),
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
        "tokens_per_s": rounded(result.tokens_per_s),
    }


def place(where: Place) -> dict[str, str | int]:
    """A place in a file."""
    return {"kind": where.kind, "label": where.label, "number": where.number}


def _hit(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "file": passage.file,
        "place": place(passage.place),
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "terms": dict(hit.terms),
    }


def _attempt(attempt: Attempt, prices: Prices) -> dict[str, Any]:
    return {
        "role": attempt.role,
        "model": attempt.model,
        "host": attempt.host,
        "text": attempt.text,
        "finish": attempt.finish,
        "metrics": metrics(attempt.metrics),
        "cost": prices.cost(attempt, attempt.role) if attempt.role != "extractive" else 0.0,
    }
