"""What a conversation has cost so far: the ledger, a panel beside the chat."""

from collections.abc import Sequence

import chainlit as cl

from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices, blend
from app.settings import is_loopback
from app.translation import _, figure, plural
from app.ui.messages import table


async def open_panel(answers: Sequence[Answer], latest: Answer, prices: Prices) -> None:
    """Show the attempts of an answer and the means of the conversation beside the chat."""
    ledger = cl.Text(name="Figures", content=format_ledger(answers, latest, prices), display="side")
    await cl.ElementSidebar.set_elements([ledger], key=ledger.id)
    await cl.ElementSidebar.set_title(_("Figures"))


def summary(attempt: Attempt, *, usage: bool) -> str:
    """Sum up an attempt in one line, with its times and tokens if `usage` is set."""
    metrics = attempt.metrics
    parts = [attempt.model if attempt.finish != "error" else _("{model} failed", model=attempt.model)]
    if attempt.host and not is_loopback(f"//{attempt.host}"):
        parts.append(_("on {host}", host=attempt.host))
    if usage and metrics.first_token_ms is not None:
        parts.append(_("first token {time}", time=_seconds(metrics.first_token_ms)))
        if metrics.tokens_per_s is not None:
            parts.append(_("{number} tokens/s", number=figure(metrics.tokens_per_s)))
        if metrics.prompt_tokens is not None and metrics.completion_tokens is not None:
            parts.append(
                _("{prompt} + {answer} tokens", prompt=metrics.prompt_tokens, answer=metrics.completion_tokens)
            )
    return " · ".join(parts)


def format_ledger(answers: Sequence[Answer], latest: Answer, prices: Prices) -> str:
    """Format the ledger as Markdown."""
    means, metrics = blend(answers, prices), latest.metrics
    head = [
        _("Attempt"),
        _("prompt"),
        _("sent after"),
        _("first token"),
        _("all"),
        _("tokens"),
        _("tokens/s"),
        _("cloud"),
    ]
    attempts = table(head, [_row(attempt, prices) for attempt in latest.attempts])
    head = [
        plural(
            "Mean of {number} answer, {escalated} escalated",
            "Mean of {number} answers, {escalated} escalated",
            means.turns,
            escalated=means.escalated,
        ),
        _("time"),
        _("cloud"),
    ]
    conversation = table(head, [
        (_("as answered"), _seconds(means.latency_ms), _dollars(means.cost)),
        (_("always the small model"), _seconds(means.small_latency_ms), _dollars(means.small_cost)),
        (_("always the large model"), _seconds(means.large_latency_ms), _dollars(means.large_cost)),
    ])  # fmt: skip
    retrieval = _(
        "Searching took {search} ms, packing {packing} ms.",
        search=figure(metrics.retrieve_ms or 0),
        packing=figure(metrics.prompt_ms or 0),
    )
    note = _(
        "Nothing was paid: a cloud would have charged this at the prices of {date} (`ESCALATOR_PRICES`).",
        date=prices.date,
    )
    return "\n\n".join([retrieval, attempts, conversation, note])


def _row(attempt: Attempt, prices: Prices) -> tuple[str, ...]:
    metrics = attempt.metrics
    return (
        attempt.model,
        f"{figure(metrics.prompt_ms or 0)} ms",
        *map(_seconds, (metrics.sent_ms, metrics.first_token_ms, metrics.total_ms)),
        f"{metrics.prompt_tokens or 0} + {metrics.completion_tokens or 0}",
        figure(metrics.tokens_per_s) if metrics.tokens_per_s else "–",
        _dollars(prices.cost(attempt, attempt.role)),
    )


def _seconds(ms: float | None) -> str:
    return "–" if ms is None else f"{figure(ms / 1000, 2)} s"


def _dollars(amount: float) -> str:
    return f"${figure(amount, 6)}"
