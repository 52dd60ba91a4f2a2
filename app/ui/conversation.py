"""A conversation in one browser tab: its exchanges, its turns on the screen, and what happens when the tab is gone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import chainlit as cl
from chainlit.element import Element
from chainlit.session import WebsocketSession

from app.answering.assistant import Assistant
from app.answering.turn import Exchange, Mode, Turn, mode
from app.answering.usage import Prices
from app.errors import EscalatorError
from app.settings import Dial, load
from app.ui import corpus_panel, usage_table
from app.ui.source_viewer import Originals
from app.ui.texts import said
from app.ui.turn_view import TurnView
from app.ui.uploads import Dropped

log = logging.getLogger(__name__)

GONE_SECONDS = 10.0
"""After so long without its browser a turn is cancelled; a reload or a dropped connection takes less."""


@cache
def assistant() -> Assistant:
    """The assistant that all conversations of this process share; raises SettingsError until the settings are right."""
    return Assistant(load())


@dataclass
class _Asked:
    """A question in its place in the conversation, and what stands of its answer."""

    turn: Turn
    view: TurnView
    text: str = ""


class Conversation:
    """Runs turns and remembers what stood; a model sees this memory, not the screen."""

    def __init__(self) -> None:
        self.dial: Dial | None = None
        self._dropped = Dropped()
        self._asked: list[_Asked] = []
        self._by_message: dict[str, _Asked] = {}
        self._behind: set[asyncio.Task[None]] = set()

    @classmethod
    def current(cls) -> "Conversation":
        """The conversation of the session whose event is being handled."""
        found = cl.user_session.get("conversation")
        if not isinstance(found, cls):
            found = cls()
            cl.user_session.set("conversation", found)
        return found

    def begin(self, assistant: Assistant) -> None:
        """The page is there: tell it from now on how far reading the corpus is."""
        self._do_behind(corpus_panel.follow(assistant.searching))

    async def ask(self, question: str, named: str | None, files: Sequence[Element] = ()) -> None:
        """Answer a question on the screen, in the mode of this name, after reading the files that came with it."""

        async def work(assistant: Assistant) -> None:
            brought = await self._dropped.take(files, assistant.searching)
            await self._dropped.offer(brought, question.strip())
            if files and not question.strip():
                return
            documents = self._dropped.documents
            turn = Turn(question, self._history(), mode(named), self.dial, brought=tuple(brought), dropped=documents)
            originals = Originals(assistant.searching.snapshot, partial(self._dropped.path, assistant.settings.corpus))
            asked = _Asked(turn, TurnView(assistant.settings, originals))
            self._asked.append(asked)
            await self._run(assistant, turn, asked)

        await self._said(work)

    async def again(self, message: str, as_mode: Mode | None = None, *, unaided: bool = False) -> None:
        """Have an earlier question answered in another mode, or without documents; what is there is not asked again."""
        if (asked := self._by_message.get(message)) is None:
            return
        earlier = asked.view.answer
        turn = replace(asked.turn, history=self._history(asked), dial=self.dial, earlier=earlier, unaided=unaided)
        if as_mode is not None:
            turn = replace(turn, mode=as_mode)
        await self._said(lambda assistant: self._run(assistant, turn, asked))

    async def keep_draft(self, message: str) -> None:
        """Take the small model's draft back in place of the large model's answer."""
        if (asked := self._by_message.get(message)) is None:
            return

        async def work(assistant: Assistant) -> None:
            await asked.view.keep_draft()
            self._stands(asked)

        await self._said(work)

    async def keep_file(self, button: cl.Action) -> None:
        """Copy the file that this button stands for into the corpus."""
        await self._said(lambda assistant: self._dropped.keep(button, assistant.searching))

    def _history(self, before: _Asked | None = None) -> tuple[Exchange, ...]:
        """What was asked and answered, up to a question."""
        end = len(self._asked) if before is None else self._asked.index(before)
        return tuple(Exchange(asked.turn.question, asked.text) for asked in self._asked[:end] if asked.text)

    def _stands(self, asked: _Asked) -> None:
        """Remember what stands on the screen, for the models and for the buttons."""
        asked.text = asked.view.text
        if message := asked.view.message_id:
            self._by_message[message] = asked

    def left(self, session: WebsocketSession) -> None:
        """The browser is gone: cancel its turn unless it comes back in time, at once if a new chat was begun."""
        self._do_behind(self._cancel_if_gone(session, session.socket_id))

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _said(self, work: Callable[[Assistant], Awaitable[None]]) -> None:
        """Run a turn; whatever goes wrong is said in the chat."""
        try:
            await work(await asyncio.to_thread(assistant))
        except EscalatorError as error:
            await cl.ErrorMessage(content=said(error)).send()
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
            await usage_table.show(answered, view.answer, Prices.parse(assistant.settings.prices))

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
