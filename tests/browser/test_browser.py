"""The chat in a real browser, from the README's command to the source behind an answer, without another host.

Every name but the app's own leads the browser to a sink that counts. With ESCALATOR_SCREENSHOTS=FOLDER the screens are
kept for a person to look at.
"""

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright

from app.settings import ROOT
from tests.support import scripted
from tests.support.chat import App, running
from tests.support.scripted import Script

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge", "msedge")
FONTS = ("fonts.googleapis.com", "fonts.gstatic.com")
MAKERS = (
    "*.google.com",
    "*.googleapis.com",
    "*.gstatic.com",
    "*.gvt1.com",
    "*.microsoft.com",
    "*.msn.com",
    "*.bing.com",
)
"""Where browsers call home on their own account, whatever page is open; that is not counted."""

SCREENSHOTS = os.environ.get("ESCALATOR_SCREENSHOTS")  # read before the tests' environment is cleaned
SAMPLES = json.loads((ROOT / "tests/support/trainer.json").read_text(encoding="utf-8"))
KEPT, SHORT, UNSURE, *_ = SAMPLES

LIGHTHOUSE = "# The lighthouse\n\nThe lighthouse keeper winds the clockwork at dusk, every evening but Sunday.\n"
ASK_LIGHTHOUSE = "When does the keeper of the lighthouse wind the clockwork?"
LURES = (
    "![x](http://evil.example/x.png) The clockwork is wound at dusk [1]. ![y](https://evil.example/y.png) "
    "[more](http://evil.example/more) <img src='http://evil.example/z.png'> http://evil.example/plain is all."
)


class Sink:
    """Stands for the whole internet: counts who connects, and hangs up."""

    def __init__(self) -> None:
        self.hits: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _count(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    connection.settimeout(1)
                    with suppress(OSError):
                        self.hits.append(connection.recv(2000))


def models(cache: Path) -> Path:
    """A pair of models that give the documented answers to the sample questions."""
    small = {sample["keyword"]: sample["small"] for sample in SAMPLES}
    large = {sample["keyword"]: sample["large"] for sample in SAMPLES if sample["large"]}
    small |= {"clockwork": "The keeper winds the clockwork at dusk [1].", "postcard": LURES}
    return scripted.make(
        cache,
        Script(alias="phi-4-mini", id="Phi-4-mini-instruct-generic-cpu:5", say="Script missing.", when=small, work=50),
        Script(alias="gpt-oss-20b", id="gpt-oss-20b-generic-cpu:1", say="Script missing.", when=large),
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a copy of the sample corpus, which starts its models by itself."""
    folder = tmp_path_factory.mktemp("browser")
    corpus = shutil.copytree(ROOT / "corpus", folder / "corpus")
    with running(folder, corpus, ESCALATOR_MODEL_CACHE=str(models(folder / "models"))) as running_app:
        yield running_app


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    counting = Sink()
    yield counting
    counting.close()


@pytest.fixture(scope="module")
def browser(sink: Sink) -> Iterator[Browser]:
    if (path := program()) is None:
        missing = f"no browser was found ({', '.join(NAMES)})"
        if os.environ.get("ESCALATOR_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments(sink))
        yield chromium
        chromium.close()


def program() -> str | None:
    """The path of a browser."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def arguments(sink: Sink) -> list[str]:
    """What leads a browser to the sink when it asks for anything but this machine."""
    counted = [f"MAP {name} 127.0.0.1:{sink.port}" for name in (*FONTS, "*")]
    ignored = [f"MAP {name} 127.0.0.1:1" for name in MAKERS]
    rules = ", ".join([*counted[:-1], *ignored, counted[-1], "EXCLUDE 127.0.0.1"])  # the first that fits counts
    return [f"--host-resolver-rules={rules}", *(["--no-sandbox"] if as_root() else [])]


def as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


ACCENT = "rgb(14, 105, 170)"
"""The accent colour in the light theme."""


def within_one_screen(page: Page, question: str, answer: str) -> None:
    """Check that a question, its line and the beginning of its answer can be seen without scrolling."""
    for shown in (
        page.get_by_text(question).last,
        line(page),
        page.locator(".ai-message").filter(has_text=answer[:40]).last,
    ):
        expect(shown).to_be_in_viewport(ratio=0.1)


@contextmanager
def tab(browser: Browser, app: App, *, width: int = 1200, height: int = 900, theme: str = "light") -> Iterator[Page]:
    """A fresh chat in a window of this size, with nothing chosen before."""
    (app.state / "choices.json").unlink(missing_ok=True)
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    context.set_default_timeout(15_000)
    context.add_init_script(f"localStorage.setItem('vite-ui-theme', '{theme}')")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    try:
        page.goto(app.url)
        yield page
    finally:
        context.close()
    assert faults == []


def ask(page: Page, question: str) -> None:
    """Send a question; a page that is being drawn anew, as when its modes arrive, may lose the first press."""
    page.locator("#chat-input").fill(question)
    page.locator("#chat-submit").click()
    with suppress(AssertionError):
        expect(page.locator("#chat-input")).not_to_have_text(question, timeout=2_000)
        return
    page.locator("#chat-submit").click()


def press(button: Locator, shown: Locator) -> None:
    """Press a button that shows something; a page that is being drawn anew may lose the first press."""
    button.click()
    with suppress(AssertionError):
        expect(shown).to_be_visible(timeout=5_000)
        return
    button.click()


def choose(page: Page, mode: str) -> None:
    """Take a mode from the menu in the composer."""
    page.locator("#mode-picker-trigger-mode").click()
    page.get_by_text(mode, exact=True).last.click()
    expect(page.locator("#mode-picker-trigger-mode")).to_contain_text(mode)


def answer(page: Page, text: str) -> None:
    """Wait for an answer with its sources."""
    expect(page.locator(".ai-message").filter(has_text=text).last).to_contain_text("Sources:", timeout=30_000)


def line(page: Page, number: int = 0) -> Locator:
    """The line above an answer, which unfolds at a click."""
    return page.get_by_role("button", name=re.compile("→")).nth(number)


def shot(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(600)  # for what moves
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def test_from_the_readmes_command_to_a_new_document_and_the_passage_behind_the_answer(
    app: App, browser: Browser
) -> None:
    with tab(browser, app) as page:
        for sample in SAMPLES:
            expect(page.locator("#starters").get_by_text(sample["question"])).to_be_visible()
        shot(page, "starters")
        (app.corpus / "lighthouse.md").write_text(LIGHTHOUSE, encoding="utf-8")

        ask(page, ASK_LIGHTHOUSE)

        answer(page, "The keeper winds the clockwork at dusk [1].")
        shot(page, "answer")
        source(page, "[1] lighthouse.md, The lighthouse").click()
        expect(page.get_by_text("every evening but Sunday")).to_be_visible()
        shot(page, "source")
        page.locator("button:has(svg.lucide-arrow-left)").click()
        answer(page, "The keeper winds the clockwork at dusk [1].")


@pytest.mark.parametrize("sample", [SHORT, UNSURE], ids=["short", "unsure"])
def test_the_line_above_an_answer_shows_the_escalation_and_unfolds_to_the_draft_that_can_be_taken_back(
    app: App, browser: Browser, sample: dict[str, str]
) -> None:
    draft, final = words(sample["small"]), words(sample["large"])
    with tab(browser, app) as page:
        page.locator("#starters").get_by_text(sample["question"]).click()
        answer(page, final)
        label = "too short for the question" if sample is SHORT else "unsure"
        expect(line(page)).to_contain_text(re.compile(rf"→ phi-4-mini \d\.\d\ss → {label} → gpt-oss-20b \d\.\d\ss"))
        expect(line(page)).to_have_css("color", ACCENT)
        expect(page.get_by_text(draft)).not_to_be_visible()
        within_one_screen(page, sample["question"], final)
        shot(page, f"escalated-{sample['decision']}")

        line(page).click()
        page.get_by_role("button", name=re.compile("^phi-4-mini · ")).click()
        expect(page.get_by_text(draft)).to_be_visible()
        expect(page.get_by_text("Set aside:")).to_be_visible()
        above = page.get_by_text(draft).bounding_box()
        below = page.locator(".ai-message").filter(has_text=final).last.bounding_box()
        assert above is not None
        assert below is not None
        assert above["y"] < below["y"]
        shot(page, f"unfolded-{sample['decision']}")

        page.get_by_role("button", name="Keep the small answer").click()
        expect(line(page)).to_contain_text("→ phi-4-mini, kept by you", timeout=20_000)
        expect(page.locator(".ai-message").filter(has_text=draft).last).to_be_visible()
        expect(page.get_by_role("button", name="Keep the small answer")).to_have_count(0)
        shot(page, f"kept-{sample['decision']}")


def test_stop_leaves_the_text_so_far_and_a_chat_that_goes_on(app: App, browser: Browser) -> None:
    with tab(browser, app) as page:
        ask(page, SAMPLES[3]["question"])
        expect(page.locator(".ai-message").filter(has_text="Der Betriebsrat hat")).to_be_visible()
        page.locator("#stop-button").click()
        expect(line(page).filter(has_text="phi-4-mini stopped")).to_be_visible()
        shot(page, "stopped")
        expect(page.locator("#stop-button")).to_have_count(0)
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1200, "light")])
def test_nothing_is_wider_than_the_screen(app: App, browser: Browser, width: int, theme: str) -> None:
    with tab(browser, app, width=width, height=844, theme=theme) as page:
        expect(page.locator("html")).to_have_class(re.compile(rf"\b{theme}\b"))
        expect(page.locator("#starters button")).to_have_count(len(SAMPLES))
        fits(page, f"{width}-{theme}-starters")

        page.locator("#starters").get_by_text(SHORT["question"]).click()
        answer(page, words(SHORT["large"]))
        fits(page, f"{width}-{theme}-answer")
        line(page).click()
        page.get_by_role("button", name=re.compile("^Found ")).click()
        expect(page.get_by_text("Matching words")).to_be_visible()
        page.get_by_role("button", name=re.compile("^phi-4-mini · ")).click()
        page.get_by_text("Searched for: ").scroll_into_view_if_needed()
        fits(page, f"{width}-{theme}-unfolded")
        page.get_by_role("button", name="Compare with plain BM25").click()
        expect(page.get_by_role("columnheader", name="Plain BM25")).to_be_visible()
        page.get_by_role("button", name="Hide plain BM25").scroll_into_view_if_needed()
        fits(page, f"{width}-{theme}-plain-ranks")
        page.get_by_role("button", name="Hide plain BM25").click()
        expect(page.get_by_role("columnheader", name="Plain BM25")).to_have_count(0)

        page.get_by_role("button", name="Keep the small answer").click()
        expect(line(page)).to_contain_text("→ phi-4-mini, kept by you", timeout=20_000)
        fits(page, f"{width}-{theme}-kept")


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1200, "light")])
def test_both_models_can_be_compared_on_any_screen(app: App, browser: Browser, width: int, theme: str) -> None:
    with tab(browser, app, width=width, height=844, theme=theme) as page:
        choose(page, "Compare")
        ask(page, UNSURE["question"])

        answer(page, "Both models on the same passages:")
        columns = page.locator(".compare .compared")
        expect(columns).to_have_count(2)
        expect(columns.nth(0)).to_contain_text(words(UNSURE["small"]))
        expect(columns.nth(1)).to_contain_text(words(UNSURE["large"]))
        left, right = columns.nth(0).bounding_box(), columns.nth(1).bounding_box()
        assert left is not None
        assert right is not None
        assert (left["y"] == right["y"]) == (width > 800)
        fits(page, f"{width}-{theme}-compared")

        for column in (columns.nth(0), columns.nth(1)):
            column.locator("a.element-link").first.click()
            expect(page.locator("#side-view-content mark").first).to_be_visible()
            page.keyboard.press("Escape")
            expect(page.locator("#side-view-content")).to_have_count(0)
        preferred = columns.nth(0).get_by_role("button", name="Preferred")
        press(columns.nth(0).get_by_role("button", name="Prefer this one"), preferred)
        expect(preferred).to_be_focused()
        expect(columns.nth(1).get_by_role("button", name="Prefer this one")).to_be_visible()
        tally = "Preferred in this conversation: phi-4-mini (1)"
        expect(page.locator(".compare").get_by_text(tally)).to_be_visible()
        expect(page.locator("#announcement")).not_to_contain_text(tally)
        fits(page, f"{width}-{theme}-preferred")

        with page.expect_download() as saving:
            page.get_by_role("button", name="Report").click()
        assert saving.value.suggested_filename == f"{UNSURE['question'].rstrip('?')}.html"
        written = saving.value.path().read_text(encoding="utf-8")
        assert "Comparison of phi-4-mini and gpt-oss-20b" in written
        assert words(UNSURE["large"]).split("…")[0].strip() in written

        page.get_by_role("button", name="Times and tokens").click()
        expect(page.get_by_text("Always large")).to_be_visible()
        expect(page.locator("#side-view-content").get_by_text(tally)).to_be_visible()
        fits(page, f"{width}-{theme}-figures")
        page.get_by_text("Tokens per second").scroll_into_view_if_needed()
        fits(page, f"{width}-{theme}-figures-of-the-answer")
        page.keyboard.press("Escape")

        page.reload()
        expect(columns.nth(0).get_by_role("button", name="Preferred")).to_be_visible()
        expect(columns.nth(1)).to_contain_text(words(UNSURE["large"]))


def test_the_large_model_answers_when_it_is_asked_and_both_can_be_seen_beside_each_other(
    app: App, browser: Browser
) -> None:
    with tab(browser, app, width=390, height=844, theme="dark") as page:
        ask(page, KEPT["question"])
        answer(page, words(KEPT["small"]))
        page.get_by_role("button", name="Ask the large model").click()

        expect(line(page)).to_contain_text(re.compile(r"→ you asked → gpt-oss-20b \d"))
        expect(page.get_by_role("button", name="Keep the small answer")).to_be_visible()
        fits(page, "asked")

        page.get_by_role("button", name="Compare both").click()
        expect(page.locator(".compare .compared")).to_have_count(2)
        fits(page, "asked-compared")


def test_a_comparison_comes_into_view_in_a_long_conversation(app: App, browser: Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        choose(page, "Small")
        for number, question in enumerate((KEPT["question"], UNSURE["question"], SHORT["question"]), 1):
            ask(page, question)
            expect(page.get_by_role("button", name="Times and tokens")).to_have_count(number, timeout=30_000)
        page.get_by_role("button", name="Compare both").nth(1).click()

        expect(page.locator(".compare")).to_be_in_viewport(ratio=0.9)
        expect(page.get_by_role("button", name="No difference")).to_be_visible()
        expect(page.locator(".compare")).to_be_in_viewport(ratio=0.9)
        shot(page, "compared-in-view")


@pytest.mark.parametrize(
    ("mode", "asked"), [("Small", ["phi-4-mini"]), ("Large", ["gpt-oss-20b"]), ("Refine", ["phi-4-mini"])]
)
def test_the_mode_in_the_composer_chooses_who_answers(app: App, browser: Browser, mode: str, asked: list[str]) -> None:
    with tab(browser, app) as page:
        choose(page, mode)
        ask(page, KEPT["question"])

        expect(page.get_by_role("button", name="Times and tokens")).to_be_visible(timeout=30_000)
        shot(page, f"mode-{mode.lower()}")
        for model in ("phi-4-mini", "gpt-oss-20b"):
            assert (f" → {model} " in line(page).inner_text()) == (model in asked)


def test_the_dial_behind_the_gear_keeps_drafts(app: App, browser: Browser) -> None:
    with tab(browser, app) as page:
        page.locator("#chat-settings-open-modal").click()
        page.get_by_role("combobox").click()
        page.get_by_role("option", name="never").click()
        shot(page, "dial")
        page.get_by_role("button", name="Confirm").click()
        ask(page, SHORT["question"])

        answer(page, words(SHORT["small"]))
        expect(page.get_by_role("button", name="Ask the large model")).to_be_visible()


def test_nothing_is_asked_of_another_host_whatever_an_answer_holds(app: App, browser: Browser, sink: Sink) -> None:
    (app.corpus / "lure.md").write_text(f"# The postcard\n\nA postcard shows the clockwork. {LURES}\n", "utf-8")
    with tab(browser, app) as page:
        ask(page, "What does the postcard show?")
        answer(page, "The clockwork is wound at dusk")
        line(page).click()
        page.get_by_role("button", name=re.compile("^Found ")).click()
        expect(page.get_by_text("Matching words")).to_be_visible()
        expect(page.locator("img[src*='evil.example']")).to_have_count(0)
        shot(page, "lures")
        source(page, "lure.md").click()
        expect(page.get_by_text("A postcard shows the clockwork.")).to_be_visible()
        page.wait_for_load_state("networkidle")
    assert sink.hits == []  # in all of this module's tests

    page = browser.new_page()
    with suppress(Error):
        page.goto("http://evil.example/")
    page.close()
    assert [hit for hit in sink.hits if b"Host: evil.example" in hit], "the sink does not count"


def source(page: Page, name: str) -> Locator:
    return page.locator("a.element-link", has_text=name).first


def words(text: str) -> str:
    """The last words of an answer, without the mark of its source."""
    return " ".join(re.sub(r"( \[\d+\])?\.?$", "", text).split()[-5:])


OUTSIDE = """() => [...document.querySelectorAll(
        '#starters button, #starters p, .ai-message, [id^=step-], a.element-link, #message-composer')]
    .filter(each => { const box = each.getBoundingClientRect(); return box.left < -1 || box.right > innerWidth + 1 })
    .map(each => each.outerHTML)"""


def fits(page: Page, name: str) -> None:
    """The page does not scroll sideways, and nothing that it shows is cut off at an edge."""
    shot(page, name)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    assert page.evaluate(OUTSIDE) == [], name
