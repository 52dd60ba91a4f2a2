"""The turns of a conversation: a message is answered, asked again in place of what followed, or a button is pressed."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import chainlit as cl
from chainlit.element import Element

from app.answering.context import unsearched
from app.answering.pipeline import Assistant
from app.answering.turn import (
    NUMBERS,
    PLAIN,
    VARIED,
    Answer,
    Attempt,
    Decision,
    Metrics,
    Mode,
    Role,
    Sent,
    Turn,
    mode,
)
from app.answering.usage import Prices
from app.history import remembered
from app.retrieval.search import Exchange
from app.ui import buttons, cascade, composer, messages, models_panel
from app.ui.comparison import report, tally
from app.ui.composer import Choices, Scopes
from app.ui.keeper import Keeper
from app.ui.screen import Screen
from app.ui.source_viewer import Originals
from app.ui.turn_view import TurnView
from app.ui.uploads import KEEP, Uploads

if TYPE_CHECKING:
    from chainlit.step import StepDict


class Turns:
    """Runs turns, one at a time, and remembers their answers; a model sees this memory, not the screen."""

    def __init__(self, screen: Screen) -> None:
        self.scopes = Scopes(screen.said)
        self._screen = screen
        self._uploads = Uploads(screen)
        self._views: list[TurnView] = []
        self._told: dict[str, str] = {}

    async def ask(
        self,
        assistant: Assistant,
        message: cl.Message,
        how: Turn,
        choices: Choices,
        files: Sequence[Element] = (),
        *,
        anew: bool = False,
        begun: Mapping[str, Any] | None = None,
    ) -> None:
        """Show what a message brings: the answer to a question, the reply to a command, or that its files were read.

        `begun` is the record of an answer from the history that is to be continued.
        """
        command, words = composer.parse(message)
        turn = replace(how, question=words, history=self._history(), dial=choices.dial, scope=self.scopes.of(message))
        originals = Originals(assistant.retriever, partial(self._uploads.path, assistant.settings.corpus))
        view = TurnView(turn, originals, self._told, usage=choices.usage(assistant.settings), anew=anew)
        async with view.ending():
            brought = await self._uploads.read(message.id, files, assistant.retriever)
            asked = bool(command or words.strip()) or not self._uploads.of(message.id)
            await self._uploads.offer(brought, asked=asked)
        if not asked:
            return
        turn = view.turn = replace(turn, brought=tuple(brought), dropped=self._uploads.documents)
        if command not in (None, composer.COMPARE):
            last = next((it.answer for it in reversed(self._views) if it.answer and it.answer.attempt), None)
            await composer.reply(command, turn, originals, self._screen.said(), last)
            return
        await self._retire()
        self._screen.choices = {"mode": choices.mode, "dial": choices.dial}
        if command is not None:
            turn = view.turn = replace(turn, mode="compare")
        if begun is not None:
            view.answer = recalled(turn, begun)
            turn = replace(turn, earlier=view.answer, continues=True)
        self._views.append(view)
        await self._run(assistant, turn, view)
        if self.scopes.outdated:
            await self.scopes.offer(assistant.retriever, choices.mode, assistant.settings.route)

    async def ask_again(
        self,
        assistant: Assistant,
        question: dict[str, Any],
        choices: Choices,
        as_mode: Mode | None = None,
        *,
        continues: bool = False,
    ) -> None:
        """Answer a question on the screen anew, in place of all below it; without a mode, in that of its answer.

        The answer from before comes back if it was a model's and no model gives another one to the same question.
        """
        name, views = question["id"], self._views
        same = self._screen.rows[name]["output"] == question["output"]
        replaced = self._screen.said()[len(self._screen.said(name)) :]
        shown = await self._screen.cut(name)
        self._views = [view for view in views if view.id in self._screen.rows]
        self._told.clear()  # what was told at length may be gone
        message = cl.Message.from_dict(cast("StepDict", question))
        await message.update()
        self.scopes.again(message, replaced if same else ())
        before = replaced[0] if replaced else {}
        sampling = VARIED if as_mode is None and not continues else PLAIN
        how = Turn("", mode=as_mode or mode(before.get("mode")), sampling=sampling)
        how = replace(how, unaided=same and before.get("unaided", False))
        try:
            async with cl.Step(name="on_message", type="run", parent_id=name):
                await self.ask(assistant, message, how, choices, anew=same, begun=before if continues else None)
        finally:
            answer = next((each.answer for each in self._views if each not in views), None)
            if same and before.get("role") in ("small", "large") and not (answer and answer.author):
                await self._screen.cut(name)
                await self._screen.apply(shown)
                self._views = views
                for notice in answer.notices if answer else ():
                    await cl.context.emitter.send_toast(notice, "warning")

    async def press(self, assistant: Assistant, button: cl.Action, choices: Choices) -> None:
        """Do what a button of a message says, which changes the conversation."""
        if button.name == KEEP:
            await self._uploads.keep(button, assistant.retriever)
            return
        name, message = button.name, button.payload["message"]
        view, question = self._view(message), self._screen.question_of(message)
        if view is not None and name in (buttons.KEEP, buttons.PREFER):
            await (view.keep_draft() if name == buttons.KEEP else view.prefer(button.payload["attempt"]))
            for each in self._views:
                await each.offer_choice(self._tally)
            if keeper := Keeper.current():
                await keeper.note_preference(self._screen, view.id)
        elif view is not None and name != buttons.AGAIN:
            as_mode = buttons.MODE_OF.get(name, view.turn.mode)
            turn = replace(view.turn, mode=as_mode, dial=choices.dial, unaided=name == buttons.UNAIDED)
            turn = replace(turn, history=self._history(view.id), earlier=view.answer, sampling=PLAIN)
            await self._run(assistant, replace(turn, continues=name == buttons.CONTINUE), view)
        elif question is not None and name in (buttons.AGAIN, buttons.CONTINUE, *buttons.MODE_OF):
            continues = name == buttons.CONTINUE
            await self.ask_again(assistant, question, choices, buttons.MODE_OF.get(name), continues=continues)

    async def look(self, assistant: Assistant, button: cl.Action) -> None:
        """Open the panel of a button that changes nothing."""
        message = button.payload["message"]
        if button.name == buttons.MODELS:
            await messages.open_panel(models_panel.NAME)
        elif button.name == buttons.EXPORT:
            await messages.open_panel(buttons.EXPORT_PANEL, {"message": message})
        elif button.name == buttons.SENT:
            record, view = remembered(self._screen.rows.get(message, {})), self._view(message)
            told = view.sent if view else ()  # also where there is no answer to remember
            await cascade.open_sent(record.get("sent", told))
        elif (record := remembered(self._screen.rows.get(message, {}))).get("attempts"):
            answers = [measured(each) for each in self._screen.said() if each.get("attempts")]
            await cascade.open_panel(answers, measured(record), Prices.parse(assistant.settings.prices), self._tally)

    async def report(self, assistant: Assistant, message: str) -> dict[str, str] | None:
        """Return the report of a comparison, and a name for its file; None if its answers are not in memory."""
        view, prices = self._view(message), Prices.parse(assistant.settings.prices)
        return await asyncio.to_thread(report, view.answer, prices) if view and view.answer else None

    def _view(self, message: str) -> TurnView | None:
        return next((view for view in self._views if view.id == message), None)

    async def _retire(self) -> None:
        """Take off the buttons that only the last answer has."""
        for view in self._views:
            view.last = False
        last = [each for each in self._screen.actions.values() if each["name"] in buttons.LAST]
        await self._screen.apply([("remove_action", each) for each in last])

    @property
    def _tally(self) -> str:
        return tally(each["preferred"] for each in self._screen.said() if each.get("preferred") is not None)

    def _history(self, until: str = "") -> tuple[Exchange, ...]:
        """Return the questions and answers above a message, or all of them."""
        said = [each for each in self._screen.said(until) if each["text"]]
        return tuple(Exchange(each["question"], each["text"], grounds(each)) for each in said)

    async def _run(self, assistant: Assistant, turn: Turn, view: TurnView) -> None:
        async with view.ending(), aclosing(assistant.answer(turn)) as events:
            async for event in events:
                await view.show(event)
            await view.offer_choice(self._tally)


def measured(record: Mapping[str, Any]) -> Answer:
    """Return an answer as far as its times and tokens go, from its record."""
    route = record.get("route", "local-first" if record["mode"] == "auto" else None)
    turn = Turn(record["question"], mode=mode(record["mode"]), route=route)
    sent = [Sent(model, host, ()) for model, host, __ in record.get("sent", ())]
    attempts = []
    for it in record["attempts"]:
        own = tuple(each for each in sent if each.model == it["model"])
        numbers = Metrics(**it["metrics"])
        attempts.append(Attempt(NUMBERS[it["role"]], it["role"], it["model"], "", "", "", numbers, sent=own))
    shown = next((each for each in attempts if each.role == record["role"]), None)
    decision, metrics = Decision(record["decision"], ""), Metrics(**record["metrics"])
    found = unsearched(turn).found
    return Answer(turn, found, (), tuple(attempts), shown, decision, "", "", (), (), metrics, sent_besides=tuple(sent))


def grounds(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an answer rests on; those of earlier versions have the documents of their evidence."""
    return tuple(record.get("grounds") or (it.rpartition("#")[0] for it in record.get("evidence", ())))


def recalled(turn: Turn, record: Mapping[str, Any]) -> Answer:
    """Return the answer of a turn as far as the history keeps it: its text, without the evidence."""
    turn, role = replace(turn, grounds=grounds(record)), cast("Role", record["role"])
    attempt = Attempt(NUMBERS[role], role, record["model"], "", record["text"], "error", Metrics())
    found = unsearched(turn).found
    return Answer(turn, found, (), (attempt,), attempt, None, attempt.text, attempt.text, (), (), Metrics())
