"""The page /browser without a browser: its files, the list of models, and the prompt for a question."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from app.answering.events import Retrieved
from app.answering.pipeline import Assistant
from app.answering.prompt import Prompt
from app.answering.turn import Turn
from app.models.browser_models import PACKAGES
from app.settings import ROOT, load
from app.web.application import application

VERSION = PACKAGES[0].version
SIZES = {name: size for package in PACKAGES for name, (size, _) in package.files.items()}


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the files of the page, which has no model and no runtime."""
    folder = tmp_path / "public"
    (folder / "browser").mkdir(parents=True)
    (folder / "browser" / "page.js").write_bytes((ROOT / "public/browser/page.js").read_bytes())
    (folder / "secret.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("CHAINLIT_APP_ROOT", str(tmp_path))
    return folder


def add_model(public: Path, name: str, content: bytes = b"graph") -> Path:
    folder = public / "models" / name
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "onnx" / "model_q4.onnx").write_bytes(content)
    return folder


@pytest.fixture
async def client(public: Path, corpus: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = load(corpus=corpus)
    assistant = await asyncio.to_thread(Assistant, settings, learn=False)

    async def shared() -> Assistant:
        return assistant

    transport = httpx.ASGITransport(await asyncio.to_thread(application, settings, shared))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:
        yield made
    await assistant.close()


async def test_files_come_uncompressed_with_types_of_ours_and_only_versioned_ones_are_kept_for_ever(
    client: httpx.AsyncClient, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))  # as a registry of Windows may say
    runtime = public / "browser" / "runtime" / VERSION
    runtime.mkdir(parents=True)
    for name in ("ort.mjs", "ort.wasm"):
        (runtime / name).write_bytes(b"x" * 5000)
    page = await client.get("/browser/page.js", headers={"accept-encoding": "gzip"})
    code, wasm = [await client.get(f"/browser/runtime/{VERSION}/{name}") for name in ("ort.mjs", "ort.wasm")]

    assert page.headers["content-type"].startswith("text/javascript")
    assert "content-encoding" not in page.headers
    assert page.headers["cache-control"] == "no-cache"
    assert code.headers["content-type"].startswith("text/javascript")
    assert wasm.headers["content-type"] == "application/wasm"
    assert wasm.headers["content-length"] == "5000"
    assert "immutable" in wasm.headers["cache-control"]
    assert page.headers["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "../secret.json", "..%2fsecret.json", "models/../../secret.json", "%2e%2e/secret.json", "runtime"],
)
async def test_what_is_not_there_or_outside_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    request = client.build_request("GET", "/browser/")
    request.url = request.url.copy_with(raw_path=f"/browser/{path}".encode())

    assert (await client.send(request)).status_code == 404


async def test_the_list_says_which_files_are_missing_and_a_model_has_another_address_when_it_was_replaced(
    client: httpx.AsyncClient, public: Path
) -> None:
    nothing = (await client.get("/browser/models")).json()
    add_model(public, "small")
    add_model(public, "onnx-community/Some-0.5B")
    (public / "models" / "notes").mkdir()
    before = (await client.get("/browser/models")).json()["models"]
    add_model(public, "small", b"other")
    after = (await client.get("/browser/models")).json()["models"]

    assert nothing["missing"] == [*SIZES]
    assert not nothing["key"]
    assert nothing["models"] == []
    assert [(it["name"], it["precisions"]) for it in before] == [
        ("onnx-community/Some-0.5B", ["q4"]),
        ("small", ["q4"]),
    ]
    assert before[0] == after[0]
    assert before[1]["version"] != after[1]["version"]
    address = "/browser/models/small/{version}/onnx/model_q4.onnx"
    assert (await client.get(address.format(**before[1]))).status_code == 404
    served = await client.get(address.format(**after[1]))
    assert served.content == b"other"
    assert "immutable" in served.headers["cache-control"]
    outside = await client.get(f"/browser/models/small/{after[1]['version']}/..%2f..%2f..%2fsecret.json")
    assert outside.status_code == 404


async def test_a_model_in_the_browser_gets_the_prompt_that_a_model_on_the_server_gets(
    client: httpx.AsyncClient, corpus: Path
) -> None:
    question = "When does the ferry leave?"
    assistant = await asyncio.to_thread(Assistant, load(corpus=corpus), learn=False)
    async with aclosing(assistant.answer(Turn(question, mode="small"))) as events:
        evidence = [event.evidence async for event in events if isinstance(event, Retrieved)][-1]
    await assistant.close()
    prompt = Prompt(question, evidence)
    given = (await client.post("/browser/prompt", json={"question": question})).json()

    assert evidence
    assert given["messages"] == prompt.messages()
    assert given["stop"] == [*prompt.stop]
    assert [it["file"] for it in given["evidence"]] == [it.file for it in evidence]
    assert given["text"] == ""


async def test_a_text_takes_the_place_of_the_documents_and_an_empty_one_leaves_the_model_alone(
    client: httpx.AsyncClient,
) -> None:
    async def prompt(question: str, reference: str) -> dict[str, object]:
        found = await client.post("/browser/prompt", json={"question": question, "reference": reference})
        return dict(found.json())

    own = await prompt("When does the bus leave?", "The bus leaves at 7:15.")
    lacking = await prompt("When does the ferry leave?", "The bus drives to the harbour.")
    alone = await prompt("When does the ferry leave?", "")

    assert "The bus leaves at 7:15." in str(own["messages"])
    assert own["evidence"] == [{"number": 1, "file": "reference.txt", "place": "line 1"}]
    assert "ferry.md" not in str(lacking)
    assert alone["evidence"] == []
    assert "without them" in str(alone["messages"])


async def test_what_needs_no_model_has_no_prompt_but_a_text(client: httpx.AsyncClient) -> None:
    for question, expected in (("Hello!", "Hello!"), ("Pumpkin soup?", "Nothing in your documents"), (" ", "is empty")):
        given = (await client.post("/browser/prompt", json={"question": question})).json()
        assert given["messages"] == []
        assert expected in given["text"]


async def test_a_prompt_is_given_for_json_with_a_question_only(client: httpx.AsyncClient) -> None:
    plain = await client.post("/browser/prompt", content=b'{"question": "x"}', headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    for body in (b"{", b"[]", b"{}", b'{"question": 1}', b'{"question": "x", "reference": 2}'):
        wrong = await client.post("/browser/prompt", content=body, headers={"content-type": "application/json"})
        assert wrong.status_code == 400


async def test_with_a_key_the_page_opens_and_gives_passages_to_nobody_without_it(public: Path, corpus: Path) -> None:
    async def nobody() -> Assistant:
        raise AssertionError("nobody asks")

    app = await asyncio.to_thread(application, load(corpus=corpus, gateway_key="secret"), nobody)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/browser/page.js")).status_code == 200
        assert (await client.get("/browser/models")).json()["key"]
        assert (await client.post("/browser/prompt", json={"question": "When?"})).status_code == 401


async def test_the_page_has_its_texts_in_the_language_of_the_browser(client: httpx.AsyncClient) -> None:
    texts = await client.get("/browser/texts.js", headers={"accept-language": "de-AT,en"})

    assert texts.headers["content-type"].startswith("text/javascript")
    assert 'lang = "de"' in texts.text


def test_the_page_is_short() -> None:
    files = [path for path in (ROOT / "public" / "browser").glob("*.*") if path.is_file()]

    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 500
