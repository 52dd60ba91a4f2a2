"""The line above an answer: who was asked, for how long, and why the large model was; it unfolds to all the rest."""

from collections.abc import Mapping

import chainlit as cl

from app.answering.events import AttemptStarted, Retrieved
from app.answering.turn import Answer, Attempt
from app.translation import _, mark
from app.ui import sources, usage_table
from app.ui.messages import begin_step, end_step

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
            await end_step(self._rows[attempt.id], usage_table.summary(attempt, usage=usage))
        if (outcome := _outcome(attempt)) not in self._parts:
            self._parts.append(outcome)
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
        return usage_table.who(attempt)
    took_ms = (attempt.metrics.sent_ms or 0) + (attempt.metrics.total_ms or 0)
    return f"{usage_table.who(attempt)} {usage_table.seconds(took_ms, 1)}"
