"""One turn on the screen: its events as Chainlit's steps, messages and elements. It decides nothing."""

import chainlit as cl

from app.answering.events import (
    Abstained,
    AttemptEnded,
    AttemptStarted,
    Escalated,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Retrieved,
    Started,
    Token,
)
from app.answering.turn import Answer, Attempt
from app.settings import Settings, is_loopback
from app.ui import sources
from app.ui.stream import Stream

KEEP = "keep_small"
"""The button that takes the draft back."""


class TurnView:
    """Shows the events of one turn in the order in which they come."""

    def __init__(self, settings: Settings) -> None:
        self.answer: Answer | None = None
        self._settings = settings
        self._search: cl.Step | None = None
        self._steps: dict[int, cl.Step] = {}
        self._streams: dict[int, Stream] = {}
        self._started: dict[int, AttemptStarted] = {}
        self._set_aside: dict[int, str] = {}

    async def show(self, event: Event) -> None:
        """Translate one event."""
        match event:
            case Started():
                self._search = await _step("Searching your documents", "search")
            case Retrieved():
                await self._retrieved(event)
            case AttemptStarted():
                await self._asked(event)
            case Progress(text):
                await self._waiting_for(text)
            case Reasoning(number, text):
                await self._steps[number].stream_token(text)
            case Token(number, text):
                await self._token(number, text)
            case AttemptEnded(attempt):
                await self._ended(attempt)
            case Escalated():
                self._set_aside[event.source] = event.why
            case Abstained(text):
                await cl.Message(text).send()
            case Failed(error, None):
                await cl.ErrorMessage(content=str(error)).send()
            case Finished(answer):
                await self._finished(answer)
            case _:
                pass

    async def stopped(self) -> None:
        """End what was streaming when the turn was cancelled; the text so far stays."""
        for number, step in self._steps.items():
            if step.end is None:
                await _end(step, f"{self._started[number].model}: stopped")
        if self._search is not None and self._search.end is None:
            await _end(self._search, "Search stopped")
        for stream in self._streams.values():
            await stream.close()

    @property
    def text(self) -> str:
        """The text that stands on the screen, without its sources."""
        if self.answer is not None:
            return self.answer.text
        return self._streams[max(self._streams)].text if self._streams else ""

    @property
    def message_id(self) -> str | None:
        """The message that holds the answer, once the turn is over."""
        kept = self.answer.attempt if self.answer is not None else None
        return self._streams[kept.id].message.id if kept is not None and kept.id in self._streams else None

    async def keep(self, role: str) -> str:
        """Unfold the attempt of this role, set the others aside, and return its text."""
        kept = next(number for number, started in self._started.items() if started.role == role)
        for number, stream in self._streams.items():
            if number != kept:
                await _fold(stream, f"Answer by {self._started[number].model}, set aside by you")
        await self._streams[kept].message.update()
        return self._streams[kept].text

    async def _retrieved(self, event: Retrieved) -> None:
        assert self._search is not None
        files = len({item.file for item in event.evidence})
        passages = f"{_count(len(event.evidence), 'passage')} in {_count(files, 'document')}" if files else "nothing"
        self._search.output = sources.table(event)
        unread = f" · {_count(len(event.problems), 'file')} not read" if event.problems else ""
        await _end(self._search, f"Found {passages} in {event.found.took_ms:.0f} ms{unread}")

    async def _asked(self, event: AttemptStarted) -> None:
        self._started[event.id] = event
        if event.role == "extractive":
            return
        why = " ".join(self._set_aside.values())
        name = f"Asking {event.model}{f': {why}' if why else ''}"
        self._steps[event.id] = await _step(name, "cpu")

    async def _waiting_for(self, text: str) -> None:
        step = self._steps[max(self._steps)] if self._steps else self._search
        if step is not None:
            step.name = text
            await step.update()

    async def _token(self, number: int, text: str) -> None:
        if number not in self._streams:
            for draft, why in self._set_aside.items():
                if draft in self._streams:
                    await _fold(self._streams[draft], f"Draft by {self._started[draft].model}, set aside: {why}")
            self._streams[number] = Stream(self._started[number].model)
        await self._streams[number].feed(text)

    async def _ended(self, attempt: Attempt) -> None:
        if attempt.id in self._streams:
            await self._streams[attempt.id].close()
        if step := self._steps.get(attempt.id):
            await _end(step, self._summary(attempt))

    async def _finished(self, answer: Answer) -> None:
        self.answer = answer
        if answer.attempt is None or answer.attempt.id not in self._streams:
            return
        for number, stream in self._streams.items():  # a large model that died in its answer
            if number != answer.attempt.id and number not in self._set_aside:
                await _fold(stream, f"Answer by {self._started[number].model}, not finished")
        message = self._streams[answer.attempt.id].message
        if answer.attempt.id in self._set_aside and len(self._streams) > 1:
            await message.update()
        await self._with_sources(message, answer)

    async def _with_sources(self, message: cl.Message, answer: Answer) -> None:
        """The answer with its notices and sources, which are sent one by one: together their order is random."""
        shown = answer.sources
        listed = "Sources: " + " · ".join(sources.name(item) for item in shown)
        notices = [f"**Note:** {notice}" for notice in answer.notices]
        message.content = "\n\n".join([answer.rendered, *notices, listed])
        for item in shown:
            await sources.element(item, self._settings.corpus).send(for_id=message.id)
        if answer.escalated and len(self._streams) > 1:
            message.actions = [
                cl.Action(name=KEEP, payload={"message": message.id}, label="Keep the small answer", icon="undo-2")
            ]
        await message.update()

    def _summary(self, attempt: Attempt) -> str:
        metrics = attempt.metrics
        parts = [attempt.model if attempt.finish != "error" else f"{attempt.model} failed"]
        if not is_loopback(f"//{attempt.host}"):
            parts.append(f"on {attempt.host}")
        if self._settings.show_usage and metrics.first_token_ms is not None:
            parts.append(f"first token {metrics.first_token_ms / 1000:.2f} s")
            if metrics.tokens_per_s is not None:
                parts.append(f"{metrics.tokens_per_s:.0f} tokens/s")
            if metrics.prompt_tokens is not None and metrics.completion_tokens is not None:
                parts.append(f"{metrics.prompt_tokens} + {metrics.completion_tokens} tokens")
        return " · ".join(parts)


async def _step(name: str, icon: str) -> cl.Step:
    run = cl.context.current_run
    step = cl.Step(name=name, type="tool", icon=icon, show_input=False, parent_id=run.id if run else None)
    step.start = step.created_at
    await step.send()
    return step


async def _end(step: cl.Step, name: str) -> None:
    step.name = name
    step.end = step.created_at
    await step.update()


async def _fold(stream: Stream, name: str) -> None:
    """Turn a message into a closed step in the same place: the step bears the message's id."""
    message = stream.message
    step = cl.Step(
        name=name, type="llm", id=message.id, parent_id=message.parent_id, icon="file-text", show_input=False
    )
    step.created_at = step.start = step.end = message.created_at
    step.output = stream.text
    await step.update()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
