"""A conversation: its turns, its uploads, what its tabs share, and what happens when the last of them is closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakValueDictionary

import chainlit as cl
from chainlit.server import sio
from chainlit.session import WebsocketSession, ws_sessions_id
from chainlit.user_session import user_sessions

from app.answering.pipeline import Assistant
from app.answering.turn import Mode, Turn, mode
from app.answering.usage import Prices
from app.errors import EscalatorError
from app.history import History
from app.retrieval.search import Exchange
from app.settings import load
from app.translation import _, again
from app.ui import buttons, export_panel, slash_commands, start_page, uploads, usage_table
from app.ui.choices import Choices, Scopes, modes, widgets
from app.ui.comparison import settle, tally
from app.ui.keeper import Keeper
from app.ui.messages import escape
from app.ui.screen import Screen
from app.ui.server_guard import USER
from app.ui.source_viewer import Originals
from app.ui.turn_view import TurnView

if TYPE_CHECKING:
    from chainlit.step import StepDict

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
        self._scopes = Scopes(self.screen.said)
        self._views: list[TurnView] = []
        self._brought: dict[str, set[str]] = {}
        """The documents that came with each question."""
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
        await cl.context.emitter.set_modes([modes(self.choices.mode)])
        await cl.context.emitter.set_commands(slash_commands.offered())
        try:
            assistant = await asyncio.to_thread(shared_assistant)
            self._in_background(start_page.report(assistant))
            self._in_background(self._scopes.offer(assistant.retriever, self.choices.mode))
            history = Keeper.current() is not None
            await widgets(self.choices, assistant.settings, history=history).send()
        except EscalatorError as error:
            await cl.send_window_message({"about": "start", "lines": [str(error)]})

    async def choose(self, chosen: dict[str, Any]) -> None:
        """Take over what was chosen in the settings, for this conversation and those that are begun later."""
        self.choices = self.choices.updated(chosen)
        await self._remember()
        if not self.choices.keep and self.screen.kept and (keeper := Keeper.current()):
            self.screen.kept = False
            await keeper.run(History.delete, self.screen.id)

    async def ask(self, message: cl.Message, informed: object = None) -> None:
        """Answer a message: a question, perhaps with files, or a command; Chainlit has `informed` a tab of that."""
        async with self._busy(informed), _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            files = [element for element in message.elements or [] if element.path]
            brought = await self._uploads.read(files, assistant.retriever)
            self._brought[message.id] = {document.file for document in brought}
            if not files or message.command or message.content.strip():
                chosen = (message.modes or {}).get("mode")
                as_mode = mode(chosen)
                if chosen not in (None, self.choices.mode):
                    self.choices = replace(self.choices, mode=as_mode)
                    await self._remember()
                await self._answer(assistant, message, Turn("", mode=as_mode))
            else:
                await self._uploads.offer(brought, asked=False)

    async def edit(self, question: str, text: str) -> None:
        """Ask a question on the screen in another wording, in place of all that came after it."""
        task = asyncio.create_task(self._edit(question, text))
        await asyncio.wait([task])

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
        if button.name == buttons.FOLLOW:
            await self._follow(button.payload["question"])
            return
        async with self._busy(), _errors_in_chat():
            assistant = await asyncio.to_thread(shared_assistant)
            if button.name == buttons.EXPORT:
                await export_panel.open_panel(button.payload["message"])
                return
            if button.name == uploads.KEEP:
                await self._uploads.keep(button, assistant.retriever)
                return
            view = next((view for view in self._views if button.payload["message"] == view.id), None)
            question = self.screen.question_of(button.payload["message"])
            if button.name == buttons.AGAIN or (view is None and button.name in buttons.MODE_OF):
                if question is not None:
                    await self._again(assistant, question, buttons.MODE_OF.get(button.name))
            elif view is None:
                return
            elif button.name in (buttons.KEEP, buttons.PREFER):
                await (view.keep_draft() if button.name == buttons.KEEP else view.prefer(button.payload["attempt"]))
                for each in self._views:
                    await each.offer_choice(self._tally)
                if keeper := Keeper.current():
                    await keeper.note_preference(self.screen, view.id)
            elif button.name == buttons.FIGURES:
                if view.answer is not None:
                    answers = [each.answer for each in self._views if each.answer is not None]
                    prices = Prices.parse(assistant.settings.prices)
                    await usage_table.open_panel(answers, view.answer, prices, self._tally)
            else:
                as_mode = buttons.MODE_OF.get(button.name, view.turn.mode)
                turn = replace(view.turn, mode=as_mode, dial=self.choices.dial, unaided=button.name == buttons.UNAIDED)
                turn = replace(turn, history=self._history(view.id), earlier=view.answer, varied=False)
                await self._run(assistant, replace(turn, continues=button.name == buttons.CONTINUE), view)

    async def _edit(self, question: str, text: str) -> None:
        self.stop()
        async with self._busy(), _errors_in_chat():
            row = self.screen.rows.get(question)
            if row is not None and row["type"] == "user_message" and text.strip():
                await self._again(await asyncio.to_thread(shared_assistant), {**row, "output": text}, self.choices.mode)

    async def _follow(self, question: str) -> None:
        """Ask what a button suggests, as if it had been typed."""
        message = cl.Message(question, author=USER, type="user_message", modes={"mode": self.choices.mode})
        await message.send()
        async with cl.Step(name="on_message", type="run", parent_id=message.id):
            await self.ask(message)

    async def _again(self, assistant: Assistant, question: dict[str, Any], as_mode: Mode | None = None) -> None:
        """Answer a question on the screen anew, in place of all below it; without a mode, in that of its answer.

        The answer from before comes back if it was a model's and no model gives another one to the same question.
        """
        name, views = question["id"], self._views
        same = self.screen.rows[name]["output"] == question["output"]
        replaced = self.screen.said()[len(self.screen.said(name)) :]
        shown = await self.screen.cut(name)
        self._views = [view for view in views if view.id in self.screen.rows]
        self._told.clear()  # what was told at length may be gone
        message = cl.Message.from_dict(cast("StepDict", question))
        await message.update()
        self._scopes.again(message, replaced if same else ())
        before = replaced[0] if replaced else {}
        how = Turn("", mode=as_mode or mode(before.get("mode")), varied=as_mode is None)
        how = replace(how, unaided=same and before.get("unaided", False))
        try:
            async with cl.Step(name="on_message", type="run", parent_id=name):
                await self._answer(assistant, message, how, anew=same)
        finally:
            answer = next((each.answer for each in self._views if each not in views), None)
            if same and before.get("role") in ("small", "large") and not (answer and answer.by_model):
                await self.screen.cut(name)
                await self.screen.apply(shown)
                self._views = views
                for notice in answer.notices if answer else ():
                    await cl.context.emitter.send_toast(notice, "warning")

    async def _answer(self, assistant: Assistant, message: cl.Message, how: Turn, *, anew: bool = False) -> None:
        """Show what a message brings: the answer to a question, or the reply to a command."""
        command, words = slash_commands.parse(message)
        await self._uploads.recall(assistant.retriever)
        dropped, dial = self._uploads.documents, self.choices.dial
        brought = tuple(each for each in dropped if each.file in self._brought.get(message.id, ()))
        await self._uploads.offer(brought, asked=True)
        turn = replace(how, question=words, history=self._history(), dial=dial, brought=brought, dropped=dropped)
        turn = replace(turn, scope=self._scopes.of(message))
        originals = Originals(assistant.retriever.snapshot, partial(self._uploads.path, assistant.settings.corpus))
        if command not in (None, slash_commands.COMPARE):
            last = next((it.answer for it in reversed(self._views) if it.answer and it.answer.attempt), None)
            await slash_commands.reply(command, turn, assistant.retriever, originals, self.screen.said(), last)
            return
        await self._retire()
        self.screen.choices = {"mode": self.choices.mode, "dial": dial}
        settings = self.choices.applied(assistant.settings)
        if command is not None:
            turn = replace(turn, mode="compare")
        self._views.append(TurnView(turn, settings, originals, self._told, anew=anew))
        await self._run(assistant, turn, self._views[-1])
        await self._scopes.offer(assistant.retriever, self.choices.mode, anew=True)

    async def _retire(self) -> None:
        """Take off the buttons that only the last answer has."""
        for view in self._views:
            view.last = False
        last = [each for each in self.screen.actions.values() if each["name"] in buttons.LAST]
        await self.screen.apply([("remove_action", each) for each in last])

    @property
    def _tally(self) -> str:
        return tally(each["preferred"] for each in self.screen.said() if each.get("preferred") is not None)

    def _history(self, until: str = "") -> tuple[Exchange, ...]:
        """Return the questions and answers above a message, or all of them."""
        return tuple(Exchange(each["question"], each["text"]) for each in self.screen.said(until) if each["text"])

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
        if (keeper := Keeper.current()) is None:
            return
        self.choices = await asyncio.to_thread(Choices.load, keeper.folder)
        if await keeper.load(self.screen):
            self.choices = self.choices.updated(self.screen.choices)
            settle(self.screen.elements.values())
            for button in buttons.kept(self.screen.rows.values()):
                self.screen.take("action", button)
        self.screen.kept = keeper.keeps and self.choices.keep
        if notice := await keeper.notice():
            await cl.context.emitter.send_toast(again(notice), "warning")

    async def _remember(self) -> None:
        """Keep what was chosen."""
        if keeper := Keeper.current():
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
