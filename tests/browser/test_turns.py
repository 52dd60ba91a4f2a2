"""Questions and answers that are changed in the page: the pencil, Answer again, Continue, arrow-up, commands."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import test_browser as chat
from tests.browser import test_history
from tests.browser.test_browser import KEPT, SAMPLES, SHORT, answer, ask, choose, fits, shot, tab, words
from tests.support.chat import App
from tests.support.servers import Fault, FaultProxy

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser, proxy, app = chat.sink, chat.browser, test_history.proxy, test_history.app


def composer(page: Page, text: str) -> None:
    """Expect this text in the composer, and the button that sends it to be there for it."""
    expect(page.locator("#chat-input")).to_have_value(text)
    if text:
        expect(page.locator("#chat-submit")).to_be_enabled()
    else:
        expect(page.locator("#chat-submit")).to_be_disabled()


def test_a_question_is_edited_stopped_continued_and_answered_again(
    app: App, browser: chat.Browser, proxy: FaultProxy
) -> None:
    with tab(browser, app, width=390, height=844, theme="dark") as page:
        choose(page, "Small")
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
        fits(page, "turns-answer")
        proxy.fault = slow = Fault(pace=0.1)
        ask(page, SHORT["question"])
        page.get_by_role("button", name="Export").click()  # it does not wait, as other buttons do
        expect(page.locator("#side-view-title")).to_contain_text("Export")
        expect(page.locator("#stop-button")).to_be_visible()
        slow.pace = 0
        page.keyboard.press("Escape")
        answer(page, words(SHORT["small"]))
        expect(page.get_by_role("button", name="Answer again")).to_have_count(1)

        proxy.fault = slow = Fault(pace=0.02)
        first = page.locator('[data-step-type="user_message"]').first
        first.hover()
        first.locator(".edit-message").click()
        page.locator("#edit-chat-input").fill(SAMPLES[3]["question"])
        shot(page, "turns-editing")
        page.locator(".confirm-edit").click()
        expect(page.locator(".ai-message").last).to_contain_text("Der Betriebsrat hat")
        expect(page.get_by_text(words(SHORT["small"]))).to_have_count(0)
        page.locator("#stop-button").click()
        expect(page.get_by_role("button", name="Continue")).to_be_visible()
        fits(page, "turns-stopped")
        slow.pace = 0
        proxy.fault = None

        page.get_by_role("button", name="Continue").click()
        answer(page, "Der Betriebsrat hat")
        expect(page.locator(".ai-message").filter(has_text="Der Betriebsrat hat")).to_have_count(1)
        fits(page, "turns-continued")
        page.get_by_role("button", name="Answer again").click()
        expect(page.get_by_role("button", name=re.compile("searched again: "))).to_be_visible()
        answer(page, "Der Betriebsrat hat")
        page.get_by_role("button", name="Answer again").scroll_into_view_if_needed()
        fits(page, "turns-again")
        page.reload()
        answer(page, "Der Betriebsrat hat")
        expect(page.locator('[data-step-type="user_message"]')).to_have_count(1)
        expect(page.get_by_role("button", name="Answer again")).to_have_count(1)


def test_arrow_up_brings_back_what_was_asked_and_a_slash_opens_the_commands(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        box = page.locator("#chat-input")
        ask(page, KEPT["question"])
        answer(page, KEPT["small"])
        ask(page, "Thank you!")
        expect(page.locator('[data-step-type="assistant_message"]')).to_have_count(2)

        for key, text in [
            ("ArrowUp", "Thank you!"),
            ("ArrowUp", KEPT["question"]),
            ("ArrowUp", KEPT["question"]),
            ("ArrowDown", "Thank you!"),
            ("ArrowDown", ""),
            ("ArrowDown", ""),
            ("ArrowUp", "Thank you!"),
            ("Escape", ""),
        ]:
            box.press(key)
            composer(page, text)
        box.fill("one\ntwo")
        box.press("ArrowUp")
        composer(page, "one\ntwo")
        box.fill("")
        box.press("ArrowUp")
        box.press("ArrowUp")
        box.press("!")
        box.press("ArrowUp")
        composer(page, KEPT["question"] + "!")

        box.fill("")
        box.press_sequentially("/")
        expect(page.locator(".command-item")).to_have_count(5)
        shot(page, "turns-commands")
        box.press_sequentially("wh")
        box.press("Enter")
        box.press("Enter")
        expect(page.locator(".ai-message").last).to_contain_text("The small model’s answer was kept.")
        shot(page, "turns-why")
        ask(page, "/search port")
        expect(page.locator(".ai-message").last).to_contain_text("Searched for: port")
        shot(page, "turns-search")
        ask(page, "/sources")
        expect(page.locator(".ai-message").last).to_contain_text("Documents used in this conversation")
        shot(page, "turns-sources")
