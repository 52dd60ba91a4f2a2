"""A conversation in one browser tab: its exchanges, its turns on the screen, and what happens when the tab is gone."""

import asyncio
import functools
import logging
from contextlib import aclosing

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.pipeline import Assistant
from app.answering.turn import Exchange, Turn
from app.answering.turn import mode as mode_named
from app.errors import EscalatorError
from app.settings import load
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
        self._history: list[Exchange] = []
        self._views: dict[str, tuple[int, TurnView]] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    @classmethod
    def current(cls) -> "Conversation":
        """The conversation of the session whose event is being handled."""
        found = cl.user_session.get("conversation")
        if not isinstance(found, cls):
            found = cls()
            cl.user_session.set("conversation", found)
        return found

    async def ask(self, question: str, mode: str | None) -> None:
        """Answer a question on the screen; whatever goes wrong is said there."""
        try:
            turn = Turn(question, tuple(self._history), mode_named(mode))
            await self._ask(await asyncio.to_thread(assistant), turn)
        except EscalatorError as error:
            await cl.ErrorMessage(content=str(error)).send()
        except Exception as error:
            log.exception("a turn failed")
            what = f"Something went wrong inside Escalator ({type(error).__name__}). The terminal has the details."
            await cl.ErrorMessage(content=what).send()
        finally:
            cl.chat_context.clear()  # Chainlit never frees it, and nothing here reads it

    async def keep_small(self, message: str) -> None:
        """Take the small model's draft back in place of the large model's answer."""
        if message in self._views:
            index, view = self._views[message]
            self._history[index] = Exchange(self._history[index].question, await view.keep("small"))

    def left(self, session: WebsocketSession) -> None:
        """The browser is gone: cancel its turn unless it comes back in time, at once if a new chat was begun."""
        task = asyncio.create_task(self._cancel_if_gone(session, session.socket_id))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _ask(self, asked: Assistant, turn: Turn) -> None:
        view = TurnView(asked.settings)
        try:
            async with aclosing(asked.answer(turn)) as events:
                async for event in events:
                    await view.show(event)
        except asyncio.CancelledError:
            await view.stopped()
            raise
        finally:
            if view.text:
                self._history.append(Exchange(turn.question, view.text))
            if message := view.message_id:
                self._views[message] = (len(self._history) - 1, view)

    async def _cancel_if_gone(self, session: WebsocketSession, socket: str) -> None:
        await asyncio.sleep(0.1)  # the word that a new chat was begun can come just behind the connection's end
        if not session.to_clear:
            await asyncio.sleep(GONE_SECONDS)
        if session.socket_id == socket and session.current_task is not None:
            session.current_task.cancel()
