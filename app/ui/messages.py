"""What the chat builds on Chainlit's messages: safe texts, rows of progress, panels, and messages that grow."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import chainlit as cl
from chainlit.element import Element, ElementDisplay
from chainlit.session import BaseSession

from app.answering.events import Delay
from app.answering.sanitizer import addresses, safe
from app.settings import is_loopback
from app.translation import _

PUSH_SECONDS = 0.05
"""Pushed one by one, 2,000 tokens cost a browser 11 s; pushed together, 1 s. public/escalator.js hands several pushes
over together where the page needs longer to draw one."""


CLOSED = "closed"
"""What public/escalator.js sends when a panel was closed."""

_beside: WeakKeyDictionary[BaseSession, Element] = WeakKeyDictionary()
"""What each tab shows beside the chat."""


def escape(text: object) -> str:
    """Make a text of ours, which may quote names and words of documents, safe to show; links to this machine work."""
    return safe(str(text), {address for address in addresses([str(text)]) if is_loopback(address)})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def component(name: str, props: dict[str, Any], display: ElementDisplay = "inline") -> cl.CustomElement:
    """Make an element that a component of public/elements shows; with an address, Chainlit writes no file for it."""
    return cl.CustomElement(name=name, props=props, display=display, url="#")


async def open_panel(name: str, props: Mapping[str, Any] | None = None) -> None:
    """Open the panel of this name beside the chat: a component of public/elements that asks for its contents."""
    await show_beside(component(name, dict(props or {}), "side"), _(name))


async def show_beside(element: Element, title: str) -> None:
    """Show an element beside the chat, under a title, in place of another one."""
    before, _beside[cl.context.session] = _beside.get(cl.context.session), element
    await cl.ElementSidebar.set_elements([element], key=element.id)
    if before is not None:
        await before.remove()
    await cl.ElementSidebar.set_title(title)


async def forget_beside() -> None:
    """Have the page forget what was closed beside the chat: it would open it again with the first question."""
    if (element := _beside.pop(cl.context.session, None)) is not None:
        await element.remove()


async def begin_step(name: str, icon: str, within: cl.Step | None = None) -> cl.Step:
    """Add a row for work in progress below the last message, or within another row."""
    parent = within or cl.context.current_run
    step = cl.Step(name=name, type="tool", icon=icon, show_input=False, parent_id=parent.id if parent else None)
    step.start = step.created_at
    await step.send()
    return step


async def end_step(step: cl.Step, name: str) -> None:
    """Mark a row as done and rename it."""
    step.name = name
    step.end = step.created_at
    await step.update()


class Throttle:
    """Runs a push at intervals, however often it is requested.

    It does not keep the function, a method of what has the throttle: such a circle would outlive its conversation.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._planned: Delay | None = None

    def request(self, push: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the function after the interval, unless that is already planned."""
        if self._planned is None or self._planned.over:
            self._planned = Delay(self._seconds, push)

    def cancel(self) -> None:
        """Drop a planned run."""
        if self._planned is not None:
            self._planned.cancel()

    async def flush(self, push: Callable[[], Awaitable[None]]) -> None:
        """Run the function now, in place of a planned run."""
        self.cancel()
        await push()


class Stream:
    """The message of an answer: it grows by pieces, and can begin anew in its place, by another author."""

    def __init__(self) -> None:
        self.message = cl.Message("")
        self.text = ""
        self._pushed = 0
        self._throttle = Throttle(PUSH_SECONDS)

    async def begin(self, author: str, text: str = "") -> None:
        """Begin anew; a given text, which is no part of the answer, is shown until its first piece."""
        self._throttle.cancel()
        self.message.author, self.message.content = author, text
        self.text, self._pushed = "", 0
        if text:
            await self.message.send()

    async def feed(self, piece: str) -> None:
        """Append a piece; the first one is shown at once."""
        self.text += piece
        if self._pushed:
            self._throttle.request(self._push)
        else:
            self.message.content = ""
            await self._push()

    async def offer(self, actions: Sequence[cl.Action]) -> bool:
        """Show buttons below the message, in place of others; those that it has already stay.

        Returns whether there are new ones: with them the message was sent again, as it is now.
        """
        for action in self.message.actions:
            if action not in actions:
                await action.remove()
        self.message.actions = list(actions)
        if changed := any(action.forId is None for action in actions):
            await self.message.update()
        return changed

    async def clear(self) -> None:
        """Take back what was shown."""
        await self.begin(self.message.author)
        await self.message.update()

    async def close(self) -> None:
        """Push the rest and end the message."""
        if self.message.streaming:
            await self._throttle.flush(self._push)
            await self.message.send()

    async def _push(self) -> None:
        piece, self._pushed = self.text[self._pushed :], len(self.text)
        if piece:
            await self.message.stream_token(piece)
