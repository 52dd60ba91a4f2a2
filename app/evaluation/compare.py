"""The comparison of models: the same questions to each of them, and to the cascade of two, as the chat asks them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from statistics import fmean
from typing import Any, get_args

from app.answering.escalation import decide
from app.answering.pipeline import Assistant
from app.answering.turn import Attempt, Metrics, Mode, Sampling, Stopwatch, Turn
from app.errors import InputError, ModelError
from app.evaluation.datasets import Question
from app.evaluation.figures import SINGLE, with_figures
from app.evaluation.plan import Done, Plan, RunFile, default_prices
from app.evaluation.recording import Energy, asked, machine, measured, server_memory
from app.evaluation.results import ComparisonResult, Contender, MeasuredAnswer, MeasuredModel
from app.evaluation.summary import shown
from app.models import chat
from app.models.catalogue import ModelPair
from app.models.server import Notify
from app.settings import RouteName, Settings

SEEDED = Sampling(seed=0)
"""How every answer is written: as the most probable one, and by servers that choose all the same, alike each time."""

FAILURES = 2
"""Failed answers in a row after which a contender is asked no more: its model has died."""

WARM_UP = "Hello"

Step = Callable[[str, int, int, float | None], None]
"""Is told what is asked next, how many answers are done, of how many, and the seconds that are left, if known."""


class Comparison:
    """A comparison as it goes on: `measure` asks what is not done yet, `result` says what is there, at any time.

    `done` is what an earlier run of the same plan has measured, and `file` keeps what is measured now.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        tell: Notify,
        step: Step,
        file: RunFile | None = None,
        done: Done | None = None,
    ) -> None:
        self.plan, self._tell, self._step, self._file = plan, tell, step, file
        given: dict[str, Any] = {"retries": settings.compare_retries}
        if plan.models:
            given |= {"small": plan.models[0], "large": plan.models[-1]}
        self.settings = settings.model_copy(update=given)
        self._began = done.began if done else datetime.now(UTC).isoformat(timespec="seconds")
        self._answers = {answer.key: answer for answer in (done.answers if done else ())}
        self._models = {model.name: model for model in (done.models if done else ())}
        self._contenders = [*plan.contenders(plan.models)] if self._models else []  # what there is counts before more
        self._prices = plan.prices or (default_prices(settings.prices, plan.models) if self._models else None)
        self._energy: Energy | None = None
        self._peak_mb: float | None = None
        self._together = True
        self._last = ""
        self._took: dict[str, list[float]] = {}
        self._unsaved = ""

    async def measure(self) -> None:
        """Load the models and ask; raises EscalatorError if nothing can be asked."""
        for question in self.plan.questions:
            Turn(question.text).check()
        self._energy = await asyncio.to_thread(Energy)
        async with Assistant(self.settings, patience=None, learn=False) as assistant:
            if True in self.plan.retrieval:
                await assistant.retriever.run(assistant.retriever.refresh)  # reading files is no part of an answer
                if not self.plan.question_set:
                    text = self.plan.questions[0].text
                    find = partial(assistant.retriever.retrieve, Turn(text))
                    if not (await assistant.retriever.run(find)).evidence:
                        raise InputError(
                            f"The documents have no passage for “{text}”. Ask without --corpus, or something else."
                        )
            draft = Attempt(1, "small", "", "", WARM_UP, "stop", Metrics())
            await asyncio.to_thread(decide, "", draft, None)  # its imports are no part of an answer
            service = await assistant.models.find()  # starting the runtime is not part of a model's load time
            names = self.plan.models or tuple(dict.fromkeys(assistant.models.pair.both))
            self._prices = self.plan.prices or default_prices(self.settings.prices, names)
            if self.plan.prices:
                self.plan.prices.check(names)
            self._contenders = [*self.plan.contenders(names)]
            for name in names:
                self._models[name] = await self._load(assistant, name)
                await self._keep("model", self._models[name])
            _, loaded, _ = await assistant.models.offered()
            here = [model.id for model in self._models.values() if model.id and model.host == service.host]
            self._together = {*here} <= {*loaded}
            await self._ask_all(assistant)
            memory = await asyncio.to_thread(server_memory, service.root)
            self._peak_mb = memory and memory.peak_mb

    async def _load(self, assistant: Assistant, name: str) -> MeasuredModel:
        """Load a model and have it write one token, which prepares what later answers use."""
        foundry = assistant.models
        other = self._last or next((each for each in foundry.pair.both if each != name), None)
        try:
            root = (await foundry.find()).root
            before = await asyncio.to_thread(server_memory, root)
            clock = Stopwatch()
            model = await foundry.ready(name, self._tell, instead_of=other)
            load_ms, self._last = clock.ms, name
            request = [{"role": "user", "content": WARM_UP}]
            clock = Stopwatch()
            how: dict[str, Any] = {"max_tokens": 1, "seed": SEEDED.seed, "instead_of": other}
            await chat.reply(foundry, model, request, kept_here="", **how)
            warm_up_ms = clock.ms
            after = await asyncio.to_thread(server_memory, root)
        except ModelError as error:
            return MeasuredModel(name, error=str(error))
        cold = model.load_seconds is not None
        grown = after.now_mb - before.now_mb if cold and before and after else None
        prompt_price, price = (self._prices.models.get(name) if self._prices else None) or (None, None)
        known = self._models.get(name)  # by an earlier run
        if known is not None and known.cold and not cold:
            return known
        times = round(load_ms, 1), round(warm_up_ms, 1)
        return MeasuredModel(name, model.id, model.service.host, cold, *times, grown, prompt_price, price)

    def _tasks(self) -> list[tuple[int, Question, Contender]]:
        """Return every answer to be had, in its order: in each round the contenders take turns at the questions.

        Each is a question ahead of the one before it: a server that remembers its last prompt has another one. Where
        memory holds one model at a time, taking turns would load a model for every answer.
        """
        questions, contenders = self.plan.questions, self._contenders
        turns = [
            (number, questions[(at + ahead) % len(questions)], contender)
            for number in range(1, self.plan.rounds + 1)
            for at in range(len(questions))
            for ahead, contender in enumerate(contenders)
        ]
        if self._together:
            return turns
        last_loaded_first = {name: -at for at, name in enumerate(self._models)}
        return sorted(turns, key=lambda turn: (turn[2].kind not in SINGLE, last_loaded_first[turn[2].models[0]]))

    async def _ask_all(self, assistant: Assistant) -> None:
        tasks = [it for it in self._tasks() if (it[1].id, it[2].id, it[0]) not in self._answers]
        failed: dict[str, int] = {}
        for at, (number, question, who) in enumerate(tasks):
            if failed.get(who.id, 0) >= FAILURES or any(self._models[name].error for name in who.models):
                continue
            of = f"question {question.id}, " if len(self.plan.questions) > 1 else ""
            what = f"{shown(who)}: {of}round {number} of {self.plan.rounds}"
            self._step(what, at, len(tasks), self._left(tasks[at:]))
            clock = Stopwatch()
            answer = await self._ask(assistant, question, who, number)
            self._took.setdefault(who.id, []).append(clock.ms / 1000)
            self._answers[answer.key] = answer
            failed[who.id] = failed.get(who.id, 0) + 1 if answer.error else 0
            await self._keep("answer", answer)

    def _left(self, tasks: Sequence[tuple[int, Question, Contender]]) -> float | None:
        """Estimate the seconds that the tasks take, by the answers of each contender so far."""
        took = {name: fmean(values) for name, values in self._took.items()}
        return sum(took.get(who.id, fmean(took.values())) for _, _, who in tasks) if took else None

    async def _keep(self, kind: str, record: Any) -> None:
        if self._file is not None:
            try:
                await asyncio.to_thread(self._file.append, kind, record)
                self._unsaved = ""
            except OSError as error:
                self._unsaved = str(error)

    async def _ask(self, assistant: Assistant, question: Question, who: Contender, number: int) -> MeasuredAnswer:
        """Have one turn answered as the chat would, and note all that is known about it."""
        if self.plan.models:
            assistant.models.pair = self._pair(who)
        self._last = who.models[-1]
        modes: Mapping[str, Mode] = {"small": "small", "refine": "refine", "model": "large", "large": "large"}
        route = who.kind if who.kind in get_args(RouteName) else "local-first"
        given: dict[str, Any] = {"unaided": not who.retrieval, "sampling": SEEDED, "route": route}
        turn = Turn(question.text, mode=modes.get(who.kind, "auto"), **given)
        energy = self._energy or Energy()
        await asyncio.to_thread(energy.start)
        answer, declined, failure = await asked(assistant, turn)
        joules = await asyncio.to_thread(energy.joules)
        prices, streamed = self._prices.models if self._prices else {}, self.settings.bench_stream
        noted = measured(answer, question, prices, declined=declined, failure=failure, streamed=streamed)
        return replace(noted, contender=who.id, round=number, energy_j=joules)

    def _pair(self, who: Contender) -> ModelPair:
        """Return who is asked, beside the model that was used last, which may have to be unloaded."""
        small, large, ends = who.models[0], who.models[-1], (self.plan.models[0], self.plan.models[-1])
        if who.kind not in SINGLE:
            return ModelPair(small, large)
        if who.kind == "small":
            return ModelPair(small, self._last if self._last not in ("", small) else ends[1])
        return ModelPair(self._last if self._last not in ("", large) else ends[0], large)

    def result(self) -> ComparisonResult:
        """Compute the figures of what is there, and say what is missing."""
        answers = tuple(self._answers.values())
        ended = [replace(who, error=self._error(who)) for who in self._contenders]
        contenders, differences = with_figures(ended, answers, self._models.values())
        searched = True in self.plan.retrieval
        return ComparisonResult(
            began=self._began,
            machine=machine(),
            questions=self.plan.questions,
            rounds=self.plan.rounds,
            models=tuple(self._models.values()),
            contenders=contenders,
            answers=answers,
            differences=differences,
            question_set=self.plan.question_set,
            corpus=str(self.settings.corpus) if searched else "",
            in_turns=self._together,
            streamed=self.settings.bench_stream,
            prices_of=self._prices.date if self._prices else "",
            energy_from=self._energy.source if self._energy else "",
            server_peak_mb=self._peak_mb,
            problems=tuple(self._problems()),
        )

    def _error(self, who: Contender) -> str:
        """Return why answers of a contender failed: because a model never answered, or the last failure."""
        models = [self._models[name].error for name in who.models if name in self._models]
        failed = [it.error for it in self._answers.values() if it.contender == who.id and it.error]
        return next(filter(None, models), "") or (failed[-1] if failed else "")

    def _problems(self) -> Iterator[str]:
        """Yield a sentence for all that is missing: of each contender, and in the file."""
        wanted = self.plan.rounds * len(self.plan.questions)
        interrupted = 0
        for who in self._contenders:
            there = sum(it.contender == who.id and not it.error for it in self._answers.values())
            if there < wanted and (error := self._error(who)):
                yield f"{shown(who)}: {error} {wanted - there} of {wanted} answers are missing."
            interrupted += 0 if self._error(who) else wanted - there
        file = self._file.path if self._file else None
        if not self._contenders:
            yield "Interrupted: nothing was asked."
        if interrupted:
            go_on = f" Go on with: escalator compare --resume {file}" if file else ""
            yield f"Interrupted: {interrupted} of {wanted * len(self._contenders)} answers are missing.{go_on}"
        if self._file is not None and self._unsaved:
            yield f"{file} could not be written ({self._unsaved}); {self._file.lost} records are not in it. Make room."
