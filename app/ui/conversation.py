"""A conversation: its turns, its uploads, what its tabs share, and what happens when the last of them is closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import chainlit as cl
from chainlit.server import sio
from chainlit.session import WebsocketSession
from chainlit.user_session import user_sessions

from app.answering.pipeline import Assistant
from app.answering.turn import Turn, mode
from app.errors import EscalatorError
from app.export import gather
from app.history import History
from app.room import HERE, begin_request, person
from app.settings import load
from app.translation import _, again
from app.ui import buttons, composer, corpus_panel
from app.ui.comparison import REPORT, settle
from app.ui.composer import Choices, widgets
from app.ui.keeper import Keeper
from app.ui.messages import escape
from app.ui.screen import Screen
from app.ui.turns import Turns

log = logging.getLogger(__name__)

GONE_SECONDS = 10.0
"""A turn is cancelled after its tabs have been gone for so long; a reload or a dropped connection takes less."""

ENDING_SECONDS = 2.0
"""For the turns that run when the app is ended, to show and keep what has come of them."""


@cache
def shared_assistant() -> Assistant:
    """Make the assistant that all conversations of this process share; raises SettingsError."""
    return Assistant(load())


async def loaded_assistant() -> Assistant:
    """Return the shared assistant; the first call makes it, in a thread; raises SettingsError."""
    return shared_assistant() if shared_assistant.cache_info().currsize else await asyncio.to_thread(shared_assistant)


class Conversation:
    """What the tabs of a conversation share; one turn runs at a time, which any of them can stop."""

    _open: ClassVar[WeakValueDictionary[tuple[str, str], "Conversation"]] = WeakValueDictionary()
    _ended: ClassVar[bool] = False

    def __init__(self, thread: str) -> None:
        self.screen = Screen.of(thread)
        self.choices = Choices()
        self._turns = Turns(self.screen)
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
        key = person.get(), session.thread_id
        if (conversation := cls._open.get(key)) is None:
            conversation = cls._open[key] = cls(session.thread_id)
        memories = [memory for memory in user_sessions.values() if memory.get("conversation") is conversation]
        user_sessions[session.id] = memories[0] if memories else {"conversation": conversation}
        return conversation

    @classmethod
    async def end_all(cls) -> None:
        """Stop the turns of all conversations, as Stop does, and those of other programs; none is begun any more."""
        cls._ended = True
        running = [each._running for each in [*cls._open.values()] if each._running is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=ENDING_SECONDS)
        if shared_assistant.cache_info().currsize:
            shared_assistant().end()

    async def open(self) -> None:
        """Open the conversation in a tab: offer modes and settings, report what an empty chat shows, and reading."""
        async with self._opening:
            await self._recall()
        await cl.context.emitter.set_commands(composer.commands())
        try:
            assistant = await loaded_assistant()
            self._in_background(corpus_panel.report(assistant))
            history = Keeper.current() is not None
            await widgets(self.choices, assistant.settings, history=history).send()
            await self._turns.scopes.offer(assistant.retriever, self.choices.mode, assistant.settings.route)
        except EscalatorError as error:
            await cl.send_window_message({"about": "start", "lines": [str(error)]})

    async def choose(self, chosen: dict[str, Any]) -> None:
        """Take over what was chosen in the settings, for this conversation and those that are begun later."""
        self.choices = self.choices.updated(chosen)
        await self._remember()
        if not self.choices.keep and self.screen.kept and (keeper := Keeper.current()):
            self.screen.kept = self.screen.listed = False
            await keeper.run(History.delete, self.screen.id)

    async def ask(self, message: cl.Message, informed: object = None) -> None:
        """Answer a message: a question, perhaps with files, or a command; Chainlit has `informed` a tab of that."""
        async with self._busy(informed), _errors_in_chat():
            await self._renew(message.id)
            if self.screen.kept and not self.screen.begun and (keeper := Keeper.current()):
                await keeper.begin(self.screen, message.content)
            assistant = await loaded_assistant()
            chosen = (message.modes or {}).get("mode")
            how = Turn("", mode=mode(chosen))
            if chosen not in (None, self.choices.mode):
                self.choices = replace(self.choices, mode=how.mode)
                await self._remember()
            files = [element for element in message.elements or [] if element.path]
            await self._turns.ask(assistant, message, how, self.choices, files)

    async def edit(self, question: str, text: str) -> None:
        """Ask a question on the screen in another wording, in place of all that came after it."""
        task = asyncio.create_task(self._edit(question, text))
        await asyncio.wait([task])

    async def press(self, button: cl.Action) -> None:
        """Do what a button of a message says, so that the page shows it and Stop ends it."""
        task = asyncio.create_task(self._press(button))
        await asyncio.wait([task])

    async def look(self, name: str) -> None:
        """Open the panel of a button that has this id, which Chainlit lets nobody press while an answer is written."""
        known = self.screen.actions.get(name, {})
        if known.get("name") in buttons.LOOKING:
            await self.press(cl.Action(**known))

    async def export(self, wanted: Mapping[str, Any]) -> dict[str, str] | None:
        """Return a file that the page asks for, and its name: an export, or the report of a comparison."""
        if wanted["form"] == REPORT:
            return await self._turns.report(shared_assistant(), str(wanted["message"]))
        keeper, form, only = Keeper.current(), str(wanted["form"]), str(wanted["message"])
        kept = await keeper.run(History.find, self.screen.id) if keeper else None
        title = "" if only or kept is None else kept.title
        shown = [*self.screen.rows.values()], [*self.screen.elements.values()]
        document = await asyncio.to_thread(gather, title, *shown, only)
        text = await asyncio.to_thread(document.write, form, figures=bool(wanted["figures"]))
        return {"name": document.name(form), "text": text}

    def stop(self) -> None:
        """End the turn that runs, whichever tab began it."""
        if self._running is not None:
            self._running.cancel()

    def disconnect(self) -> None:
        """Cancel the turn of tabs that are gone, unless one comes back in time; at once if a new chat was begun."""
        if isinstance(session := cl.context.session, WebsocketSession):
            session.current_task = None  # each refers to the other, so that both, and the connection, would be kept
            self._in_background(self._cancel_if_gone(session))

    async def _press(self, button: cl.Action) -> None:
        if button.name == buttons.FOLLOW:
            await self._follow(button.payload["question"])
            return
        looks = button.name in buttons.LOOKING  # so it need not wait for the turn that runs
        async with nullcontext() if looks else self._busy(), _errors_in_chat():
            if not (looks and self.screen.busy) and await self._renew():
                return
            assistant = await loaded_assistant()
            if looks:
                await self._turns.look(assistant, button)
            else:
                await self._turns.press(assistant, button, self.choices)

    async def _edit(self, question: str, text: str) -> None:
        self.stop()
        keeper = Keeper.current()
        if keeper and text.strip() and await keeper.is_gone(self.screen):
            await self._follow(text)
            return
        async with self._busy(), _errors_in_chat():
            row = self.screen.rows.get(question)
            if row is not None and row["type"] == "user_message" and text.strip():
                if keeper:
                    await keeper.retitle(self.screen, row, text)
                assistant = await loaded_assistant()
                await self._turns.ask_again(assistant, {**row, "output": text}, self.choices, self.choices.mode)

    async def _follow(self, question: str) -> None:
        """Ask what a button suggests, as if it had been typed."""
        message = cl.Message(
            question, author=person.get() or HERE, type="user_message", modes={"mode": self.choices.mode}
        )
        await message.send()
        async with cl.Step(name="on_message", type="run", parent_id=message.id):
            await self.ask(message)

    @asynccontextmanager
    async def _busy(self, informed: object = None) -> AsyncIterator[None]:
        """Run one turn at a time, and have all tabs show that one runs, but for one that Chainlit informs."""
        async with self._turn:
            if self._ended:
                raise asyncio.CancelledError
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
        if (keeper := Keeper.current()) is None:
            return
        self.choices = await asyncio.to_thread(Choices.load, keeper.folder)
        loaded = await keeper.load(self.screen)
        self.choices = self.choices.updated(self.screen.choices)  # of a screen that outlived its conversation, too
        if loaded:
            settle(self.screen.elements.values())
            for button in buttons.kept(self.screen.rows.values(), usage=self.choices.usage(keeper.settings)):
                self.screen.take("action", button)
        self.screen.kept = keeper.keeps and self.choices.keep
        if notice := await keeper.notice():
            await cl.context.emitter.send_toast(again(notice), "warning")

    async def _renew(self, question: str = "") -> bool:
        """Begin a new conversation, with a question, if this one was deleted by another process, and say so."""
        keeper = Keeper.current()
        if keeper is None or not await keeper.is_gone(self.screen):
            return False
        await self.screen.clear(question)
        self.screen.listed = self.screen.begun = False
        self.screen.kept = keeper.keeps and self.choices.keep
        self._turns = Turns(self.screen)
        said = _("This conversation was deleted outside this page. A new one begins here.")
        await cl.context.emitter.send_toast(said, "warning")
        return True

    async def _remember(self) -> None:
        """Keep what was chosen."""
        if keeper := Keeper.current():
            await asyncio.to_thread(self.choices.save, keeper.folder)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_if_gone(self, session: WebsocketSession) -> None:
        await asyncio.sleep(0.1)  # the message that a new chat was begun can come just after the connection's end
        if not session.to_clear:
            await asyncio.sleep(GONE_SECONDS)
        if not any(sio.manager.is_connected(tab.socket_id, "/") for tab in self.screen.tabs):
            self.stop()


@asynccontextmanager
async def _errors_in_chat() -> AsyncIterator[None]:
    """Show the errors of a block in the chat."""
    name = begin_request()
    try:
        yield
    except EscalatorError as error:
        await cl.ErrorMessage(content=escape(error)).send()
    except Exception as error:
        log.exception("a turn failed")
        what = _(
            "Something went wrong inside Escalator ({kind}, request {name}). The terminal shows the details.",
            kind=type(error).__name__,
            name=name,
        )
        await cl.ErrorMessage(content=what).send()
    finally:
        cl.chat_context.clear()  # Chainlit never frees it, and nothing here reads it
