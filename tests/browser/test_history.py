"""Conversations in a real browser: the list, a reload in the middle of an answer, a second tab, thumbs, the switch."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from app.settings import ROOT
from tests.browser import test_browser as chat
from tests.browser.test_browser import KEPT, SHORT, UNSURE, answer, ask, choose, fits, models, shot, tab, words
from tests.support.chat import App, running, served
from tests.support.runtime import held
from tests.support.servers import Fault, FaultProxy

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser = chat.sink, chat.browser


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """The models, whose answers can be slowed."""
    with held(models(tmp_path_factory.mktemp("history-models"))) as lease, served(FaultProxy(lease.url)) as between:
        yield between


@pytest.fixture
def app(tmp_path_factory: pytest.TempPathFactory, proxy: FaultProxy) -> Iterator[App]:
    """The app over the sample corpus, with nothing kept."""
    folder = tmp_path_factory.mktemp("history")
    corpus = shutil.copytree(ROOT / "corpus", folder / "corpus")
    with running(folder, corpus, FOUNDRY_LOCAL_ENDPOINT=proxy.url) as running_app:
        yield running_app


def list_open(page: Page) -> None:
    """Unfold the list of conversations where there is no room for it."""
    if not page.locator("#thread-history").is_visible():
        page.locator("#sidebar-trigger-button").click()
    expect(page.locator("#thread-history")).to_be_visible()


def entry(page: Page, title: str = "") -> Locator:
    """Find an entry of the list by a part of its title."""
    return page.locator("li[id^=thread-]", has_text=title)


def test_conversations_are_found_searched_renamed_and_deleted(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        expect(page.get_by_text("No conversations yet")).to_be_visible()
        choose(page, "Small")
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
        expect(page).to_have_url(re.compile("/thread/"))
        first = page.url
        page.locator("#new-chat-button").click()
        expect(page.locator("#mode-picker-trigger-mode")).to_contain_text("Small")
        choose(page, "Auto")
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        shot(page, "history-list")

        entry(page, KEPT["question"][:20]).click()
        answer(page, KEPT["small"])
        assert page.url == first
        expect(page.get_by_text(words(SHORT["large"]))).to_have_count(0)
        expect(page.locator("#mode-picker-trigger-mode")).to_contain_text("Small")
        page.locator("a.element-link").first.click()
        expect(page.locator("#side-view-content")).to_contain_text("5273")
        page.keyboard.press("Escape")

        page.locator("#search-chats-button").click()
        page.get_by_placeholder("Search conversations...").fill("normalisation")
        found = page.locator("[cmdk-item]")
        expect(found).to_have_count(1)
        shot(page, "history-search")
        found.click()
        answer(page, words(SHORT["large"]))

        entry(page, KEPT["question"][:20]).hover()
        entry(page, KEPT["question"][:20]).locator("#thread-options").click()
        page.locator("#rename-thread").click()
        page.locator("#name").fill("The port")
        page.get_by_role("button", name="Confirm").click()
        expect(entry(page, "The port")).to_be_visible()
        entry(page, "The port").hover()
        entry(page, "The port").locator("#thread-options").click()
        page.locator("#delete-thread").click()
        shot(page, "history-delete")
        page.get_by_role("button", name="Confirm").click()
        expect(entry(page)).to_have_count(1)
        page.goto(first)
        expect(page.get_by_text("Couldn't resume chat")).to_be_visible()


def test_a_reload_and_a_second_tab_find_the_answer_going_on(app: App, browser: chat.Browser, proxy: FaultProxy) -> None:
    with tab(browser, app, width=390, height=844, theme="dark") as page:
        proxy.fault = slow = Fault(pace=0.02)
        choose(page, "Large")
        ask(page, SHORT["question"])
        message = page.locator(".ai-message").last
        expect(message).to_contain_text("Long documents")
        expect(page).to_have_url(re.compile("/thread/"))

        page.reload()

        expect(message).to_contain_text("Long documents")
        expect(page.locator("#stop-button")).to_be_visible()
        shot(page, "reloaded")
        second = page.context.new_page()
        second.goto(page.url)
        expect(second.locator(".ai-message").last).to_contain_text("Long documents")
        slow.pace = 0
        for each in (page, second):
            answer(each, words(SHORT["large"]))
            expect(each.locator("#stop-button")).to_have_count(0)
            expect(each.get_by_text(SHORT["question"])).to_have_count(1 + each.locator("#thread-history").count())
            expect(each.locator(".ai-message").filter(has_text="Long documents")).to_have_count(1)
        fits(page, "went-on")
        proxy.fault = None
        ask(second, UNSURE["question"])
        answer(second, words(UNSURE["large"]))
        expect(page.locator(".ai-message").filter(has_text=words(UNSURE["large"]))).to_have_count(1)
        list_open(page)
        fits(page, "list")


def test_a_thumb_with_a_comment_is_noted_and_the_switch_keeps_nothing(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        choose(page, "Small")
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
        page.locator("button:has(svg.lucide-thumbs-down)").click()
        page.get_by_placeholder("Your feedback...").fill("Which one is it today?")
        shot(page, "history-thumb")
        page.get_by_role("button", name="Submit feedback").click()
        expect(page.locator(".negative-feedback-on")).to_be_visible()
        page.reload()
        expect(page.locator(".negative-feedback-on")).to_be_visible()
        [line] = (app.state / "feedback.jsonl").read_text(encoding="utf-8").splitlines()
        noted = json.loads(line)
        assert (noted["value"], noted["comment"]) == (0, "Which one is it today?")
        assert (noted["question"], noted["model"]) == (KEPT["question"], "phi-4-mini")

        page.locator("#chat-settings-open-modal").click()
        shot(page, "history-settings")
        page.get_by_role("switch").last.click()
        page.get_by_role("button", name="Confirm").click()
        ask(page, SHORT["question"])
        answer(page, words(SHORT["small"]))
        page.reload()
        answer(page, words(SHORT["small"]))
        page.locator("#new-chat-button").click()
        page.goto(app.url)
        expect(page.get_by_text("No conversations yet")).to_be_visible()


def test_an_answer_and_its_conversation_are_saved_as_files_that_load_nothing(
    app: App, browser: chat.Browser, tmp_path: Path
) -> None:
    with tab(browser, app, width=1280, height=844, theme="light") as page:
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
        expect(page.get_by_role("button", name="Export")).to_have_count(2)
        page.get_by_role("button", name="Export").last.click()
        fits(page, "export")
        with page.expect_download() as saving:
            page.get_by_role("button", name="Download").click()
        saving.value.save_as(tmp_path / "answer.html")
        assert saving.value.suggested_filename.startswith("Which port did older guides use")
        page.get_by_label("The whole conversation").check()
        page.get_by_label("With times and tokens").check()
        with page.expect_download() as saving:
            page.get_by_role("button", name="Download").click()
        saving.value.save_as(tmp_path / "conversation.html")
        page.get_by_label("Markdown, to edit").check()
        with page.expect_download() as saving:
            page.get_by_role("button", name="Download").click()
        saving.value.save_as(tmp_path / "conversation.md")
        assert saving.value.suggested_filename.endswith(".md")

        context = browser.new_context(viewport={"width": 1280, "height": 844}, color_scheme="light")  # type: ignore[arg-type]
        reading = context.new_page()
        asked: list[str] = []
        reading.on("request", lambda request: asked.append(request.url))
        for name in ("answer", "conversation"):
            reading.goto((tmp_path / f"{name}.html").as_uri())
            fits(reading, f"exported-{name}")
        reading.locator("sup a").last.click()
        expect(reading.locator("li:target q")).to_contain_text("5273")
        assert [url for url in asked if not url.startswith("file:")] == []
        context.close()
    assert "[^1]: " in (tmp_path / "conversation.md").read_text(encoding="utf-8")


def test_a_page_that_stays_open_over_a_restart_shows_its_conversation_and_goes_on(
    browser: chat.Browser, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("restarted")
    corpus = shutil.copytree(ROOT / "corpus", folder / "corpus")
    with running(folder, corpus, FOUNDRY_LOCAL_ENDPOINT=proxy.url) as first:
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(first.url)
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
    page.locator("#chat-input").fill("typed meanwhile")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/user"), timeout=20_000):
        page.evaluate("void setInterval(() => dispatchEvent(new Event('focus')), 500)")  # then Chainlit asks who it is
    page.wait_for_timeout(500)
    expect(page.locator("#chat-input")).to_contain_text("typed meanwhile")
    with running(folder, corpus, port=first.port, FOUNDRY_LOCAL_ENDPOINT=proxy.url):
        expect(page.get_by_text("Could not reach the server")).to_have_count(0, timeout=20_000)
        expect(page.locator("#chat-input")).to_contain_text("typed meanwhile")
        answer(page, KEPT["small"])
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        context.close()
