"""One turn from its question to its answer: search, pack, small model, judge, large model, cite.

Nothing else decides anything.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.answering.aim import Aim
from app.answering.behind import Behind
from app.answering.citations import Citation
from app.answering.emitting import Emit
from app.answering.escalation import Decision, opening
from app.answering.events import Abstained, Cited, Escalated, Failed, Finished, Judged, Retrieved, Started
from app.answering.evidence import evidence_for
from app.answering.extractive import as_markdown
from app.answering.generation import Order, replay
from app.answering.policy import POLISHED
from app.answering.quoting import previewing, quoted
from app.answering.replies import UNAIDED, nothing_found, reply, takes_a_model
from app.answering.sanitizer import addresses, safe
from app.answering.turn import NUMBERS, Answer, Attempt, Role, Turn
from app.answering.usage import Metrics, Stopwatch
from app.errors import EscalatorError, ModelError, NoModel
from app.models.foundry import Service

if TYPE_CHECKING:
    from app.answering.assistant import Assistant


@dataclass
class Course:
    """What a turn has come to so far, and its steps in their order."""

    assistant: "Assistant"
    turn: Turn
    aim: Aim = field(init=False)
    clock: Stopwatch = field(default_factory=Stopwatch)
    retrieved: Retrieved | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)
    kept: Attempt | None = None
    behind: dict[Role, Behind] = field(default_factory=dict)
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
        searching = self.assistant.searching
        search = self.assistant.look()
        self.aim = await asyncio.to_thread(searching.aim, self.turn)
        if text := await asyncio.to_thread(reply, self.aim, searching, self.assistant.models.pair):
            self._reply(text, emit)
            return
        earlier = self.turn.earlier
        if earlier is not None and earlier.attempt is not None:
            self.attempts = {attempt.id: attempt for attempt in earlier.attempts}
            self.kept = earlier.attempt if earlier.attempt.role != "extractive" else None
            self.decision = earlier.decision
        retrieved = self.retrieved = await evidence_for(self.assistant, self.turn, self.aim, search, emit)
        emit(retrieved)
        if retrieved.reading is not None:
            self.notices.append(f"Your documents are still being read ({retrieved.reading}); ask again when all are.")
        if not retrieved.evidence and not (self.turn.alone or self.aim.reworks):
            self._reply(await asyncio.to_thread(nothing_found, retrieved), emit, unaided=True)
            return
        try:
            async with previewing(self.aim, retrieved, self.assistant.models, search, emit) as heard:
                await self._generate(await self.assistant.found(search, heard), heard)
        except ModelError as error:
            self.failure = error
        if self.kept is not None and not self.turn.history and (instead := self.assistant.models.substitution):
            self.notices.append(instead)
        if self.kept is not None and not retrieved.evidence:
            self.notices.append(UNAIDED)
        elif self.kept is None and self.aim.reworks:
            self._reply(await asyncio.to_thread(takes_a_model, self.aim), emit)
        elif self.kept is None and retrieved.evidence:
            await self._quote(emit)
        if self.failure is not None:
            raise self.failure

    def _reply(self, text: str, emit: Emit, *, unaided: bool = False) -> None:
        self.text = self.rendered = text
        emit(Abstained(text, unaided))

    async def _generate(self, service: Service, emit: Emit) -> None:
        """Have the models write what the mode asks for; what stands of it is kept."""
        match self.turn.mode:
            case "compare":
                await self._compare(service, emit)
            case "large" if (draft := self.turn.known("small")) is not None:
                await self._escalate(draft, Decision("requested", "You asked for the large model."), service, emit)
            case "large":
                self._keep(*await self._attempt("large", service, emit))
            case _:
                await self._cascade(service, emit)

    async def _cascade(self, service: Service, emit: Emit) -> None:
        """The small model's draft, its judgement and, if it must be, the large model."""
        certain = await self._escalation_is_certain()
        draft, failure = await self._attempt("small", service, emit, watched=certain)
        self.kept = draft if draft.text.strip() else None
        judge = self.assistant.policy.judge
        decision = await asyncio.to_thread(judge, self.turn, self._found().evidence, draft, failure)
        self.decision = decision
        emit(Judged(draft.id, decision))
        if decision.code is None:
            self._keep(draft, failure)
            return
        try:
            await self._escalate(draft, decision, service, emit)
        except ModelError as error:
            if failure is None:
                raise
            raise NoModel(f"{failure} {error}") from error  # neither hides the other

    async def _compare(self, service: Service, emit: Emit) -> None:
        """Both models at once on the same evidence; the large one's answer stands until somebody chooses."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._known_or_asked(role, service, emit)) for role in ("small", "large")]
        results = [task.result() for task in tasks]
        whole = [attempt for attempt, _ in results if attempt.whole]
        partial = [attempt for attempt, _ in results if attempt.text.strip()]
        self.kept = next(iter([*reversed(whole), *partial]), None)
        if failures := [failure for _, failure in results if failure is not None]:
            raise NoModel(" ".join(map(str, failures)))

    async def _known_or_asked(self, role: Role, service: Service, emit: Emit) -> tuple[Attempt, ModelError | None]:
        known = self.turn.known(role)
        return (replay(known, emit), None) if known is not None else await self._attempt(role, service, emit)

    async def _escalate(self, draft: Attempt, decision: Decision, service: Service, emit: Emit) -> None:
        """The large model's attempt, with wider evidence; the draft stands if it brings no text."""
        pair = self.assistant.models.pair
        if pair.alone:
            raise NoModel(
                f"The large model was not asked: {pair.large} is the small one, too. Choose a pair under Models, or "
                "set LLM_ALIAS to a larger model."
            )
        assert decision.code is not None
        polish = decision.code == "routed" and self.turn.mode == "refine" and len(draft.text) >= POLISHED
        wider = await asyncio.to_thread(self.assistant.searching.widen, self.aim.turn, self._found())
        if len(wider.evidence) > len(self._found().evidence) and not polish:
            self.retrieved = wider
            emit(wider)
        emit(Escalated(draft.id, NUMBERS["large"], decision.code, decision.why))
        given = draft.text if polish or decision.code in ("cut_off", "short") else None
        answer, failure = await self._attempt("large", service, emit, draft=given, polish=polish)
        if failure or not answer.text.strip():
            raise failure or NoModel(f"{answer.model} gave an empty answer, so the draft stands.")
        self.kept, self.decision = answer, decision

    def _keep(self, attempt: Attempt, failure: ModelError | None) -> None:
        self.kept = attempt if attempt.text.strip() else None
        if failure or self.kept is None:
            raise failure or NoModel(f"{attempt.model} gave an empty answer. Ask again, or ask another model.")

    async def _escalation_is_certain(self) -> bool:
        """Whether a draft with a hard reason against it is sure to be sent on, so that it may be stopped early."""
        pair, dial = self.assistant.models.pair, self.assistant.policy.dial(self.turn)
        if self.turn.mode == "small" or dial == "never" or pair.alone:
            return False
        return await self.assistant.models.available(*pair.of("large"))

    async def _attempt(
        self,
        role: Role,
        service: Service,
        emit: Emit,
        *,
        watched: bool = False,
        draft: str | None = None,
        polish: bool = False,
    ) -> tuple[Attempt, ModelError | None]:
        enough = (lambda text: opening(text) is not None) if watched else None
        order = Order(role, self.turn, self._found().evidence, draft, polish, enough)
        behind = self.behind[role] = Behind(order.evidence)
        attempt, failure = await self.assistant.attempts.run(order, service, behind.hearing(emit))
        self.attempts[attempt.id] = attempt
        return attempt, failure

    async def _quote(self, emit: Emit) -> None:
        """The extractive answer: the best sentences, quoted; it stands."""
        number = NUMBERS["extractive"]
        clock = Stopwatch()
        found = await asyncio.to_thread(quoted, self.aim, self._found())
        metrics = Metrics(first_token_ms=clock.ms, total_ms=clock.ms)
        self.kept = Attempt(number, "extractive", "quotes", "", as_markdown(found), "stop", metrics)
        self.attempts[number] = replay(self.kept, emit)
        self.citations = tuple(
            Citation(q.text, q.evidence.number, q.evidence.file, q.evidence.place, q.start, q.end, True) for q in found
        )

    def _found(self) -> Retrieved:
        assert self.retrieved is not None
        return self.retrieved

    async def _cite(self, kept: Attempt) -> None:
        self.text = self.rendered = kept.text
        if kept.role != "extractive":
            behind = self.behind.get(kept.role) or Behind(self._found().evidence)
            rendered, self.citations = await behind.finish(kept.text)
            # Where a mark was taken out, what stood around it may have become a link.
            self.rendered = safe(rendered, addresses(item.text for item in self._found().evidence))

    def _answer(self) -> Answer:
        retrieved, earlier = self.retrieved, self.turn.earlier
        return Answer(
            turn=self.turn
            if earlier is None or self.turn.unaided
            else earlier.turn,  # a button extends the turn that it stands below
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
