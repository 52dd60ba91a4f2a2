"""From a turn to its events: search, pack, small model, judge, large model, cite. Nothing else decides anything."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Self

from app.answering.attempts import Attempts
from app.answering.citations import Citation, cite
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
    Retrieved,
    Started,
    Token,
)
from app.answering.extractive import Quote, as_markdown, quotes
from app.answering.ledger import Metrics, Stopwatch
from app.answering.turn import Answer, Attempt, Role, Turn
from app.documents.folder import Folder
from app.errors import CorpusError, EscalatorError, InputError, ModelError, NoModel
from app.models.foundry import Foundry, Service
from app.models.tokens import TokenCounter
from app.retrieval.packing import pack
from app.retrieval.search import Retriever
from app.settings import Settings

LONGEST_QUESTION = 8_000
"""Characters; a longer one would leave no room for passages in a context of 4,096 tokens."""


@dataclass
class _State:
    """What one turn has come to so far."""

    turn: Turn
    clock: Stopwatch = field(default_factory=Stopwatch)
    retrieved: Retrieved | None = None
    prompt_ms: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    kept: Attempt | None = None
    failure: ModelError | None = None
    quoted: tuple[Quote, ...] = ()
    decision: Decision | None = None
    text: str = ""
    rendered: str = ""
    citations: tuple[Citation, ...] = ()
    notices: list[str] = field(default_factory=list)


class Assistant:
    """Answers turns from a corpus with a small and a large model, or with quotes where there is none.

    `patience` is how long, in seconds, an answer waits for a model server to be found; None waits for the whole search.
    """

    def __init__(
        self, retriever: Retriever, models: Foundry, settings: Settings, *, patience: float | None = 0.5
    ) -> None:
        self.retriever = retriever
        self.models = models
        self.settings = settings
        self._patience = patience
        self._attempts = Attempts(models, settings)
        self._count = TokenCounter().count
        self._searches: set[asyncio.Future[Service]] = set()

    async def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of one turn, in the grammar of `events.py`; to be consumed under `contextlib.aclosing`."""
        state = _State(turn)
        yield Started(turn)
        try:
            async with aclosing(self._steps(state)) as steps:
                async for event in steps:
                    yield event
        except EscalatorError as error:
            state.notices.append(str(error))
            yield Failed(error, state.kept.id if state.kept else None)
        if state.kept is not None and state.retrieved is not None:
            await self._cite(state)
            yield Cited(state.rendered, state.citations)
        yield Finished(self._finished(state))

    @classmethod
    def from_settings(cls, settings: Settings, *, patience: float | None = 0.5) -> Self:
        """The assistant that the settings describe; nothing is read or started yet."""
        folder = Folder(settings.corpus_path, settings.max_file_bytes)
        return cls(Retriever(folder), Foundry(settings), settings, patience=patience)

    def warm(self) -> None:
        """Look for a model server, import what is heavy and read the corpus, all behind the caller's back."""
        self._search_service()
        asyncio.get_running_loop().run_in_executor(None, self._warm_blocking)

    async def close(self) -> None:
        """Give the model server back."""
        await self.models.close()

    async def _steps(self, state: _State) -> AsyncGenerator[Event, None]:
        turn = state.turn
        _check(turn.question)
        search = self._search_service()
        retrieved = state.retrieved = await self._retrieve(turn)
        yield retrieved
        if not retrieved.evidence:
            state.text = state.rendered = _nothing(retrieved)
            yield Abstained(state.text)
            return
        try:
            service = await self._found(search)
        except ModelError:
            async with aclosing(self._quote(state)) as events:
                async for event in events:
                    yield event
            raise
        async with aclosing(self._generate(state, service)) as events:
            async for event in events:
                yield event
        if state.kept is None:
            async with aclosing(self._quote(state)) as events:
                async for event in events:
                    yield event
        if state.failure is not None:
            raise state.failure

    async def _generate(self, state: _State, service: Service) -> AsyncGenerator[Event, None]:
        """The draft, its judgement and, if it must be, the large model; `state.kept` is what stands of it."""
        mode = state.turn.mode
        async with aclosing(self._attempt(state, "large" if mode == "large" else "small", service)) as events:
            async for event in events:
                yield event
        draft = state.attempts[-1]
        if draft.text.strip():
            state.kept = draft
        elif state.failure is None:
            state.failure = NoModel(f"{draft.model} gave an empty answer. Ask again, or ask another model.")
        if mode == "large":
            return
        decision = state.decision = await asyncio.to_thread(self._judge, state, draft)
        yield Judged(draft.id, decision)
        if mode == "small" or decision.code is None:
            return
        if self.settings.large == self.settings.small:
            state.failure = NoModel(
                f"The large model was not asked: SLM_ALIAS and LLM_ALIAS both name {self.settings.large}. "
                "Set LLM_ALIAS to a larger model."
            )
            return
        state.failure = None
        yield Escalated(draft.id, draft.id + 1, decision.code, decision.why)
        async with aclosing(self._attempt(state, "large", service)) as events:
            async for event in events:
                yield event
        answer = state.attempts[-1]
        if state.failure is None and answer.text.strip():
            state.kept = answer
        elif state.failure is None:
            state.failure = NoModel(f"{answer.model} gave an empty answer, so the draft stands.")

    def _judge(self, state: _State, draft: Attempt) -> Decision:
        assert state.retrieved is not None
        if draft.finish == "error":
            return Decision("error", str(state.failure))
        return decide(
            state.turn.question,
            state.retrieved.evidence,
            draft.text,
            draft.finish,
            confidence=draft.confidence,
            short_chars=self.settings.short_chars,
        )

    async def _attempt(self, state: _State, role: Role, service: Service) -> AsyncGenerator[Event, None]:
        assert state.retrieved is not None
        events = self._attempts.run(
            len(state.attempts) + 1,
            role,
            service,
            state.turn,
            state.retrieved,
            lambda room: self._retrieve(state.turn, room),
        )
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, AttemptEnded):
                        state.attempts.append(event.attempt)
                    elif isinstance(event, Retrieved):
                        state.retrieved = event
                    yield event
        except ModelError as error:
            state.failure = error

    async def _quote(self, state: _State) -> AsyncGenerator[Event, None]:
        """The extractive answer: the best sentences, quoted; it stands."""
        assert state.retrieved is not None
        number = len(state.attempts) + 1
        clock = Stopwatch()
        yield AttemptStarted(number, "extractive", "quotes", "")
        state.quoted = await asyncio.to_thread(quotes, state.turn.question, state.retrieved.evidence)
        text = as_markdown(state.quoted)
        yield Token(number, text)
        metrics = Metrics(first_token_ms=clock.ms, total_ms=clock.ms)
        state.kept = Attempt(number, "extractive", "quotes", "", text, "stop", metrics)
        state.attempts.append(state.kept)
        yield AttemptEnded(state.kept)

    async def _retrieve(self, turn: Turn, room: int | None = None) -> Retrieved:
        """Search and pack; `room` in tokens where a model's context leaves less than the settings allow."""
        budget = self.settings.evidence_tokens if room is None else min(room, self.settings.evidence_tokens)
        history = [exchange.question for exchange in turn.history]
        return await asyncio.to_thread(self._retrieve_blocking, turn.question, history, budget)

    def _retrieve_blocking(self, question: str, history: list[str], budget: int) -> Retrieved:
        snapshot = self.retriever.refresh()
        if not snapshot.documents:
            reasons = " ".join(f"{problem.file}: {problem.reason}" for problem in snapshot.problems[:3])
            raise CorpusError(
                f"The folder {self.settings.corpus_path} holds no document that can be read. Put Markdown, text or PDF "
                f"files into it and ask again. {reasons}".rstrip()
            )
        found = self.retriever.search(question, history)
        evidence = pack(found.hits, budget, self._count, self.retriever.texts)
        return Retrieved(found, evidence, snapshot.problems)

    def _warm_blocking(self) -> None:
        importlib.import_module("openai")
        with contextlib.suppress(EscalatorError):  # said with the first question
            self.retriever.refresh()

    def _search_service(self) -> asyncio.Future[Service]:
        search = asyncio.ensure_future(self.models.find())
        self._searches.add(search)
        search.add_done_callback(self._searches.discard)
        search.add_done_callback(lambda done: done.cancelled() or done.exception())  # a failure is told with the answer
        return search

    async def _found(self, search: asyncio.Future[Service]) -> Service:
        try:
            return await asyncio.wait_for(asyncio.shield(search), self._patience)
        except TimeoutError:
            raise NoModel(
                "Foundry Local is still being looked for; a model answers once it is found. Ask again in a moment."
            ) from None

    async def _cite(self, state: _State) -> None:
        assert state.kept is not None
        assert state.retrieved is not None
        state.text = state.kept.text
        if state.kept.role == "extractive":
            state.rendered = state.text
            state.citations = tuple(
                Citation(q.text, q.evidence.number, q.evidence.file, q.evidence.place, q.start, q.end, True)
                for q in state.quoted
            )
        else:
            state.rendered, state.citations = await asyncio.to_thread(cite, state.text, state.retrieved.evidence)

    def _finished(self, state: _State) -> Answer:
        found = state.retrieved.found if state.retrieved else None
        kept = state.kept.metrics if state.kept else Metrics()
        metrics = replace(kept, retrieve_ms=found.took_ms if found else None, total_ms=state.clock.ms)
        return Answer(
            turn=state.turn,
            found=found,
            evidence=state.retrieved.evidence if state.retrieved else (),
            attempts=tuple(state.attempts),
            attempt=state.kept,
            decision=state.decision,
            text=state.text,
            rendered=state.rendered,
            citations=state.citations,
            notices=tuple(state.notices),
            metrics=metrics,
        )


def _check(question: str) -> None:
    if not question.strip():
        raise InputError("The question is empty. Type a question about your documents.")
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            f"The question has {len(question):,} characters; at most {LONGEST_QUESTION:,} are taken. Shorten it, or "
            "put the text into a file in the corpus folder and ask about it."
        )


def _nothing(retrieved: Retrieved) -> str:
    words = ", ".join(f"“{word}”" for word in retrieved.found.unknown_words[:8])
    missing = f" These words occur in none of them: {words}." if words else ""
    return (
        f"Nothing in your documents matches this question, so no model was asked.{missing} "
        "Ask with words that the documents use, or put a document about it into the corpus folder."
    )
