"""One turn on the screen: its events as Chainlit's steps, messages and elements. It decides nothing."""

import asyncio
from dataclasses import replace

import chainlit as cl

from app.answering import events
from app.answering.citations import choose
from app.answering.turn import Answer, Attempt, Citation, Turn
from app.settings import Settings
from app.ui import controls, sources, usage_table
from app.ui.comparison import Comparison
from app.ui.messages import Stream, begin_step, end_step, escape
from app.ui.progress import Waiting
from app.ui.source_viewer import Originals


class TurnView:
    """Shows the events of a turn, and of the turns that its buttons begin, in the order in which they come."""

    def __init__(self, turn: Turn, settings: Settings, originals: Originals) -> None:
        self.turn = turn
        self.answer: Answer | None = None
        self._settings = settings
        self._originals = originals
        self._search: cl.Step | None = None
        self._waiting = Waiting()
        self._streams: dict[int, Stream] = {}
        self._started: dict[int, events.AttemptStarted] = {}
        self._set_aside: dict[int, str] = {}
        self._comparing = False
        self._comparison: Comparison | None = None
        self.messages: dict[str, set[str]] = {}
        """The sources attached to each message that has had buttons, by its id."""
        self._reply: cl.Message | None = None

    async def show(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.Started(turn):
                self._comparing, self._comparison = turn.mode == "compare", None
                self._set_aside = {}
                self._search = None if turn.earlier else await begin_step("Searching your documents", "search")
            case events.Retrieved():
                await self._show_hits(event)
            case events.Previewed(quote, text):
                await self._waiting.preview(quote, text)
            case events.AttemptStarted():
                await self._begin_attempt(event)
            case events.Progress():
                await self._show_progress(event)
            case events.Reasoning(number, text):
                await self._waiting.reason(number, text)
            case events.Token(number, text):
                await self._show_token(number, text)
            case events.Retracted(number):
                await self._take_back(number)
            case events.AttemptEnded(attempt):
                await self._end_attempt(attempt)
            case events.Escalated():
                self._set_aside[event.source] = event.why
            case events.Abstained(text, unaided):
                self._reply = cl.Message(escape(text))
                self.messages[self._reply.id] = set()
                self._reply.actions = [controls.button(controls.UNAIDED, self._reply.id)] if unaided else []
                await self._reply.send()
            case events.Failed(error, None):
                await cl.ErrorMessage(content=escape(error)).send()
            case events.Finished(answer):
                await self._finish(answer)

    async def stop(self) -> None:
        """End what was streaming when the turn was cut short; an answer from before is shown again."""
        await self._waiting.stop()
        await self._end_search("Search stopped")
        for stream in self._streams.values():
            await stream.close()
        if self._comparison is not None:
            await self._comparison.close()
        if self.answer is not None:
            self._comparison = None
            await self._finish(self.answer)

    @property
    def text(self) -> str:
        """The text of the answer on the screen, without its sources."""
        if self.answer is not None:
            return self.answer.text if self.answer.attempt is not None else ""
        return self._streams[max(self._streams)].text if self._streams else ""

    @property
    def message(self) -> cl.Message | None:
        """The message of the answer on the screen, or of the reply in its place."""
        chosen = self.answer.attempt if self.answer is not None else None
        if chosen is None:
            return self._reply
        if self._comparison is not None and chosen.role != "extractive":
            return self._comparison.message
        return self._streams[chosen.id].message if chosen.id in self._streams else None

    async def keep_draft(self) -> None:
        """Take the draft back: unfold it and set the other answers aside."""
        answer = self.answer
        if answer is None or (draft := answer.draft) is None:
            return
        if (old := self.message) is not None:
            await old.remove_actions()
        await self._fold_all_but(draft.id, "set aside by you")
        decision = answer.decision
        reason = decision.why if decision is not None and decision.code not in (None, "requested") else ""
        kept = await asyncio.to_thread(choose, answer, draft)
        self.answer = replace(kept, notices=(f"You kept the small answer. {reason}".rstrip(),))
        if draft.id not in self._streams:  # it was a column of a comparison
            self._streams[draft.id] = Stream(draft.model)
            await self._streams[draft.id].feed(draft.text)
            await self._streams[draft.id].close()
        self._comparison = None
        await self._write(self._streams[draft.id].message, self.answer, controls.buttons(self.answer))

    async def _end_search(self, name: str) -> None:
        if self._search is not None and self._search.end is None:
            await end_step(self._search, name)

    async def _show_hits(self, event: events.Retrieved) -> None:
        if self._search is None and self.answer is not None and len(event.evidence) > len(self.answer.evidence):
            self._search = await begin_step("Searching more widely", "search")
        if self._search is not None:
            await sources.end_search(self._search, event)

    async def _begin_attempt(self, event: events.AttemptStarted) -> None:
        self._started[event.id] = event
        if event.role == "extractive":
            return
        if self._comparing:
            await self._waiting.end(None, "Foundry Local has started")
            self._comparison = self._comparison or Comparison()
            await self._comparison.begin(event.id, event.model)
            await self._waiting.move_below()
            return
        self._streams.pop(event.id, None)  # of an earlier try, which is folded
        await self._waiting.begin(event.id, event.model, " ".join(self._set_aside.values()))

    async def _show_progress(self, event: events.Progress) -> None:
        if event.id is None and self._search is not None and self._search.end is None:
            self._search.name = event.text
            await self._search.update()
        elif event.id is not None and self._comparison is not None:
            self._comparison.note(event.id, event.text)
        else:
            await self._waiting.update(event.text, event.id)

    async def _show_token(self, number: int, text: str) -> None:
        placeholder = await self._waiting.write(number) if number not in self._streams else None
        if self._comparison is not None and self._started[number].role != "extractive":
            if placeholder is not None:
                await placeholder.remove()
            self._comparison.feed(number, text)
            return
        if number not in self._streams:
            await self._fold_drafts()
            self._streams[number] = Stream(self._started[number].model, placeholder)
        await self._streams[number].feed(text)

    async def _take_back(self, number: int) -> None:
        if self._comparison is not None:
            self._comparison.replace(number, "")
        elif number in self._streams:
            await self._streams[number].clear()

    async def _fold_drafts(self) -> None:
        for draft, reason in self._set_aside.items():
            if draft in self._streams:
                await self._streams[draft].fold(f"Draft by {self._started[draft].model}, set aside: {reason}")

    async def _fold_all_but(self, kept: int, why: str) -> None:
        for number, stream in self._streams.items():
            if number != kept and not stream.folded:
                await stream.fold(f"Answer by {self._started[number].model}, {why}")

    async def _end_attempt(self, attempt: Attempt) -> None:
        if attempt.id in self._streams:
            await self._streams[attempt.id].close()
        summary = usage_table.summary(attempt, usage=self._settings.show_usage)
        await self._waiting.end(attempt.id, summary)
        if self._comparison is not None and attempt.role != "extractive":
            self._comparison.end(attempt.id, summary.partition(" · ")[2] or summary)

    async def _finish(self, answer: Answer) -> None:
        await self._end_search("Nothing was searched")
        await self._waiting.end(None, "Foundry Local did not start")
        if self.answer is not None and answer.attempt is None:
            return  # a button brought nothing, and the answer from before stays
        self.answer = answer
        if (message := self.message) is None or (chosen := answer.attempt) is None:
            return
        if self._reply is not None:
            await self._reply.remove_actions()
        if self._comparison is not None:
            answer = self.answer = await self._show_both(self._comparison, answer)
        else:
            await self._fold_all_but(chosen.id, "not finished")  # a model died in its answer, or was stopped there
        await self._write(message, answer, controls.buttons(answer, comparing=self._comparison is not None))

    async def _show_both(self, comparison: Comparison, answer: Answer) -> Answer:
        """Show both answers with their marks put right; returns the answer with the citations of both."""
        citations: list[Citation] = []
        for attempt in answer.attempts:
            if attempt.role != "extractive":
                cited = await asyncio.to_thread(choose, answer, attempt)
                comparison.replace(attempt.id, cited.rendered)
                citations += cited.citations
        await comparison.close()
        return replace(answer, citations=tuple(citations))

    async def _write(self, message: cl.Message, answer: Answer, buttons: list[str]) -> None:
        """Put the answer into its message, with its notices, its sources and its buttons."""
        text, listed = answer.rendered, answer.sources
        if self._comparison is not None and message is self._comparison.message:
            text = self._comparison.heading
        notices = [f"**Note:** {escape(notice)}" for notice in answer.notices]
        message.content = "\n\n".join([text, *notices, *sources.line(listed, answer.citations)])
        attached = self.messages.setdefault(message.id, set())
        if fresh := [item for item in listed if sources.name(item) not in attached]:
            attached.update(map(sources.name, fresh))
            await sources.send(fresh, message, answer, self._originals)
        await message.remove_actions()
        message.actions = [controls.button(name, message.id) for name in buttons]
        await message.update()
