"""One turn on the screen: its events as Chainlit's steps, messages and elements. It decides nothing."""

import asyncio
from dataclasses import replace

import chainlit as cl

from app.answering.citations import Citation
from app.answering.events import (
    Abstained,
    AttemptEnded,
    AttemptStarted,
    Escalated,
    Event,
    Failed,
    Finished,
    Previewed,
    Progress,
    Reasoning,
    Retrieved,
    Started,
    Token,
)
from app.answering.turn import Answer, Attempt
from app.settings import Settings
from app.ui import actions, sources, steps, usage_table
from app.ui.comparison import Comparison
from app.ui.progress import Waiting
from app.ui.source_viewer import Originals
from app.ui.stream import Stream
from app.ui.texts import found, said


class TurnView:
    """Shows the events of one turn, and of the turns that its buttons begin, in the order in which they come."""

    def __init__(self, settings: Settings, originals: Originals) -> None:
        self.answer: Answer | None = None
        self._originals = originals
        self._settings = settings
        self._search: cl.Step | None = None
        self._waiting = Waiting()
        self._streams: dict[int, Stream] = {}
        self._started: dict[int, AttemptStarted] = {}
        self._set_aside: dict[int, str] = {}
        self._comparing = False
        self._comparison: Comparison | None = None
        self._sourced: dict[str, set[str]] = {}
        self._reply: cl.Message | None = None

    async def show(self, event: Event) -> None:
        """Translate one event."""
        match event:
            case Started(turn):
                self._comparing, self._comparison = turn.mode == "compare", None
                self._set_aside = {}
                self._search = None if turn.earlier else await steps.begin("Searching your documents", "search")
            case Retrieved():
                await self._retrieved(event)
            case Previewed(quote):
                await self._waiting.preview(quote)
            case AttemptStarted():
                await self._asked(event)
            case Progress():
                await self._waiting_for(event)
            case Reasoning(number, text):
                await self._waiting.thinks(number, text)
            case Token(number, text):
                await self._token(number, text)
            case AttemptEnded(attempt):
                await self._ended(attempt)
            case Escalated():
                self._set_aside[event.source] = event.why
            case Abstained(text, unaided):
                self._reply = await self._replied(text, [actions.UNAIDED] if unaided else [])
            case Failed(error, None):
                await cl.ErrorMessage(content=said(error)).send()
            case Finished(answer):
                await self._finished(answer)

    async def stopped(self) -> None:
        """End what was streaming when the turn was cut short; what stood before it stands again."""
        await self._waiting.stopped()
        await self._end_search("Search stopped")
        for stream in self._streams.values():
            await stream.close()
        if self._comparison is not None:
            await self._comparison.close()
        if self.answer is not None:
            self._comparison = None
            await self._finished(self.answer)

    @property
    def text(self) -> str:
        """The text that stands on the screen, without its sources."""
        if self.answer is not None:
            return self.answer.text if self.answer.attempt is not None else ""
        return self._streams[max(self._streams)].text if self._streams else ""

    @property
    def message_id(self) -> str | None:
        """The message that holds the answer, once the turn is over."""
        return message.id if (message := self._message()) is not None else None

    async def keep_draft(self) -> None:
        """Take the draft back: unfold it and set the other answers aside."""
        answer = self.answer
        if answer is None or (draft := answer.draft) is None:
            return
        if (old := self._message()) is not None:
            await old.remove_actions()
        for number, stream in self._streams.items():
            if number != draft.id:
                await stream.fold(f"Answer by {self._started[number].model}, set aside by you")
        asked_for = answer.decision is None or answer.decision.code in (None, "requested")
        why = "" if asked_for or answer.decision is None else answer.decision.why
        kept = await asyncio.to_thread(answer.standing, draft)
        self.answer = replace(kept, notices=(f"You kept the small answer. {why}".rstrip(),))
        if draft.id not in self._streams:  # it stood in a comparison
            self._streams[draft.id] = Stream(draft.model)
            await self._streams[draft.id].feed(draft.text)
            await self._streams[draft.id].close()
        self._comparison = None
        await self._write(self._streams[draft.id].message, self.answer, actions.offered(self.answer))

    async def _end_search(self, name: str) -> None:
        if self._search is not None and self._search.end is None:
            await steps.end(self._search, name)

    async def _retrieved(self, event: Retrieved) -> None:
        if self._search is None and self.answer is not None and len(event.evidence) > len(self.answer.evidence):
            self._search = await steps.begin("Searching wider", "search")
        if self._search is not None:
            self._search.output = await asyncio.to_thread(sources.table, event)
            await steps.end(self._search, found(event))

    async def _asked(self, event: AttemptStarted) -> None:
        self._started[event.id] = event
        if event.role == "extractive":
            return
        if self._comparing:
            await self._waiting.ended(None, "Foundry Local is there")
            self._comparison = self._comparison or Comparison()
            await self._comparison.begin(event.id, event.model)
            await self._waiting.below()
            return
        self._streams.pop(event.id, None)  # of an earlier try, which is folded
        await self._waiting.asked(event.id, event.model, " ".join(self._set_aside.values()))

    async def _waiting_for(self, event: Progress) -> None:
        if event.id is None and self._search is not None and self._search.end is None:
            self._search.name = event.text
            await self._search.update()
        elif event.id is not None and self._comparison is not None:
            self._comparison.note(event.id, event.text)
        else:
            await self._waiting.told(event.text, event.id)

    async def _replied(self, text: str, offered: list[str]) -> cl.Message:
        message = cl.Message(said(text))
        message.actions = [actions.button(name, message.id) for name in offered]
        await message.send()
        return message

    async def _token(self, number: int, text: str) -> None:
        place = await self._waiting.writes(number) if number not in self._streams else None
        if self._comparison is not None and self._started[number].role != "extractive":
            if place is not None:
                await place.remove()
            self._comparison.feed(number, text)
            return
        if number not in self._streams:
            await self._fold_drafts()
            self._streams[number] = Stream(self._started[number].model, place)
        await self._streams[number].feed(text)

    async def _fold_drafts(self) -> None:
        for draft, why in self._set_aside.items():
            if draft in self._streams:
                await self._streams[draft].fold(f"Draft by {self._started[draft].model}, set aside: {why}")

    async def _ended(self, attempt: Attempt) -> None:
        if attempt.id in self._streams:
            await self._streams[attempt.id].close()
        summary = usage_table.summary(attempt, usage=self._settings.show_usage)
        await self._waiting.ended(attempt.id, summary)
        if self._comparison is not None and attempt.role != "extractive":
            self._comparison.end(attempt.id, summary.partition(" · ")[2] or summary)

    async def _finished(self, answer: Answer) -> None:
        await self._end_search("Nothing was searched")
        await self._waiting.ended(None, "Foundry Local did not start")
        if self.answer is not None and answer.attempt is None:
            return  # a button brought nothing; what stood before it stands
        self.answer = answer
        if (message := self._message()) is None or answer.attempt is None:
            return
        if self._reply is not None:
            await self._reply.remove_actions()
        for number, stream in self._streams.items():  # a model that died in its answer, or was stopped there
            if self._comparison is None and number != answer.attempt.id and not stream.folded:
                await stream.fold(f"Answer by {self._started[number].model}, not finished")
        if self._comparison is not None:
            await self._show_both(self._comparison, answer)
        await self._write(message, answer, actions.offered(answer, comparing=self._comparison is not None))

    async def _show_both(self, comparison: Comparison, answer: Answer) -> None:
        """Both answers with their marks put right; the sources of both are listed."""
        cited: list[Citation] = []
        for attempt in answer.attempts:
            if attempt.role != "extractive":
                standing = await asyncio.to_thread(answer.standing, attempt)
                comparison.replace(attempt.id, standing.rendered)
                cited += standing.citations
        self.answer = replace(answer, citations=tuple(cited))
        await comparison.close()

    async def _write(self, message: cl.Message, answer: Answer, offered: list[str]) -> None:
        """Put the answer into its message, with what has to be said of it, its sources and its buttons."""
        text, listed = answer.rendered, answer.sources
        if message is self._compared() and self.answer is not None:
            text, listed = "Both models on the same passages:", self.answer.sources
        notices = [f"**Note:** {said(notice)}" for notice in answer.notices]
        message.content = "\n\n".join([text, *notices, *sources.line(listed, answer.citations)])
        sent = self._sourced.setdefault(message.id, set())
        if fresh := [item for item in listed if sources.name(item) not in sent]:
            sent.update(map(sources.name, fresh))
            await sources.send(fresh, message, self.answer or answer, self._originals)
        await message.remove_actions()
        message.actions = [actions.button(name, message.id) for name in offered]
        await message.update()

    def _compared(self) -> cl.Message | None:
        return self._comparison.message if self._comparison is not None else None

    def _message(self) -> cl.Message | None:
        """The message of the answer that stands."""
        kept = self.answer.attempt if self.answer is not None else None
        if kept is None:
            return self._reply
        if self._comparison is not None and kept.role != "extractive":
            return self._compared()
        return self._streams[kept.id].message if kept.id in self._streams else None
