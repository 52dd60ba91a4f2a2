"""The panel of models in a real browser, from quotes without a model to the pair that was got."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_browser import ask, browser, fits, sink, tab
from tests.support.chat import App, running
from tests.support.store import LARGE, TINY, Store, offering

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["browser", "sink"]  # fixtures


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with offering(tmp_path, *TINY) as shop:
        yield shop


@pytest.fixture
def app(store: Store, tmp_path: Path) -> Iterator[App]:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "ferry.md").write_text("# The ferry\n\nThe ferry leaves at 9:30 from the old harbour.\n", "utf-8")
    cache = {"ESCALATOR_MODEL_CACHE": str(tmp_path / "cache")}
    with running(tmp_path, corpus, **store.environment(tmp_path), **cache) as running_app:
        yield running_app


def test_from_quotes_to_a_pair_that_answers(app: App, store: Store, browser: Browser) -> None:
    with tab(browser, app, width=390, height=844, theme="dark") as page:
        ask(page, "When does the ferry leave?")
        page.get_by_role("button", name="Choose models for this machine").click()
        pairs = page.get_by_label("Pairs of models", exact=True)
        expect(pairs).to_contain_text("qwen2.5-0.5b, then qwen2.5-1.5b", timeout=30_000)
        fits(page, "models")
        page.get_by_role("button", name="Update from the online catalogue").click()
        page.get_by_text("All models in the catalogue").click(timeout=30_000)
        expect(page.get_by_text("qwen2.5-1.5b-instruct-generic-cpu:1")).to_be_visible()

        store.pace = 0.05
        pairs.get_by_role("button", name="Get").first.click()
        bar = page.get_by_role("progressbar", name="Download")
        expect(page.get_by_text("qwen2.5-1.5b: ")).to_be_visible(timeout=30_000)
        expect(bar).to_be_visible()
        fits(page, "models-coming")
        store.pace = 0.0
        expect(page.get_by_text("qwen2.5-0.5b answers, and qwen2.5-1.5b when needed.")).to_be_visible(timeout=60_000)
        expect(bar).to_have_count(0, timeout=60_000)
        expect(pairs).to_contain_text("on this disk")
        fits(page, "models-here")

        page.get_by_role("button", name="Close").click()
        ask(page, "When does the ferry leave?")
        expect(page.locator(".ai-message").filter(has_text="The ferry leaves at 9:30 [1].")).to_be_visible(
            timeout=30_000
        )


def test_one_button_starts_with_a_small_pair_and_the_larger_one_takes_over(tmp_path: Path, browser: Browser) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "ferry.md").write_text("# The ferry\n\nThe ferry leaves at 9:30 from the old harbour.\n", "utf-8")
    with offering(tmp_path, *TINY, *LARGE) as store:
        settings = store.environment(tmp_path) | {"ESCALATOR_MODEL_CACHE": str(tmp_path / "cache")}
        with running(tmp_path, corpus, **settings) as app, tab(browser, app, width=1200) as page:
            expect(page.get_by_text("answers are quotes from your documents")).to_be_visible()
            page.get_by_role("button", name="Models").first.click()
            page.get_by_role("button", name="Update from the online catalogue").click()
            start = page.get_by_role("button", name="Start with tiny, get large meanwhile")
            expect(start).to_be_enabled(timeout=30_000)
            fits(page, "start")

            store.pace = 0.05
            start.click()
            expect(page.get_by_text("First tiny, then large, which then takes over.")).to_be_visible(timeout=30_000)
            expect(start).to_have_count(0)
            page.reload()
            expect(page.get_by_text("Nothing leaves this machine.")).to_be_visible()  # the server knows the page
            page.get_by_role("button", name="Models").first.click()
            store.pace = 0.02
            expect(page.get_by_text("Large is used as soon as it is here.")).to_be_visible(timeout=60_000)
            expect(page.get_by_text("qwen2.5-0.5b answers, and qwen2.5-1.5b when needed.").last).to_be_visible()
            store.stalled = True
            fits(page, "start-coming")
        store.stalled, store.pace = False, 0.0

        with running(tmp_path, corpus, **settings) as app, tab(browser, app, width=1200) as page:
            expect(page.get_by_text("interrupted: open Models to continue.")).to_be_visible()
            page.get_by_role("button", name="Models").first.click()
            go_on = page.get_by_role("button", name="Continue", exact=True)
            expect(go_on).to_be_visible()
            fits(page, "start-interrupted")
            go_on.click()
            expect(page.get_by_text("phi-4-mini answers, and gpt-oss-20b when needed.").last).to_be_visible(
                timeout=60_000
            )
            fits(page, "start-here")
