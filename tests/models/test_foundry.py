"""A model server is found in a fixed order, and a model is made ready whatever kind of server it is."""

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import NoModel
from app.models.foundry import Foundry, Model, Service
from tests.support.runtime import LARGE, SMALL, opened, pid_of, running, settings_for
from tests.support.scripted import Script
from tests.support.servers import Answer, Asked, Canned, Silent, reply
from tests.support.waiting import until


def models_list(*ids: str) -> bytes:
    """Build an answer to GET /v1/models."""
    return reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in ids]})


def put_on_path(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named `foundry` first on the PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / "foundry"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def status_of(address: str) -> str:
    """Write the script of a command line whose service runs at an address."""
    return f"""[ "$*" = "server status -o json" ] && echo '{{"running": true, "webUrls": ["{address}"]}}'"""


# --- where the server is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_a_configured_endpoint_is_used(runtime: str, ending: str) -> None:
    async with opened(settings_for(endpoint=runtime + ending)) as foundry:
        assert await foundry.find() == Service(runtime, "endpoint")


async def test_a_configured_endpoint_is_used_and_nothing_else(
    models: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRY_LOCAL_ENDPOINT", f"http://127.0.0.1:{unused_port}")
    async with opened(settings_for(models)) as foundry:
        with pytest.raises(NoModel) as caught:
            await foundry.find()
    sentence = f"There is no model server where FOUNDRY_LOCAL_ENDPOINT says (127.0.0.1:{unused_port}: nothing answers)."
    assert str(caught.value).startswith(sentence)


async def test_the_setting_that_the_endpoint_came_from_is_named(
    unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_URL", f"http://127.0.0.1:{unused_port}/v1")
    async with opened(settings_for()) as foundry:
        with pytest.raises(NoModel, match="unset BASE_URL"):
            await foundry.find()


async def test_a_silent_endpoint_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.server.PROBE_SECONDS", 0.2)
    async with Silent() as server, opened(settings_for(endpoint=server.url)) as foundry:
        with pytest.raises(NoModel, match="nothing answers"):
            await foundry.find()


async def test_an_endpoint_that_is_not_a_model_server_is_reported() -> None:
    async with (
        Canned({"/v1/models": reply(200, "<html>")}) as server,
        opened(settings_for(endpoint=server.url)) as foundry,
    ):
        with pytest.raises(NoModel, match="it is not a model server"):
            await foundry.find()


async def test_an_endpoint_that_wants_a_key_says_so_and_gets_the_one_that_is_set() -> None:
    def listed(asked: Asked) -> bytes:
        return models_list("phi-4-mini") if asked.headers["authorization"] == "Bearer s3cret" else reply(401, {})

    async with Canned({"/v1/models": listed}) as server:
        async with opened(settings_for(endpoint=server.url)) as foundry:
            with pytest.raises(NoModel, match="set API_KEY"):
                await foundry.find()
        async with opened(settings_for(endpoint=server.url, api_key="s3cret")) as foundry:
            assert (await foundry.ready("phi-4-mini")).id == "phi-4-mini"


async def test_a_machine_without_models_is_reported_at_once_with_remedies() -> None:
    async with opened(settings_for()) as foundry:
        begun = time.perf_counter()
        with pytest.raises(NoModel) as caught:
            await foundry.find()
        assert time.perf_counter() - begun < 1
    for remedy in ("under Models", "escalator models get tiny"):
        assert remedy in str(caught.value)


@pytest.mark.slow
async def test_after_a_failure_the_next_call_looks_again(tmp_path: Path, model_cache: Callable[..., Path]) -> None:
    async with opened(settings_for(tmp_path / "cache")) as foundry:
        with pytest.raises(NoModel):
            await foundry.find()
        model_cache(SMALL)
        assert (await foundry.find()).source == "embedded"


async def test_callers_at_the_same_time_share_one_search() -> None:
    async with (
        Canned({"/models/loaded": reply(200, [])}) as server,
        opened(settings_for(endpoint=server.url)) as foundry,
    ):
        assert len(set(await asyncio.gather(*(foundry.find() for _ in range(5))))) == 1
        assert server.count("/models/loaded") == 1


@pytest.mark.slow
async def test_a_cancelled_caller_does_not_cancel_the_search_of_others(models: Path, runtime: str) -> None:
    async with opened(settings_for(endpoint=runtime)) as foundry:
        leaving = asyncio.create_task(foundry.find())
        staying = asyncio.create_task(foundry.find())
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).root == runtime


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
async def test_a_running_service_is_found(
    runtime: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(tmp_path / "bin", status_of(f"{runtime}/"), monkeypatch)
    async with opened(settings_for()) as foundry:
        assert await foundry.find() == Service(runtime, "service")


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
async def test_the_last_address_of_the_service_is_tried_before_the_slow_command_line(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    put_on_path(tmp_path / "bin", f"echo x >> {count}; {status_of(runtime)}", monkeypatch)
    for _ in range(3):
        async with opened(settings_for()) as foundry:
            assert (await foundry.find()).source == "service"
    assert count.read_text(encoding="utf-8") == "x\n"
    (tmp_path / "state" / "service.json").write_text('{"root": "http://127.0.0.1:1"}', encoding="utf-8")
    async with opened(settings_for()) as foundry:
        assert await foundry.find() == Service(runtime, "service")


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
@pytest.mark.parametrize("said", ["nobody", "http://127.0.0.1:1", "http://192.0.2.1:80", "{URL}"])
async def test_a_foreign_program_of_that_name_does_no_harm(
    said: str, models: Path, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Canned({"/v1/models": models_list("x")}) as other:  # answers, but is no Foundry Local
        put_on_path(tmp_path / "bin", status_of(said.format(URL=other.url)), monkeypatch)
        async with opened(settings_for(models)) as foundry:
            assert await foundry.find() == Service(runtime, "embedded")


async def test_without_the_package_of_the_runtime_there_is_no_embedded_one(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    async with opened(settings_for(models)) as foundry:
        with pytest.raises(NoModel, match="no model on this machine: foundry-local-sdk is not installed"):
            await foundry.find()


@pytest.mark.slow
async def test_closing_lets_the_embedded_runtime_end(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL)
    async with opened(settings_for(cache)) as foundry:
        assert (await foundry.find()).source == "embedded"
        pid = pid_of(cache)
        assert running(pid)
    assert await asyncio.to_thread(until, lambda: not running(pid), 1)


@pytest.mark.slow
async def test_a_runtime_that_was_killed_is_started_again_with_its_model(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL)
    async with opened(settings_for(cache)) as foundry:
        before = await foundry.ready("phi-4-mini")
        pid = pid_of(cache)
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        assert await asyncio.to_thread(until, lambda: not running(pid), 2)
        after = await foundry.ready("phi-4-mini")
        assert after.service != before.service
        assert SMALL.full_id in (await foundry.offered())[1]


# --- which model is meant --------------------------------------------------------------------------------------------

ODD = Script(alias="harbour", id="quay-and-pier-cpu:3", say="Yes.")


async def test_an_alias_becomes_the_full_id_of_a_loaded_model(foundry: Foundry, runtime: str) -> None:
    model = await foundry.ready("phi-4-mini")
    assert model == Model("phi-4-mini", SMALL.full_id, Service(runtime, "embedded"))
    assert SMALL.full_id in (await foundry.offered())[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["harbour", "quay-and-pier-cpu:3"])
async def test_an_alias_need_not_look_like_its_id(name: str, model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL, LARGE, ODD)
    async with opened(settings_for(cache)) as first, opened(settings_for(cache)) as second:
        await first.ready("phi-4-mini")
        await first.ready("gpt-oss-20b")
        assert (await first.ready(name)).id == ODD.full_id
        # It is loaded by now, so that loading it shows nothing new.
        assert (await second.ready("harbour")).id == ODD.full_id
        assert (await second.ready("phi-4-mini")).id == SMALL.full_id


@pytest.mark.slow
async def test_models_registered_by_hand_are_used_at_the_address_of_their_catalogue(
    model_cache: Callable[..., Path],
) -> None:
    cache = model_cache(ODD, SMALL)
    await register(cache, str(cache / "Microsoft" / "quay-and-pier-cpu-3"), "Ferry-guide-generic-cpu:2")
    async with opened(settings_for(cache)) as embedded:
        endpoint = f"{(await embedded.find()).root}/catalogs/local"
        async with opened(settings_for(endpoint=endpoint)) as foundry:
            model = await foundry.ready("Ferry-guide")
            assert model.id == "Ferry-guide-generic-cpu:2"
            client = await foundry.openai(model.service)
            said = await client.chat.completions.create(
                model=model.id, max_tokens=9, messages=[{"role": "user", "content": "?"}]
            )
            assert said.choices[0].message.content == "Yes."


async def register(cache: Path, folder: str, name: str) -> None:
    """Register a model by hand with the SDK, in a process of its own because a process can open it only once."""
    code = (
        "import sys; from foundry_local_sdk import *\n"
        "cache, folder, name = sys.argv[1:]\n"
        "with FoundryLocalManager(Configuration('t', app_data_dir=cache + '-app', model_cache_dir=cache,\n"
        "        log_level=LogLevel.FATAL)) as m, ModelInfoBuilder() as info:\n"
        "    info.set_string_property('task', 'chat-completion')\n"
        "    m.get_catalog(CatalogType.LOCAL).register_model(folder, name, info)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(cache), folder, name, env=os.environ | {"CI": "true"}
    )
    assert await process.wait() == 0


async def test_an_unknown_alias_is_reported_with_the_known_ones(foundry: Foundry) -> None:
    with pytest.raises(NoModel) as caught:
        await foundry.ready("phi-5")
    assert "no model phi-5" in str(caught.value)
    assert "gpt-oss-20b, phi-4-mini" in str(caught.value)


@pytest.mark.slow
async def test_a_model_that_is_not_downloaded_is_reported_with_the_command(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL, ODD)
    (cache / "Microsoft" / "quay-and-pier-cpu-3").rename(cache.parent / "elsewhere")
    async with opened(settings_for(cache)) as foundry:
        with pytest.raises(NoModel, match=r"has not been downloaded\. Run `escalator models get harbour`"):
            await foundry.ready("harbour")
        assert (await foundry.ready("phi-4-mini")).id == SMALL.full_id


@pytest.mark.slow
async def test_a_model_that_cannot_be_loaded_is_reported_in_the_servers_words(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL)
    (cache / "Microsoft" / "Phi-4-mini-instruct-generic-cpu-5" / "model.onnx").write_bytes(b"damaged")
    async with opened(settings_for(cache)) as foundry:
        with pytest.raises(
            NoModel, match=r"phi-4-mini could not be loaded at 127.0.0.1.*choose a smaller model"
        ) as caught:
            await foundry.ready("phi-4-mini")
    assert len(str(caught.value)) < 450


async def test_callers_of_one_model_share_its_load_and_its_progress(model_cache: Callable[..., Path]) -> None:
    said: list[str] = []
    async with opened(settings_for(model_cache(SMALL))) as foundry:
        loaded = await asyncio.gather(*(foundry.ready("phi-4-mini", said.append) for _ in range(3)))
        assert len(set(loaded)) == 1
        assert said == ["Loading phi-4-mini into memory"] * 3
        await foundry.ready("phi-4-mini", said.append)
        assert len(said) == 3


@pytest.mark.slow
async def test_a_model_that_was_unloaded_is_loaded_again_once_it_is_forgotten(
    model_cache: Callable[..., Path],
) -> None:
    async with opened(settings_for(model_cache(SMALL))) as foundry:
        model = await foundry.ready("phi-4-mini")
        client = await foundry.openai(model.service)
        await client.get(f"{model.service.root}/models/unload/phi-4-mini", cast_to=object)
        assert (await foundry.offered())[1] == []
        foundry.forget(model)
        assert await foundry.ready("phi-4-mini") == model
        assert (await foundry.offered())[1] == [SMALL.full_id]


async def test_a_server_that_is_lost_before_it_loads_is_looked_for_again() -> None:
    found, lost, loaded = reply(200, []), b"", reply(200, ["phi-4-mini-cpu:1"])
    answers = iter([found, lost, found, found, loaded])
    canned: dict[str, Answer] = {
        "/models/loaded": lambda asked: next(answers),
        "/models/load/phi-4-mini": reply(200, {}),
        "/status": reply(200, {}),
    }
    async with Canned(canned) as server, opened(settings_for(endpoint=server.url)) as foundry:
        assert (await foundry.ready("phi-4-mini")).id == "phi-4-mini-cpu:1"


async def test_a_server_that_is_lost_while_it_loads_is_reported() -> None:
    def end(asked: Asked) -> bytes:
        return b""

    canned: dict[str, Answer] = {"/models/loaded": reply(200, []), "/models/load/phi-4-mini": end}
    async with Canned(canned) as server, opened(settings_for(endpoint=server.url)) as foundry:
        with pytest.raises(NoModel, match=r"was lost while it loaded phi-4-mini.*too large"):
            await foundry.ready("phi-4-mini")


async def test_an_alias_is_never_sent_as_an_id_to_a_server_that_does_not_tell_which_is_which() -> None:
    canned = {"/models/loaded": reply(200, ["a-cpu:1", "b-cpu:1"]), "/models/load/phi-4-mini": reply(200, {})}
    async with Canned(canned) as server, opened(settings_for(endpoint=server.url)) as foundry:
        with pytest.raises(NoModel, match="does not tell which of these it is: a-cpu:1, b-cpu:1"):
            await foundry.ready("phi-4-mini")


# --- other servers ---------------------------------------------------------------------------------------------------


async def test_foundry_local_up_to_0_8_is_used_like_any_other_server() -> None:
    name = "Phi-4-mini-instruct-generic-cpu:5"
    canned = {"/openai/loadedmodels": reply(200, [name]), "/v1/models": models_list(name)}
    async with Canned(canned) as server, opened(settings_for(endpoint=server.url)) as foundry:
        assert (await foundry.ready("phi-4-mini")).id == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ids", "name", "found"),
    [
        (["qwen3:8b", "phi-4-mini:latest"], "phi-4-mini", "phi-4-mini:latest"),
        (["Phi-4-Mini"], "phi-4-mini", "Phi-4-Mini"),
        (["phi-4-mini-reasoning", "phi-4-mini-x", "phi-4-mini-instruct-q4"], "phi-4-mini", "phi-4-mini-instruct-q4"),
        (["phi-4-mini-reasoning:1", "phi-4-mini:1"], "phi-4-mini-reasoning", "phi-4-mini-reasoning:1"),
    ],
)
async def test_a_plain_server_is_asked_by_the_id_that_it_lists(ids: list[str], name: str, found: str) -> None:
    async with (
        Canned({"/v1/models": models_list(*ids)}) as server,
        opened(settings_for(endpoint=server.url)) as foundry,
    ):
        assert (await foundry.ready(name)).id == found


@pytest.mark.parametrize("ids", [["qwen3:8b"], ["phi-4-mini-reasoning"], ["phi-4"], ["phi-4-minimal"]])
async def test_a_plain_server_without_the_model_is_not_asked_for_another(ids: list[str]) -> None:
    async with (
        Canned({"/v1/models": models_list(*ids)}) as server,
        opened(settings_for(endpoint=server.url)) as foundry,
    ):
        with pytest.raises(NoModel, match=f"no model phi-4-mini .* there are: {ids[0]}"):
            await foundry.ready("phi-4-mini")


async def test_a_plain_server_that_cannot_list_is_asked_for_the_configured_name() -> None:
    canned = Canned({"/v1/models": reply(500, "offline")})
    async with canned as server, opened(settings_for(endpoint=server.url)) as foundry:
        assert (await foundry.ready("org/model")).id == "org/model"


async def test_a_redirect_is_not_followed() -> None:
    async with Canned({"/models/loaded": reply(200, [])}) as other:
        moved = {path: reply(307, "", location=other.url + path) for path in ("/models/loaded", "/v1/models")}
        async with Canned(moved) as server, opened(settings_for(endpoint=server.url)) as foundry:
            with pytest.raises(NoModel, match="not a model server"):
                await foundry.find()
        assert not other.asked


async def test_a_proxy_in_the_environment_is_not_asked_about_this_machine(
    model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with opened(settings_for(model_cache(SMALL))) as foundry:
        begun = time.perf_counter()
        assert (await foundry.ready("phi-4-mini")).id == SMALL.full_id
        assert time.perf_counter() - begun < 3.5  # asking a catalogue through it would take four seconds


# --- taking turns, and what the doctor is told -----------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 2])
async def test_a_model_writes_as_many_answers_at_a_time_as_are_allowed(parallel: int) -> None:
    foundry = Foundry(settings_for(parallel=parallel))
    model = Model("a", "a:1", Service("http://127.0.0.1:1", "endpoint"))
    other = Model("b", "b:1", model.service)
    running = most = 0

    async def answer() -> None:
        nonlocal running, most
        async with foundry.slot(model):
            running += 1
            most = max(most, running)
            assert len(foundry.queues[model.id].holding) == parallel or running < parallel
            assert not foundry.queues[other.id].holding
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(answer() for _ in range(6)))
    assert most == parallel
    assert not foundry.queues[model.id].holding
    assert not foundry.queues[model.id].outlook()


async def test_what_a_server_offers_is_what_it_lists_and_what_it_has_loaded(foundry: Foundry) -> None:
    await foundry.ready("phi-4-mini")
    listed, loaded, known = await foundry.offered()
    assert listed == [SMALL.full_id, LARGE.full_id]
    assert SMALL.full_id in loaded
    assert {told.alias for told in known.values()} == {"phi-4-mini", "gpt-oss-20b"}


async def test_without_a_server_nothing_is_offered_and_the_reason_is_given() -> None:
    async with opened(settings_for()) as foundry:
        with pytest.raises(NoModel, match="There is no model on this machine: choose a pair under Models"):
            await foundry.offered()


@pytest.mark.parametrize(
    ("root", "host"),
    [
        ("http://127.0.0.1:5273", "127.0.0.1:5273"),
        ("http://localhost:1/catalogs/local", "localhost:1"),
        ("https://user:pass@gpu.example", "gpu.example"),
    ],
)
def test_a_service_names_its_host_without_a_password(root: str, host: str) -> None:
    assert Service(root, "endpoint").host == host
