"""What stands on the screen until an answer begins: a row about what is being waited for, and the best quote."""

import chainlit as cl

from app.answering.extractive import Quote
from app.answering.sanitizer import label, safe
from app.ui import steps


class Waiting:
    """The rows of one turn and of those that its buttons begin, and the quote in the place of the answer."""

    def __init__(self) -> None:
        self._rows: dict[int | None, cl.Step] = {}
        self._models: dict[int | None, str] = {None: "Foundry Local"}
        self._quote: Quote | None = None
        self._place: cl.Message | None = None

    async def told(self, sentence: str, number: int | None) -> None:
        """Say what is being waited for, by the attempt of this number or before all of them."""
        if row := self._rows.get(number):
            row.name = sentence
            await row.update()
        elif number is None:
            self._rows[None] = await steps.begin(sentence, "cpu")
            await self.below()

    async def asked(self, number: int, model: str, why: str) -> None:
        """An attempt begins; what was waited for before all of them is over, and its row becomes the attempt's."""
        self._models[number] = model
        await self.told(f"Asking {model}{f': {why}' if why else ''}", None)
        self._rows[number] = self._rows.pop(None)

    async def preview(self, quote: Quote) -> None:
        """Quote a sentence in the place of the answer; Chainlit's messages say nothing to a screen reader."""
        self._quote = quote
        await self.below()
        await cl.send_window_message({"about": "heard", "text": f"{quote.evidence.file}: {quote.text}"})

    async def below(self) -> None:
        """The place of the answer, if something stands there, is below what was added now."""
        if self._place is not None:
            await self._place.remove()
        if self._quote is not None:
            self._place = cl.Message(_quoted(self._quote, ", until the answer begins"), author="Escalator")
            await self._place.send()

    async def thinks(self, number: int, text: str) -> None:
        """Put a piece of what a model thinks into its row."""
        if row := self._rows.get(number):
            if not row.output:
                await self.told(f"{self._models[number]} is thinking", number)
            await row.stream_token(text)

    async def writes(self, number: int) -> cl.Message | None:
        """An answer begins; returns the message of the quote, in whose place it is to stand."""
        await self.told(f"{self._models.get(number)} is writing", number)
        place, self._place, self._quote = self._place, None, None
        return place

    async def ended(self, number: int | None, name: str) -> None:
        """An attempt has ended, or what was waited for before all of them."""
        if row := self._rows.pop(number, None):
            await steps.end(row, name)

    async def stopped(self) -> None:
        """End everything; the quote stays as a mere quote."""
        for number in list(self._rows):
            await self.ended(number, f"{self._models[number]}: stopped")
        if self._place is not None and self._quote is not None:
            self._place.content = _quoted(self._quote, "")
            await self._place.update()


def _quoted(quote: Quote, until: str) -> str:
    source = label(f"{quote.evidence.file}, {quote.evidence.place.label}")
    return f"From **{source}**{until}:\n\n> {safe(' '.join(quote.text.split()))}"
