"""One turn on the screen: its events as Chainlit's steps, messages and elements. It decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import chainlit as cl
from chainlit.element import Element

from app.answering import events
from app.answering.citations import choose
from app.answering.sanitizer import label
from app.answering.suggestions import follow_ups
from app.answering.turn import Answer, Attempt, Citation, Metrics, Sent, Turn
from app.translation import _
from app.ui import buttons, cascade, sources
from app.ui.cascade import Cascade
from app.ui.comparison import EVEN, Comparison
from app.ui.messages import Stream, escape
from app.ui.source_viewer import Originals


class TurnView:
    """Shows the events of a turn, and of the turns that its buttons begin: one line, and below it one message.

    The message shows the best quote until a model writes, a draft until the large model writes, then the answer, with
    its sources and buttons; in a comparison it shows both answers.
    """

    def __init__(self, turn: Turn, originals: Originals, told: dict[str, str], *, usage: bool, anew: bool) -> None:
        self.turn = turn
        self.answer: Answer | None = None
        """What the message shows; also a part of an answer that was stopped."""
        self.last = True
        """Whether no question has followed."""
        self._usage = usage
        self._originals = originals
        self._told = told
        """The notices of the conversation, each with the id of the message that was the first to have it."""
        self._line = Cascade(anew=anew)
        self._stream = Stream()
        self._stopped: tuple[Sent, ...] = ()
        self._asked: dict[int, events.AttemptStarted] = {}
        self._ended: dict[int, Attempt] = {}
        self._context: events.Retrieved | None = None
        self._continuing = False
        self._writing: int | None = None
        """The attempt whose text the message shows."""
        self._preview = ""
        self._comparing = False
        self._comparison: Comparison | None = None
        self._preferred: str | None = None
        """The model whose answer the user preferred, or EVEN."""
        self._attached: list[Element] = []

    @property
    def id(self) -> str:
        """The id of the message."""
        return self._stream.message.id

    @property
    def sent(self) -> tuple[Sent, ...]:
        """What other machines were sent, also where there is no answer."""
        return self._stopped if self.answer is None else self.answer.sent

    async def show(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.Started(turn):
                await self._end_comparison()
                self._comparing = turn.mode == "compare" and not turn.continues
                self._continuing = turn.continues
                await self._stream.offer([])
                await self._line.begin()
                if (known := turn.earlier) and known.attempt and not self._stream.message.content:  # from the history
                    await self._stream.begin(known.attempt.model, known.text)
            case events.Retrieved():
                self._context = event
                await self._line.search(event)
            case events.Previewed(quote, text):
                place = label(f"{quote.file}, {quote.place.shown}")
                self._preview, self._writing = f"{_('From **{place}**:', place=place)}\n\n{text}", None
                until = _("From **{place}**, until the answer begins:", place=place)
                await self._stream.begin("Escalator", f"{until}\n\n{text}")
                # Screen readers do not read Chainlit's messages.
                announcement = {"about": "announcement", "text": f"{quote.file}: {quote.text}"}
                await cl.send_window_message(announcement)
            case events.AttemptStarted():
                await self._begin_attempt(event)
            case events.Progress(text, int(number)) if self._comparison is not None:
                self._comparison.show(number, note=text)
            case events.Progress(text):
                await self._line.wait(text)
            case events.Reasoning(number, text):
                await self._line.reason(number, text)
            case events.Token(number, text):
                await self._show_token(number, text)
            case events.Retracted(number) if self._comparison is not None and number in self._comparison:
                self._comparison.show(number, text="")
            case events.Retracted(number) if self._writing == number:
                await self._stream.clear()
            case events.AttemptEnded(attempt):
                await self._end_attempt(attempt)
            case events.Escalated(source, _, code, why):
                text = self._ended[source].text if source in self._ended else ""
                await self._line.escalate(source, text, code, why)
            case events.Abstained(text, unaided):
                await self._stream.begin("Escalator", escape(text))
                sent = [buttons.SENT] if self._context is not None and self._context.sent else []
                names = [*([buttons.UNAIDED] if unaided else []), *sent]
                await self._stream.offer([buttons.make(name, self.id) for name in names])
            case events.Failed(error, None):
                await cl.ErrorMessage(content=escape(error)).send()
            case events.Finished(answer):
                self._preferred = None
                await self._finish(answer)

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Show what there is if a block is cut short, above all by Stop; an answer from before is shown again."""
        try:
            yield
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        await self._line.end()
        await self._stream.close()
        if self._comparison is not None:
            await self._comparison.close()
        part = self._part()
        stopped = [it for each in self._asked.values() if each.id not in self._ended for it in each.sent]
        self._asked.clear()
        if self.answer is not None and (part is None or not self._continuing):
            await self._end_comparison()
            await self._finish(replace(self.answer, sent_besides=(*self.answer.sent_besides, *stopped)))
        elif part is not None:
            # A follow-up question may be about what there is.
            self.answer = part = replace(part, sent_besides=(*part.sent_besides, *stopped))
            names = buttons.choose(part, part.attempts[-1], comparing=False, usage=False)
            self._stream.message.metadata = {"answer": {**_record(part, None), "broken": buttons.CONTINUE in names}}
            await self._stream.message.update()
            await self._offer(names)
        else:
            if self._comparison is None:
                await self._stream.begin("Escalator", self._preview or _("Stopped before the answer began."))
            self._stopped = (*(self._context.sent if self._context is not None else ()), *stopped)
            await self._offer([buttons.AGAIN, *([buttons.SENT] if self._stopped else [])])

    async def keep_draft(self) -> None:
        """Make the draft the answer again."""
        answer = self.answer
        if answer is None or (draft := answer.draft) is None:
            return
        decision = answer.decision
        reason = decision.why if decision is not None and decision.code not in (None, "requested") else ""
        kept = await asyncio.to_thread(choose, answer, draft)
        await self._line.take_back(answer, draft)
        await self._end_comparison()
        self.answer = replace(kept, notices=(f"{_('You kept the small answer.')} {reason}".rstrip(),))
        self._preferred = draft.model
        await self._write(self.answer, draft)

    async def prefer(self, number: int) -> None:
        """Make one of the two compared answers the one that the conversation goes on with; 0 sees no difference."""
        if self.answer is None or self._comparison is None:
            return
        preferred = next((each for each in self.answer.attempts if each.id == number), None)
        if preferred is not None:
            self.answer = await asyncio.to_thread(choose, self.answer, preferred)
        self._preferred = preferred.model if preferred is not None else EVEN
        message = self._stream.message
        known = (message.metadata or {})["answer"]
        message.metadata = {"answer": known | _record(self.answer, self._preferred)}
        await self._stream.message.update()

    async def offer_choice(self, tally: str) -> None:
        """Let the user prefer one of two answers; `tally` sums up what was preferred in the conversation."""
        if self._comparison is not None and self.answer is not None:
            names = {each.model: each.id for each in self.answer.attempts}
            preferred = None if self._preferred is None else names.get(self._preferred, 0)
            await self._comparison.offer(preferred, tally)

    async def _begin_attempt(self, event: events.AttemptStarted) -> None:
        self._asked[event.id] = event
        self._ended.pop(event.id, None)
        if self._writing == event.id:  # it is asked once more
            self._writing = None
        await self._line.ask(event)
        if event.role == "extractive":  # no model has answered
            await self._end_comparison()
        elif self._comparing:
            self._comparison = self._comparison or Comparison(self._stream.message)
            await self._comparison.begin(event.id, event.model)

    async def _end_comparison(self) -> None:
        self._comparing = False
        if self._comparison is not None:
            await self._comparison.remove()
            self._comparison = None

    async def _show_token(self, number: int, text: str) -> None:
        if self._comparison is not None and number in self._comparison:
            self._comparison.feed(number, text)
            return
        if self._writing != number:
            self._writing = number
            await self._stream.begin(self._asked[number].model)
            await self._line.wait(_("{model} is writing", model=self._asked[number].model))
        await self._stream.feed(text)

    async def _end_attempt(self, attempt: Attempt) -> None:
        self._ended[attempt.id] = attempt
        if self._writing == attempt.id:
            await self._stream.close()
        await self._line.answer(attempt, usage=self._usage)
        if self._comparison is not None and attempt.id in self._comparison:
            self._comparison.end(attempt, usage=self._usage)

    async def _finish(self, answer: Answer) -> None:
        await self._line.end()
        if self.answer is not None and answer.attempt is None:
            answer = self.answer  # a button brought nothing, and the answer from before stays
        self.answer = answer
        if (attempt := answer.attempt) is None:
            return
        if self._comparison is not None:
            answer = await self._show_both(self._comparison, answer)
        await self._write(answer, attempt)

    async def _show_both(self, comparison: Comparison, answer: Answer) -> Answer:
        """Show both answers with their marks put right; returns an answer with the texts and citations of both."""
        citations: list[Citation] = []
        texts: list[str] = []
        for attempt in answer.attempts:
            if attempt.id in comparison:
                cited = await asyncio.to_thread(choose, answer, attempt)
                comparison.show(attempt.id, text=cited.rendered)
                citations += cited.citations
                texts.append(cited.rendered)
        await comparison.close()
        return replace(answer, rendered="\n\n".join(texts), citations=tuple(citations))

    def _brief(self, notice: str) -> str:
        """Return a notice, only its beginning if an answer above has all of it."""
        if self._told.setdefault(notice, self.id) == self.id or ": " not in notice:
            return notice
        return f"{notice.partition(': ')[0]}."

    async def _write(self, answer: Answer, attempt: Attempt) -> None:
        """Put the answer into its message, with its notices, who wrote it, its sources and its buttons."""
        message = self._stream.message
        if self._comparison is not None:
            message.author, text, badge = "Escalator", self._comparison.heading, ""
        else:
            message.author, text, badge = attempt.model, answer.rendered, buttons.badge(attempt)
        notices = [_("**Note:** {notice}", notice=escape(self._brief(notice))) for notice in answer.notices]
        listed = sources.listed(answer)
        last = f"{badge} {sources.line(listed, answer)}".strip()
        shown = "\n\n".join([text, *notices])
        message.content = f"{shown}\n\n{last}"
        questions = await asyncio.to_thread(follow_ups, answer)
        comparing = self._comparison is not None
        names = buttons.choose(answer, attempt, comparing=comparing, usage=self._usage)
        record = {**_record(answer, self._preferred), "shown": len(shown), "next": questions}
        message.metadata = {"answer": {**record, "broken": buttons.CONTINUE in names}}
        for element in self._attached:  # the numbers of passages may be others now
            await element.remove()
        self._attached = await sources.send(listed, message, answer, self._originals)
        if not await self._offer(names, questions):
            await message.update()

    async def _offer(self, names: Sequence[str], questions: Sequence[str] = ()) -> bool:
        """Show buttons below the message, and with the last answer questions to go on with, as `Stream.offer` does."""
        names = [name for name in names if self.last or name not in buttons.LAST]
        asking = [buttons.follow(question) for question in questions if self.last]
        return await self._stream.offer([*(buttons.make(name, self.id) for name in names), *asking])

    def _part(self) -> Answer | None:
        """Return what was written of an answer that was stopped, as an answer; None if that is nothing."""
        number, text = self._writing, self._stream.text
        if number is None or self._context is None or not text.strip():
            return None
        it, found, evidence = self._asked[number], self._context.found, self._context.evidence
        sent = self._context.sent
        attempt = Attempt(it.id, it.role, it.model, it.host, text, "error", Metrics())
        ended = {key: each for key, each in self._ended.items() if key != number}
        attempts = tuple({**ended, number: self._ended.get(number, attempt)}.values())
        return Answer(self.turn, found, evidence, attempts, attempts[-1], None, text, text, (), (), Metrics(), "", sent)


def _record(answer: Answer, preferred: str | None) -> dict[str, Any]:
    """Return what is remembered of an answer: for follow-up questions, for a thumb, and for an export."""
    decision, attempt = answer.decision, answer.attempt
    asked = [each for each in answer.attempts if each.role != "extractive"]
    return {
        "question": answer.turn.question,
        "text": answer.text,
        "mode": answer.turn.mode,
        "route": answer.turn.route,
        "scope": answer.turn.scope or (),
        "unaided": answer.turn.unaided,
        "follows": bool(answer.turn.history),
        "model": attempt.model if attempt is not None else None,
        "role": attempt.role if attempt is not None else None,
        "decision": decision.code if decision is not None else None,
        "score": decision.score if decision is not None else None,
        "by_score": decision.by_score if decision is not None else None,
        "why": decision.why if decision is not None else None,
        "escalated": answer.escalated,
        "whole": attempt is not None and attempt.finish != "error",
        "models": [each.model for each in asked],
        "preferred": preferred,
        "figures": [cascade.summary(each, usage=True) for each in asked if each.failure or cascade.figures(each)],
        "attempts": [{"role": each.role, "model": each.model, "metrics": _known(each.metrics)} for each in asked],
        "metrics": _known(answer.metrics),
        "evidence": [f"{item.file}#{item.start}-{item.end}" for item in answer.evidence],
        "grounds": answer.grounds,
        "sent": [[*it] for it in answer.sent],
    }


def _known(metrics: Metrics) -> dict[str, float]:
    return {name: round(value, 1) for name, value in asdict(metrics).items() if value is not None}
