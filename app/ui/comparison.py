"""Two answers that grow side by side on the screen."""

import asyncio

import chainlit as cl

PUSH_SECONDS = 0.15
"""Each push sends both texts whole, so it comes less often than a stream's."""


class Comparison:
    """A message with one element that shows each attempt in a column of its own."""

    def __init__(self) -> None:
        self.message = cl.Message("Both models on the same passages:", author="Escalator")
        self._columns: dict[int, dict[str, str]] = {}
        self._element = cl.CustomElement(name="Compare", props={"answers": []}, display="inline")
        self._unfinished: set[int] = set()
        self._push: asyncio.Task[None] | None = None

    async def begin(self, number: int, name: str) -> None:
        """Begin an attempt's column; the first one brings the message."""
        self._columns[number] = {"name": name, "text": "", "note": "is asked"}
        self._unfinished.add(number)
        if len(self._columns) == 1:
            await self.message.send()
            await self._element.send(for_id=self.message.id)
        self._schedule()

    def feed(self, number: int, text: str) -> None:
        """Take a piece of an attempt's text."""
        self._columns[number]["text"] += text
        self._schedule()

    def note(self, number: int, note: str) -> None:
        """Say something about an attempt above its text."""
        self._columns[number]["note"] = note
        self._schedule()

    def end(self, number: int, note: str) -> None:
        """An attempt has ended; say how."""
        self._unfinished.discard(number)
        self.note(number, note)

    def replace(self, number: int, text: str) -> None:
        """Put another text into an attempt's column."""
        self._columns[number]["text"] = text

    async def close(self) -> None:
        """Show everything that came; what has not ended was stopped."""
        for number in self._unfinished:
            self._columns[number]["note"] = "stopped"
        if self._push is not None:
            self._push.cancel()
        await self._show()

    def _schedule(self) -> None:
        if self._push is None or self._push.done():
            self._push = asyncio.create_task(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(PUSH_SECONDS)
        await self._show()

    async def _show(self) -> None:
        self._element.props = {"answers": [dict(self._columns[number]) for number in sorted(self._columns)]}
        await self._element.update()
