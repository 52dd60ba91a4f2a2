"""Servers are found where settings and programs named `foundry` say, none of which does harm.

A role may have a server of its own, or several: the least loaded one that answers is asked, with the role's key.
"""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import ModelError, NoModel, SettingsError, StaysHere
from app.models import discovery, selection
from app.models.chat import Delta, answer, complete
from app.models.foundry import Foundry
from tests.support.runtime import opened, settings_for
from tests.support.servers import Asked, Canned, chunk, events, reply

shell_script = pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "When does the ferry leave?"}]
RULE = "private/salaries.md is in the folder private."


def program(folder: Path, script: str) -> str:
    """A program named `foundry`."""
    path = folder / "foundry"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


CURRENT = """
[ "$*" = "server status -o json" ] || exit 2
echo 'Checking ...'
echo '{"running":true,"state":"ready","pid":2828,"webUrls":["http://127.0.0.1:58082/"]}'
"""


@shell_script
def test_the_current_command_line_answers_in_json(tmp_path: Path) -> None:
    assert discovery.service_address(program(tmp_path, CURRENT)) == "http://127.0.0.1:58082"


@shell_script
@pytest.mark.parametrize(
    "script",
    [
        "echo 'foundry 1.0: an IDE toolbox'; exit 1",
        "exit 0",
        "echo 'forge, cast, anvil'",
        "head -c 200000 /dev/zero | tr '\\0' x",
        "printf '\\377\\376{}'",
        "cat; echo '{'",
        """echo '{"running":false,"state":"initializing"}'""",
        """echo '{"running":true,"webUrls":[]}'""",
        """echo '{"running":true}'""",
        """echo '["http"]'""",
    ],
)
def test_another_program_of_that_name_gives_no_address(script: str, tmp_path: Path) -> None:
    assert discovery.service_address(program(tmp_path, script)) is None


@shell_script
def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "COMMAND_SECONDS", 0.2)
    begun = time.monotonic()
    # The child of the shell outlives it and keeps what it printed open.
    assert discovery.service_address(program(tmp_path, "sleep 5 & sleep 5")) is None
    assert time.monotonic() - begun < 3


@shell_script
def test_a_program_that_cannot_be_run_gives_no_address(tmp_path: Path) -> None:
    (tmp_path / "foundry").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "foundry").chmod(0o755)
    assert discovery.service_address(str(tmp_path / "foundry")) is None


@shell_script
@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:5273", "http://127.0.0.1:5273/", "http://127.0.0.1:5273/v1", " http://127.0.0.1:5273/v1/ "],
)
def test_an_endpoint_may_be_given_with_and_without_v1(url: str) -> None:
    assert discovery.root_of(url) == "http://127.0.0.1:5273"


OLD = """
[ "$1" = service ] || { echo "Unrecognized command or argument 'server'." >&2; exit 1; }
echo '\U0001f7e2 Model management service is running on http://127.0.0.1:5273/openai/status'
"""


@pytest.mark.parametrize(
    ("script", "current"),
    [
        (CURRENT, True),
        ("""echo '{"running":false,"state":"initializing"}'""", True),
        ("""echo '{"running":false,"state":"initializing"}'; exit 1""", True),
        (OLD, False),
        ("echo 'error: unrecognized subcommand, did you mean forge?' >&2; exit 2", False),
        ("echo 'foundry 1.0: an IDE toolbox'; exit 1", False),
    ],
)
def test_a_program_named_foundry_is_identified_by_its_status(script: str, current: bool, tmp_path: Path) -> None:
    assert (discovery.service_status(program(tmp_path, script)) is not None) == current


class Elsewhere(Canned):
    """A server of any kind with OpenAI's protocol, at an address that does not count as this machine."""

    host = "127.0.0.2"

    def __init__(self, *models: str, says: str = "It leaves at 9:30.") -> None:
        listed = reply(200, {"data": [{"id": name} for name in models or ("big",)]})
        super().__init__({"/v1/models": listed, "/v1/chat/completions": events(chunk(says, "stop"))})

    @property
    def completions(self) -> list[Asked]:
        """The requests for answers."""
        return [asked for asked in self.asked if asked.path == "/v1/chat/completions"]


class Here(Elsewhere):
    """Such a server on this machine."""

    host = "127.0.0.1"


@asynccontextmanager
async def with_large(servers: Sequence[Elsewhere | str], **over: Any) -> AsyncIterator[Foundry]:
    """A Foundry whose large model is at the addresses of some servers."""
    addresses = ", ".join(it if isinstance(it, str) else f"{it.url}/v1" for it in servers)
    async with opened(settings_for(**{"large": "big", "large_endpoint": addresses, "retries": 0} | over)) as foundry:
        yield foundry


async def ask(foundry: Foundry, kept_here: str = "") -> str:
    """Ask the large model, as a turn does."""
    model = await foundry.ready(foundry.pair.large, role="large", kept_here=kept_here)
    said = ""
    async with foundry.slot(model):
        pieces = answer(foundry, model, QUESTION, kept_here=kept_here, max_tokens=9)
        async with aclosing(pieces) as stream:
            async for piece in stream:
                said += piece.text if isinstance(piece, Delta) else ""
    return said


async def test_a_role_with_an_endpoint_needs_no_other_server() -> None:
    async with Elsewhere() as server, with_large([server]) as foundry:
        await foundry.find()
        assert (foundry.remote("large"), foundry.remote("small")) == (True, False)
        assert await ask(foundry) == "It leaves at 9:30."
        assert await foundry.available("big", role="large")
        with pytest.raises(NoModel, match="There is no model on this machine"):
            await foundry.ready("phi-4-mini")


async def test_roles_stand_at_servers_of_their_own_and_each_gets_its_own_key() -> None:
    async with Elsewhere("big") as one, Here("little") as two:
        over = {"small": "little", "small_endpoint": two.url, "small_key": "mine", "large_key": "theirs"}
        async with with_large([one], **over) as foundry:
            assert await ask(foundry)
            small = await foundry.ready("little", instead_of="big")
            assert (small.service.host, foundry.host("large")) == (two.url[7:], one.url[7:])
            assert not foundry.remote("small")
    for server, key in ((one, "theirs"), (two, "mine")):
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {key}"}


async def test_one_name_at_two_places_is_two_models() -> None:
    async with (
        Elsewhere("m") as one,
        Here("m") as two,
        with_large([one], large="m", small="m", small_endpoint=two.url) as foundry,
    ):
        assert foundry.pair.alone
        assert not foundry.alone
        assert (await foundry.ready("m", role="small")).service.root == two.url
        assert (await foundry.ready("m", role="large")).service.root == one.url


async def test_the_models_of_this_machine_do_not_replace_one_that_is_elsewhere(
    models: Any, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "save_choice", lambda settings, pair: None)  # other tests have these settings, too
    async with Elsewhere() as server:
        settings = settings_for(models, large="big", large_endpoint=server.url)
        async with opened(settings) as foundry:
            assert (await foundry.find()).source == "embedded"
            assert foundry.pair.both == ("phi-4-mini", "big")
            assert foundry.substitution is None
            await foundry.use(foundry.pair.__class__("gpt-oss-20b", "other"))
            assert foundry.pair.both == ("gpt-oss-20b", "big")


async def test_an_address_that_does_not_answer_is_passed_over(unused_port: int) -> None:
    async with Elsewhere() as server, with_large([f"http://127.0.0.3:{unused_port}", server]) as foundry:
        assert await ask(foundry)


@pytest.mark.parametrize(
    "failure", [reply(500, {}), reply(429, {}), reply(401, {}), reply(404, "model big not found"), b""]
)
async def test_another_address_is_asked_when_one_fails_before_the_first_token(failure: bytes) -> None:
    async with Elsewhere() as one, Elsewhere() as two, with_large([one, two]) as foundry:
        one.answers["/v1/chat/completions"] = failure
        assert await ask(foundry)
        assert await ask(foundry)
    assert (len(one.completions), len(two.completions)) == (1, 2), "one that failed has a pause"


async def test_after_its_pause_an_address_is_looked_at_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Elsewhere() as one, Elsewhere() as two, with_large([one, two]) as foundry:
        whole, one.answers["/v1/chat/completions"] = one.answers["/v1/chat/completions"], reply(500, {})
        await ask(foundry)
        one.answers["/v1/chat/completions"] = whole
        monkeypatch.setattr("app.models.discovery.PAUSE_SECONDS", 0.0)
        looked = one.count("/v1/models")
        await ask(foundry)
        assert one.count("/v1/models") > looked
    assert (len(one.completions), len(two.completions)) == (2, 1)


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async with Elsewhere() as one, Elsewhere() as two, with_large([one, two]) as foundry:
        one.answers["/v1/chat/completions"] = events(chunk("It"), done=False)
        with pytest.raises(ModelError):
            await ask(foundry)
    assert two.completions == []


async def test_the_least_loaded_address_is_asked() -> None:
    gate = asyncio.Barrier(3)

    async def slowly(asked: Asked) -> bytes:
        await gate.wait()
        return events(chunk("Later.", "stop"))

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Elsewhere()) for _ in range(3)]
        foundry = await stack.enter_async_context(with_large(servers))
        for server in servers:
            server.answers["/v1/chat/completions"] = slowly
        asked = [ask(foundry) for _ in range(3)]
        await asyncio.gather(*asked)
    assert [len(server.completions) for server in servers] == [1, 1, 1]


async def test_if_none_answers_the_setting_and_every_reason_are_named(unused_port: int) -> None:
    async with Elsewhere() as server:
        server.answers["/v1/models"] = reply(401, {})
        async with with_large([server, f"http://127.0.0.1:{unused_port}"]) as foundry:
            with pytest.raises(NoModel) as caught:
                await ask(foundry)
    assert str(caught.value) == (
        f"There is no model server where LLM_ENDPOINT says ({server.url[7:]}: it wants a key; set LLM_API_KEY; "
        f"127.0.0.1:{unused_port}: nothing answers). Start one there, or correct or unset LLM_ENDPOINT."
    )


async def test_what_is_private_is_asked_of_the_addresses_of_this_machine_only() -> None:
    async with Elsewhere() as far, Here() as near, with_large([far, near]) as foundry:
        assert not foundry.remote("large")
        for _ in range(2):
            assert await ask(foundry, RULE)
        near.answers["/v1/chat/completions"] = reply(500, {})
        with pytest.raises(ModelError):
            await ask(foundry, RULE)
        assert (len(far.completions), len(near.completions)) == (0, 3)
        assert await ask(foundry)
        assert len(far.completions) == 1


async def test_nothing_is_sent_to_a_model_elsewhere_when_a_rule_keeps_it_here() -> None:
    async with Elsewhere() as server, with_large([server]) as foundry:
        with pytest.raises(StaysHere, match=f"Kept on this computer: {RULE}"):
            await ask(foundry, RULE)
        model = await foundry.ready("big", role="large")
        with pytest.raises(StaysHere):
            async for _ in complete(foundry, model, QUESTION, kept_here=RULE, max_tokens=9):
                pass
    assert server.completions == []


async def test_a_model_of_azure_is_called_by_the_name_of_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Elsewhere("gpt-5-2025") as server, with_large([server], large="gpt-5") as foundry:
        assert (await foundry.ready("gpt-5", role="large")).id == "gpt-5-2025"
    monkeypatch.setattr("app.models.server.Service.host", "name.openai.azure.com")
    async with Elsewhere("gpt-5-2025") as server, with_large([server], large="gpt-5") as foundry:
        assert (await foundry.ready("gpt-5", role="large")).id == "gpt-5"


async def test_newer_models_of_openai_get_their_limit_and_no_temperature() -> None:
    def picky(asked: Asked) -> bytes:
        if "max_tokens" in asked.data:
            return reply(400, {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}})
        for name in ("logprobs", "temperature"):
            if name in asked.data:
                return reply(400, {"error": {"message": f"Unsupported value: '{name}' is not supported."}})
        return events(chunk(str(asked.data["max_completion_tokens"]), "stop"))

    async with Elsewhere() as server, with_large([server]) as foundry:
        server.answers["/v1/chat/completions"] = picky
        assert await ask(foundry) == "9"


@pytest.mark.parametrize(
    "bad", ["models.example.org", "sk-secret", "http://a:1, ftp://b", "http://user:pw@host", "http://a?key=b"]
)
def test_a_bad_address_is_reported_without_what_was_given(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ENDPOINT", bad)
    with pytest.raises(SettingsError) as caught:
        settings_for()
    assert "LLM_ENDPOINT" in str(caught.value)
    assert "LLM_API_KEY" in str(caught.value)
    assert not {"secret", "pw", "key=b"} & set(str(caught.value).split())
