"""A conversation in one browser tab: its exchanges, its turns on the screen, and what happens when the tab is gone."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.ledger import Prices
from app.answering.pipeline import Assistant
from app.answering.turn import Attempt, Exchange, Mode, Turn, mode
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


class Conversation:
    """Runs turns and remembers what stood; a model sees this memory, not the screen."""

    def __init__(self) -> None:
        self.dial: Dial | None = None
        self._history: list[Exchange] = []
        self._views: dict[str, tuple[int, TurnView]] = {}
        self._answered: dict[int, tuple[Attempt, ...]] = {}
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

        async def work(asked: Assistant) -> None:
            turn = Turn(question, tuple(self._history), mode(named), self.dial)
            await self._run(asked, turn, TurnView(asked.settings), len(self._history))

        await self._said(work)

    async def again(self, message: str, as_mode: Mode) -> None:
        """Have the question of an earlier answer answered in another mode; its draft is not asked for again."""
        if message not in self._views:
            return
        index, view = self._views[message]
        question = self._history[index].question
        turn = Turn(question, tuple(self._history[:index]), as_mode, self.dial, view.attempts)
        await self._said(lambda asked: self._run(asked, turn, view, index))

    async def keep_draft(self, message: str) -> None:
        """Take the small model's draft back in place of the large model's answer."""
        if message in self._views:
            index, view = self._views[message]
            await view.keep_draft()
            self._stands(index, self._history[index].question, view)

    def _stands(self, index: int, question: str, view: TurnView) -> None:
        """Remember what stands on the screen, for the models and for the buttons."""
        if view.text:
            self._history[index : index + 1] = [Exchange(question, view.text)]
        if message := view.message_id:
            self._views[message] = (index, view)

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

    async def _run(self, asked: Assistant, turn: Turn, view: TurnView, index: int) -> None:
        try:
            async with aclosing(asked.answer(turn)) as events:
                async for event in events:
                    await view.show(event)
        except asyncio.CancelledError:
            await view.stopped()
            raise
        finally:
            self._stands(index, turn.question, view)
        if view.answer is not None and view.answer.attempts:
            self._answered[index] = view.answer.attempts
            if asked.settings.show_usage:
                await ledger.show(list(self._answered.values()), view.answer, Prices.parse(asked.settings.prices))

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
