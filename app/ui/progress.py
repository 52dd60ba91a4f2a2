"""What is on the screen until an answer begins: rows that name what is being waited for, and the best quote."""

import chainlit as cl

from app.answering.sanitizer import label
from app.retrieval.packing import Evidence
from app.ui.messages import begin_step, end_step


class Waiting:
    """The progress rows of a turn and of the turns that its buttons begin, and the quote where the answer will be.

    The key of a row is the number of its attempt; None is the row for what precedes all attempts.
    """

    def __init__(self) -> None:
        self._rows: dict[int | None, cl.Step] = {}
        self._models: dict[int | None, str] = {None: "Foundry Local"}
        self._quote: tuple[Evidence, str] | None = None
        self._placeholder: cl.Message | None = None

    async def update(self, sentence: str, attempt: int | None) -> None:
        """Show what an attempt waits for."""
        if row := self._rows.get(attempt):
            row.name = sentence
            await row.update()
        elif attempt is None:
            self._rows[None] = await begin_step(sentence, "cpu")
            await self.move_below()

    async def begin(self, attempt: int, model: str, reason: str) -> None:
        """Begin an attempt; it takes over the row of what preceded it."""
        self._models[attempt] = model
        await self.update(f"Asking {model}{f': {reason}' if reason else ''}", None)
        self._rows[attempt] = self._rows.pop(None)

    async def preview(self, quote: Evidence, text: str) -> None:
        """Show a quote in place of the answer, and announce it: screen readers do not read Chainlit's messages."""
        self._quote = quote, text
        await self.move_below()
        await cl.send_window_message({"about": "announcement", "text": f"{quote.file}: {quote.text}"})

    async def move_below(self) -> None:
        """Move the quote, if there is one, below everything that was added since."""
        if self._placeholder is not None:
            await self._placeholder.remove()
        if self._quote is not None:
            self._placeholder = cl.Message(_blockquote(*self._quote, ", until the answer begins"), author="Escalator")
            await self._placeholder.send()

    async def reason(self, attempt: int, text: str) -> None:
        """Append a piece of a model's reasoning to its row."""
        if row := self._rows.get(attempt):
            if not row.output:
                await self.update(f"{self._models[attempt]} is thinking", attempt)
            await row.stream_token(text)

    async def write(self, attempt: int) -> cl.Message | None:
        """Begin an answer; returns the message of the quote, which the answer replaces."""
        await self.update(f"{self._models.get(attempt)} is writing", attempt)
        placeholder, self._placeholder, self._quote = self._placeholder, None, None
        return placeholder

    async def end(self, attempt: int | None, name: str) -> None:
        """End an attempt's row under another name."""
        if row := self._rows.pop(attempt, None):
            await end_step(row, name)

    async def stop(self) -> None:
        """End all rows; the quote stays, without the promise of an answer."""
        for attempt in list(self._rows):
            await self.end(attempt, f"{self._models[attempt]}: stopped")
        if self._placeholder is not None and self._quote is not None:
            self._placeholder.content = _blockquote(*self._quote, "")
            await self._placeholder.update()


def _blockquote(quote: Evidence, text: str, until: str) -> str:
    return f"From **{label(f'{quote.file}, {quote.place.label}')}**{until}:\n\n{text}"
