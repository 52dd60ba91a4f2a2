"""Answers and hits as JSON, the machine-readable surface of the command line; its keys are kept stable."""

from dataclasses import asdict
from typing import Any

from app.answering.turn import Answer, Attempt, Metrics
from app.answering.usage import Prices, blend
from app.retrieval.search import Hit, SearchResult
from app.retrieval.store import Snapshot

SPAN = ("file", "place", "start", "end")
"""Where a text is in a document; offsets count characters of the document's text."""


def search_result(result: SearchResult) -> dict[str, Any]:
    """Build what `escalator search --json` prints."""
    words = _fields(result, "unknown_words", "taken_for", "earlier_words", "foreign", "translation")
    took = {"took_ms": round(result.took_ms, 3)}
    return _fields(result, "query", "engine") | took | words | {"hits": [_hit(hit) for hit in result.hits]}


def index_result(snapshot: Snapshot) -> dict[str, Any]:
    """Build what `escalator index --json` prints."""
    return {
        "documents": len(snapshot.documents),
        "passages": sum(document.passages for document in snapshot.documents.values()),
        "problems": [_fields(problem, "file", "reason") for problem in snapshot.problems.values()],
    }


def answer(result: Answer, prices: Prices) -> dict[str, Any]:
    """Build what `escalator ask --json` prints; the ledger covers this one turn, with costs in US dollars."""
    decision = result.decision
    escalated = {"code": decision.code, "why": decision.why} if decision is not None and decision.escalate else None
    return {
        "answer": result.text,
        "rendered": result.rendered,
        "mode": result.turn.mode,
        "scope": result.turn.scope or (),
        "model": result.author,
        "escalated": result.escalated,
        "reason": escalated,
        "attempts": [_attempt(attempt, prices) for attempt in result.attempts],
        "citations": [_fields(it, "sentence", *SPAN, "supported") for it in result.citations],
        "evidence": [{"n": it.number} | _fields(it, *SPAN, "text") for it in result.evidence],
        "unknown_words": result.found.unknown_words,
        "notices": result.notices,
        "metrics": _metrics(result.metrics),
        "ledger": {"prices_of": prices.date, **asdict(blend([result], prices))},
    }


def _metrics(result: Metrics) -> dict[str, float | int | None]:
    """Round times (in milliseconds), tokens, and tokens per second."""
    return {name: None if value is None else round(value, 1) for name, value in asdict(result).items()}


def _hit(hit: Hit) -> dict[str, Any]:
    passage = _fields(hit.passage, *SPAN, "text")
    return {"rank": hit.rank, "score": round(hit.score, 4)} | passage | asdict(hit.explanation)


def _attempt(attempt: Attempt, prices: Prices) -> dict[str, Any]:
    cost = prices.cost(attempt, attempt.role) if attempt.role != "extractive" else 0.0
    fields = _fields(attempt, "role", "model", "host", "text", "finish")
    return fields | {"metrics": _metrics(attempt.metrics), "cost": cost}


def _fields(record: object, *names: str) -> dict[str, Any]:
    """Pick some fields and properties of a record."""
    return {name: getattr(record, name) for name in names}
