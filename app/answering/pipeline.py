"""The entry point of every user interface: the assistant, and the modes in which models answer its turns."""

import asyncio
import gc
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Self

from app.answering.context import Retriever
from app.answering.escalation import decide
from app.answering.events import Abstained, Emitter, Escalated, Event, Failed, Finished, stream
from app.answering.generation import Generator
from app.answering.journal import Journal
from app.answering.policy import POLISHED, Policy
from app.answering.prompt import Prompt
from app.answering.router import intent
from app.answering.routes import task_of
from app.answering.run import Answering, Parts, Run, no_answer
from app.answering.turn import NUMBERS, Answer, Attempt, Decision, Metrics, Mode, Role, Turn
from app.answering.wrapping import whole_sentences
from app.errors import EscalatorError, ModelError, NoModel, StaysHere
from app.models.downloads import ModelManager
from app.models.foundry import Foundry
from app.models.tokens import TokenCounter
from app.settings import RouteName, Settings
from app.translation import _, mark

YOUNG = 5_000, 10, 1_000_000
"""When Python looks for garbage among what is new: more rarely than by default, and never among all there is, since
that holds up every answer."""

COLLECT_SECONDS = 60.0
MANY = 100_000
"""Seconds between two looks whether garbage should be searched for, and objects that are searched also while turns are
answered: 75 ms at most. What was loaded before the first question is never searched."""


class Assistant:
    """Answers turns from a corpus with a small and a large model, or with quotes where there is no model.

    `patience` is how long, in seconds, an answer waits for a model server to be found; None waits for the whole search.
    One that does not `learn` from its turns decides on each as if it were the next one of the chat.
    """

    def __init__(self, settings: Settings, *, patience: float | None = 0.5, learn: bool = True) -> None:
        counter = TokenCounter(settings.state_dir)
        self.settings = settings
        self.models = Foundry(settings)
        self.manager = ModelManager(self.models)
        self.retriever = Retriever(settings, counter, live=patience is not None)
        generator = Generator(self.models, counter)
        self.journal = Journal(settings.per_person)
        self._warming: asyncio.Future[Any] | None = None  # the event loop itself keeps no reference
        self._collecting: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[Any]] | None = set()
        """The turns that are being answered; None once no more are."""
        parts = self.retriever, self.models, generator, Policy(settings, learns=learn)
        self._parts = Parts(*parts, self.journal.check, patience)

    def answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Return the events of one turn, in the grammar of `events.py`; consume them under `contextlib.aclosing`."""
        routed = replace(turn, route=(turn.route or self.settings.route) if turn.mode == "auto" else None)
        mode = go_on if turn.continues else MODES[routed.route or turn.mode]
        return stream(lambda emit: self._answer(Run(self._parts, routed, mode, emit)))

    async def _answer(self, run: Run) -> None:
        """Answer a turn, unless the assistant is ended before, or meanwhile, which raises EscalatorError."""
        task = asyncio.current_task()
        try:
            if self._running is not None and task is not None:
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                with self.journal.noting(run):
                    return await run.answer()
        except asyncio.CancelledError:
            if self._running is not None:
                raise
        raise EscalatorError("Escalator was ended. Ask again when it runs again.")

    def end(self) -> None:
        """End the turns that are being answered, and refuse further ones."""
        running, self._running = self._running or (), None
        for task in running:
            task.cancel()

    async def prompt(self, turn: Turn) -> tuple[Prompt | None, Answer]:
        """Return what a model elsewhere, such as in the browser, is to be asked, and the answer without a model.

        There is no prompt for what needs no model, such as a greeting, or a question for which nothing was found.
        """
        runs: list[Run] = []

        async def answered(emit: Emitter) -> None:
            runs.append(Run(self._parts, turn, _elsewhere, emit))
            await runs[0].answer()

        needless = False
        async with aclosing(stream(answered)) as events:
            async for event in events:
                needless |= isinstance(event, Abstained)
                needless |= isinstance(event, Failed) and not isinstance(event.error, ModelError)
        assert isinstance(event, Finished)
        return None if needless else runs[0].prompt(), event.answer

    def warm(self) -> None:
        """Look for a model server, read the corpus, import what is heavy, and free memory, all in the background."""
        work = self.models.find(), self.retriever.run(self._warm)
        self._warming = asyncio.gather(*work, return_exceptions=True)
        self._collecting = asyncio.create_task(self._collect())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the model server back and end all threads."""
        if self._collecting is not None:
            self._collecting.cancel()
        await asyncio.to_thread(self.retriever.close)
        await self.manager.close()
        await self.models.close()

    def _warm(self) -> None:
        with suppress(EscalatorError):  # reported with the first question
            self.retriever.refresh()
        decide("", Attempt(NUMBERS["small"], "small", "", "", "warm", "stop", Metrics()), None)
        intent("warm")
        importlib.import_module("openai")  # last, because quotes do without
        gc.collect()
        gc.freeze()
        gc.set_threshold(*YOUNG)

    async def _collect(self) -> None:
        """Free what refers to itself, if there are few objects, or no turn was answered at the last two looks."""
        quiet = False
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            was_quiet, quiet = quiet, not self._running
            if (was_quiet and quiet) or len(gc.get_objects(generation=2)) < MANY:
                gc.collect()


Shared = Callable[[], Awaitable[Assistant]]
"""Returns the assistant that all user interfaces of a process share; the first call may take a second."""


async def _elsewhere(run: Run) -> None:
    """Ask no model here."""


async def auto(run: Run) -> None:
    """Let the small model draft, and ask the large one if the draft is not good enough (the cascade).

    In the mode "small" the policy escalates nothing.
    """
    draft, decision = await _draft(run)
    if decision.escalate:
        await _escalate(run, draft, decision)


async def by_task(run: Run) -> None:
    """Let the model answer that the settings name for questions of this kind, and say so."""
    task = task_of(run.turn, run.route.kind)
    by = "auto" if run.parts.foundry.alone else run.parts.foundry.settings.tasks[task.kind]
    if why := task.said(by):
        run.emit.progress(why)
        run.notices.append(why)
    if by == "auto":
        await auto(run)
    elif by == "large":
        await _large_first(run)
    else:
        run.keep(await run.generate("small"))


async def cloud_first(run: Run) -> None:
    """Ask the large model at its endpoint at once; the small one answers where that does not."""
    foundry = run.parts.foundry
    if "large" in foundry.endpoints:
        await _large_first(run, foundry.settings.cloud_seconds)
        return
    if not run.turn.history:
        run.notices.append(_("The route cloud-first needs LLM_ENDPOINT; without it the small model answers first."))
    run.turn = replace(run.turn, route="local-first")
    await auto(run)


async def large(run: Run) -> None:
    """Let the large model answer, beside a draft that exists already."""
    if (draft := run.turn.known("small")) is not None:
        await _escalate(run, draft, Decision("requested", _("You asked for the large model.")))
    elif run.parts.foundry.remote("large") and await run.rule():
        await _large_first(run)
    else:
        run.keep(await run.generate("large"))


async def refine(run: Run) -> None:
    """Let the small model draft, and the large one polish a long draft or replace a bad one."""
    draft, decision = await _draft(run)
    if decision.escalate:
        polish = decision.code == "routed" and len(draft.text) >= POLISHED
        await _escalate(run, draft, decision, polish=polish)


async def compare(run: Run) -> None:
    """Let both models answer at once from the same evidence; the large one's answer is kept."""
    roles: list[Role] = ["small", "large"]
    if run.parts.foundry.alone:
        run.notices.append(
            _(
                "There is nothing to compare: {model} is the small and the large model. Choose a pair under Models, or "
                "set LLM_ALIAS to a larger model.",
                model=run.pair.small,
            )
        )
        roles = ["small"]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run.reuse_or_generate(role)) for role in roles]
    attempts = [task.result() for task in tasks]
    written = [attempt for attempt in attempts if attempt.text.strip()]
    run.kept = max(written, key=lambda attempt: (attempt.whole, attempt.id), default=None)
    if failures := [str(attempt.failure) for attempt in attempts if attempt.failure]:
        raise NoModel(" ".join(failures))


async def go_on(run: Run) -> None:
    """Let the model of the earlier answer write on where that ends, from the evidence of that answer."""
    if (begun := run.kept) is not None:
        run.keep(await run.generate(begun.role, run.prompt(begun=whole_sentences(begun.text))))


MODES: Mapping[Mode | RouteName, Answering] = {
    "auto": auto, "small": auto, "large": large, "compare": compare, "refine": refine,
    "local-first": auto, "cloud-first": cloud_first, "task": by_task,
}  # fmt: skip
"""Who answers in each mode, and on each route of the mode "auto"."""


async def _large_first(run: Run, patience: float | None = None) -> None:
    """Let the large model answer; if it writes nothing, the small one does, and both is said."""
    answer = await run.generate("large", patience=patience)
    if answer.text.strip():
        run.keep(answer)
        return
    why = str(answer.failure or no_answer(answer)).removesuffix(".")
    try:
        run.keep(await run.generate("small"))
    except ModelError as error:
        raise NoModel(f"{why}. {error}") from error
    said = mark("{why}, so {model} answered here."), mark("{why}. So {model} answered here.")
    run.notices.append(_(said[". " in why], why=why, model=run.pair.small))


async def _draft(run: Run) -> tuple[Attempt, Decision]:
    """Generate and judge a draft; a draft that is not escalated is the answer."""
    draft = await run.generate("small", stop_early=await run.can_escalate())
    draft, decision = await run.judge(draft)
    if decision.escalate:
        run.kept = draft if draft.text.strip() else None  # until the large model has answered
    else:
        run.keep(draft)
    return draft, decision


async def _escalate(run: Run, draft: Attempt, decision: Decision, *, polish: bool = False) -> None:
    """Ask the large model, with more evidence unless it polishes; the draft is kept if it gives no answer."""
    try:
        if run.parts.foundry.alone:
            raise NoModel(
                "The large model was not asked: {model} is also the small one. Choose a pair under Models, or set "
                "LLM_ALIAS to a larger model.",
                model=run.pair.large,
            )
        if run.parts.foundry.remote("large") and (rule := await run.rule()):
            raise StaysHere(rule)
        if not polish:
            await run.widen()
        run.emit(Escalated(draft.id, NUMBERS["large"], str(decision.code), decision.why))
        continued = draft.text if polish or decision.code in ("cut_off", "short") else None
        answer = await run.generate("large", run.prompt(continued, polish=polish))
        if answer.failure or not answer.text.strip():
            raise answer.failure or no_answer(answer, _("The draft is kept.") if draft.text.strip() else "")
    except ModelError as error:
        if draft.failure is None or str(draft.failure) == str(error):
            raise
        raise NoModel(f"{draft.failure} {error}") from error  # neither hides the other
    if isinstance(draft.failure, StaysHere):
        run.notices.append(str(draft.failure))
    run.kept, run.decision = answer, decision
