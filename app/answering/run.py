"""One turn, from its question to its answer: route, find context, let models answer as the mode says, cite."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from app.answering.citations import marked_safely
from app.answering.context import Retriever, context_for, unsearched
from app.answering.escalation import early_reason, leading_answer
from app.answering.events import Abstained, Cited, Emitter, Failed, Finished, Judged, Retrieved, Started
from app.answering.extractive import MOST, as_markdown, extract, preview
from app.answering.generation import Generator, replay
from app.answering.policy import Policy
from app.answering.prompt import Prompt
from app.answering.replies import UNAIDED, limited, needs_a_model, nothing_found, reply, summarised
from app.answering.router import INSTRUCTED, Route, route
from app.answering.scope import scoped
from app.answering.turn import NUMBERS, Answer, Attempt, Citation, Decision, Metrics, Role, Stopwatch, Turn
from app.answering.verification import CheckedAnswer, check
from app.errors import EscalatorError, ModelError, NoModel, StaysHere
from app.models.catalogue import ModelPair
from app.models.discovery import ServerLookup
from app.models.foundry import Foundry
from app.translation import _, mark

BEST = mark("From your documents:")
"""What a rejected draft that is the answer nevertheless is followed by: the top quote."""


@dataclass(frozen=True)
class Parts:
    """What turns share: the corpus, the models, and the policy of escalation."""

    retriever: Retriever
    foundry: Foundry
    generator: Generator
    policy: Policy
    admit: Callable[[], None]
    """Raises TooManyTurns for a person with too many turns."""
    patience: float | None
    """Seconds to wait for a model server to be found; None waits for the whole search."""


@dataclass
class Run:
    """A turn being answered: its state so far, and the steps that modes are made of."""

    parts: Parts
    turn: Turn
    mode: "Answering"
    emit: Emitter
    clock: Stopwatch = field(default_factory=Stopwatch)
    route: Route = field(init=False)
    context: Retrieved = field(init=False)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    kept_here: str = ""
    """The rule by which the turn stays on this machine; empty if there is none, or no model elsewhere."""
    kept: Attempt | None = None
    """The attempt that is the answer, as far as is known."""
    decision: Decision | None = None
    checked: CheckedAnswer | None = None
    """The text that was checked last, with the verdicts."""
    rendered: str = ""
    citations: tuple[Citation, ...] = ()
    notices: list[str] = field(default_factory=list)
    model: str = ""
    """The model that was asked last."""
    errors: list[str] = field(default_factory=list)
    """The kinds of what went wrong."""
    result: Answer | None = None
    """The answer, at the end."""

    def __post_init__(self) -> None:
        self.context, earlier = unsearched(self.turn), self.turn.earlier
        if earlier is not None and earlier.attempt is not None:  # a button refers to it
            self.attempts = {attempt.id: attempt for attempt in earlier.attempts}
            self.kept = earlier.attempt if earlier.attempt.role != "extractive" else None
            self.decision = earlier.decision

    async def answer(self) -> None:
        """Emit every event of the turn, from `Started` to `Finished`."""
        self.emit(Started(self.turn))
        try:
            await self._answer()
        except EscalatorError as error:
            self.notices.append(str(error))
            self.errors.append(type(error).__name__)
            self.emit(Failed(error, self.kept.id if self.kept else None))
        if self.kept is not None:
            await self._cite(self.kept)
        self.result = self._result()
        self.emit(Finished(self.result))

    async def _answer(self) -> None:
        self.parts.admit()
        self.turn.check()
        turn, retriever, foundry = self.turn, self.parts.retriever, self.parts.foundry
        lookup = ServerLookup(foundry, self.parts.patience)
        if (text := await retriever.run(self._read_message)) is not None:
            self._abstain(text)
            return
        context = await context_for(self.route, retriever, foundry, lookup, self.emit)
        self.context = context = replace(context, scope=self.turn.scope or ())
        self.emit(context)
        if retriever.notice:
            self.notices.append(retriever.notice)
        if context.reading is not None:
            self.notices.append(
                _("Your documents are still being read ({how_far}); ask again when all are.", how_far=context.reading)
            )
        if not (context.evidence or self.kept or turn.unaided or self.route.kind in INSTRUCTED):
            self._abstain(await asyncio.to_thread(nothing_found, context), unaided=True)
            if context.failure is not None:
                raise context.failure
            return
        if self.route.several:
            self.notices.append(summarised(self.route, context.evidence))
        failure: ModelError | None = None
        try:
            async with preview(self.route, context, self._text_of, lookup, self.emit):
                if turn.route != "cloud-first" or "large" not in foundry.endpoints:  # which is asked at once
                    await lookup.wait(self.emit.progress)
                await self.mode(self)
        except ModelError as error:
            failure = error
        if self.kept is not None and not turn.history and foundry.substitution:
            self.notices.append(foundry.substitution)
        shown = self.attempts.values() if turn.mode == "compare" else [self.kept] if self.kept is not None else []
        self.notices += filter(None, map(_ending, (it for it in shown if not turn.sampling.ends(it))))
        if self.kept is not None and not self.context.evidence and self.route.kind != "recaps":
            self.notices.append(_(UNAIDED))
        elif self.kept is None and self.route.reworks:
            self._abstain(await asyncio.to_thread(needs_a_model, self.route))
        elif self.kept is None and self.context.evidence:
            await self._quote()
        if failure is not None:
            raise failure

    def _read_message(self) -> str | None:
        """Route the turn, and return the reply to a message that needs neither a search nor a model; blocks."""
        retriever = self.parts.retriever
        if self.turn.may_be_limited:
            self.turn = scoped(self.turn, retriever.available(Turn("", dropped=self.turn.brought)).documents)
        if not self.turn.question:
            return limited(len(retriever.available(self.turn).documents), self.turn.scope or ())
        self.route = route(self.turn, partial(retriever.available, self.turn))
        return reply(self.route, retriever, self.pair) if self.route.kind else None

    def _abstain(self, text: str, *, unaided: bool = False) -> None:
        self.rendered = text
        self.emit(Abstained(text, unaided))

    @property
    def pair(self) -> ModelPair:
        """The two models that answer."""
        return self.parts.foundry.pair

    def prompt(self, draft: str | None = None, *, polish: bool = False, begun: str = "") -> Prompt:
        """Return what a model is asked now."""
        turn, about = self.turn, self.route.about
        given = (*turn.grounds, *(turn.earlier.grounds if turn.earlier is not None else ()))
        how = draft, polish, begun, turn.sampling
        return Prompt(turn.question, self.context.evidence, turn.history, *how, about=about, given=given)

    async def rule(self, prompt: Prompt | None = None) -> str:
        """Return the rule that keeps a prompt on this machine, if there is a model elsewhere; empty if none does."""
        grounds, retriever = (prompt or self.prompt()).grounds, self.parts.retriever
        if not self.parts.foundry.elsewhere("small", "large"):
            return ""
        self.kept_here = await retriever.run(partial(retriever.rule, self.turn, grounds))
        return self.kept_here

    async def generate(
        self, role: Role, prompt: Prompt | None = None, *, stop_early: bool = False, patience: float | None = None
    ) -> Attempt:
        """Have the model of a role write an answer, which it begins within `patience`; repetitions end it.

        With `stop_early` it is also stopped if it declines, except without passages: then a refusal is kept.
        """
        evidence, prompt = self.context.evidence, prompt or self.prompt()
        self.model = self.pair.of(role)[0]

        def watch(text: str, reasoning: bool) -> Decision | None:
            return early_reason(text, refusals=stop_early and bool(evidence) and not reasoning)

        kept_here = await self.rule(prompt)
        attempt = await self.parts.generator.generate(role, prompt, kept_here, watch, self.emit, patience)
        if kept_here and attempt.failure is None and self.parts.foundry.elsewhere(role):
            self.notices = list(dict.fromkeys([*self.notices, str(StaysHere(kept_here))]))
        self.attempts[attempt.id] = attempt
        return attempt

    async def reuse_or_generate(self, role: Role) -> Attempt:
        """Repeat the whole answer that this role gave before, else have it write one."""
        known = self.turn.known(role)
        return replay(known, self.emit) if known is not None else await self.generate(role)

    async def judge(self, draft: Attempt) -> tuple[Attempt, Decision]:
        """Decide whether to escalate a draft; of one in circles only its beginning is left if that answers."""
        self.decision = await self._decide(draft)
        if self.decision.code == "repeated":
            draft, self.decision = await self._without_circles(draft, self.decision)
        self.emit(Judged(draft.id, self.decision))
        return draft, self.decision

    async def _without_circles(self, draft: Attempt, repeated: Decision) -> tuple[Attempt, Decision]:
        """Return the beginning of a draft, if it answers and has no other fault, with the decision to keep it."""
        begun = await asyncio.to_thread(lambda: leading_answer(self.turn.question, self._checked(draft)))
        ended = replace(draft, text=begun, finish="stopped", stopped=None, echoed=False)
        decision = await self._decide(ended) if begun else repeated
        if not decision.by_score or decision.code not in (None, "unsupported"):  # the score of few words says little
            return draft, repeated
        self.attempts[draft.id] = ended = replace(ended, stopped=repeated)
        return ended, replace(decision, code=None, why=_("The draft answers before it repeats itself."))

    async def _decide(self, draft: Attempt) -> Decision:
        return await asyncio.to_thread(lambda: self.parts.policy.judge(self.turn, self._checked(draft), draft))

    async def can_escalate(self) -> bool:
        """Whether a rejected draft is certain to reach the large model, so that it may be stopped early."""
        if self.parts.foundry.alone or self.parts.policy.dial(self.turn) == "never":
            return False
        if self.parts.foundry.remote("large") and await self.rule():
            return False
        return await self.parts.foundry.available(*self.pair.of("large"), role="large")

    async def widen(self) -> None:
        """Find more evidence for the large model, for one elsewhere no private one."""
        turn = replace(self.route.turn, public=self.turn.public or self.parts.foundry.remote("large"))
        wider = await self.parts.retriever.run(lambda: self.parts.retriever.widen(turn, self.context))
        if len(wider.evidence) > len(self.context.evidence):
            self.context = replace(wider, scope=self.context.scope)
            self.emit(self.context)

    def keep(self, attempt: Attempt) -> None:
        """Make an attempt the answer; raises its failure, and NoModel if it has no text."""
        self.kept = attempt if attempt.text.strip() else None
        if attempt.failure or self.kept is None:
            raise attempt.failure or no_answer(attempt, _("Ask again, or ask another model."))

    async def _quote(self) -> None:
        """Answer with quotes, where no model did."""
        clock = Stopwatch()
        text, self.citations = await self._quotes(MOST)
        metrics = Metrics(first_token_ms=clock.ms, total_ms=clock.ms)
        attempt = Attempt(NUMBERS["extractive"], "extractive", _("quotes"), "", text, "stop", metrics)
        self.kept = self.attempts[attempt.id] = replay(attempt, self.emit)

    async def _quotes(self, most: int) -> tuple[str, tuple[Citation, ...]]:
        """Return the top quotes as Markdown, with their places as citations."""
        quotes = await self.parts.retriever.run(partial(extract, self.route, self.context, self._text_of, most))
        spans = dict.fromkeys(span for quote in quotes for span in (quote.head, quote) if span is not None)
        places = (Citation(it.text, it.number, it.file, it.place, it.start, it.end, True) for it in spans)
        return as_markdown(quotes, named=self.route.several), tuple(places)

    def _text_of(self, file: str) -> str:
        return self.parts.retriever.snapshot(self.turn).text(file)

    async def _cite(self, kept: Attempt) -> None:
        self.rendered = kept.text
        if kept.role != "extractive":
            self.rendered, self.citations = await asyncio.to_thread(lambda: marked_safely(self._checked(kept)))
            if self.context.evidence and kept.role == "small" and self.decision is not None and self.decision.rejects:
                text, places = await self._quotes(1)
                self.rendered, self.citations = f"{self.rendered}\n\n{_(BEST)}\n\n{text}", self.citations + places
        self.emit(Cited(self.rendered, self.citations))

    def _checked(self, attempt: Attempt) -> CheckedAnswer:
        """Verify an attempt against the evidence, once for its judgement and its marks; takes too long for a loop."""
        evidence, known = self.context.evidence, self.checked
        if known is None or known.text != attempt.text or known.evidence is not evidence:
            known = self.checked = check(attempt.text, evidence, self.turn.question)
        return known

    def _result(self) -> Answer:
        context, earlier = self.context, self.turn.earlier
        first = self.turn if earlier is None or self.turn.unaided else earlier.turn  # which a button extends
        metrics = self.kept.metrics if self.kept else Metrics()
        searched_ms, packed_ms = context.found.took_ms or None, context.packed_ms or None
        return Answer(
            turn=first,
            found=context.found,
            evidence=context.evidence,
            attempts=tuple(self.attempts[number] for number in sorted(self.attempts)),
            attempt=self.kept,
            decision=self.decision,
            text=self.kept.text if self.kept else self.rendered,
            rendered=self.rendered,
            citations=self.citations,
            notices=tuple(self.notices),
            metrics=replace(metrics, retrieve_ms=searched_ms, prompt_ms=packed_ms, total_ms=self.clock.ms),
            rule=self.kept_here,
            sent_besides=(earlier.sent_besides if earlier is not None else ()) + context.sent,
        )


Answering = Callable[[Run], Awaitable[None]]
"""A mode: lets models answer a turn."""


def no_answer(attempt: Attempt, consequence: str = "") -> NoModel:
    """Return the error that says what a model did instead of answering, and a sentence about what follows from it."""
    if attempt.stopped is not None:
        did = _("{model} only repeated itself.", model=attempt.model)
    else:
        did = _("{model} gave an empty answer.", model=attempt.model)
    return NoModel(f"{did} {consequence}".rstrip())


def _ending(attempt: Attempt) -> str | None:
    """Say how an answer ended that its model did not end by itself."""
    if not attempt.text.strip():
        return None
    if attempt.stopped is not None and attempt.stopped.code == "repeated":
        return _("{model} began to repeat itself, so its answer was ended there.", model=attempt.model)
    if attempt.finish != "length":
        return None
    setting = "ESCALATOR_MAX_TOKENS" if attempt.role == "small" else "ESCALATOR_LARGE_MAX_TOKENS"
    return _(
        "The answer of {model} breaks off, because it reached its longest allowed length. Ask for the rest, or allow "
        "more with {setting}.",
        model=attempt.model,
        setting=setting,
    )
