"""From a turn to its events: search, pack, small model, judge, large model, cite. Nothing else decides anything."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from app.answering.attempts import Attempts
from app.answering.citations import Citation, cite
from app.answering.emitting import Emit, emitted
from app.answering.escalation import Decision, decide
from app.answering.events import (
    Abstained,
    AttemptEnded,
    AttemptStarted,
    Cited,
    Escalated,
    Event,
    Failed,
    Finished,
    Judged,
    Progress,
    Retrieved,
    Started,
    Token,
)
from app.answering.extractive import as_markdown, quotes
from app.answering.ledger import Metrics, Stopwatch
from app.answering.searching import Searching, nothing_found
from app.answering.turn import Answer, Attempt, Role, Turn
from app.errors import EscalatorError, ModelError, NoModel
from app.models.foundry import Foundry, Service
from app.models.tokens import TokenCounter
from app.settings import Settings


class Assistant:
    """Answers turns from a corpus with a small and a large model, or with quotes where there is none.

    `patience` is how long, in seconds, an answer waits for a model server to be found; None waits for the whole search.
    """

    def __init__(self, settings: Settings, *, patience: float | None = 0.5) -> None:
        self.settings = settings
        self.models = Foundry(settings)
        counter = TokenCounter()
        self.attempts = Attempts(self.models, settings, counter)
        self.searching = Searching(settings, counter)
        self._patience = patience

    def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of one turn, in the grammar of `events.py`; to be consumed under `contextlib.aclosing`."""
        return emitted(_Course(self, turn).run)

    def warm(self) -> None:
        """Look for a model server, import what is heavy and read the corpus, all behind the caller's back."""
        self.look()
        asyncio.get_running_loop().run_in_executor(None, self._warm)

    def look(self) -> asyncio.Future[Service]:
        """Begin the search for a model server, or join it."""
        search = asyncio.ensure_future(self.models.find())
        search.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is told with the answer
        return search

    async def close(self) -> None:
        """Give the model server back."""
        await self.models.close()

    def _warm(self) -> None:
        with contextlib.suppress(EscalatorError):  # said with the first question
            self.searching.refresh()
        importlib.import_module("openai")  # last, because an answer of quotes does without

    async def found(self, search: asyncio.Future[Service], emit: Emit) -> Service:
        """The model server, waited for as long as patience or good hope lasts; raises NoModel."""
        done, _ = await asyncio.wait([search], timeout=self._patience)
        if not done and self.models.starting:
            emit(Progress("Starting Foundry Local"))
        elif not done:
            raise NoModel("Foundry Local is still being looked for. Ask again in a moment.")
        return await asyncio.shield(search)


@dataclass
class _Course:
    """One turn on its way: what it has come to so far, and the steps in their order."""

    assistant: Assistant
    turn: Turn
    clock: Stopwatch = field(default_factory=Stopwatch)
    retrieved: Retrieved | None = None
    attempts: list[Attempt] = field(default_factory=list)
    kept: Attempt | None = None
    failure: ModelError | None = None
    decision: Decision | None = None
    text: str = ""
    rendered: str = ""
    citations: tuple[Citation, ...] = ()
    notices: list[str] = field(default_factory=list)

    async def run(self, emit: Emit) -> None:
        """Every event from `Started` to `Finished`."""
        emit(Started(self.turn))
        try:
            await self._steps(emit)
        except EscalatorError as error:
            self.notices.append(str(error))
            emit(Failed(error, self.kept.id if self.kept else None))
        if self.kept is not None:
            await self._cite(self.kept)
            emit(Cited(self.rendered, self.citations))
        emit(Finished(self._answer()))

    async def _steps(self, emit: Emit) -> None:
        self.turn.check()
        search = self.assistant.look()
        retrieved = self.retrieved = await self._retrieve()
        emit(retrieved)
        if not retrieved.evidence:
            self.text = self.rendered = nothing_found(retrieved)
            emit(Abstained(self.text))
            return
        try:
            await self._generate(await self.assistant.found(search, emit), emit)
        except ModelError as error:
            self.failure = error
        if self.kept is None:
            await self._quote(emit)
        if self.failure is not None:
            raise self.failure

    async def _generate(self, service: Service, emit: Emit) -> None:
        """The draft, its judgement and, if it must be, the large model; what stands of it is kept."""
        mode = self.turn.mode
        draft, failure = await self._attempt("large" if mode == "large" else "small", service, emit)
        self.kept = draft if draft.text.strip() else None
        if mode != "large":
            self.decision = Decision("error", str(failure)) if failure else await self._judge(draft)
            emit(Judged(draft.id, self.decision))
            if mode == "auto" and self.decision.code is not None:
                await self._escalate(draft, self.decision, service, emit)
                return
        if failure or self.kept is None:
            raise failure or NoModel(f"{draft.model} gave an empty answer. Ask again, or ask another model.")

    async def _judge(self, draft: Attempt) -> Decision:
        return await asyncio.to_thread(
            decide,
            self.turn.question,
            self._evidence().evidence,
            draft.text,
            draft.finish,
            confidence=draft.confidence,
            short_chars=self.assistant.settings.short_chars,
        )

    async def _escalate(self, draft: Attempt, decision: Decision, service: Service, emit: Emit) -> None:
        settings = self.assistant.settings
        if settings.large == settings.small:
            raise NoModel(
                f"The large model was not asked: SLM_ALIAS and LLM_ALIAS both name {settings.large}. Set LLM_ALIAS to "
                "a larger model."
            )
        assert decision.code is not None
        emit(Escalated(draft.id, draft.id + 1, decision.code, decision.why))
        answer, failure = await self._attempt("large", service, emit)
        if failure or not answer.text.strip():
            raise failure or NoModel(f"{answer.model} gave an empty answer, so the draft stands.")
        self.kept = answer

    async def _attempt(self, role: Role, service: Service, emit: Emit) -> tuple[Attempt, ModelError | None]:
        number = len(self.attempts) + 1
        run = self.assistant.attempts.run
        result = await run(number, role, service, self.turn, self._evidence(), self._retrieve, emit)
        self.attempts.append(result[0])
        return result

    async def _quote(self, emit: Emit) -> None:
        """The extractive answer: the best sentences, quoted; it stands."""
        number = len(self.attempts) + 1
        clock = Stopwatch()
        emit(AttemptStarted(number, "extractive", "quotes", ""))
        found = await asyncio.to_thread(quotes, self.turn.question, self._evidence().evidence)
        text = as_markdown(found)
        emit(Token(number, text))
        metrics = Metrics(first_token_ms=clock.ms, total_ms=clock.ms)
        self.kept = Attempt(number, "extractive", "quotes", "", text, "stop", metrics)
        self.attempts.append(self.kept)
        self.citations = tuple(
            Citation(q.text, q.evidence.number, q.evidence.file, q.evidence.place, q.start, q.end, True) for q in found
        )
        emit(AttemptEnded(self.kept))

    async def _retrieve(self, room: int | None = None) -> Retrieved:
        self.retrieved = await asyncio.to_thread(self.assistant.searching.retrieve, self.turn, room)
        return self.retrieved

    def _evidence(self) -> Retrieved:
        assert self.retrieved is not None
        return self.retrieved

    async def _cite(self, kept: Attempt) -> None:
        self.text = self.rendered = kept.text
        if kept.role != "extractive":
            self.rendered, self.citations = await asyncio.to_thread(cite, kept.text, self._evidence().evidence)

    def _answer(self) -> Answer:
        retrieved = self.retrieved
        return Answer(
            turn=self.turn,
            found=retrieved.found if retrieved else None,
            evidence=retrieved.evidence if retrieved else (),
            attempts=tuple(self.attempts),
            attempt=self.kept,
            decision=self.decision,
            text=self.text,
            rendered=self.rendered,
            citations=self.citations,
            notices=tuple(self.notices),
            metrics=replace(
                self.kept.metrics if self.kept else Metrics(),
                retrieve_ms=retrieved.found.took_ms if retrieved else None,
                prompt_ms=retrieved.packed_ms if retrieved else None,
                total_ms=self.clock.ms,
            ),
        )
