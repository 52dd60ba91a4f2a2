"""A message that grows on the screen, its tokens pushed together every 50 ms."""

import asyncio

import chainlit as cl

from app.ui import steps

PUSH_SECONDS = 0.05
"""A push per token costs a browser 11 s for 2,000 tokens, together 1 s."""


class Stream:
    """Collects pieces of a text and pushes them to a message: one that it makes with the first one, or one in place."""

    def __init__(self, author: str, instead_of: cl.Message | None = None) -> None:
        self.message = instead_of or cl.Message("")
        self.message.author, self.message.content = author, ""
        self.text = ""
        self._waiting = ""
        self._push: asyncio.Task[None] | None = None
        self._open = True
        self.folded = False

    async def feed(self, piece: str) -> None:
        """Take a piece; the first one is shown at once."""
        first = not self.text
        self.text += piece
        self._waiting += piece
        if first:
            await self._flush()
        elif self._push is None or self._push.done():
            self._push = asyncio.create_task(self._later())

    async def close(self) -> None:
        """Push the rest and end the message."""
        if not self._open:
            return
        self._open = False
        if self._push is not None and not self._push.done():
            self._push.cancel()
        await self._flush()
        await self.message.send()

    async def fold(self, name: str) -> None:
        """Turn the message into a closed step in the same place, until it is written again."""
        self.folded = True
        await steps.fold(self.message, self.text, name)

    async def _later(self) -> None:
        await asyncio.sleep(PUSH_SECONDS)
        await self._flush()

    async def _flush(self) -> None:
        piece, self._waiting = self._waiting, ""
        if piece:
            await self.message.stream_token(piece)
