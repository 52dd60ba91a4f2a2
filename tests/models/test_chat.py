"""Completions on the genuine runtime: they stream, stop when nobody listens, and report their tokens."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.errors import AnswerFailed, ContextOverflow, ServerError
from app.models.chat import Delta, End, answer, complete
from app.models.foundry import Foundry, Model
from tests.support.runtime import ANALYSIS, FINAL, SMALL, cpu_seconds, opened, pid_of, running, settings_for
from tests.support.scripted import Script
from tests.support.servers import Answer, Asked, Canned, chunk, events, reply
from tests.support.waiting import until

SLOW = Script(alias="slow", say="One word after the other, and so on and so forth, for a long time. " * 8, work=150)


def asked(question: str) -> list[dict[str, Any]]:
    """A conversation of one question."""
    return [{"role": "user", "content": question}]


async def said(foundry: Foundry, model: Model, question: str, **more: Any) -> tuple[str, str, End]:
    """Text, reasoning and end of an answer."""
    events = [
        event async for event in answer(foundry, model, asked(question), kept_here="", **({"max_tokens": 200} | more))
    ]
    *deltas, end = events
    assert isinstance(end, End)
    assert all(isinstance(delta, Delta) and delta.text for delta in deltas)
    pieces = [delta for delta in deltas if isinstance(delta, Delta)]
    text, reasoning = ("".join(piece.text for piece in pieces if piece.reasoning is kind) for kind in (False, True))
    return text, reasoning, end


async def test_an_answer_comes_in_pieces_and_reports_its_tokens(foundry: Foundry) -> None:
    model = await foundry.ready("phi-4-mini")
    text, reasoning, end = await said(foundry, model, "When does the ferry leave?")
    assert (text, reasoning) == ("The ferry leaves at 9:30 [1].", "")
    assert end.finish == "stop"
    assert end.prompt_tokens
    assert end.prompt_tokens > 10
    assert end.completion_tokens
    assert end.completion_tokens > 10


async def test_an_answer_that_reaches_its_longest_length_is_marked(foundry: Foundry) -> None:
    model = await foundry.ready("phi-4-mini")
    text, _, end = await said(foundry, model, "ferry", max_tokens=5)
    assert "The ferry leaves at 9:30 [1].".startswith(text)
    assert (end.finish, end.completion_tokens) == ("length", 5)


async def test_two_simultaneous_users_each_get_their_own_answer(models: Path, runtime: str) -> None:
    settings = settings_for(models)
    async with opened(settings) as one, opened(settings) as other:
        small = await one.ready("phi-4-mini")
        answers = await asyncio.gather(
            *(said(user, small, question) for user in (one, other) for question in ("The ferry?", "A ticket?", "Why?"))
        )
    assert [text for text, _, _ in answers] == [
        "The ferry leaves at 9:30 [1].",
        "Tickets are sold on board [1].",
        "I do not know.",
    ] * 2


@pytest.mark.slow
async def test_leaving_an_answer_ends_its_generation_within_half_a_second(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SLOW)
    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready("slow")
        async with aclosing(complete(foundry, model, asked("Go on."), kept_here="", max_tokens=400)) as stream:
            for _ in range(3):
                assert isinstance(await anext(stream), Delta)
        await asyncio.sleep(0.5)
        assert await unload(foundry, model) == 200
        before = cpu_seconds(pid_of(cache))
        await asyncio.sleep(0.4)
        assert cpu_seconds(pid_of(cache)) - before < 0.1


async def test_a_model_that_writes_cannot_be_unloaded(model_cache: Callable[..., Path]) -> None:
    """The assumption of the test before this one."""
    async with opened(settings_for(model_cache(SLOW))) as foundry:
        model = await foundry.ready("slow")
        async with aclosing(complete(foundry, model, asked("Go on."), kept_here="", max_tokens=400)) as stream:
            await anext(stream)
            assert await unload(foundry, model) != 200


@pytest.mark.slow
async def test_cancelling_whoever_waits_for_an_answer_ends_it_too(model_cache: Callable[..., Path]) -> None:
    async with opened(settings_for(model_cache(SLOW))) as foundry:
        model = await foundry.ready("slow")
        begun = asyncio.Event()

        async def listen() -> None:
            async with aclosing(answer(foundry, model, asked("Go on."), kept_here="", max_tokens=400)) as stream:
                async for _ in stream:
                    begun.set()

        task = asyncio.create_task(listen())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.5)
        assert await unload(foundry, model) == 200


async def unload(foundry: Foundry, model: Model) -> int:
    """Try to unload a model; return the status of the reply."""
    import httpx2
    import openai

    client = await foundry.openai(model.service)
    try:
        url = f"{model.service.root}/models/unload/{model.alias}"
        return (await client.get(url, cast_to=httpx2.Response)).status_code
    except openai.APIStatusError as error:
        return error.status_code


async def test_a_prompt_that_is_too_long_is_reported_with_the_servers_numbers(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(Script(alias="narrow", say="Yes.", context=256))
    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready("narrow")
        with pytest.raises(ContextOverflow) as caught:
            await said(foundry, model, "?" * 300, max_tokens=50)
        assert caught.value.prompt
        assert caught.value.prompt > 300
        assert caught.value.limit == 256
        assert (await said(foundry, model, "?" * 100, max_tokens=50))[0] == "Yes."


HARMONY = f"{ANALYSIS}The user asks.{FINAL}It leaves at 9:30 [1].<|return|>"


@pytest.mark.parametrize(
    ("say", "declared"),
    [
        (HARMONY, (ANALYSIS, FINAL)),
        (HARMONY, (ANALYSIS, "<|end|>")),
        (HARMONY, None),
        ("<think>The user asks.</think>It leaves at 9:30 [1].", ("<think>", "</think>")),
        ("<think>The user asks.</think>It leaves at 9:30 [1].", None),
    ],
)
async def test_reasoning_is_kept_apart_whatever_the_catalogue_declares(
    say: str, declared: tuple[str, str] | None, model_cache: Callable[..., Path]
) -> None:
    async with opened(settings_for(model_cache(Script(alias="thinker", say=say, reasoning=declared)))) as foundry:
        model = await foundry.ready("thinker")
        text, reasoning, end = await said(foundry, model, "When?")
        assert (text, reasoning, end.finish) == ("It leaves at 9:30 [1].", "The user asks.", "stop")
        text, reasoning, end = await said(foundry, model, "When?", max_tokens=9)
        assert (text, end.finish) == ("", "length")


@pytest.mark.slow
async def test_a_model_that_another_program_unloaded_is_loaded_again(model_cache: Callable[..., Path]) -> None:
    async with opened(settings_for(model_cache(SMALL))) as foundry:
        model = await foundry.ready("phi-4-mini")
        assert await unload(foundry, model) == 200
        assert (await said(foundry, model, "The ferry?"))[0] == "The ferry leaves at 9:30 [1]."


@pytest.mark.slow
async def test_a_runtime_that_was_killed_between_two_answers_is_not_noticed(model_cache: Callable[..., Path]) -> None:
    cache = model_cache(SMALL)
    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready("phi-4-mini")
        await kill(pid_of(cache))
        assert (await said(foundry, model, "The ferry?"))[0] == "The ferry leaves at 9:30 [1]."


@pytest.mark.slow
async def test_a_runtime_that_is_killed_during_an_answer_is_reported_and_the_next_answer_comes(
    model_cache: Callable[..., Path],
) -> None:
    cache = model_cache(SLOW, SMALL)
    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready("slow")
        async with aclosing(answer(foundry, model, asked("Go on."), kept_here="", max_tokens=400)) as stream:
            assert isinstance(await anext(stream), Delta)
            await kill(pid_of(cache))
            with pytest.raises(ServerError, match="refused or lost"):
                async for _ in stream:
                    pass
        assert (await said(foundry, await foundry.ready("phi-4-mini"), "The ferry?"))[0].startswith("The ferry")


async def kill(pid: int) -> None:
    """End a process the hard way, and wait for it."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert await asyncio.to_thread(until, lambda: not running(pid), 2)


@pytest.mark.parametrize("stop", ["leaves", "\nQuestion:"])
async def test_the_genuine_runtime_ends_an_answer_before_a_text_that_is_to_stop_it(
    model_cache: Callable[..., Path], stop: str
) -> None:
    say = f"The ferry {stop} at 9:30 [1]. " + "And so on and so forth. " * 20
    async with opened(settings_for(model_cache(Script(alias="talker", say=say)))) as foundry:
        model = await foundry.ready("talker")
        text, _, end = await said(foundry, model, "When?", stop=("</passages 1a2b", stop))
    assert (text, end.finish) == ("The ferry ", "stop")


async def canned(given: Answer, **more: Any) -> tuple[str, str, End, list[Any]]:
    """Text, reasoning and end of an answer of a server with a canned one, and the bodies of the requests."""
    listed = reply(200, {"data": [{"id": "m"}]})
    answers = {"/v1/models": listed, "/v1/chat/completions": given}
    async with Canned(answers) as server, opened(settings_for(endpoint=server.url)) as foundry:
        told = await said(foundry, await foundry.ready("m"), "When?", **more)
        return *told, [each.data for each in server.asked if each.path.endswith("/chat/completions")]


@pytest.mark.parametrize(("status", "message"), [(400, "Unsupported parameter: 'stop'"), (422, "extra fields")])
async def test_a_server_that_refuses_texts_that_stop_an_answer_answers_without_them(status: int, message: str) -> None:
    whole = events(chunk("At 9:30."), chunk(finish="stop"))

    def given(request: Asked) -> bytes:
        return reply(status, {"error": {"message": message}}) if "stop" in request.data else whole

    text, _, end, bodies = await canned(given, stop=("\nQuestion:",))

    assert (text, end.finish) == ("At 9:30.", "stop")
    assert bodies[0]["stop"] == ["\nQuestion:"]
    assert "stop" not in bodies[-1]


async def test_a_request_that_is_refused_for_another_reason_is_not_sent_again() -> None:
    requests: list[Asked] = []

    def given(request: Asked) -> bytes:
        requests.append(request)
        return reply(400, {"error": {"message": "no"}})

    with pytest.raises(AnswerFailed):
        await canned(given, stop=("\nQuestion:",))
    assert len(requests) == 1


async def test_where_a_text_stopped_the_reasoning_the_model_is_asked_again_without_it() -> None:
    def given(request: Asked) -> bytes:
        rest = [] if "stop" in request.data else [chunk("At 9:30.")]
        return events(chunk(reasoning_content="The user has a"), *rest, chunk(finish="stop"))

    text, _, end, bodies = await canned(given, stop=("\nQuestion:",))

    assert (text, end.finish) == ("At 9:30.", "stop")
    assert len(bodies) == 2


@pytest.mark.parametrize("said", ["At 9:30 [1].", "At 9:30 [1].<|im_end|>", "```markdown\nAt 9:30 [1].\n```"])
async def test_an_answer_without_a_finish_reason_is_complete_if_a_sentence_ended(said: str) -> None:
    _, _, end, _ = await canned(events(chunk(said)))

    assert end.finish == "stop"


@pytest.mark.parametrize("said", ["At 9:30 and", "<think>Hm. The ferry.", "<think>Hm.</think>"])
async def test_an_answer_without_a_finish_reason_that_ends_elsewhere_has_failed(said: str) -> None:
    with pytest.raises(AnswerFailed, match="without a finish reason"):
        await canned(events(chunk(said)))


def with_logprobs(text: str, logprob: Any) -> dict[str, Any]:
    """An event with a token and the logarithm of its probability."""
    event = chunk(text)
    event["choices"][0]["logprobs"] = {"content": [{"token": text, "logprob": logprob}]}
    return event


@pytest.fixture
def twice() -> Callable[[Answer], Any]:
    """Asks a server two questions; returns the two ends and the bodies of all requests."""

    async def ask(given: Answer) -> tuple[list[End], list[Any]]:
        answers = {"/v1/models": reply(200, {"data": [{"id": "m"}]}), "/v1/chat/completions": given}
        async with Canned(answers) as server, opened(settings_for(endpoint=server.url)) as foundry:
            model = await foundry.ready("m")
            ends = [(await said(foundry, model, "When?"))[2] for _ in range(2)]
            return ends, [each.data for each in server.asked if each.path.endswith("/chat/completions")]

    return ask


async def test_probabilities_of_tokens_are_passed_on_if_a_server_reports_them(
    twice: Callable[[Answer], Any],
) -> None:
    ends, bodies = await twice(events(with_logprobs("At", -0.1), with_logprobs(" nine.", -2.5), chunk(finish="stop")))

    assert [list(end.logprobs) for end in ends] == [[("At", -0.1), (" nine.", -2.5)]] * 2
    assert [body.get("logprobs") for body in bodies] == [True, True]


@pytest.mark.parametrize(
    "token",
    [
        chunk("At nine."),
        with_logprobs("At nine.", None),
        with_logprobs("At nine.", "x"),
        with_logprobs("At nine.", float("nan")),
        with_logprobs("At nine.", 1.0),
        chunk("At nine.") | {"choices": [chunk("At nine.")["choices"][0] | {"logprobs": {"content": 3}}]},
        chunk("At nine.") | {"choices": [chunk("At nine.")["choices"][0] | {"logprobs": None}]},
    ],
)
async def test_a_server_that_reports_no_probabilities_is_not_asked_for_them_again(
    token: Any, twice: Callable[[Answer], Any]
) -> None:
    ends, bodies = await twice(events(token, chunk(finish="stop")))

    assert [(end.finish, list(end.logprobs)) for end in ends] == [("stop", [])] * 2
    assert [body.get("logprobs") for body in bodies] == [True, None]


@pytest.mark.parametrize("message", ["Unknown parameter: logprobs", "logprobs is not supported", "Invalid request"])
async def test_a_server_that_refuses_to_report_probabilities_answers_without_and_is_not_asked_again(
    message: str, twice: Callable[[Answer], Any]
) -> None:
    def given(request: Asked) -> bytes:
        if "logprobs" in request.data:
            return reply(400, {"error": {"message": message}})
        return events(chunk("At nine."), chunk(finish="stop"))

    ends, bodies = await twice(given)

    assert [end.finish for end in ends] == ["stop", "stop"]
    assert [body.get("logprobs") for body in bodies] == [True, None, None]
