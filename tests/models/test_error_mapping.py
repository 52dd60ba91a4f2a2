"""Every way in which a server can fail, on real connections, becomes one sentence with a remedy."""

import time
from contextlib import aclosing
from typing import Any

import pytest

from app.errors import AnswerFailed, ContextOverflow, ModelError, ModelGone, NoModel, ServerBusy, ServerError
from app.models.chat import Delta, End, answer, complete
from tests.support.runtime import opened, settings_for
from tests.support.servers import Answer, Canned, Fault, FaultProxy, chunk, events, reply

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "When does the ferry leave?"}]
WHOLE = "The ferry leaves at 9:30 [1]."


async def through(runtime: str, fault: Fault, **over: Any) -> tuple[str, ModelError | None, int]:
    """Ask through a proxy with a fault; return the text, the failure and the number of requests."""
    settings = {"retries": 0, "first_token_seconds": 5.0, "stall_seconds": 5.0} | over
    async with FaultProxy(runtime) as proxy, opened(settings_for(endpoint=proxy.url, **settings)) as foundry:
        model = await foundry.ready("phi-4-mini")
        proxy.fault = fault
        text, failure = "", None
        try:
            async with aclosing(answer(foundry, model, QUESTION, kept_here="", max_tokens=100)) as stream:
                async for event in stream:
                    text += event.text if isinstance(event, Delta) else ""
        except ModelError as error:
            failure = error
        return text, failure, proxy.count("/v1/chat/completions")


async def outcome(reply_of_chat: Answer, **over: Any) -> tuple[list[Delta | End], AnswerFailed | None]:
    """Send one request to a server with a canned answer; return its events and its failure."""
    listed = reply(200, {"data": [{"id": "m"}]})
    canned = {"/v1/models": listed, "/v1/chat/completions": reply_of_chat}
    async with Canned(canned) as server, opened(settings_for(endpoint=server.url, **over)) as foundry:
        model = await foundry.ready("m")
        got: list[Delta | End] = []
        try:
            async for event in complete(foundry, model, QUESTION, kept_here="", max_tokens=100):
                got.append(event)
        except AnswerFailed as error:
            return got, error
        return got, None


# --- before the first token ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=503), "failed (503): injected."),
        (Fault(status=500), "failed (500)"),
        (Fault(status=429), "is busy (429)"),
        (Fault(how="cut"), "refused or lost"),
        (Fault(how="reset"), "refused or lost"),
    ],
)
async def test_a_server_that_is_busy_or_lost_is_asked_again(runtime: str, fault: Fault, words: str) -> None:
    text, failure, requests = await through(runtime, fault, retries=2)
    assert (text, requests) == ("", 3)
    assert isinstance(failure, ServerError)
    assert words in str(failure)


async def test_a_successful_retry_is_an_answer(runtime: str) -> None:
    assert await through(runtime, Fault(status=503, times=1), retries=1) == (WHOLE, None, 2)


@pytest.mark.slow
async def test_a_busy_server_is_not_asked_again_before_its_retry_after(runtime: str) -> None:
    begun = time.monotonic()
    fault = Fault(status=429, headers={"Retry-After": "0.4"}, times=1)
    assert await through(runtime, fault, retries=1) == (WHOLE, None, 2)
    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize(
    ("after", "seconds"), [("7", 7.0), ("", 0.0), ("Fri, 20 Nov 2026 09:00:00 GMT", 0.0), ("-1", 0.0)]
)
async def test_retry_after_is_parsed(after: str, seconds: float) -> None:
    _, failure = await outcome(reply(503, {}, retry_after=after))
    assert isinstance(failure, ServerBusy)
    assert failure.seconds == seconds


async def test_without_retries_there_is_one_request(runtime: str) -> None:
    _, failure, requests = await through(runtime, Fault(status=503), retries=0)
    assert isinstance(failure, ServerError)
    assert requests == 1


async def test_a_server_that_has_gone_is_reported(runtime: str) -> None:
    async with FaultProxy(runtime) as proxy, opened(settings_for(endpoint=proxy.url)) as foundry:
        model = await foundry.ready("phi-4-mini")
        await proxy.__aexit__(None, None, None)
        with pytest.raises(ServerError, match="refused or lost"):
            async for _ in complete(foundry, model, QUESTION, kept_here="", max_tokens=9):
                pass
        with pytest.raises(NoModel, match="nothing answers"):
            async for _ in answer(foundry, model, QUESTION, kept_here="", max_tokens=9):
                pass


async def test_a_server_that_is_away_for_a_moment_is_waited_for(runtime: str) -> None:
    async with FaultProxy(runtime) as proxy, opened(settings_for(endpoint=proxy.url, retries=3)) as foundry:
        model = await foundry.ready("phi-4-mini")
        proxy.lost = 3  # the completion, and the first of the two requests that look for the server again
        events = [event async for event in answer(foundry, model, QUESTION, kept_here="", max_tokens=100)]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == WHOLE


async def test_a_first_token_that_takes_too_long_is_given_up(runtime: str) -> None:
    text, failure, requests = await through(runtime, Fault(delay=30), first_token_seconds=0.2, retries=3)
    assert (text, requests) == ("", 1)
    assert "did not begin to answer within 0.2 seconds" in str(failure)


# --- within the answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [("cut", "refused or lost"), ("reset", "refused or lost"), ("stall", "stopped for 0.3 seconds")],
)
async def test_an_answer_that_breaks_off_is_not_restarted(runtime: str, how: str, words: str) -> None:
    text, failure, requests = await through(runtime, Fault(how=how, after=1500), stall_seconds=0.3, retries=3)
    assert WHOLE.startswith(text)
    assert 0 < len(text) < len(WHOLE)
    assert words in str(failure)
    assert requests == 1


@pytest.mark.slow
async def test_a_slow_answer_is_an_answer(runtime: str) -> None:
    assert await through(runtime, Fault(pace=0.005), stall_seconds=1) == (WHOLE, None, 1)


@pytest.mark.parametrize("done", [True, False])
async def test_a_stream_without_a_finish_reason_is_a_failure_after_its_pieces(done: bool) -> None:
    got, failure = await outcome(events(chunk("The"), chunk(" ferry"), done=done))
    assert "".join(event.text for event in got if isinstance(event, Delta)) == "The ferry"
    assert "without a finish reason" in str(failure)


@pytest.mark.parametrize("text", ["It leaves at nine.", "It leaves at nine. [1]", "Er sagt „um neun.“ [1]\n"])
async def test_a_stream_without_a_finish_reason_is_whole_if_a_sentence_has_ended(text: str) -> None:
    got, failure = await outcome(events(chunk(text)))
    assert (got, failure) == ([Delta(text), End("stop", None, None)], None)


async def test_a_whole_answer_needs_neither_usage_nor_done() -> None:
    got, failure = await outcome(events(chunk("Yes."), chunk(finish="stop"), done=False))
    assert (got, failure) == ([Delta("Yes."), End("stop", None, None)], None)


async def test_the_end_does_not_wait_for_a_count_that_never_comes(
    monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setattr("app.models.chat.USAGE_SECONDS", 0.1)
    whole = events(chunk("Yes."), chunk(finish="stop"), done=False)
    # A length that is not reached: the connection stays open, and then ends in the middle.
    body = whole.replace(b"connection: close", b"content-length: 9999")
    got, failure = await outcome(body)
    assert (got, failure) == ([Delta("Yes."), End("stop", None, None)], None)


async def test_usage_may_come_with_the_last_piece() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    got, _ = await outcome(events(chunk("Yes."), chunk(finish="stop") | {"usage": usage}))
    assert got[-1] == End("stop", 7, 3)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_separate_reasoning_is_recognised_under_both_names(name: str) -> None:
    got, _ = await outcome(events(chunk(**{name: "Hm."}), chunk("assistantfinalYes."), chunk(finish="stop")))
    assert got == [Delta("Hm.", reasoning=True), Delta("Yes."), End("stop", None, None)]


async def test_an_answer_with_nothing_in_it_may_be_a_prompt_that_was_too_long() -> None:
    got, failure = await outcome(events(done=False))
    assert got == []
    assert isinstance(failure, ContextOverflow)
    assert "returned an empty answer" in str(failure)


@pytest.mark.parametrize("broken", ['{"choices":[{"delta":{"content":"x', "nonsense", "[1"])
async def test_a_stream_that_is_not_json_is_reported(broken: str) -> None:
    got, failure = await outcome(events(chunk("The"), broken))
    assert got == [Delta("The")]
    assert "it contains a broken event" in str(failure)


@pytest.mark.parametrize(
    "event", ["{}", "null", "1", '{"choices": null}', '{"choices": [null]}', '{"choices": [{"delta": null}]}', "[]"]
)
async def test_an_event_of_another_shape_is_a_failure_too(event: str) -> None:
    got, failure = await outcome(events(chunk("The"), event))
    assert got == [Delta("The")]
    assert isinstance(failure, AnswerFailed)


async def test_an_error_within_the_stream_is_reported_in_the_servers_words() -> None:
    got, failure = await outcome(events(chunk("The"), {"error": {"message": "out of memory", "code": 500}}))
    assert got == [Delta("The")]
    assert "broke off its answer: out of memory." in str(failure)


# --- what servers say ------------------------------------------------------------------------------------------------

FOUNDRY = (
    "Invalid request: request requires 9013 total tokens (9005 input + 8 output), which exceeds the model's "
    "maximum context length of 8192 tokens"
)
OPENAI = (
    "This model's maximum context length is 8192 tokens. However, you requested 9013 tokens (9005 in the "
    "messages, 8 in the completion). Please reduce the length of the messages or completion."
)
OVERFLOWS = [
    (FOUNDRY, (9005, 8192)),
    (OPENAI, (9005, 8192)),
    ("Requested tokens (9013) exceed context window of 8192", (None, 8192)),
    ("the request exceeds the available context size, try increasing it", (None, None)),
]


@pytest.mark.parametrize(("said", "numbers"), OVERFLOWS)
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_prompt_that_is_too_long_is_recognised_by_its_message(
    said: str, numbers: tuple[int | None, ...], streamed: bool
) -> None:
    body = {"error": {"message": said}}
    _, failure = await outcome(events(body, done=False) if streamed else reply(400, body))
    assert isinstance(failure, ContextOverflow)
    assert (failure.prompt, failure.limit) == numbers


async def test_a_prompt_that_is_too_long_is_recognised_by_its_code() -> None:
    _, failure = await outcome(reply(400, {"error": {"message": "Bad request", "code": "context_length_exceeded"}}))
    assert isinstance(failure, ContextOverflow)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": {"message": "Model not found: No model matching 'phi-4-mini'"}}),
        (400, {"error": {"message": "Model not loaded: Model 'm' must be loaded before inference"}}),
        (404, {"error": {"message": 'model "m" not found, try pulling it first'}}),
    ],
)
async def test_a_model_that_is_gone_is_recognised(status: int, body: dict[str, Any]) -> None:
    _, failure = await outcome(reply(status, body))
    assert isinstance(failure, ModelGone)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"detail": "Invalid API key"}, "Invalid API key. Set API_KEY"),
        (403, "no", "refused the request (403): no. Set API_KEY"),
        (404, "server=oatpp\nmessage=No mapping", "(404): server=oatpp message=No mapping."),
        (422, {"detail": "Unexpected fields in the request: {'x'}"}, "(422): Unexpected fields"),
        (422, {"detail": [{"msg": "bad"}]}, '(422): {"detail": [{"msg": "bad"}]}'),
        (400, {"error": "just a string"}, "(400): just a string."),
        (400, {"error": {"message": "x" * 5000}}, "x…. `escalator doctor`"),
        (413, "", "(413)"),
    ],
)
async def test_a_rejected_request_is_reported_in_the_servers_words(status: int, body: Any, words: str) -> None:
    _, failure = await outcome(reply(status, body))
    assert type(failure) is AnswerFailed
    assert words in str(failure)
    assert len(str(failure)) < 400


async def test_a_request_always_streams_and_always_limits_its_answer() -> None:
    answer_of = {"/v1/models": reply(200, {"data": [{"id": "m"}]})}
    answer_of["/v1/chat/completions"] = events(chunk("Yes."), chunk(finish="stop"))
    async with Canned(answer_of) as server, opened(settings_for(endpoint=server.url)) as foundry:
        async for _ in answer(foundry, await foundry.ready("m"), QUESTION, kept_here="", max_tokens=7):
            pass
    sent = server.asked[-1].data
    assert sent == {
        "model": "m",
        "messages": QUESTION,
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": True,
    }
