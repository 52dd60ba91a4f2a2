"""Both models stay loaded where memory suffices; where it does not they are swapped, which is announced."""

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.errors import NoModel
from app.models import catalogue, memory, presets, selection
from app.models.catalogue import ModelInfo
from app.models.chat import Delta, answer, complete
from app.models.foundry import Foundry, Model
from app.models.memory import OVERHEAD, SPARE_MB, MemoryFit, inspect_machine
from app.models.memory import Machine as Whole
from app.models.server import Notify, Server, ignore
from tests.models.test_foundry import models_list, register
from tests.support.runtime import held, opened, pid_of, running, settings_for, state_of
from tests.support.scripted import Script
from tests.support.servers import Canned, FaultProxy, reply
from tests.support.waiting import until

SMALL = Script(
    alias="phi-4-mini", say="One word after the other. " * 20, when={"ferry": "At 9:30."}, work=60, size_mb=3000
)
LARGE = Script(alias="gpt-oss-20b", say="The large model answers.", size_mb=12_000)
SIZES = {script.full_id: script.size_mb or 0 for script in (SMALL, LARGE)}

BOTH, ONE, NONE = 20_000, 15_000, 14_000
"""Megabytes on machines that hold both models (3.5 and 13.8 GB, and 0.5 GB to spare), one at a time, the small one."""


class Machine:
    """A machine with a given amount of memory, from which loaded models take theirs."""

    def __init__(self, cache: Path, total_mb: int):
        self.cache = cache
        self.total_mb = total_mb

    def loaded(self) -> list[str]:
        """What the runtime says that it has loaded."""
        (file,) = state_of(self.cache).glob("runtime/*/state.json")
        url = json.loads(file.read_text(encoding="utf-8"))["url"]
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/models/loaded") as said:
            return list(json.load(said))

    def free_mb(self) -> int:
        """What the loaded models leave."""
        return self.total_mb - round(sum(SIZES.get(name, 0) for name in self.loaded()) * OVERHEAD)


@pytest.fixture
def machine(model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(model_cache(SMALL, LARGE), BOTH)
    monkeypatch.setattr("app.models.memory.free_mb", lambda: machine.free_mb())
    # With a system of its own that takes nothing of it, so that the pair stays whatever the machine of the tests is.
    whole = BOTH + presets.SYSTEM_MB
    monkeypatch.setattr(selection, "inspect_machine", lambda _: Whole(whole, machine.free_mb(), 100_000, 2))
    return machine


@pytest.fixture
def address(machine: Machine) -> Iterator[str]:
    """The address of the runtime, which lives as long as the test."""
    with held(machine.cache) as lease:
        yield lease.url


@pytest.fixture
async def foundry(machine: Machine) -> AsyncIterator[Foundry]:
    async with opened(settings_for(machine.cache)) as foundry:
        yield foundry


async def small(foundry: Foundry, notify: Notify = ignore) -> Model:
    return await foundry.ready("phi-4-mini", notify, "gpt-oss-20b")


async def large(foundry: Foundry, notify: Notify = ignore) -> Model:
    return await foundry.ready("gpt-oss-20b", notify, "phi-4-mini")


async def said(foundry: Foundry, model: Model, question: str, instead_of: str) -> str:
    """Ask as the chat does; return the text of the answer."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    async with foundry.slot(model):
        stream = answer(foundry, model, messages, kept_here="", max_tokens=400, instead_of=instead_of)
        async with aclosing(stream):
            return "".join([event.text async for event in stream if isinstance(event, Delta)])


@pytest.mark.slow
async def test_both_models_stay_loaded_where_memory_suffices(machine: Machine, foundry: Foundry) -> None:
    told: list[str] = []
    await small(foundry)
    assert await foundry.available("gpt-oss-20b", "phi-4-mini")
    await large(foundry, told.append)
    assert told == ["Loading gpt-oss-20b into memory (12 GB, about 24 s)"]
    assert set(await asyncio.to_thread(machine.loaded)) == {SMALL.full_id, LARGE.full_id}


@pytest.mark.slow
async def test_a_swap_is_announced_before_it_is_done_and_reversed_for_the_other_model(
    machine: Machine, address: str
) -> None:
    machine.total_mb = ONE
    async with FaultProxy(address) as proxy, opened(settings_for(endpoint=proxy.url)) as foundry:
        await small(foundry)
        unloads: list[int] = []
        told: list[str] = []

        def tell(sentence: str) -> None:
            told.append(sentence)
            unloads.append(proxy.count("/models/unload/phi-4-mini"))

        assert await foundry.available("gpt-oss-20b", "phi-4-mini")
        assert await asyncio.to_thread(machine.loaded) == [SMALL.full_id]
        await large(foundry, tell)
        assert told == [
            "gpt-oss-20b needs 14.3 GB and 11.6 GB are free: phi-4-mini is unloaded first, loading takes about 24 s"
        ]
        assert unloads == [0]
        assert await asyncio.to_thread(machine.loaded) == [LARGE.full_id]

        assert await foundry.available("phi-4-mini", "gpt-oss-20b")
        await small(foundry, told.append)
        # By now it is known how long this model takes.
        assert told[1:] == [
            "phi-4-mini needs 4 GB and 1.2 GB are free: gpt-oss-20b is unloaded first, loading takes about 1 s"
        ]
        assert await asyncio.to_thread(machine.loaded) == [SMALL.full_id]
        assert await said(foundry, await small(foundry), "The ferry?", "gpt-oss-20b") == "At 9:30."


@pytest.mark.slow
async def test_a_model_that_is_too_big_is_not_loaded_and_nothing_is_unloaded(
    machine: Machine, foundry: Foundry
) -> None:
    machine.total_mb = NONE
    await small(foundry)
    assert not await foundry.available("gpt-oss-20b", "phi-4-mini")
    with pytest.raises(NoModel) as caught:
        await large(foundry)
    assert str(caught.value) == (
        "gpt-oss-20b needs about 14.3 GB of memory and 10.6 GB are free (14 GB without phi-4-mini). Close other "
        "programs, or set LLM_ALIAS to a smaller model. qwen2.5-0.5b and qwen2.5-1.5b fit: run `escalator models get "
        "tiny`."
    )
    assert await asyncio.to_thread(machine.loaded) == [SMALL.full_id]
    machine.total_mb = BOTH
    assert (await large(foundry)).id == LARGE.full_id


async def test_without_permission_to_unload_anything_nothing_is_unloaded(machine: Machine, foundry: Foundry) -> None:
    machine.total_mb = ONE
    await large(foundry)
    assert not await foundry.available("phi-4-mini")
    with pytest.raises(NoModel, match=r"phi-4-mini needs about 4 GB of memory and 1\.2 GB are free\. .* set SLM_ALIAS"):
        await foundry.ready("phi-4-mini")
    assert await asyncio.to_thread(machine.loaded) == [LARGE.full_id]


@pytest.mark.slow
async def test_a_model_that_is_loaded_already_is_ready_however_little_memory_is_left(machine: Machine) -> None:
    async with opened(settings_for(machine.cache)) as one, opened(settings_for(machine.cache)) as other:
        await small(one)
        machine.total_mb = 0
        await other.find()
        assert await other.available("phi-4-mini")
        assert await small(other) == await small(one)


# --- whoever is writing ----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_an_answer_that_is_being_written_ends_before_its_model_is_unloaded(
    machine: Machine, foundry: Foundry
) -> None:
    machine.total_mb = ONE
    told: list[str] = []
    model = await small(foundry)
    writing = asyncio.create_task(said(foundry, model, "Go on.", "gpt-oss-20b"))
    await asyncio.sleep(0)  # it has its slot
    assert foundry.queues[model.id].holding
    await large(foundry, told.append)
    assert writing.done()
    assert await writing == SMALL.say
    assert [sentence[:31] for sentence in told] == [
        "phi-4-mini is answering another",
        "gpt-oss-20b needs 14.3 GB and 1",
    ]


@pytest.mark.slow
async def test_conversations_that_take_the_memory_from_each_other_all_get_their_answers(
    machine: Machine, foundry: Foundry
) -> None:
    machine.total_mb = ONE

    async def converse() -> tuple[str, str]:
        draft = await said(foundry, await small(foundry), "The ferry?", "gpt-oss-20b")
        return draft, await said(foundry, await large(foundry), "The ferry?", "phi-4-mini")

    assert set(await asyncio.gather(*(converse() for _ in range(5)))) == {("At 9:30.", LARGE.say)}


@pytest.mark.slow
async def test_an_answer_of_another_program_is_waited_for_a_little(
    machine: Machine, foundry: Foundry, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.total_mb = ONE
    monkeypatch.setattr("app.models.memory.UNLOAD_SECONDS", 0.3)
    model = await small(foundry)
    stream = complete(foundry, model, [{"role": "user", "content": "Go on."}], kept_here="", max_tokens=400)
    async with aclosing(stream):
        await anext(stream)
        with pytest.raises(NoModel, match="beside phi-4-mini: it cannot be unloaded: another program is using it"):
            await large(foundry)
        assert await asyncio.to_thread(machine.loaded) == [SMALL.full_id]
        monkeypatch.setattr("app.models.memory.UNLOAD_SECONDS", 20)
        loading = asyncio.create_task(large(foundry))
        await asyncio.sleep(0.3)
        assert not loading.done()
    assert (await loading).id == LARGE.full_id


@pytest.mark.slow
async def test_an_answer_that_does_not_end_is_not_waited_for_without_end(machine: Machine) -> None:
    machine.total_mb = ONE
    async with opened(settings_for(machine.cache, first_token_seconds=0.2)) as foundry:
        async with foundry.slot(await small(foundry)):
            with pytest.raises(NoModel, match="phi-4-mini: it has not come to the end of its answer"):
                await large(foundry)
        assert (await large(foundry)).id == LARGE.full_id


# --- what cannot be weighed ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_model_of_unknown_size_is_loaded_as_if_there_were_memory(machine: Machine, foundry: Foundry) -> None:
    machine.total_mb = 0
    await register(machine.cache, str(next(machine.cache.glob("Microsoft/phi*"))), "Phi-own:1")
    endpoint = f"{(await foundry.find()).root}/catalogs/local"
    async with opened(settings_for(endpoint=endpoint)) as other:
        assert (await other.ready("Phi-own")).id == "Phi-own:1"


@pytest.mark.slow
async def test_the_size_of_a_model_whose_entry_has_none_is_that_of_its_folder(
    model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: SPARE_MB + 8)
    cache = model_cache(
        Script(alias="mute", say="Yes.", size_mb=None, weight_mb=8), Script(alias="light", say="Yes.", size_mb=None)
    )
    async with opened(settings_for(cache)) as foundry:
        assert (await foundry.ready("light")).alias == "light"
        with pytest.raises(NoModel, match=r"mute needs about 0\.5 GB"):
            await foundry.ready("mute")


async def test_another_server_is_left_to_judge_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 0)
    plain = Canned({"/v1/models": models_list("phi-4-mini")})
    async with plain as server, opened(settings_for(endpoint=server.url)) as foundry:
        assert not await foundry.available("phi-4-mini")  # nobody has looked for a server yet
        await foundry.find()
        assert await foundry.available("phi-4-mini", "gpt-oss-20b")
        assert not await foundry.available("gpt-oss-20b", "phi-4-mini")
        assert await foundry.ready("phi-4-mini", instead_of="gpt-oss-20b")


@pytest.mark.slow
def test_only_a_complete_model_on_the_disk_counts_as_downloaded_and_a_graphics_card_is_not_weighed(
    model_cache: Callable[..., Path],
) -> None:
    cache = model_cache(SMALL, LARGE)
    file = cache / catalogue.CATALOGUE
    data = json.loads(file.read_text(encoding="utf-8"))
    data["models"][1]["runtime"]["deviceType"] = "GPU"
    file.write_text(json.dumps(data), encoding="utf-8")
    (next(cache.glob("Microsoft/phi*")) / "download.tmp").touch()
    assert catalogue.load_catalogue(cache) == {
        SMALL.full_id: ModelInfo("phi-4-mini", 3000, here=False),
        LARGE.full_id: ModelInfo("gpt-oss-20b", 12000, here=True, device="GPU"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["folder", "server", "alias"])
async def test_a_missing_model_is_not_available(
    gone: str, machine: Machine, foundry: Foundry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await small(foundry)
    if gone == "folder":
        next(machine.cache.glob("Microsoft/gpt*")).rename(machine.cache.parent / "elsewhere")
    elif gone == "server":
        pid = pid_of(machine.cache)
        psutil.Process(pid).kill()
        assert await asyncio.to_thread(until, lambda: not running(pid), 2)
    assert not await foundry.available("gpt-oss-30b" if gone == "alias" else "gpt-oss-20b", "phi-4-mini")


async def test_a_server_that_does_not_answer_in_time_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.foundry.AVAILABLE_SECONDS", 0.1)
    async with (
        Canned({"/models/loaded": reply(200, [])}) as server,
        opened(settings_for(endpoint=server.url)) as foundry,
    ):
        await foundry.find()
        server.answers["/models/loaded"] = lambda asked: asyncio.sleep(30, b"")
        assert not await foundry.available("phi-4-mini")
        await server.__aexit__(None, None, None)
        assert not await foundry.available("phi-4-mini")


# --- the large model dies ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_runtime_that_dies_while_it_loads_is_reported_and_the_small_model_comes_back(
    machine: Machine, foundry: Foundry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await small(foundry)
    runtime = psutil.Process(pid_of(machine.cache))
    load = Server.load

    async def deadly(server: Server, name: str) -> Any:
        await asyncio.to_thread(runtime.kill)
        return await load(server, name)

    monkeypatch.setattr(Server, "load", deadly)
    with pytest.raises(NoModel, match=r"was lost while it loaded gpt-oss-20b.*too large"):
        await large(foundry)
    monkeypatch.setattr(Server, "load", load)
    assert await said(foundry, await small(foundry), "The ferry?", "gpt-oss-20b") == "At 9:30."


@pytest.mark.slow
async def test_a_large_model_that_will_not_load_is_reported_and_the_small_model_comes_back(
    machine: Machine, foundry: Foundry
) -> None:
    machine.total_mb = ONE
    await small(foundry)
    (next(machine.cache.glob("Microsoft/gpt*")) / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(NoModel, match="gpt-oss-20b could not be loaded"):
        await large(foundry)
    assert await said(foundry, await small(foundry), "The ferry?", "gpt-oss-20b") == "At 9:30."


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is counted otherwise elsewhere")
async def test_a_model_that_is_unloaded_gives_its_memory_back(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(Script(alias="heavy", say="Yes.", weight_mb=200))
    async with opened(settings_for(cache)) as foundry:
        service = await foundry.find()
        process = psutil.Process(pid_of(cache))
        before = process.memory_info().rss
        model = await foundry.ready("heavy")
        assert await said(foundry, model, "?", "") == "Yes."
        assert process.memory_info().rss - before > 190_000_000
        client = await foundry.openai(service)
        await client.get(f"{service.root}/models/unload/heavy", cast_to=object)
        assert process.memory_info().rss - before < 90_000_000


@pytest.mark.parametrize(
    ("free", "other", "verdict"),
    [(16_500, 0, "beside"), (14_300, 3000, "beside"), (14_299, 3000, "swap"), (10_850, 3000, "swap"),
     (10_849, 3000, "too big"), (14_299, 0, "too big"), (0, 12_000, "too big"), (500, 12_000, "swap")],
)  # fmt: skip
def test_a_model_is_weighed_with_what_it_takes_beyond_its_size(free: int, other: int, verdict: str) -> None:
    fit = MemoryFit("gpt-oss-20b", 12_000, free, "phi-4-mini", "phi-4-mini:1", other)
    assert fit.needed_mb == 14_300
    assert (fit.swap, fit.too_big) == (verdict == "swap", verdict == "too big")


def test_a_swap_is_announced_with_the_time_that_it_took_last() -> None:
    fit = MemoryFit("gpt-oss-20b", 12_000, 12_000, "phi-4-mini", "phi-4-mini:1", 3000)
    assert fit.swap_notice(None).endswith("loading takes about 24 s")
    assert fit.swap_notice(41.4).endswith("loading takes about 41 s")


def test_this_machine_has_memory_a_disk_and_cores(tmp_path: Path) -> None:
    here = inspect_machine(tmp_path / "not" / "yet" / "there")
    assert 0 < here.free_mb <= here.memory_mb
    assert here.disk_free_mb > 0
    assert here.cores >= 1


def test_free_memory_is_some_of_the_memory() -> None:
    assert 0 < memory.free_mb() < psutil.virtual_memory().total / 1_000_000
