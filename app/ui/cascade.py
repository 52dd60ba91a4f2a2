"""The line above an answer: who was asked, for how long, and why the large model was; it unfolds to all the rest.

The figures behind it are shown beside the chat: times, tokens, what a cloud would have charged, and what was sent.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import chainlit as cl

from app.answering.events import AttemptStarted, Retrieved
from app.answering.routes import NAMES
from app.answering.sanitizer import label
from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices, blend, sent
from app.errors import StaysHere
from app.translation import _, figure, mark
from app.ui import sources
from app.ui.messages import begin_step, end_step, show_beside, table

NEXT = " → "
"""Between the parts of the line."""

ESCALATED = "arrow-up-right"
"""The icon of a line whose draft was set aside; public/escalator.css gives such a line the accent colour."""

REASONS: Mapping[str, str] = {
    "abstained": mark("does not answer"),
    "cut_off": mark("cut off"),
    "empty": mark("says nothing"),
    "error": mark("failed"),
    "language": mark("in another language"),
    "repeated": mark("repeats itself"),
    "requested": mark("you asked"),
    "routed": mark("the dial is set to always"),
    "short": mark("too short for the question"),
    "unsupported": mark("not in your documents"),
    "unsure": mark("unsure"),
}
"""Why a draft was set aside, by the code of the decision; the rows inside give the whole sentence."""

CHOSEN = mark("Chosen by you")
"""In place of a route, where the user chose who answers."""

SAMPLE = 1_000
"""Answers whose price is given: what a single one costs in a cloud is too little for anyone to imagine."""

BLANK = "\u00a0"
"""Keeps a number and its unit on one line."""


class Cascade:
    """One row of Chainlit for a turn and for the turns that its buttons begin.

    While something is waited for, its name is a sentence about that. Then it sums up: "6 passages → phi-4-mini 0.8 s →
    too short for the question → gpt-oss-20b 20 s". In it are a row for the search, with the hits, and one for each
    attempt, with the reasoning and, if it was set aside, the reason and the text.
    """

    def __init__(self, *, anew: bool) -> None:
        self._anew = anew
        self._line: cl.Step | None = None
        self._search: cl.Step | None = None
        self._shown = 0
        self._parts: list[str] = []
        self._rows: dict[int, cl.Step] = {}
        self._open: dict[int, AttemptStarted] = {}

    async def begin(self) -> None:
        """Show the line, or open it again for a turn that a button began."""
        if self._line is None:
            self._line = await begin_step(_("Searching your documents"), "search")
        else:
            self._line.end = None

    async def wait(self, sentence: str) -> None:
        """Show what is being waited for."""
        await self._rename([*self._parts, sentence])

    async def search(self, retrieved: Retrieved) -> None:
        """Add the row of the search, or replace the hits of a narrower one."""
        if self._search is None:
            self._search = await begin_step(_("Searching"), "search", self._line)
            self._parts.append("")
        elif len(retrieved.evidence) <= self._shown:
            return
        self._shown = len(retrieved.evidence)
        found = sources.found(retrieved)
        self._parts[0] = _("searched again: {found}", found=found) if self._anew else found
        await sources.end_search(self._search, retrieved)
        await self._rename(self._parts)

    async def ask(self, attempt: AttemptStarted) -> None:
        """Add the row of an attempt by a model."""
        self._open[attempt.id] = attempt
        if attempt.role != "extractive":
            if attempt.id not in self._rows:  # else it is repeated, for a comparison
                self._rows[attempt.id] = await begin_step(attempt.model, "cpu", self._line)
            await self.wait(_("{model} is asked", model=attempt.model))

    async def reason(self, attempt: int, text: str) -> None:
        """Append a piece of a model's reasoning to the row of its attempt."""
        if not self._rows[attempt].output:
            await self.wait(_("{model} is thinking", model=self._open[attempt].model))
        await self._rows[attempt].stream_token(text)

    async def answer(self, attempt: Attempt, *, usage: bool) -> None:
        """End the row of an attempt, with its times and tokens if `usage` is set."""
        self._open.pop(attempt.id, None)
        if attempt.role != "extractive":
            await end_step(self._rows[attempt.id], summary(attempt, usage=usage))
        if (outcome := _outcome(attempt)) not in self._parts:
            self._parts.append(outcome)
        if self._open:  # else the line goes on at once, or ends
            await self._rename(self._parts)

    async def escalate(self, draft: int, text: str, code: str, why: str) -> None:
        """Add why a draft was set aside."""
        if code != "error":  # which the outcome of the attempt says
            self._parts.append(_(REASONS.get(code, code)))
        if self._line is not None:
            self._line.icon = ESCALATED
        await self._rename(self._parts)
        await self._put(draft, _("**Set aside:** {why}", why=why), text)

    async def take_back(self, answer: Answer, kept: Attempt) -> None:
        """Put the answer into the row of its attempt: a draft is the answer again, because the user prefers it."""
        self._parts.append(_("{model}, kept by you", model=kept.model))
        await self._rename(self._parts)
        if answer.attempt is not None:
            await self._put(answer.attempt.id, _("**Set aside** by you"), answer.rendered)

    async def _put(self, attempt: int, heading: str, text: str) -> None:
        if (row := self._rows.get(attempt)) is not None:
            row.output = "\n\n".join(filter(None, [row.output, heading, text]))
            await row.update()

    async def end(self) -> None:
        """End the line; what was still asked was stopped, and where nothing was searched there is no line."""
        for attempt in self._open.values():
            self._parts.append(_("{model} stopped", model=attempt.model))
            if attempt.id in self._rows:
                await end_step(self._rows[attempt.id], self._parts[-1])
        self._open.clear()
        if self._line is not None and self._parts:
            await end_step(self._line, NEXT.join(self._parts))
        elif self._line is not None:
            await self._line.remove()
            self._line = None

    async def _rename(self, parts: list[str]) -> None:
        if self._line is not None:
            self._line.name = NEXT.join(parts)
            await self._line.update()


def _outcome(attempt: Attempt) -> str:
    """Say in a few words which model answered and how long that took, loading and waiting included."""
    if attempt.role == "extractive":
        return _("quotes")
    if attempt.failure is not None:
        return who(attempt)
    took_ms = (attempt.metrics.sent_ms or 0) + (attempt.metrics.total_ms or 0)
    return f"{who(attempt)} {seconds(took_ms, 1)}"


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
