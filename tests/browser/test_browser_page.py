"""The page /browser in a real browser: models on the server and in the browser, on WebGPU and on WebAssembly.

The runtime of the models and SmolLM2 are in ESCALATOR_BROWSER_FILES, a folder like `public` that .ci/run makes.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.models.browser_models import PACKAGES
from app.settings import ROOT
from tests.browser import test_browser as chat
from tests.browser.test_accessibility import AXE
from tests.browser.test_browser import KEPT, Sink, models, shot
from tests.support import browser_model
from tests.support.chat import App, environment, running
from tests.support.scripted import Script

FILES = Path(os.environ.get("ESCALATOR_BROWSER_FILES") or ROOT / "public")
RUNTIME = Path("browser", "runtime", PACKAGES[0].version)
SMOLLM2 = Path("models", "smollm2-135m")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (FILES / RUNTIME).is_dir(), reason="needs the files of `escalator browser get`"),
]

sink, browser = chat.sink, chat.browser

SAYS = "Older guides used the fixed port 5273 [1]."


def linked(what: Path, public: Path) -> None:
    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # on another disk
            shutil.copy(source, target)

    shutil.copytree(FILES / what, public / what, copy_function=link)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over the sample documents, with a model for the browser that says what is known, and one that is slow."""
    folder = tmp_path_factory.mktemp("page")
    environment(folder, ROOT / "corpus")  # makes the folder `public`
    public = folder / "chainlit" / "public"
    linked(RUNTIME, public)
    for name, work in (("recites", 0), ("slow", 150)):
        browser_model.make_scripted(public / "models" / name, Script(name, "Nothing.", {"port": SAYS}, work=work))
    with running(folder, ROOT / "corpus", ESCALATOR_MODEL_CACHE=str(models(folder / "cache"))) as running_app:
        yield running_app


@contextmanager
def opened(browser: Browser, app: App, **options: object) -> Iterator[Page]:
    """The page, whose every request, and its worker's, must stay on this machine."""
    context = browser.new_context(locale="en-US", **options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    asked, faults = list[str](), list[str]()
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    try:
        page.goto(f"{app.url}/browser")
        expect(page.locator("#columns th")).to_have_count(8)
        yield page
    finally:
        context.close()
    assert [url for url in asked if not url.startswith((app.url, "data:", f"blob:{app.url}"))] == []
    assert any(url.endswith(".wasm") for url in asked), "the requests of the worker are not seen"
    assert faults == []


def ask(page: Page, question: str = KEPT["question"], *targets: str) -> Locator:
    """Ask, and return where the answer of this browser will be."""
    page.locator("#question").fill(question)
    for box in page.locator("[name=target]").all():
        if wanted := box.get_attribute("value") in (targets or ("browser",)):
            expect(box).to_be_enabled()  # once the models are listed
        box.set_checked(wanted, force=True)
    page.get_by_role("button", name="Ask").click()
    return page.get_by_role("article").last


def done(page: Page, seconds: int = 40) -> None:
    expect(page.get_by_role("status")).to_have_text("Done.", timeout=seconds * 1000)


def test_a_model_answers_on_webgpu_as_on_webassembly_beside_those_of_the_server_and_nothing_leaves_the_machine(
    app: App, browser: Browser, sink: Sink, tmp_path: Path
) -> None:
    with opened(browser, app, viewport={"width": 1280, "height": 800}) as page:
        expect(page.locator("#device")).to_have_value("wasm")
        page.locator("#runs").fill("2")
        answer = ask(page, KEPT["question"], "browser", "small")
        done(page)
        expect(answer).to_contain_text(SAYS)
        expect(answer.get_by_role("heading")).to_have_text("recites · WebAssembly · fp32")
        by_server = page.get_by_role("article").first
        expect(by_server.get_by_role("heading")).to_have_text("phi-4-mini")
        expect(by_server.locator("p").last).to_have_text(KEPT["small"])
        expect(by_server.locator("li")).to_have_count(1)
        answer.get_by_text("Passages").click()
        expect(answer.locator("li").first).to_contain_text("foundry-local-setup.md")
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(4)  # of both, the first run and the other one
        for row, expected in enumerate(
            (r"phi-4-mini *first1–", "phi-4-mini *warm1–", r"recites.*first1\d+\.\d\d s", "warm1–")
        ):
            expect(rows.nth(row)).to_have_text(re.compile(expected))
        expect(page.locator(".bars span")).to_have_count(8)
        assert min(bar.bounding_box()["width"] for bar in page.locator(".bars span").all()) > 4  # type: ignore[index]
        page.evaluate(AXE)
        found = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
        assert [(it["id"], [node["html"] for node in it["nodes"]]) for it in found] == []
        shot(page, "browser-page")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as CSV").click()
        download.value.save_as(tmp_path / "times.csv")
        with (tmp_path / "times.csv").open(encoding="utf-8", newline="") as file:
            kept = list(csv.DictReader(file))
        assert [each["start"] for each in kept] == ["cold", "cold", "warm", "warm"]
        assert all(int(each["prompt_tokens"]) > 100 and float(each["total_ms"]) > 0 for each in kept)

        page.get_by_role("button", name="Unload").click()
        ask(page)
        done(page)
        expect(page.locator("#rows")).to_contain_text("from the cache")

        page.locator("#model").select_option("slow (fp32; 1 MB)")
        answer = ask(page)
        expect(answer).to_contain_text("Older", timeout=30_000)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("status")).to_have_text("Stopped.", timeout=3000)
        expect(answer).not_to_contain_text(SAYS)
        expect(page.locator("#rows")).not_to_contain_text("slow")

    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", *chat.arguments(sink)]
    emulated = browser.browser_type.launch(
        executable_path=chat.program(), args=flags, ignore_default_args=["--disable-gpu"]
    )
    try:
        with opened(emulated, app, viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
            expect(page.locator("#device")).to_have_value("wasm")  # as the adapter is software
            page.locator("#device").select_option("webgpu")
            answer = ask(page)
            done(page)
            expect(answer).to_contain_text(SAYS)
            expect(answer.get_by_role("heading")).to_have_text("recites · WebGPU · fp32")
            page.get_by_role("button", name="Check ONNX Runtime Web").click()
            done(page)
            results = page.locator("#checked dd", has_text="right: off by")
            expect(results).to_have_count(2)
            expect(page.locator("#checked")).to_contain_text("swiftshader")
            shot(page, "browser-page-webgpu")
    finally:
        emulated.close()
    assert sink.hits == []


@pytest.mark.skipif(not (FILES / SMOLLM2).is_dir(), reason="needs SmolLM2, which tests.support.browser_model makes")
def test_a_genuine_model_answers_a_sample_question_from_the_documents_without_any_model_on_the_server(
    browser: Browser, tmp_path: Path
) -> None:
    environment(tmp_path, ROOT / "corpus")
    public = tmp_path / "chainlit" / "public"
    linked(RUNTIME, public)
    linked(SMOLLM2, public)
    short = {"ESCALATOR_EVIDENCE_TOKENS": "64", "ESCALATOR_MAX_TOKENS": "16"}
    with running(tmp_path, ROOT / "corpus", **short) as app, opened(browser, app) as page:
        answer = ask(page)
        done(page, 60)
        expect(answer.get_by_role("heading")).to_have_text("smollm2-135m · WebAssembly · q8")
        text = answer.locator("p").last.inner_text()
        assert "5273" in text
        assert "<|" not in text
        expect(answer.locator("li").first).to_contain_text("foundry-local-setup.md")
