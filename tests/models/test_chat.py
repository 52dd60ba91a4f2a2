"""Completions on the genuine runtime: they stream, stop when nobody listens, and report their tokens."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.errors import ContextOverflow, ServerError
from app.models.chat import Delta, End, answer, complete
from app.models.foundry import Foundry, Model
from tests.support.runtime import ANALYSIS, FINAL, SMALL, cpu_seconds, opened, pid_of, running, settings_for
from tests.support.scripted import Script
from tests.support.waiting import until

SLOW = Script(alias="slow", say="One word after the other, and so on and so forth, for a long time. " * 8, work=150)


def asked(question: str) -> list[dict[str, Any]]:
    """A conversation of one question."""
    return [{"role": "user", "content": question}]


async def said(foundry: Foundry, model: Model, question: str, **more: Any) -> tuple[str, str, End]:
    """Text, reasoning and end of an answer."""
    events = [event async for event in answer(foundry, model, asked(question), **({"max_tokens": 200} | more))]
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
        async with aclosing(complete(foundry, model, asked("Go on."), max_tokens=400)) as stream:
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
        async with aclosing(complete(foundry, model, asked("Go on."), max_tokens=400)) as stream:
            await anext(stream)
            assert await unload(foundry, model) != 200


@pytest.mark.slow
async def test_cancelling_whoever_waits_for_an_answer_ends_it_too(model_cache: Callable[..., Path]) -> None:
    async with opened(settings_for(model_cache(SLOW))) as foundry:
        model = await foundry.ready("slow")
        begun = asyncio.Event()

        async def listen() -> None:
            async with aclosing(answer(foundry, model, asked("Go on."), max_tokens=400)) as stream:
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
        assert (caught.value.output, caught.value.limit) == (50, 256)
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
        async with aclosing(answer(foundry, model, asked("Go on."), max_tokens=400)) as stream:
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
