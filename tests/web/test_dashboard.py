"""The organiser's page, the metrics and the log: what they tell of turns, to whom, and what they never say."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.answering.events import Failed, Token
from app.answering.journal import LATEST, Series
from app.answering.turn import Turn
from app.errors import TooManyTurns
from app.logs import JsonFormatter
from app.room import person, request
from app.web.pages import as_text
from tests.support.gateway import GOOD, ORIGIN, QUESTION, Client

Opens = Callable[..., AbstractAsyncContextManager[Client]]

BAD = "I could not find this in the documents."


async def figures(client: Client) -> dict[str, Any]:
    return dict((await client.get("/organiser/figures")).raise_for_status().json())


def outcomes(shown: dict[str, Any]) -> dict[str, int]:
    return {labels["outcome"]: number for name, labels, number in shown["samples"] if name == "turns_total" and number}


@asynccontextmanager
async def from_address(client: Client, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """The requests of another machine."""
    transport = httpx.ASGITransport(client.app, client=(address, 5000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as other:
        yield other


async def test_the_page_counts_what_came_of_turns_and_how_fast_models_were(gateway_with: Opens) -> None:
    async with gateway_with(retries=0) as gateway:
        await gateway.complete()
        gateway.models.small = BAD
        await gateway.complete()
        before = await figures(gateway)
        gateway.models.small = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"
        await gateway.complete(model="escalator-small")
        await gateway.complete("Hello!")
        shown = await figures(gateway)

    assert outcomes(shown) == {"answered": 1, "escalated": 1, "quoted": 1, "abstained": 1}
    assert ["errors_total", {"kind": "ServerError"}, 1] in shown["samples"]
    counted = [
        (labels["model"], number) for name, labels, number in shown["samples"] if name.endswith("token_seconds_count")
    ]
    assert counted == [("phi-4-mini", 2), ("gpt-oss-20b", 1)]
    assert [labels for name, labels, loaded in before["samples"] if name == "model_loaded" and loaded] == [
        {"role": "small", "model": "phi-4-mini", "address": gateway.models.url.removeprefix("http://")},
        {"role": "large", "model": "gpt-oss-20b", "address": gateway.models.url.removeprefix("http://")},
    ]
    assert shown["running"] == []


async def test_the_page_shows_who_is_answered_and_who_waits_and_whoever_leaves_is_gone(gateway: Client) -> None:
    gateway.models.small = None
    assistant = gateway.assistant

    async def ask(who: str) -> None:
        person.set(who)
        async with aclosing(assistant.answer(Turn(QUESTION, mode="small"))) as stream:
            async for _ in stream:
                pass

    first = asyncio.create_task(ask("Anna"))
    await gateway.models.begun.wait()
    second = asyncio.create_task(ask("Ben"))
    async with asyncio.timeout(5):
        while not any(queue.outlook() for queue in assistant.models.queues.values()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    shown = (await figures(gateway))["running"]

    assert [(it["person"], it["mode"], it["model"], it["line"]) for it in shown] == [
        ("Anna", "small", "phi-4-mini", None),
        ("Ben", "small", "phi-4-mini", [1, None]),
    ]
    for task in (second, first):
        task.cancel()
        await asyncio.wait([task])
    assert (await figures(gateway))["running"] == []
    assert outcomes(await figures(gateway)) == {"stopped": 2}


async def test_only_the_organiser_sees_the_page_and_its_figures(gateway_with: Opens) -> None:
    async with gateway_with(gateway_key="secret", metrics=True) as client:
        for path in ("/organiser", "/organiser/figures", "/organiser/page.js"):
            assert (await client.get(path)).status_code == 200  # on the machine itself it needs no key
            assert (await client.get(path, headers={"x-forwarded-for": "127.0.0.1"})).status_code == 403
            async with from_address(client, "192.168.1.7") as other:
                assert (await other.get(path)).status_code == 403
        assert (await client.get("/organiser/secret.txt")).status_code == 404
        assert (await client.get("/metrics")).status_code == 401


async def test_metrics_are_off_unless_they_are_wanted(gateway: Client) -> None:
    assert (await gateway.get("/metrics")).status_code == 404


async def test_metrics_are_read_by_prometheus_and_hold_no_text(gateway_with: Opens) -> None:
    async with gateway_with(metrics=True) as client:
        person.set("Anna Andersen")
        await client.complete()
        client.models.small = BAD
        await client.complete()
        response = await client.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {name: family.type for name, family in families.items()} == {
        "escalator_turns": "counter",
        "escalator_model_loaded": "gauge",
        "escalator_questions_waiting": "gauge",
        "escalator_answers_writing": "gauge",
        "escalator_first_token_seconds": "summary",
        "escalator_tokens_per_second": "summary",
    }
    by_outcome = {sample.labels["outcome"]: sample.value for sample in families["escalator_turns"].samples}
    assert (by_outcome["answered"], by_outcome["escalated"]) == (1, 1)
    waits = {
        sample.name + sample.labels.get("quantile", "") for sample in families["escalator_first_token_seconds"].samples
    }
    assert waits == {f"escalator_first_token_seconds{end}" for end in ("0.5", "0.95", "_sum", "_count")}
    for text in ("ferry", "leave", "harbour", "boat", "Anna"):
        assert text not in response.text


def test_labels_with_odd_characters_are_read_as_they_were_written() -> None:
    odd = 'a "b"\\c\nd\\n'
    [family] = text_string_to_metric_families(as_text([("model_loaded", {"model": odd, "role": "small"}, True)]))

    assert [(sample.labels, sample.value) for sample in family.samples] == [({"model": odd, "role": "small"}, 1.0)]


def test_percentiles_are_of_the_last_figures_and_memory_is_bounded() -> None:
    series = Series()
    for figure in [1000.0] * LATEST + [float(number) for number in range(1, LATEST + 1)]:
        series.add(figure)

    assert (series.percentile(0.5), series.percentile(0.95)) == (LATEST * 0.5, LATEST * 0.95)
    assert (series.count, series.sum) == (2 * LATEST, 1000.0 * LATEST + LATEST * (LATEST + 1) / 2)
    series = Series()
    series.add(7.0)
    assert series.percentile(0.95) == 7.0


async def test_one_person_of_a_room_has_so_many_questions_at_a_time_and_no_more(gateway_with: Opens) -> None:
    async with gateway_with(per_person=2) as client:
        client.models.small = None
        assistant = client.assistant

        async def first_token_or_error(who: str) -> str:
            person.set(who)
            async with aclosing(assistant.answer(Turn(QUESTION, mode="small"))) as stream:
                async for event in stream:
                    if isinstance(event, Failed):
                        assert isinstance(event.error, TooManyTurns)
                        return str(event.error)
                    if isinstance(event, Token):
                        await asyncio.sleep(60)
            return ""

        running = [asyncio.create_task(first_token_or_error(who)) for who in ("Anna", "Anna", "Ben", "", "", "")]
        await client.models.begun.wait()

        assert await asyncio.create_task(first_token_or_error("Anna")) == (
            "You may have 2 questions in line or being answered at a time. Ask again when one is answered."
        )
        assert not any(task.done() for task in running)
        async with from_address(client, "192.168.1.7") as other:
            body = {"model": "escalator-small", "messages": [{"role": "user", "content": QUESTION}]}
            asking = [asyncio.create_task(other.post("/v1/chat/completions", json=body)) for _ in range(3)]
            [refused], _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            response = refused.result()
            assert (response.status_code, response.json()["error"]["type"]) == (429, "rate_limit_error")
            assert response.headers["retry-after"] == "5"
            running += asking
            for task in running:
                task.cancel()
            await asyncio.wait(running)


async def test_the_log_has_a_line_for_each_turn_and_no_text(gateway: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app")
    gateway.models.small = BAD
    person.set("Anna Andersen")
    request.set("3f2a91")
    async with aclosing(gateway.assistant.answer(Turn(QUESTION))) as stream:
        async for _ in stream:
            pass

    [record] = [it for it in caplog.records if it.name == "app.answering.journal"]
    text, line = record.getMessage(), json.loads(JsonFormatter().format(record))
    assert text.startswith("turn 3f2a91 mode=auto ")
    assert line["person"] not in ("", "Anna Andersen")
    assert {name: line[name] for name in ("request", "mode", "kind", "outcome", "decision", "models", "errors")} == {
        "request": "3f2a91",
        "mode": "auto",
        "kind": "question",
        "outcome": "escalated",
        "decision": "abstained",
        "models": ["phi-4-mini", "gpt-oss-20b"],
        "errors": [],
    }
    assert line["hosts"] == [gateway.models.url.removeprefix("http://")] * 2
    assert line["prompt_tokens"] == 200
    for word in ("ferry", "leave", "harbour", "find", "Anna"):
        assert word not in f"{text} {json.dumps(line)}"


def test_an_exception_is_logged_as_json_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError(GOOD)
    except KeyError:
        logging.getLogger("app").exception("a turn failed")

    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["message"], line["error"], line["person"]) == ("a turn failed", "KeyError", "")
    assert line["places"][-1].startswith(f"{__file__}:")
    assert "ferry" not in json.dumps(line)


async def test_an_accident_is_named_by_the_request_that_the_log_has_too(
    gateway: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    monkeypatch.setattr("app.answering.run.context_for", None)
    response = await gateway.complete()

    [record] = [it for it in caplog.records if it.name == "app.answering.journal"]
    name = record.getMessage().split()[1]
    assert response.json()["error"]["message"].endswith(f"Its terminal shows the details of request {name}.")
    assert outcomes(await figures(gateway)) == {"failed": 1}
    assert ["errors_total", {"kind": "TypeError"}, 1] in (await figures(gateway))["samples"]
