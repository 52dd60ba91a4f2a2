"""Completions as OpenAI's clients and Open WebUI ask for them: from the documents, with sources, reason and errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app import gateway as completions
from app import guard
from app.answering.turn import Turn
from app.gateway import CompletionRequest, Message, conversation, without_additions
from app.retrieval.search import Exchange
from tests.support.gateway import GOOD, ORIGIN, QUESTION, Client, spoken, text_of
from tests.support.servers import Asked, chunk, events, reply

UNSURE = "I do not know."
DESCRIPTION = Path(completions.__file__).with_name("openapi.json")
RECORDED = [
    json.loads(line) for line in Path(__file__).with_name("open_webui.jsonl").read_text(encoding="utf-8").splitlines()
]


async def test_a_stream_is_a_role_the_text_a_finish_and_the_usage_if_it_is_wanted(gateway: Client) -> None:
    first, *middle, finish, usage = await gateway.chunks(stream_options={"include_usage": True})
    plain = await gateway.chunks()

    chunks = [first, *middle, finish, usage]
    assert {(each["id"], each["object"], each["created"], each["model"]) for each in chunks} == {
        (first["id"], "chat.completion.chunk", first["created"], "escalator")
    }
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(each["choices"][0]["finish_reason"] is None for each in (first, *middle))
    assert text_of(chunks).startswith(GOOD)
    assert len(middle) >= len(GOOD.split())
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    assert not any("usage" in each for each in plain)
    for each in chunks:
        ChatCompletionChunk.model_validate(each)


async def test_a_whole_completion_has_the_answer_its_sources_and_the_usage(gateway: Client) -> None:
    response = await gateway.complete()

    completion = ChatCompletion.model_validate(response.json())
    [choice] = completion.choices
    [annotation] = choice.message.annotations or []
    text = choice.message.content or ""
    assert (completion.object, completion.model, choice.finish_reason) == ("chat.completion", "escalator", "stop")
    assert text.startswith(GOOD)
    assert text.endswith("\n\n---\n\n*Sources: [1] ferry.md, The ferry*")
    cited = annotation.url_citation
    assert text[cited.start_index : cited.end_index].strip() == GOOD
    assert (cited.title, cited.url) == ("ferry.md, The ferry", f"{ORIGIN}/v1/documents/ferry.md")
    assert (await gateway.get(cited.url)).text.startswith("# The ferry")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 110
    account = response.json()["escalator"]
    assert (account["model"], account["escalated"], account["code"]) == ("phi-4-mini", False, None)


async def test_an_escalation_is_said_in_a_stream_and_only_its_answer_is_in_a_whole_completion(gateway: Client) -> None:
    gateway.models.small = UNSURE

    chunks = await gateway.chunks(stream_options={"include_usage": True})
    whole = (await gateway.complete()).json()

    draft, line, answer = text_of(chunks).split("\n\n")[:3]
    assert draft.strip() == UNSURE
    assert line.startswith("*Escalated to gpt-oss-20b: ")
    assert answer.strip() == gateway.models.large
    assert whole["choices"][0]["message"]["content"].startswith(gateway.models.large)
    assert UNSURE not in whole["choices"][0]["message"]["content"]
    account = chunks[-2]["escalator"]
    assert account == whole["escalator"]
    assert (account["model"], account["escalated"], account["code"]) == ("gpt-oss-20b", True, "abstained")
    assert account["reason"] in line
    assert chunks[-1]["usage"] == whole["usage"] == {
        "prompt_tokens": 200, "completion_tokens": 4 + 10, "total_tokens": 214
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "asked"), [("escalator-small", ["phi-4-mini"]), ("escalator-large", ["gpt-oss-20b"])]
)
async def test_the_name_of_the_model_chooses_who_answers(gateway: Client, model: str, asked: list[str]) -> None:
    gateway.models.small = UNSURE

    chunks = await gateway.chunks(model=model)

    assert [each["model"] for each in gateway.models.prompts] == asked
    assert {each["model"] for each in chunks} == {model}
    assert "<passages" in gateway.models.prompts[0]["messages"][-1]["content"]


async def test_what_comes_back_as_history_is_the_answer_without_our_lines(gateway: Client) -> None:
    gateway.models.small = UNSURE
    before = text_of(await gateway.chunks())
    asked = ["When does the ferry leave?", "And from where does it leave?"]
    parts = [{"type": "text", "text": asked[1]}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    messages = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": asked[0]},
        {"role": "assistant", "content": before, "tool_calls": []},
        {"role": "user", "content": parts},
    ]

    await gateway.complete(messages=messages)

    system, first, answer, last = gateway.models.prompts[2]["messages"]
    assert "pirate" not in system["content"]
    assert first["content"] == asked[0]
    assert answer["content"].strip() == "The large model says: the ferry leaves at 9:30."
    assert last["content"].endswith(f"Question: {asked[1]}")


async def test_open_webui_gets_its_sources_as_events_in_the_order_of_their_numbers(gateway: Client) -> None:
    gateway.models.small = "The ferry leaves at 9:30 from the old harbour [2]."
    question = "When does the ferry leave, and when does the boat house open?"

    chunks = await gateway.chunks(question, {"X-OpenWebUI-Chat-Id": "1"})

    sources = [each["event"]["data"] for each in chunks if "event" in each]
    places = {each["event"]["type"] for each in chunks if "event" in each}
    assert places == {"source"}
    assert ["boat" in sources[0]["document"][0], "ferry" in sources[1]["document"][0]] == [True, True]
    assert len({each["metadata"][0]["source"] for each in sources}) == 2
    assert all(0 < each["distances"][0] <= 1 for each in sources)
    assert [at for at, each in enumerate(chunks) if "event" in each] == [*range(len(sources))]
    assert not any("annotations" in part["delta"] for each in chunks for part in each["choices"])
    assert "Sources:" not in text_of(chunks)


async def test_a_side_call_of_open_webui_is_answered_by_the_small_model_alone(gateway: Client) -> None:
    gateway.models.small = '{"title": "Ferry times"}'

    response = await gateway.complete("### Task:\nGenerate a title for: When does the ferry leave?", model="escalator")

    message = response.json()["choices"][0]["message"]
    assert message["content"].strip() == gateway.models.small
    assert message["annotations"] == []
    [prompt] = gateway.models.prompts
    assert prompt["model"] == "phi-4-mini"
    assert "<passages" not in prompt["messages"][-1]["content"]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: str(each["kind"]))
async def test_what_open_webui_was_seen_to_send_is_answered(gateway: Client, recorded: dict[str, Any]) -> None:
    body = recorded.get("body")
    content = json.dumps(body | {"model": "escalator"}).encode() if body else None

    response = await gateway.request(recorded["method"], recorded["path"], headers=recorded["headers"], content=content)

    assert response.status_code == 200, response.text
    if body:
        assert (response.text.endswith("data: [DONE]\n\n")) == bool(body.get("stream"))


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hello"}]}, 400, "user"),
        ({"messages": [{"role": "captain", "content": "Hello"}]}, 400, "messages.0.role"),
        ({"temperature": 3}, 400, "temperature"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"model": "gpt-4o"}, 404, "escalator-large"),
        ({"model": None}, 400, "model"),
        ({"question": " "}, 400, "empty"),
        ({"question": "a" * 9_000}, 400, "8,000"),
        ({"question": " ", "stream": True}, 400, "empty"),
    ],
    ids=lambda it: str(it)[:40],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    gateway: Client, body: dict[str, Any], status: int, named: str
) -> None:
    response = await gateway.complete(**{"model": "escalator", **body})

    error = response.json()["error"]
    assert response.status_code == status
    assert named in error["message"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}
    assert gateway.models.prompts == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"model": "escalator"', "application/json", 400),
        (b'"\\ud800"', "application/json", 400),
        (b'{"model": "escalator", "messages": [{"role": "user", "content": "\\ud800"}]}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b" " * 4_000_001, "application/json; charset=utf-8", 413),
    ],
)
async def test_a_body_that_is_no_json_of_reasonable_length_is_refused(
    gateway: Client, content: bytes, kind: str, status: int
) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    for sent in (content, in_pieces()):
        response = await gateway.post("/v1/chat/completions", content=sent, headers={"content-type": kind})

        assert response.status_code == status
        assert response.json()["error"]["message"]


async def test_a_body_that_does_not_arrive_is_not_waited_for(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    response = await gateway.post(
        "/v1/chat/completions", content=stalled(), headers={"content-type": "application/json"}
    )

    assert response.status_code == 408


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_other_methods_and_paths_are_refused_and_no_other_page_is_let_in(gateway: Client, method: str) -> None:
    response = await gateway.request(method, "/v1/chat/completions", headers={"origin": ORIGIN})
    foreign = await gateway.request(method, "/v1/chat/completions", headers={"origin": "http://evil.example"})
    missing = await gateway.request(method, "/v1/embeddings")

    assert (response.status_code, foreign.status_code, missing.status_code) == (405, 403, 404)
    assert not [name for name in (*response.headers, *foreign.headers) if name.startswith("access-control")]


async def test_another_page_or_name_gets_nothing(gateway: Client) -> None:
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        assert (await gateway.complete(headers=headers)).status_code == 403
    assert gateway.models.prompts == []


async def test_a_key_is_wanted_where_one_is_set(gateway_with: Callable[..., Any]) -> None:
    async with gateway_with(gateway_key="open sesame") as gateway:
        for headers in ({}, {"authorization": "Bearer open"}, {"authorization": b"Bearer \xe9"}):
            refused = await gateway.get("/v1/models", headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        response = await gateway.complete(headers={"authorization": "Bearer open sesame"})

    [annotation] = response.json()["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"]["url"] == "ferry.md"  # a browser could not send the key


async def test_the_bare_models_answer_without_documents_where_they_are_offered(
    gateway: Client, gateway_with: Callable[..., Any]
) -> None:
    assert (await gateway.complete(model="phi-4-mini")).status_code == 404
    async with gateway_with(bare_models=True) as open_to_all:
        listed = (await open_to_all.get("/v1/models")).json()["data"]
        whole = (await open_to_all.complete(model="gpt-oss-20b")).json()

    assert [each["id"] for each in listed][3:] == ["gpt-oss-20b", "phi-4-mini"]
    assert whole["choices"][0]["message"]["content"].strip() == "The large model says: the ferry leaves at 9:30."
    [prompt] = open_to_all.models.prompts
    assert prompt["messages"][-1]["content"] == f"Question: {QUESTION}"


async def test_how_a_model_writes_can_be_asked_for(gateway: Client) -> None:
    await gateway.complete(max_completion_tokens=50, temperature=0.5, stop=["STOP", "HALT"], seed=7, tools=[{}], n=1)
    await gateway.complete(max_tokens=100_000, stop="STOP")

    first, second = gateway.models.prompts
    assert {name: first[name] for name in ("max_tokens", "temperature", "seed")} == {
        "max_tokens": 50, "temperature": 0.5, "seed": 7
    }  # fmt: skip
    assert (first["stop"][:2], len(first["stop"]), "tools" in first) == (["STOP", "HALT"], 4, False)
    assert (second["max_tokens"], second["temperature"], second["stop"][0]) == (640, 0.0, "STOP")


async def test_an_answer_that_was_to_be_short_is_not_escalated_because_it_breaks_off(gateway: Client) -> None:
    gateway.models.small = spoken("The ferry leaves at 9:30 from", "length")

    limited = (await gateway.complete(max_tokens=6)).json()
    unlimited = (await gateway.complete()).json()

    assert (limited["choices"][0]["finish_reason"], limited["escalator"]["model"]) == ("length", "phi-4-mini")
    assert limited["escalator"]["notices"] == []
    assert (unlimited["escalator"]["code"], unlimited["escalator"]["model"]) == ("cut_off", "gpt-oss-20b")


async def test_reasoning_is_told_apart_from_the_answer(gateway: Client) -> None:
    gateway.models.small = events(
        chunk(reasoning_content="Hm, the ferry."), *map(chunk, GOOD.split(" ")), chunk(finish="stop")
    )

    chunks = await gateway.chunks()

    thought = [part["delta"].get("reasoning_content") for each in chunks for part in each["choices"]]
    assert "".join(filter(None, thought)) == "Hm, the ferry."
    assert "Hm" not in text_of(chunks)


async def test_text_that_proves_to_be_reasoning_is_named_as_such_in_a_stream_and_absent_from_a_whole_one(
    gateway: Client,
) -> None:
    gateway.models.small = spoken(f"Let me think.</think>{GOOD}")

    streamed = text_of(await gateway.chunks())
    whole = (await gateway.complete()).json()["choices"][0]["message"]["content"]

    thought, answer = streamed.split("\n\n*So far the model was thinking. The answer:*\n\n")
    assert thought == "Let me"
    assert answer.startswith(GOOD)
    assert whole.startswith(GOOD)


async def test_where_nothing_is_found_the_reply_is_the_content(gateway: Client) -> None:
    chunks = await gateway.chunks("What do penguins eat?")
    whole = (await gateway.complete("What do penguins eat?")).json()

    assert gateway.models.prompts == []
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert text_of(chunks).strip() == whole["choices"][0]["message"]["content"].strip() != ""
    assert whole["usage"]["total_tokens"] == 0
    assert whole["escalator"]["model"] is None


async def test_without_a_model_the_documents_are_quoted_and_the_reason_is_noted(gateway: Client) -> None:
    gateway.models.small = gateway.models.large = reply(500, {"error": {"message": "out of order"}})

    text = text_of(await gateway.chunks())
    whole = (await gateway.complete()).json()

    assert "The ferry leaves at 9:30 from the old harbour." in text
    assert "*Note: " in text
    assert text.strip().endswith(whole["choices"][0]["message"]["content"].strip())
    assert whole["escalator"]["model"] is None


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_without_any_answer_is_an_error_with_its_status(
    gateway_with: Callable[..., Any], stream: bool
) -> None:
    async with gateway_with(bare_models=True, retries=0) as gateway:
        gateway.models.small = reply(503, {"error": {"message": "busy"}}, retry_after="3")
        response = await gateway.complete(model="phi-4-mini", stream=stream)

    if stream:  # it had begun, as the model was being asked
        *_, error, done, _ = response.text.split("\n\n")
        assert done == "data: [DONE]"
        data = json.loads(error.removeprefix("data: "))
    else:
        data = response.json()
        assert response.status_code == 429
        assert response.headers["retry-after"]
    assert data["error"]["type"] == "rate_limit_error"
    assert "phi-4-mini" in data["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_mistake_of_ours_is_an_error_without_details(
    gateway: Client, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async def broken(_: Any) -> AsyncIterator[Any]:
        raise RuntimeError("secret")
        yield

    monkeypatch.setattr(gateway.assistant, "answer", broken)

    response = await gateway.complete(stream=stream)

    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text


@pytest.mark.parametrize(("stream", "asgi"), [(True, "2.0"), (False, "2.0"), (False, "2.4")])
async def test_when_the_client_is_gone_the_model_stops(gateway: Client, stream: bool, asgi: str) -> None:
    gateway.models.small = None  # endless
    body = {"model": "escalator", "stream": stream, "messages": [{"role": "user", "content": QUESTION}]}
    waiting = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await gateway.models.begun.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    headers = [(b"host", b"127.0.0.1:8001"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers, "query_string": b""}
    scope |= {
        "asgi": {"spec_version": asgi},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8001),
        "root_path": "",
        "raw_path": b"",
    }
    async with asyncio.timeout(5):
        await gateway.app(scope, receive, send)
        await gateway.models.left.wait()


async def test_more_requests_than_can_be_answered_soon_are_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch, gateway_with: Callable[..., Any]
) -> None:
    monkeypatch.setattr(completions, "MOST_WAITING", 1)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Asked) -> bytes:
        asked.set()
        await go_on.wait()
        return spoken(GOOD)

    async with gateway_with() as gateway:
        gateway.models.answers["/v1/chat/completions"] = slow
        first = asyncio.create_task(gateway.complete())
        await asked.wait()
        refused = await gateway.complete()
        go_on.set()

        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert (await first).status_code == 200
        assert (await gateway.complete()).status_code == 200


async def test_further_sources_for_the_large_model_follow_and_keep_their_numbers(gateway: Client, corpus: Path) -> None:
    for number in range(9):
        text = f"# Ferry {number}\n\nThe ferry {number} leaves at {number}:30 " * 9
        (corpus / f"ferry {number}.md").write_text(text, encoding="utf-8")
    gateway.models.small = UNSURE

    chunks = await gateway.chunks(headers={"X-OpenWebUI-Chat-Id": "1"})

    numbers = [int(each["event"]["data"]["source"]["id"].rpartition("[")[2][:-1]) for each in chunks if "event" in each]
    draft, answer = (prompt["messages"][-1]["content"] for prompt in gateway.models.prompts)
    assert numbers == [*range(1, len(numbers) + 1)]
    assert f"[{numbers[-1]}] " not in draft
    assert all(f"[{number}] " in answer for number in numbers)


async def test_a_completion_takes_the_route_as_the_chat_does(gateway_with: Callable[..., Any]) -> None:
    async with gateway_with(route="task") as gateway:
        code = (await gateway.complete("Write a function that says when the ferry leaves")).json()
        general = (await gateway.complete()).json()

    assert (code["escalator"]["model"], general["escalator"]["model"]) == ("gpt-oss-20b", "phi-4-mini")
    assert "Code, because of “write a function”: the large model answers." in code["choices"][0]["message"]["content"]


def test_the_description_has_the_fields_that_are_read() -> None:
    schemas = json.loads(DESCRIPTION.read_text(encoding="utf-8"))["components"]["schemas"]
    expected = CompletionRequest.model_json_schema(ref_template="#/components/schemas/{model}")

    parts = expected.pop("$defs")
    assert schemas == parts | {"CompletionRequest": expected}


def message(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


@pytest.mark.parametrize(
    ("said", "question", "history"),
    [
        ("user:Hello", "Hello", []),
        ("system:Be kind|user:a|assistant:b|user:c", "c", [("a", "b")]),
        ("user:a|user:b|assistant:c|assistant:d|user:e", "e", [("a\n\nb", "c\n\nd")]),
        ("assistant:Welcome!|user:a", "a", []),
        ("user:a|assistant:b|user:c|tool:9:30|assistant:d", "c", [("a", "b")]),
    ],
)
def test_the_last_question_is_answered_and_what_was_said_before_is_history(
    said: str, question: str, history: list[tuple[str, str]]
) -> None:
    messages = [message(*each.split(":", 1)) for each in said.split("|")]

    assert conversation(messages) == (question, tuple(Exchange(*each) for each in history))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("At 9:30 [1].", "At 9:30 [1]."),
        ("At 9:30 [1].\n\n---\n\n*Sources: [1] ferry.md, line 1*", "At 9:30 [1]."),
        ("At 9:30.\n\n---\n\n*Note: Ask again.*\n\n*Sources: [1] a.md, line 1*", "At 9:30."),
        ("No idea.\n\n*Escalated to gpt-oss-20b: The draft declines.*\n\nAt 9:30 [1].", "At 9:30 [1]."),
        ("No idea.\n\n*Escalated to gpt-oss-20b: It declines.*\n\n", "No idea."),
        ("Hm.\n\n*So far the model was thinking. The answer:*\n\nAt 9:30.", "At 9:30."),
        ("One.\n\n---\n\nTwo.", "One.\n\n---\n\nTwo."),
        ("A *word* of mine.", "A *word* of mine."),
    ],
)
def test_our_own_lines_and_a_replaced_draft_are_taken_out(text: str, left: str) -> None:
    assert without_additions(text).strip() == left


def test_a_reference_takes_the_place_of_the_documents_and_an_empty_one_leaves_none() -> None:
    def asked(**more: str) -> Turn:
        body = {"model": "m", "messages": [{"role": "user", "content": "When?"}], **more}
        return CompletionRequest.model_validate(body).turn({"m": Turn("", mode="large")})

    [text] = asked(reference="The bus leaves at 7:15.").brought
    assert text.text == "The bus leaves at 7:15."
    assert asked(reference="The bus leaves at 7:15.").scope == (text.file,)
    assert asked(reference=" ").unaided
    assert not asked().unaided
    assert asked().brought == ()
    assert asked(reference="x").mode == "large"
