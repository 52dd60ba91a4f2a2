"""A role may have a server of its own, or several: the least loaded one that answers is asked, with the role's key."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest

from app.errors import ModelError, NoModel, SettingsError, StaysHere
from app.models import selection
from app.models.chat import Delta, answer, complete
from app.models.foundry import Foundry
from tests.support.runtime import opened, settings_for
from tests.support.servers import Asked, Canned, chunk, events, reply

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "When does the ferry leave?"}]
RULE = "private/salaries.md is in the folder private."


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
        monkeypatch.setattr("app.models.endpoints.PAUSE_SECONDS", 0.0)
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
        f"127.0.0.1:{unused_port}: nothing answers). Start one there, or correct LLM_ENDPOINT."
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
