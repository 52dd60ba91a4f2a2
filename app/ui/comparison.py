"""Two answers that grow side by side on the screen."""

import chainlit as cl

from app.answering.turn import Attempt
from app.translation import _, mark
from app.ui import usage_table
from app.ui.messages import Throttle, component

PUSH_SECONDS = 0.15
"""Each push sends both texts whole, so pushes are rarer than those of a stream."""

HEADINGS = {1: mark("The only model on these passages:"), 2: mark("Both models on the same passages:")}
"""By the number of columns: one if the small and the large model are the same."""


class Comparison:
    """A message with one element that shows each attempt in a column of its own."""

    def __init__(self, message: cl.Message) -> None:
        self._message = message
        self._columns: dict[int, dict[str, str]] = {}
        self._element = component("Compare", {"answers": []})
        self._unfinished: set[int] = set()
        self._throttle = Throttle(PUSH_SECONDS)

    @property
    def heading(self) -> str:
        """The text above the columns."""
        return _(HEADINGS[len(self._columns)])

    def __contains__(self, attempt: int) -> bool:
        """Whether an attempt has a column."""
        return attempt in self._columns

    async def begin(self, attempt: int, model: str) -> None:
        """Begin an attempt's column."""
        self._columns[attempt] = {"name": model, "text": "", "note": _("is asked")}
        self._unfinished.add(attempt)
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

    def note(self, attempt: int, note: str) -> None:
        """Show a note above an attempt's text."""
        self._columns[attempt]["note"] = note
        self._throttle.request(self._push)

    def end(self, attempt: Attempt, *, usage: bool) -> None:
        """End an attempt's column, with its times and tokens if `usage` is set."""
        self._unfinished.discard(attempt.id)
        summary = usage_table.summary(attempt, usage=usage)
        self.note(attempt.id, summary.partition(" · ")[2] or summary)

    def replace(self, attempt: int, text: str) -> None:
        """Replace an attempt's text."""
        self._columns[attempt]["text"] = text

    async def close(self) -> None:
        """Push everything that came; attempts that have not ended are marked as stopped."""
        for attempt in self._unfinished:
            self._columns[attempt]["note"] = _("stopped")
        await self._throttle.flush(self._push)

    async def _push(self) -> None:
        self._element.props = {"answers": [dict(self._columns[attempt]) for attempt in sorted(self._columns)]}
        await self._element.update()
