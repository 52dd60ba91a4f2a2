"""A conversation: its turns, its uploads, what its tabs share, and what happens when the last of them is closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import chainlit as cl
from chainlit.data import get_data_layer
from chainlit.element import Element
from chainlit.server import sio
from chainlit.session import WebsocketSession, ws_sessions_id
from chainlit.user_session import user_sessions

from app.answering.pipeline import Assistant
from app.answering.turn import Turn, mode
from app.answering.usage import Prices
from app.errors import EscalatorError
from app.history import History
from app.retrieval.search import Exchange
from app.settings import load
from app.translation import _, again
from app.ui import controls, corpus_panel, uploads, usage_table
from app.ui.comparison import settle, tally
from app.ui.controls import Choices
from app.ui.messages import escape
from app.ui.screen import Keeper, Screen
from app.ui.source_viewer import Originals
from app.ui.turn_view import TurnView

log = logging.getLogger(__name__)

GONE_SECONDS = 10.0
"""A turn is cancelled after its tabs have been gone for so long; a reload or a dropped connection takes less."""

ENDING_SECONDS = 2.0
"""For the turns that run when the app is ended, to show and keep what has come of them."""


@cache
def shared_assistant() -> Assistant:
    """Make the assistant that all conversations of this process share; raises SettingsError."""
    return Assistant(load())


class Conversation:
    """Runs turns and remembers their answers; a model sees this memory, not the screen."""

    _open: ClassVar[WeakValueDictionary[str, "Conversation"]] = WeakValueDictionary()

    def __init__(self, thread: str) -> None:
        self.screen = Screen.of(thread)
        self.choices = Choices()
        self._uploads = uploads.Uploads(self.screen)
        self._earlier: tuple[Exchange, ...] = ()
        """The exchanges from before the app was started."""
        self._views: list[TurnView] = []
        self._told: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[Any] | None = None
        self._opening = asyncio.Lock()
        self._known = False

    @classmethod
    def current(cls) -> "Conversation":
        """Return the conversation of the session whose event is being handled, which its tabs have in common."""
        session = cl.context.session
        conversation = user_sessions.get(session.id, {}).get("conversation")
        if isinstance(conversation, cls):
            return conversation
        if (conversation := cls._open.get(session.thread_id)) is None:
            conversation = cls._open[session.thread_id] = cls(session.thread_id)
        memories = [memory for memory in user_sessions.values() if memory.get("conversation") is conversation]
        user_sessions[session.id] = memories[0] if memories else {"conversation": conversation}
        return conversation

    @classmethod
    async def end_all(cls) -> None:
        """Stop the turns of all conversations, as Stop does."""
        running = [each._running for each in [*cls._open.values()] if each._running is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=ENDING_SECONDS)

    async def open(self) -> None:
        """Open the conversation in a tab: offer modes and settings, report what an empty chat shows, and reading."""
        async with self._opening:
            await self._recall()
        await cl.context.emitter.set_modes([controls.modes(self.choices.mode)])
        try:
            assistant = await asyncio.to_thread(shared_assistant)
            self._in_background(corpus_panel.report(assistant))
            keeps = isinstance(get_data_layer(), Keeper)
            await controls.widgets(self.choices, assistant.settings, history=keeps).send()
        except EscalatorError as error:
            await cl.send_window_message({"about": "start", "lines": [str(error)]})

    async def choose(self, chosen: dict[str, Any]) -> None:
        """Take over what was chosen in the settings, for this conversation and those that are begun later."""
        self.choices = self.choices.updated(chosen)
        await self._remember()
        if not self.choices.keep and self.screen.kept and isinstance(keeper := get_data_layer(), Keeper):
            self.screen.kept = False
            await keeper.run(History.delete, self.screen.id)

    async def ask(self, question: str, mode_name: str | None, files: Sequence[Element] = ()) -> None:
        """Answer a question on the screen, in the mode of this name, after reading the files that came with it."""
        async with self._busy(cl.context.session), _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            brought = await self._uploads.read(files, assistant.retriever)
            await self._uploads.offer(brought, asked=bool(question.strip()))
            if files and not question.strip():
                return
            chosen, dropped = mode(mode_name), self._uploads.documents
            if mode_name not in (None, self.choices.mode):
                self.choices = replace(self.choices, mode=chosen)
                await self._remember()
            dial = self.choices.dial
            self.screen.choices = {"mode": self.choices.mode, "dial": dial}
            turn = Turn(question, self._history(), chosen, dial, brought=tuple(brought), dropped=dropped)
            originals = Originals(assistant.retriever.snapshot, partial(self._uploads.path, assistant.settings.corpus))
            figures = self.choices.figures
            settings = (
                assistant.settings if figures is None else assistant.settings.model_copy(update={"show_usage": figures})
            )
            self._views.append(TurnView(turn, settings, originals, self._told))
            await self._run(assistant, turn, self._views[-1])

    async def press(self, button: cl.Action) -> None:
        """Do what a button of a message says, so that the page shows it and Stop ends it."""
        task = asyncio.create_task(self._press(button))
        await asyncio.wait([task])

    def stop(self) -> None:
        """End the turn that runs, whichever tab began it."""
        if self._running is not None:
            self._running.cancel()

    def disconnect(self) -> None:
        """Cancel the turn of tabs that are gone, unless one comes back in time; at once if a new chat was begun."""
        if isinstance(session := cl.context.session, WebsocketSession):
            self._in_background(self._cancel_if_gone(session))

    async def _press(self, button: cl.Action) -> None:
        async with self._busy(), _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            if button.name == uploads.KEEP:
                await self._uploads.keep(button, assistant.retriever)
                return
            view = next((view for view in self._views if button.payload["message"] == view.id), None)
            if view is not None and button.name in (controls.KEEP, controls.PREFER):
                await (view.keep_draft() if button.name == controls.KEEP else view.prefer(button.payload["attempt"]))
                for each in self._views:
                    await each.offer_choice(self._tally)
                if isinstance(keeper := get_data_layer(), Keeper):
                    await keeper.note_preference(self.screen, view.id)
            elif view is not None and button.name == controls.FIGURES:
                if view.answer is not None:
                    answers = [each.answer for each in self._views if each.answer is not None]
                    prices = Prices.parse(assistant.settings.prices)
                    await usage_table.open_panel(answers, view.answer, prices, self._tally)
            elif view is not None:
                as_mode = controls.MODES.get(button.name)  # None asks without documents
                dial = self.choices.dial
                turn = replace(view.turn, mode=as_mode or view.turn.mode, dial=dial, unaided=as_mode is None)
                turn = replace(turn, history=self._history(view), earlier=view.answer)
                await self._run(assistant, turn, view)

    @property
    def _tally(self) -> str:
        return tally(each["preferred"] for each in self.screen.answers if each.get("preferred") is not None)

    def _history(self, before: TurnView | None = None) -> tuple[Exchange, ...]:
        """Return the questions and answers before a turn, or all of them."""
        end = len(self._views) if before is None else self._views.index(before)
        return self._earlier + tuple(Exchange(view.turn.question, view.text) for view in self._views[:end] if view.text)

    @asynccontextmanager
    async def _busy(self, informed: object = None) -> AsyncIterator[None]:
        """Run one turn at a time, and have all tabs show that one runs, but for one that Chainlit informs."""
        async with self._turn:
            self._running, self.screen.busy = asyncio.current_task(), True
            await self.screen.emit("task_start", {}, informed)
            try:
                yield
            finally:
                self._running, self.screen.busy = None, False
                self.screen.flush()
                await self.screen.emit("task_end", {}, informed)

    async def _recall(self) -> None:
        """Load what the history has of the conversation, and what was chosen last."""
        if self._known:
            return
        self._known = True
        if not isinstance(keeper := get_data_layer(), Keeper):
            return
        self.choices = await asyncio.to_thread(Choices.load, keeper.folder)
        if await self.screen.load(keeper):
            self.choices = self.choices.updated(self.screen.choices)
            settle(self.screen.elements.values())
            self._earlier = tuple(Exchange(it["question"], it["text"]) for it in self.screen.answers if it["text"])
        self.screen.kept = keeper.keeps and self.choices.keep
        if notice := await keeper.notice():
            await cl.context.emitter.send_toast(again(notice), "warning")

    async def _remember(self) -> None:
        """Keep what was chosen."""
        if isinstance(keeper := get_data_layer(), Keeper):
            await asyncio.to_thread(self.choices.save, keeper.folder)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, assistant: Assistant, turn: Turn, view: TurnView) -> None:
        try:
            async with aclosing(assistant.answer(turn)) as events:
                async for event in events:
                    await view.show(event)
            await view.offer_choice(self._tally)
        except BaseException:  # above all Stop
            await view.stop()
            raise

    async def _cancel_if_gone(self, session: WebsocketSession) -> None:
        await asyncio.sleep(0.1)  # the message that a new chat was begun can come just after the connection's end
        if not session.to_clear:
            await asyncio.sleep(GONE_SECONDS)
        tabs = [each for each in ws_sessions_id.values() if each.thread_id == session.thread_id]
        if not any(sio.manager.is_connected(tab.socket_id, "/") for tab in tabs):
            self.stop()


@asynccontextmanager
async def _errors_in_chat() -> AsyncIterator[None]:
    """Show the errors of a block in the chat."""
    try:
        yield
    except EscalatorError as error:
        await cl.ErrorMessage(content=escape(error)).send()
    except Exception as error:
        log.exception("a turn failed")
        what = _(
            "Something went wrong inside Escalator ({kind}). The terminal shows the details.", kind=type(error).__name__
        )
        await cl.ErrorMessage(content=what).send()
    finally:
        cl.chat_context.clear()  # Chainlit never frees it, and nothing here reads it
