"""A comparison on the genuine runtime: known paces are measured, and what is done is kept."""

import asyncio
import errno
import json
import re
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from app.cli.terminal import Progress
from app.evaluation.compare import Comparison
from app.evaluation.datasets import Question
from app.evaluation.plan import Plan, PriceTable, RunFile, begun, planned, read_run, resumed
from app.evaluation.report import page
from app.evaluation.results import ComparisonResult, MeasuredAnswer, MeasuredModel, from_json
from app.evaluation.summary import document
from app.models.server import ignore
from app.retrieval.corpus import corpus_id
from app.settings import Settings
from tests.models.test_discovery import Elsewhere, Here
from tests.support.runtime import SMALL, held, settings_for
from tests.support.scripted import Script
from tests.support.servers import Asked, Fault, FaultProxy, chunk, events
from tests.support.terminal import escalator

QUESTIONS = (
    Question("when", "When does the ferry leave?", (("9:30",),), answerable=True),
    Question("why", "Explain why the ferry leaves so early.", (("large model",),), answerable=True),
    Question("dog", "May a dog travel on the ferry?", answerable=False),
)
TALKER = Script(alias="talker", say="The ferry leaves early, because the tide is high.")
PACES = {"phi-4-mini": (0.5, 0.02), "talker": (0.8, 0.015)}
"""Seconds until the first token of each model, and between two tokens, at least."""


class PacedProxy(FaultProxy):
    """Stands before a model server, passes tokens on at the pace of their model, and notes when it did."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.sent = defaultdict[str, list[list[float]]](list)

    async def _forward(self, asked: Asked, writer: asyncio.StreamWriter, fault: Fault) -> None:
        if not asked.path.endswith("/chat/completions"):
            await super()._forward(asked, writer, fault)
            return
        clock = asyncio.get_running_loop().time
        start = clock()
        name, (first, pace) = next(it for it in PACES.items() if it[0] in asked.data["model"].lower())
        reader, upstream = await asyncio.open_connection(*self._upstream)
        head = asked.head[:-4] + b"\r\nConnection: close\r\n\r\n"
        upstream.write(head + asked.body)
        lines = (await reader.read(-1)).splitlines(keepends=True)
        upstream.close()
        times: list[float] = []
        for line in lines:
            if b'"content":"' in line and b'"content":""' not in line:
                await asyncio.sleep(max(0.0, start + first + len(times) * pace - clock()))
                times.append(clock() - start)
            writer.write(line)
            await writer.drain()
        if len(times) > 1:  # the request that warms up has one token
            self.sent[name].append(times)


@pytest.fixture
def talking(model_cache: Callable[..., Path]) -> Iterator[str]:
    """The address of a runtime with two models that think nothing before they answer."""
    with held(model_cache(SMALL, TALKER)) as lease:
        yield lease.url


async def measure(
    settings: Settings, plan: Plan, file: RunFile | None = None, step: Callable[..., None] = lambda *_: None
) -> ComparisonResult:
    comparison = Comparison(settings, plan, ignore, step, file)
    await comparison.measure()
    return comparison.result()


@pytest.mark.slow
async def test_first_token_and_speed_of_two_models_of_known_pace_are_measured_within_five_percent(
    talking: str,
) -> None:
    for last in (False, False, True):  # where others use the processor too, one run may be late
        async with PacedProxy(talking) as proxy:
            plan = Plan((QUESTIONS[0],), rounds=3, models=("phi-4-mini", "talker"))
            result = await measure(settings_for(endpoint=proxy.url), plan)
        requests = [it.data for it in proxy.asked if it.path.endswith("/chat/completions")]
        assert {(it["temperature"], it["seed"]) for it in requests} == {(0, 0)}
        found, true = [], []
        for who in result.contenders:
            sent = proxy.sent[who.models[0]]
            assert len(sent) == 3
            assert who.figures["gap_ms"].value > 0
            pace = median((times[-1] - times[0]) / (len(times) - 1) for times in sent)
            true += [1000 * median(times[0] for times in sent), 1 / pace]
            found += [who.figures["first_token_ms"].value, who.figures["tokens_per_s"].value]
        if found == pytest.approx(true, rel=0.05):
            return
        assert not last, (found, true)


def told(answer: MeasuredAnswer) -> tuple[Any, ...]:
    return answer.key, answer.text, answer.decision, answer.escalated, answer.score, answer.abstained, answer.citations


@pytest.mark.slow
async def test_a_set_is_asked_of_models_and_cascade_and_the_second_time_all_decide_the_same(
    models: Path, runtime: str, corpus: Path
) -> None:
    settings = settings_for(models, corpus)
    prices = PriceTable("2026-01-31", {"phi-4-mini": (1.0, 2.0), "gpt-oss-20b": (10.0, 20.0)})
    plan = Plan(QUESTIONS, 1, modes=("auto",), retrieval=(True, False), question_set="ferry", prices=prices)

    first, second = await measure(settings, plan), await measure(settings, plan)

    assert list(map(told, first.answers)) == list(map(told, second.answers))
    assert first.problems == ()
    found = {it.id: it for it in first.contenders}
    assert list(found) == ["small", "large", "small-bare", "large-bare", "auto", "oracle", "random"]
    answers = {it.key: it for it in first.answers}
    kept, raised = answers["when", "auto", 1], answers["why", "auto", 1]
    assert (kept.text, kept.model, kept.escalated, kept.score) == (
        "The ferry leaves at 9:30 [1].", "phi-4-mini", False, 1.0
    )  # fmt: skip
    assert kept.evidence[0].file == kept.citations[0].file == "ferry.md"
    assert kept.citations[0].supported
    assert (raised.model, raised.escalated, raised.decision, raised.score) == ("gpt-oss-20b", True, "short", 1.0)
    tokens = [(it.prompt_tokens or 0, it.completion_tokens or 0) for it in raised.attempts]
    assert raised.cost == pytest.approx(
        (tokens[0][0] * 1 + tokens[0][1] * 2 + tokens[1][0] * 10 + tokens[1][1] * 20) / 1e6
    )
    assert answers["when", "small-bare", 1].evidence == ()
    share = sum(answers[it.id, "auto", 1].escalated for it in QUESTIONS) / 3
    assert found["auto"].escalated == found["random"].escalated == found["oracle"].escalated == share
    drafts, larges = (found[name].means["cost"].value for name in ("small", "large"))
    assert found["random"].means["cost"].value == pytest.approx(drafts + share * larges)
    state = settings.state_dir / "corpora" / await asyncio.to_thread(corpus_id, corpus)
    assert not await asyncio.to_thread((state / "scores.json").exists)  # the ration of the chat is as it was


async def test_a_model_that_dies_in_round_3_leaves_what_is_done_and_the_rest_can_be_had_later(
    models: Path, runtime: str, tmp_path: Path
) -> None:
    dead = False
    path, plan = tmp_path / "run.jsonl", Plan((QUESTIONS[0],), rounds=5, models=("phi-4-mini", "gpt-oss-20b"))
    async with FaultProxy(runtime) as proxy:
        settings = settings_for(endpoint=proxy.url, compare_retries=0)

        def step(what: str, *_: object) -> None:
            nonlocal dead
            dead = dead or what == "gpt-oss-20b: round 3 of 5"
            proxy.fault = Fault(how="reset") if dead and what.startswith("gpt") else None

        result = await measure(settings, plan, await asyncio.to_thread(begun, settings, plan, path), step)
        proxy.fault = None
        done, file = await asyncio.to_thread(lambda: (read_run(path), resumed(path)))
        comparison = Comparison(settings, done.plan, ignore, lambda *_: None, file, done)
        await comparison.measure()

    small, large = result.contenders
    assert (small.answers, large.answers) == (5, 2)
    assert len(result.problems) == 1
    assert "gpt-oss-20b" in result.problems[0]
    assert "3 of 5 answers are missing" in result.problems[0]
    assert comparison.result().problems == ()
    assert len((await asyncio.to_thread(read_run, path)).answers) == 10


def test_ctrl_c_shows_what_is_done_and_how_to_go_on(
    models: Path, runtime: str, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(models)
    file = tmp_path / "run.jsonl"

    def step(self: Progress, what: str, done: int, *_: object) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", step)
        cut = escalator("compare", "The ferry?", "--rounds", 3, "--run", file, "--json")
    signal.signal(signal.SIGINT, before)
    more = escalator("compare", "--resume", file, "--json")

    assert cut.exit_code == 1
    assert 3 <= len(json.loads(cut.stdout)["answers"]) <= 4
    assert f"answers are missing. Go on with: escalator compare --resume {file}" in cut.stderr
    assert more.exit_code == 0
    assert len(json.loads(more.stdout)["answers"]) == 6
    assert json.loads(more.stdout)["models"][0]["text"] == "The ferry leaves at 9:30 [1]."


def test_a_full_disk_loses_nothing_of_what_is_shown_and_is_named(
    models: Path, runtime: str, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(models)
    file, flush = tmp_path / "run.jsonl", RunFile.flush

    def full(self: RunFile) -> None:
        if len(self._waiting) > 0 and "answer" in self._waiting[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(self)

    monkeypatch.setattr(RunFile, "flush", full)
    result = escalator("compare", "The ferry?", "--run", file, "--json")

    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["answers"]) == 2
    assert "No space left on device" in result.stderr
    assert "2 records are not in it" in result.stderr


def test_a_row_that_the_disk_had_no_room_for_is_cut_off_and_written_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, plan = tmp_path / "run.jsonl", Plan((QUESTIONS[0],))
    file = begun(settings_for(), plan, path)
    assert file is not None
    answer = MeasuredAnswer("when", "small", 1, True, "At 9:30.")
    file.append("answer", answer)
    path.write_bytes(path.read_bytes() + b'{"answer": {"question": "wh')

    done = read_run(path)
    again = resumed(path)
    again.append("answer", replace(answer, round=2))

    path.write_bytes(path.read_bytes().rstrip())  # as an editor may leave it
    resumed(path)

    assert done.answers == (answer,)
    assert [it.round for it in read_run(path).answers] == [1, 2]


@pytest.mark.parametrize(("loaded", "models"), [(["a", "b"], ("a", "b")), (["a"], ())], ids=["both", "one"])
def test_a_run_goes_on_with_the_pair_it_began_with_unless_only_half_of_that_is_known(
    tmp_path: Path, loaded: list[str], models: tuple[str, ...]
) -> None:
    file = begun(settings_for(), Plan((QUESTIONS[0],)), tmp_path / "run.jsonl")
    assert file is not None
    for name in loaded:
        file.append("model", MeasuredModel(name))

    assert read_run(file.path).plan.models == models


def test_the_settings_name_models_and_rounds(
    models: Path, runtime: str, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(models)
    monkeypatch.setenv("BENCH_MODELS", "phi-4-mini,")
    monkeypatch.setenv("BENCH_ROUNDS", "2")
    monkeypatch.setenv("BENCH_STREAM", "false")

    found = json.loads(escalator("compare", "Hello!", "--json").stdout)

    assert [it["models"] for it in found["contenders"]] == [["phi-4-mini"]]
    assert [(it["round"], it["text"]) for it in found["answers"]] == [(1, "I do not know."), (2, "I do not know.")]
    assert "total_ms" in found["contenders"][0]["figures"]
    assert not {"first_token_ms", "gap_ms", "tokens_per_s"} & set(found["contenders"][0]["figures"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--questions", "{empty}"], "has no questions"),
        (["--questions", "{empty}.jsonl"], "could not be read"),
        (["The ferry?", "--questions", "sample"], "Both a prompt and --questions are given"),
        (["The ferry?", "--resume", "{empty}"], "holds no comparison"),
        (["The ferry?", "--prices", "{empty}"], "is no price table"),
        (["The ferry?", "--run", "{empty}"], "is there already"),
        (["--retrieval", "perhaps"], "perhaps"),
    ],
)
def test_what_cannot_be_compared_is_named_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    result = escalator("compare", *(argument.format(empty=empty) for argument in arguments))

    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_a_model_without_a_price_is_named_before_anything_is_asked(
    models: Path, runtime: str, use: Callable[[Path], None], tmp_path: Path
) -> None:
    use(models)
    table = tmp_path / "prices.json"
    table.write_text('{"date": "2026-01-31", "models": {"phi-4-mini": [0.1, 0.2]}}', encoding="utf-8")

    result = escalator("compare", "The ferry?", "--prices", table)

    assert result.exit_code == 2
    assert "The price table of 2026-01-31 has no price for gpt-oss-20b." in result.stderr


def test_a_person_sees_a_table_of_models_and_cascade(
    models: Path, runtime: str, use: Callable[[Path], None], corpus: Path, tmp_path: Path
) -> None:
    use(models)
    questions = tmp_path / "set.jsonl"
    questions.write_text('{"question": "When does the ferry leave?", "facts": ["9:30"]}\n', encoding="utf-8")

    result = escalator("compare", "--questions", questions, "--corpus", corpus, "--mode", "auto")

    assert result.exit_code == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert re.split(" {2,}", head.strip())[:3] == ["answers", "escalated", "first token ms"]
    assert [row[:30].split("  ")[0] for row in rows] == [
        "phi-4-mini", "gpt-oss-20b", "phi-4-mini without passages", "gpt-oss-20b without passages", "auto", "oracle",
        "random",
    ]  # fmt: skip
    assert len({len(row) for row in (head, *rows)}) == 1


@pytest.mark.slow
async def test_routes_are_compared_in_one_run_with_what_left_the_machine(tmp_path: Path) -> None:
    (tmp_path / "ferry.md").write_text("The ferry leaves at 9:30 from the old harbour.", encoding="utf-8")
    code = Question("code", "Write a function that says when the ferry leaves.")
    routes: tuple[Any, ...] = ("local-first", "cloud-first", "task")
    plan = Plan((QUESTIONS[0], code), models=("little", "big"), modes=routes, retrieval=(True,))
    async with Here("little") as near, Elsewhere("big", says="At 9:30 [1].") as far:
        near.answers["/v1/chat/completions"] = events(chunk("The ferry leaves at 9:30 [1].", "stop"))
        settings = settings_for(None, tmp_path, endpoint=near.url, large_endpoint=far.url, route="task", retries=0)
        result = await measure(settings, plan)

    by = {(it.contender, it.question): it.model for it in result.answers if it.contender in routes}
    assert [model for (route, _), model in by.items() if route == "cloud-first"] == ["big", "big"]
    assert (by["task", "when"], by["task", "code"]) == ("little", "big")
    assert by["local-first", "when"] == "little"
    assert result.in_turns
    who = {it.id: it for it in result.contenders}
    assert (who["cloud-first"].means["sent"].value, who["task"].means["sent"].value) == (1, 0.5)
    assert "sent" not in who["small"].means
    read = from_json(ComparisonResult, json.loads(json.dumps(document(result))))
    assert read.contenders == result.contenders
    table = page(read).sections[0]
    column = table.heads.index("Sent to other machines")
    shown = {row[0].value: row[column].value for row in table.rows}
    assert (shown["Small"], shown["Cloud first"], shown["By task"]) == ("–", "100%", "50%")
    pairs = {(it.one, it.other) for it in result.differences}
    assert {("local-first", "cloud-first"), ("local-first", "task")} <= pairs


def test_the_command_line_measures_the_routes_that_are_named() -> None:
    plan, _ = planned("", "little,big", 1, None, "sample", None, ("task", "cloud-first"), None)

    assert [it.id for it in plan.contenders(("little", "big"))][-2:] == ["task", "cloud-first"]
