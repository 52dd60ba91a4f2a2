"""What a conversation has cost so far, shown beside the chat: its sums first, then its latest answer in detail."""

import re
from collections.abc import Sequence
from typing import Any

import chainlit as cl

from app.answering.routes import NAMES
from app.answering.sanitizer import label
from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices, blend, sent
from app.errors import StaysHere
from app.translation import _, figure, mark
from app.ui.messages import show_beside, table

CHOSEN = mark("Chosen by you")
"""In place of a route, where the user chose who answers."""

SAMPLE = 1_000
"""Answers whose price is given: what a single one costs in a cloud is too little for anyone to imagine."""

BLANK = "\u00a0"
"""Keeps a number and its unit on one line."""


async def open_panel(answers: Sequence[Answer], latest: Answer, prices: Prices, tally: str) -> None:
    """Show the sums of the conversation and the attempts of an answer beside the chat."""
    content = format_figures(answers, latest, prices, tally)
    name = _("Times and tokens")
    await show_beside(cl.Text(name=name, content=content, display="side"), name)


async def open_sent(requests: Sequence[Any]) -> None:
    """Show beside the chat what other machines were sent: model, host, and the role and text of each message."""
    parts = []
    for model, host, messages in requests:
        parts.append(f"**{_('{model} on {host}', model=label(model), host=label(host))}**")
        for role, text in messages:
            fence = "`" * (1 + max(map(len, re.findall("`+", f"``{text}"))))
            parts += [f"*{role}*", f"{fence}text\n{text}\n{fence}"]
    name = _("What was sent")
    await show_beside(cl.Text(name=name, content="\n\n".join(parts), display="side"), name)


def summary(attempt: Attempt, *, usage: bool) -> str:
    """Sum up an attempt in one line, with its times and tokens if `usage` is set."""
    return " · ".join([who(attempt), *(figures(attempt) if usage else [])])


def who(attempt: Attempt) -> str:
    """Name the model of an attempt, with its host if that is another machine, and say if it failed."""
    if isinstance(attempt.failure, StaysHere):
        return _("{model} not asked, as this is private", model=attempt.model)
    return placed(attempt) if attempt.failure is None else _("{model} failed", model=placed(attempt))


def placed(attempt: Attempt) -> str:
    """Name the model of an attempt, with its host if that is another machine."""
    return _("{model} on {host}", model=attempt.model, host=attempt.host) if attempt.elsewhere else attempt.model


def figures(attempt: Attempt) -> list[str]:
    """Return the times and tokens of an attempt, as far as they are known."""
    metrics = attempt.metrics
    if metrics.first_token_ms is None:
        return []
    parts = [_("first word after {time}", time=seconds(metrics.first_token_ms))]
    if metrics.tokens_per_s is not None:
        parts.append(_("{number} tokens/s", number=figure(metrics.tokens_per_s)))
    if metrics.prompt_tokens is not None and metrics.completion_tokens is not None:
        read, written = figure(metrics.prompt_tokens), figure(metrics.completion_tokens)
        parts.append(_("{read} tokens read, {written} written", read=read, written=written))
    return parts


def format_figures(answers: Sequence[Answer], latest: Answer, prices: Prices, tally: str) -> str:
    """Format the sums of a conversation and the details of its latest answer as Markdown."""
    means, attempts = blend(answers, prices), [each for each in latest.attempts if each.role != "extractive"]
    asked = _("Answers by models: {number}. Drafts set aside: {aside}.", number=means.turns, aside=means.escalated)
    rows = [
        (_("As answered"), means.latency_ms, means.cost),
        (_("Always small"), means.small_latency_ms, means.small_cost),
        (_("Always large"), means.large_latency_ms, means.large_cost),
    ]
    head = ["", _("Time"), _("Cloud price of {number} answers", number=figure(SAMPLE))]
    sums = table(head, [
        (name, seconds(time and time * means.turns), _dollars(cost * SAMPLE)) for name, time, cost in rows
    ])  # fmt: skip
    charge = {"price": _dollars(means.cost * means.turns), "date": prices.date}
    note = _(
        "Here nothing was paid. A cloud would have charged {price} for this conversation, at the prices of {date} "
        "(`ESCALATOR_PRICES`).",
        **charge,
    )
    if sent(answers)[0]:
        note = _("At the prices of {date} (`ESCALATOR_PRICES`) this conversation costs {price}.", **charge)
    details = {
        _("Wait for the model"): [seconds(each.metrics.sent_ms) for each in attempts],
        _("First word after"): [seconds(each.metrics.first_token_ms) for each in attempts],
        _("Finished after"): [seconds(each.metrics.total_ms) for each in attempts],
        _("Tokens read"): [_number(each.metrics.prompt_tokens) for each in attempts],
        _("Tokens written"): [_number(each.metrics.completion_tokens) for each in attempts],
        _("Tokens per second"): [_number(each.metrics.tokens_per_s) for each in attempts],
        _("Cloud price"): [_dollars(prices.cost(each, each.role)) for each in attempts],
    }
    models = table(["", *(each.model for each in attempts)], [(name, *cells) for name, cells in details.items()])
    searched = _("The search took {time}.", time=seconds(latest.metrics.retrieve_ms or 0))
    heads = f"**{_('This conversation')}**", f"**{_('This answer')}**"
    return "\n\n".join(
        filter(None, [heads[0], asked, sums, _routes(answers, prices), note, tally, heads[1], models, searched])
    )


def _routes(answers: Sequence[Answer], prices: Prices) -> str:
    """Format a table with a row for each route; empty if all went as it does without any setting."""
    taken = {route: own for route in (*NAMES, None) if (own := [it for it in answers if it.turn.route == route])}
    if not (taken.keys() & {"cloud-first", "task"} or sent(answers)[0]):
        return ""
    heads = _("Route"), _("Time per answer"), _("Cloud price of {number} answers", number=figure(SAMPLE))
    rows = []
    for route, own in taken.items():
        means, (away, tokens) = blend(own, prices), sent(own)
        left = _("{number} of {all}, {tokens} tokens", number=away, all=means.turns, tokens=figure(tokens))
        name, cost = _(NAMES.get(route or "", CHOSEN)), _dollars(means.cost * SAMPLE)
        rows.append((name, seconds(means.latency_ms), cost, left))
    return table([*heads, _("Sent to other machines")], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else figure(value)


def seconds(ms: float | None, digits: int = 2) -> str:
    """Format a time in seconds, from ten on without decimals; a dash if it is not known."""
    return "–" if ms is None else f"{figure(ms / 1000, digits if ms < 10_000 else 0)}{BLANK}s"


def _dollars(amount: float) -> str:
    return f"${figure(amount, 2)}" if amount >= 0.01 or not amount else _("under $0.01").replace(" ", BLANK)
