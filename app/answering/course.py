"""One turn from its question to its answer: search, pack, small model, judge, large model, cite.

Nothing else decides anything.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.answering.attempts import Order, replay
from app.answering.citations import Citation, cite
from app.answering.emitting import Emit
from app.answering.escalation import Decision, opening
from app.answering.events import (
    Abstained,
    Cited,
    Escalated,
    Failed,
    Finished,
    Judged,
    Retrieved,
    Started,
)
from app.answering.extractive import as_markdown, quotes
from app.answering.ledger import Metrics, Stopwatch
from app.answering.searching import nothing_found
from app.answering.turn import Answer, Attempt, Role, Turn
from app.errors import EscalatorError, ModelError, NoModel
from app.models.foundry import Service

if TYPE_CHECKING:
    from app.answering.pipeline import Assistant


@dataclass
class Course:
    """What a turn has come to so far, and its steps in their order."""

    assistant: "Assistant"
    turn: Turn
    clock: Stopwatch = field(default_factory=Stopwatch)
    retrieved: Retrieved | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)
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
        """Have the models write what the mode asks for; what stands of it is kept."""
        match self.turn.mode:
            case "compare":
                await self._compare(service, emit)
            case "large" if (draft := self.turn.attempt("small")) is not None:
                self.kept = self.attempts[draft.id] = draft
                self.decision = Decision("requested", "You asked for the large model.")
                await self._escalate(draft, self.decision, service, emit)
            case "large":
                self._keep(*await self._attempt(1, "large", service, emit))
            case _:
                await self._cascade(service, emit)

    async def _cascade(self, service: Service, emit: Emit) -> None:
        """The small model's draft, its judgement and, if it must be, the large model."""
        certain = await self._escalation_is_certain()
        draft, failure = await self._attempt(1, "small", service, emit, watched=certain)
        self.kept = draft if draft.text.strip() else None
        judge = self.assistant.policy.judge
        decision = await asyncio.to_thread(judge, self.turn, self._found().evidence, draft, failure)
        self.decision = decision
        emit(Judged(draft.id, decision))
        if self.turn.mode == "small" or decision.code is None:
            self._keep(draft, failure)
        else:
            await self._escalate(draft, decision, service, emit)

    async def _compare(self, service: Service, emit: Emit) -> None:
        """Both models at once on the same evidence; the large one's answer stands until somebody chooses."""
        both = await asyncio.gather(
            self._known_or_asked(1, "small", service, emit), self._known_or_asked(2, "large", service, emit)
        )
        for attempt, failure in both:
            if attempt.text.strip():
                self.kept = attempt
            self.failure = failure or self.failure

    async def _escalate(self, draft: Attempt, decision: Decision, service: Service, emit: Emit) -> None:
        """The large model's attempt, with wider evidence; the draft stands if it brings no text."""
        settings = self.assistant.settings
        if settings.large == settings.small:
            raise NoModel(
                f"The large model was not asked: SLM_ALIAS and LLM_ALIAS both name {settings.large}. Set LLM_ALIAS to "
                "a larger model."
            )
        assert decision.code is not None
        polish = self.turn.mode == "refine" and decision.code == "routed"
        wider = await asyncio.to_thread(self.assistant.searching.widen, self.turn, self._found())
        if len(wider.evidence) > len(self._found().evidence) and not polish:
            self.retrieved = wider
            emit(wider)
        emit(Escalated(draft.id, draft.id + 1, decision.code, decision.why))
        given = draft.text if polish or decision.code in ("cut_off", "short") else None
        answer, failure = await self._attempt(draft.id + 1, "large", service, emit, draft=given, polish=polish)
        if failure or not answer.text.strip():
            raise failure or NoModel(f"{answer.model} gave an empty answer, so the draft stands.")
        self.kept = answer

    def _keep(self, attempt: Attempt, failure: ModelError | None) -> None:
        self.kept = attempt if attempt.text.strip() else None
        if failure or self.kept is None:
            raise failure or NoModel(f"{attempt.model} gave an empty answer. Ask again, or ask another model.")

    async def _escalation_is_certain(self) -> bool:
        """Whether a draft with a hard reason against it is sure to be sent on, so that it may be stopped early."""
        settings, dial = self.assistant.settings, self.assistant.policy.dial(self.turn)
        if self.turn.mode == "small" or dial == "never" or settings.large == settings.small:
            return False
        return await self.assistant.models.present(settings.large, instead_of=settings.small)

    async def _attempt(
        self,
        number: int,
        role: Role,
        service: Service,
        emit: Emit,
        *,
        watched: bool = False,
        draft: str | None = None,
        polish: bool = False,
    ) -> tuple[Attempt, ModelError | None]:
        enough = (lambda text: opening(text) is not None) if watched else None
        order = Order(number, role, self.turn, self._found(), self._retrieve, draft, polish, enough)
        attempt, failure = await self.assistant.attempts.run(order, service, emit)
        self.attempts[number] = attempt
        return attempt, failure

    async def _known_or_asked(
        self, number: int, role: Role, service: Service, emit: Emit
    ) -> tuple[Attempt, ModelError | None]:
        if (known := self.turn.attempt(role)) is None:
            return await self._attempt(number, role, service, emit)
        self.attempts[known.id] = replay(known, emit)
        return known, None

    async def _quote(self, emit: Emit) -> None:
        """The extractive answer: the best sentences, quoted; it stands."""
        number = max(self.attempts, default=0) + 1
        clock = Stopwatch()
        found = await asyncio.to_thread(quotes, self.turn.question, self._found().evidence)
        metrics = Metrics(first_token_ms=clock.ms, total_ms=clock.ms)
        self.kept = Attempt(number, "extractive", "quotes", "", as_markdown(found), "stop", metrics)
        self.attempts[number] = replay(self.kept, emit)
        self.citations = tuple(
            Citation(q.text, q.evidence.number, q.evidence.file, q.evidence.place, q.start, q.end, True) for q in found
        )

    async def _retrieve(self, room: int | None = None) -> Retrieved:
        self.retrieved = await asyncio.to_thread(self.assistant.searching.retrieve, self.turn, room)
        return self.retrieved

    def _found(self) -> Retrieved:
        assert self.retrieved is not None
        return self.retrieved

    async def _cite(self, kept: Attempt) -> None:
        self.text = self.rendered = kept.text
        if kept.role != "extractive":
            self.rendered, self.citations = await asyncio.to_thread(cite, kept.text, self._found().evidence)

    def _answer(self) -> Answer:
        retrieved = self.retrieved
        return Answer(
            turn=self.turn,
            found=retrieved.found if retrieved else None,
            evidence=retrieved.evidence if retrieved else (),
            attempts=tuple(self.attempts[number] for number in sorted(self.attempts)),
            attempt=self.kept,
            decision=self.decision,
            text=self.text,
            rendered=self.rendered,
            citations=self.citations,
            notices=tuple(self.notices),
            metrics=self._metrics(),
        )

    def _metrics(self) -> Metrics:
        kept = self.kept.metrics if self.kept else Metrics()
        if self.retrieved is None:
            return replace(kept, total_ms=self.clock.ms)
        found, packed_ms = self.retrieved.found, self.retrieved.packed_ms
        return replace(kept, retrieve_ms=found.took_ms, prompt_ms=packed_ms, total_ms=self.clock.ms)
