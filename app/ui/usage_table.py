"""What a conversation has cost so far: the ledger, a panel beside the chat."""

from collections.abc import Sequence

import chainlit as cl

from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices, blend
from app.settings import is_loopback
from app.ui.messages import table


async def open_panel(answers: Sequence[Answer], latest: Answer, prices: Prices) -> None:
    """Show the attempts of an answer and the means of the conversation beside the chat."""
    ledger = cl.Text(name="Figures", content=format_ledger(answers, latest, prices), display="side")
    await cl.ElementSidebar.set_elements([ledger], key=ledger.id)
    await cl.ElementSidebar.set_title("Figures")


def summary(attempt: Attempt, *, usage: bool) -> str:
    """Sum up an attempt in one line, with its times and tokens if `usage` is set."""
    metrics = attempt.metrics
    parts = [attempt.model if attempt.finish != "error" else f"{attempt.model} failed"]
    if attempt.host and not is_loopback(f"//{attempt.host}"):
        parts.append(f"on {attempt.host}")
    if usage and metrics.first_token_ms is not None:
        parts.append(f"first token {_seconds(metrics.first_token_ms)}")
        if metrics.tokens_per_s is not None:
            parts.append(f"{metrics.tokens_per_s:.0f} tokens/s")
        if metrics.prompt_tokens is not None and metrics.completion_tokens is not None:
            parts.append(f"{metrics.prompt_tokens} + {metrics.completion_tokens} tokens")
    return " · ".join(parts)


def format_ledger(answers: Sequence[Answer], latest: Answer, prices: Prices) -> str:
    """Format the ledger as Markdown."""
    means, metrics = blend(answers, prices), latest.metrics
    head = ["Attempt", "prompt", "sent after", "first token", "all", "tokens", "tokens/s", "cloud"]
    attempts = table(head, [_row(attempt, prices) for attempt in latest.attempts])
    head = [f"Mean of {means.turns} answers, {means.escalated} escalated", "time", "cloud"]
    conversation = table(head, [
        ("as answered", _seconds(means.latency_ms), _dollars(means.cost)),
        ("always the small model", _seconds(means.small_latency_ms), _dollars(means.small_cost)),
        ("always the large model", _seconds(means.large_latency_ms), _dollars(means.large_cost)),
    ])  # fmt: skip
    retrieval = f"Searching took {metrics.retrieve_ms or 0:.0f} ms, packing {metrics.prompt_ms or 0:.0f} ms."
    note = f"Nothing was paid: a cloud would have charged this at the prices of {prices.date} (`ESCALATOR_PRICES`)."
    return "\n\n".join([retrieval, attempts, conversation, note])


def _row(attempt: Attempt, prices: Prices) -> tuple[str, ...]:
    metrics = attempt.metrics
    return (
        attempt.model,
        f"{metrics.prompt_ms or 0:.0f} ms",
        *map(_seconds, (metrics.sent_ms, metrics.first_token_ms, metrics.total_ms)),
        f"{metrics.prompt_tokens or 0} + {metrics.completion_tokens or 0}",
        f"{metrics.tokens_per_s:.0f}" if metrics.tokens_per_s else "–",
        _dollars(prices.cost(attempt, attempt.role)),
    )


def _seconds(ms: float | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.2f} s"


def _dollars(amount: float) -> str:
    return f"${amount:.6f}"
