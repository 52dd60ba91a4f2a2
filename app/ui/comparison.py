"""Two answers that grow side by side on the screen, and which of them a person preferred."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import chainlit as cl

from app.answering.citations import choose
from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices
from app.evaluation.datasets import Question
from app.evaluation.figures import with_figures
from app.evaluation.recording import machine, measured
from app.evaluation.report import page
from app.evaluation.results import ComparisonResult, Contender, MeasuredAnswer, MeasuredModel
from app.export import Document
from app.translation import _, count
from app.ui import cascade
from app.ui.messages import Throttle, component

PUSH_SECONDS = 0.15
"""Each push sends both texts whole, so pushes are rarer than those of a stream."""

ELEMENT = "Compare"
"""The component of public/elements that shows the columns."""

REPORT = "report"
"""The form of a file in which public/elements/Compare.jsx asks for the report."""

EVEN = ""
"""In place of the preferred model's name: a person saw no difference."""


class Comparison:
    """A message with one element that shows each attempt in a column of its own."""

    def __init__(self, message: cl.Message) -> None:
        self._message = message
        self._columns: dict[int, dict[str, Any]] = {}
        self._ended: dict[int, Attempt] = {}
        self._shown: dict[str, Any] = {"message": message.id, "live": False}
        self._element = component(ELEMENT, {**self._shown, "answers": []})
        self._throttle = Throttle(PUSH_SECONDS)

    @property
    def heading(self) -> str:
        """The text above the columns: what the answers that are whole rest on."""
        if len(self._columns) == 1:
            return _("The only model on these passages:")
        given = {attempt.passages for attempt in self._ended.values() if attempt.text.strip()}
        if len(self._ended) < len(self._columns) or not given:
            return _("Both models, side by side:")
        if given == {0}:
            return _("Both models, without your documents:")
        return _("Both models on the same passages:") if len(given) == 1 else _("The models had different passages:")

    def __contains__(self, attempt: int) -> bool:
        """Whether an attempt has a column."""
        return attempt in self._columns

    async def begin(self, attempt: int, model: str) -> None:
        """Begin an attempt's column."""
        self._columns[attempt] = {"id": attempt, "name": model, "text": "", "note": _("is asked"), "foot": ""}
        self._message.author, self._message.content = "Escalator", self.heading
        await self._message.send()
        if len(self._columns) == 1:
            await self._element.send(for_id=self._message.id)
        self._throttle.request(self._push)

    async def remove(self) -> None:
        """Take the columns off the message."""
        await self._throttle.flush(self._push)
        await self._element.remove()

    def feed(self, attempt: int, text: str) -> None:
        """Append a piece of an attempt's text."""
        self._columns[attempt]["text"] += text
        self._throttle.request(self._push)

    def show(self, attempt: int, **changed: str) -> None:
        """Show another text of an attempt, another note above it, or another line below it."""
        self._columns[attempt] |= changed
        self._throttle.request(self._push)

    def end(self, attempt: Attempt, *, usage: bool) -> None:
        """End an attempt's column, with its times and tokens if `usage` is set."""
        self._ended[attempt.id] = attempt
        note = _("failed") if attempt.failure else count(attempt.passages, "passage")
        self.show(attempt.id, note=note, foot=" · ".join(cascade.figures(attempt)) if usage else "")

    async def close(self) -> None:
        """Push everything that came; attempts that have not ended are marked as stopped."""
        for attempt in self._columns.keys() - self._ended.keys():
            self._columns[attempt]["note"] = _("stopped")
        await self._throttle.flush(self._push)

    async def offer(self, preferred: int | None, tally: str) -> None:
        """Let a person prefer one of two answers, and show the attempt that was, 0 for neither, and the tally."""
        live = sum(bool(column["text"]) for column in self._columns.values()) > 1
        self._shown |= {"live": live, "preferred": preferred, "tally": tally}
        await self._throttle.flush(self._push)

    async def _push(self) -> None:
        answers = [dict(self._columns[attempt]) for attempt in sorted(self._columns)]
        self._element.props = {**self._shown, "answers": answers}
        await self._element.update()


def tally(preferred: Iterable[str]) -> str:
    """Sum up which models were preferred, the small one's name or EVEN for each answer; empty if none was."""
    counted = Counter(preferred).most_common()
    counts = " · ".join(f"{model or _('no difference')} ({number})" for model, number in counted)
    return _("Preferred in this conversation: {counts}", counts=counts) if counts else ""


def report(answer: Answer, prices: Prices) -> dict[str, str]:
    """Return the report of a compared question, and a name for its file; blocks."""
    html = page(as_run(answer, prices)).html()
    return {"name": Document(answer.turn.question, "", ()).name("html"), "text": html}


def as_run(answer: Answer, prices: Prices) -> ComparisonResult:
    """Return the models' answers as a comparison of one question in one round."""
    asked, question = [it for it in answer.attempts if it.role != "extractive"], Question("1", answer.turn.question)
    models = tuple(MeasuredModel(attempt.model, host=attempt.host) for attempt in asked)
    contenders = [Contender(it.role, it.role, (it.model,), it.passages > 0, 1) for it in asked]  # type: ignore[arg-type]
    answers = tuple(_measured(answer, attempt, question, prices) for attempt in asked)
    figures, _differences = with_figures(contenders, answers, ())
    began = datetime.now(UTC).isoformat(timespec="seconds")
    return ComparisonResult(began, machine(), (question,), 1, models, figures, answers, prices_of=prices.date)


def _measured(answer: Answer, attempt: Attempt, question: Question, prices: Prices) -> MeasuredAnswer:
    """Note one of the answers as if its model had been asked alone."""
    own, before = replace(choose(answer, attempt), attempts=(attempt,)), answer.metrics
    price = {attempt.model: prices.of(attempt.role)}
    noted = measured(own, question, price, declined=False, failure=str(attempt.failure or ""), streamed=True)
    times = before.retrieve_ms, before.prompt_ms, attempt.metrics.sent_ms, attempt.metrics.total_ms
    total = None if attempt.metrics.total_ms is None else sum(filter(None, times))
    return replace(noted, contender=attempt.role, round=1, total_ms=total)


def settle(elements: Iterable[dict[str, Any]]) -> None:
    """Take the choice off comparisons from before the app was started, whose answers are no longer in memory."""
    for element in elements:
        if element["name"] == ELEMENT and element["props"]:
            element["props"]["live"] = False
