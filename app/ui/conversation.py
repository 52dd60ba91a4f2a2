"""A conversation in one browser tab: its exchanges, its turns on the screen, and what happens when the tab is gone."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.ledger import Prices
from app.answering.pipeline import Assistant
from app.answering.turn import Exchange, Mode, Turn, mode
from app.errors import EscalatorError
from app.settings import Dial, load
from app.ui import ledger
from app.ui.view import TurnView

log = logging.getLogger(__name__)

GONE_SECONDS = 10.0
"""After so long without its browser a turn is cancelled; a reload or a dropped connection takes less."""


@functools.cache
def assistant() -> Assistant:
    """The assistant that all conversations of this process share; raises SettingsError until the settings are right."""
    return Assistant(load())


@dataclass
class _Asked:
    """A question in its place in the conversation, and what stands of its answer."""

    question: str
    view: TurnView
    text: str = ""


class Conversation:
    """Runs turns and remembers what stood; a model sees this memory, not the screen."""

    def __init__(self) -> None:
        self.dial: Dial | None = None
        self._asked: list[_Asked] = []
        self._by_message: dict[str, _Asked] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    @classmethod
    def current(cls) -> "Conversation":
        """The conversation of the session whose event is being handled."""
        found = cl.user_session.get("conversation")
        if not isinstance(found, cls):
            found = cls()
            cl.user_session.set("conversation", found)
        return found

    async def ask(self, question: str, named: str | None) -> None:
        """Answer a question on the screen, in the mode of this name."""

        async def work(assistant: Assistant) -> None:
            turn = Turn(question, self._history(), mode(named), self.dial)
            asked = _Asked(question, TurnView(assistant.settings))
            self._asked.append(asked)
            await self._run(assistant, turn, asked)

        await self._said(work)

    async def again(self, message: str, as_mode: Mode) -> None:
        """Have the question of an earlier answer answered in another mode; what is there is not asked for again."""
        if (asked := self._by_message.get(message)) is None:
            return
        turn = Turn(asked.question, self._history(asked), as_mode, self.dial, asked.view.answer)
        await self._said(lambda assistant: self._run(assistant, turn, asked))

    async def keep_draft(self, message: str) -> None:
        """Take the small model's draft back in place of the large model's answer."""
        if (asked := self._by_message.get(message)) is None:
            return

        async def work(assistant: Assistant) -> None:
            await asked.view.keep_draft()
            self._stands(asked)

        await self._said(work)

    def _history(self, before: _Asked | None = None) -> tuple[Exchange, ...]:
        """What was asked and answered, up to a question."""
        end = len(self._asked) if before is None else self._asked.index(before)
        return tuple(Exchange(asked.question, asked.text) for asked in self._asked[:end] if asked.text)

    def _stands(self, asked: _Asked) -> None:
        """Remember what stands on the screen, for the models and for the buttons."""
        asked.text = asked.view.text
        if message := asked.view.message_id:
            self._by_message[message] = asked

    def left(self, session: WebsocketSession) -> None:
        """The browser is gone: cancel its turn unless it comes back in time, at once if a new chat was begun."""
        task = asyncio.create_task(self._cancel_if_gone(session, session.socket_id))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _said(self, work: Callable[[Assistant], Awaitable[None]]) -> None:
        """Run a turn; whatever goes wrong is said in the chat."""
        try:
            await work(await asyncio.to_thread(assistant))
        except EscalatorError as error:
            await cl.ErrorMessage(content=str(error)).send()
        except Exception as error:
            log.exception("a turn failed")
            what = f"Something went wrong inside Escalator ({type(error).__name__}). The terminal has the details."
            await cl.ErrorMessage(content=what).send()
        finally:
            cl.chat_context.clear()  # Chainlit never frees it, and nothing here reads it

    async def _run(self, assistant: Assistant, turn: Turn, asked: _Asked) -> None:
        view = asked.view
        try:
            async with aclosing(assistant.answer(turn)) as events:
                async for event in events:
                    await view.show(event)
        except BaseException:  # Stop, most of all
            await view.stopped()
            raise
        finally:
            self._stands(asked)
        if view.answer is not None and view.answer.attempts and assistant.settings.show_usage:
            answered = [each.view.answer for each in self._asked if each.view.answer is not None]
            await ledger.show(answered, view.answer, Prices.parse(assistant.settings.prices))

    async def _cancel_if_gone(self, session: WebsocketSession, socket: str) -> None:
        await asyncio.sleep(0.1)  # the word that a new chat was begun can come just behind the connection's end
        if not session.to_clear:
            await asyncio.sleep(GONE_SECONDS)
        if session.socket_id == socket and session.current_task is not None:
            session.current_task.cancel()


async def stoppable(work: Coroutine[Any, Any, None]) -> None:
    """Run what a button began as the session's task, so that the page shows it and Stop ends it."""
    context = cl.context
    await context.emitter.task_start()
    task = asyncio.create_task(work)
    if isinstance(context.session, WebsocketSession):
        context.session.current_task = task
    try:
        await asyncio.wait([task])
    finally:
        await context.emitter.task_end()
