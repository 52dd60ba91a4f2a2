"""A conversation in one browser tab: its turns, its uploads, and what happens when the tab is closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any

import chainlit as cl
from chainlit.element import Element
from chainlit.session import WebsocketSession

from app.answering.pipeline import Assistant
from app.answering.turn import Turn, mode
from app.answering.usage import Prices
from app.errors import EscalatorError
from app.retrieval.search import Exchange
from app.settings import Dial, load
from app.ui import controls, corpus_panel, uploads, usage_table
from app.ui.messages import escape
from app.ui.source_viewer import Originals
from app.ui.turn_view import TurnView

log = logging.getLogger(__name__)

GONE_SECONDS = 10.0
"""A turn is cancelled after its browser has been gone for so long; a reload or a dropped connection takes less."""


@cache
def shared_assistant() -> Assistant:
    """Make the assistant that all conversations of this process share; raises SettingsError."""
    return Assistant(load())


class Conversation:
    """Runs turns and remembers their answers; a model sees this memory, not the screen."""

    def __init__(self) -> None:
        self.dial: Dial | None = None
        self._uploads = uploads.Uploads()
        self._views: list[TurnView] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def current(cls) -> "Conversation":
        """Return the conversation of the session whose event is being handled."""
        conversation = cl.user_session.get("conversation")
        if not isinstance(conversation, cls):
            conversation = cls()
            cl.user_session.set("conversation", conversation)
        return conversation

    def begin(self, assistant: Assistant) -> None:
        """Report to the page from now on how far reading the corpus is."""
        self._in_background(corpus_panel.report_reading(assistant.retriever))

    async def ask(self, question: str, mode_name: str | None, files: Sequence[Element] = ()) -> None:
        """Answer a question on the screen, in the mode of this name, after reading the files that came with it."""
        async with _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            brought = await self._uploads.read(files, assistant.retriever)
            await self._uploads.offer(brought, asked=bool(question.strip()))
            if files and not question.strip():
                return
            dropped = self._uploads.documents
            turn = Turn(question, self._history(), mode(mode_name), self.dial, brought=tuple(brought), dropped=dropped)
            originals = Originals(assistant.retriever.snapshot, partial(self._uploads.path, assistant.settings.corpus))
            self._views.append(TurnView(turn, assistant.settings, originals))
            await self._run(assistant, turn, self._views[-1])

    async def press(self, button: cl.Action) -> None:
        """Do what a button of a message says, as the session's task, so that the page shows it and Stop ends it."""
        await cl.context.emitter.task_start()
        task = asyncio.create_task(self._press(button))
        if isinstance(cl.context.session, WebsocketSession):
            cl.context.session.current_task = task
        try:
            await asyncio.wait([task])
        finally:
            await cl.context.emitter.task_end()

    def disconnect(self) -> None:
        """Cancel the turn of a browser that is gone, unless it comes back in time; at once if a new chat was begun."""
        if isinstance(session := cl.context.session, WebsocketSession):
            self._in_background(self._cancel_if_gone(session, session.socket_id))

    async def _press(self, button: cl.Action) -> None:
        async with _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            if button.name == uploads.KEEP:
                await self._uploads.keep(button, assistant.retriever)
                return
            view = next((view for view in self._views if button.payload["message"] == view.id), None)
            if view is not None and button.name == controls.KEEP:
                await view.keep_draft()
            elif view is not None and button.name == controls.FIGURES:
                if view.answer is not None:
                    answers = [each.answer for each in self._views if each.answer is not None]
                    await usage_table.open_panel(answers, view.answer, Prices.parse(assistant.settings.prices))
            elif view is not None:
                as_mode = controls.MODES.get(button.name)  # None asks without documents
                turn = replace(view.turn, mode=as_mode or view.turn.mode, dial=self.dial, unaided=as_mode is None)
                turn = replace(turn, history=self._history(view), earlier=view.answer)
                await self._run(assistant, turn, view)

    def _history(self, before: TurnView | None = None) -> tuple[Exchange, ...]:
        """Return the questions and answers before a turn, or all of them."""
        end = len(self._views) if before is None else self._views.index(before)
        return tuple(Exchange(view.turn.question, view.text) for view in self._views[:end] if view.text)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, assistant: Assistant, turn: Turn, view: TurnView) -> None:
        try:
            async with aclosing(assistant.answer(turn)) as events:
                async for event in events:
                    await view.show(event)
        except BaseException:  # above all Stop
            await view.stop()
            raise

    async def _cancel_if_gone(self, session: WebsocketSession, socket: str) -> None:
        await asyncio.sleep(0.1)  # the message that a new chat was begun can come just after the connection's end
        if not session.to_clear:
            await asyncio.sleep(GONE_SECONDS)
        if session.socket_id == socket and session.current_task is not None:
            session.current_task.cancel()


@asynccontextmanager
async def _errors_in_chat() -> AsyncIterator[None]:
    """Show the errors of a block in the chat."""
    try:
        yield
    except EscalatorError as error:
        await cl.ErrorMessage(content=escape(error)).send()
    except Exception as error:
        log.exception("a turn failed")
        what = f"Something went wrong inside Escalator ({type(error).__name__}). The terminal shows the details."
        await cl.ErrorMessage(content=what).send()
    finally:
        cl.chat_context.clear()  # Chainlit never frees it, and nothing here reads it
