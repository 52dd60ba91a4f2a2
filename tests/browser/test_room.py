"""Two people in a room, each in a browser of their own."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import test_browser as chat
from tests.browser.test_browser import ask, shot
from tests.ui import test_members
from tests.ui.test_members import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser, served = chat.sink, chat.browser, test_members.served


def enter(page: Page, served: Served, name: str, code: str) -> None:
    """Fill in the page of the login."""
    page.goto(served.url)
    page.locator("#email").fill(name)
    page.locator("#password").fill(code)
    page.locator("button[type=submit]").click()


def test_two_people_log_in_and_see_their_own_conversations_only(served: Served, browser: Browser) -> None:
    contexts = [browser.new_context(locale=language) for language in ("de-DE", "en-US")]
    anna, ben = (context.new_page() for context in contexts)
    enter(anna, served, "Lena", "falsch")
    expect(anna.get_by_text("Der Code oder das Passwort ist falsch.")).to_be_visible()
    shot(anna, "login-refused")
    enter(anna, served, "Lena", served.code)
    ask(anna, "When does the ferry leave?")
    expect(anna.locator("li[id^=thread-]")).to_contain_text("When does the ferry leave?")

    enter(ben, served, "lena", served.code)
    expect(ben.get_by_text("Somebody else has this name.")).to_be_visible()
    enter(ben, served, "Bert", served.code)
    expect(ben.get_by_text("No conversations yet")).to_be_visible()
    ben.goto(anna.url)
    expect(ben.locator("#chat-input")).to_be_visible()
    expect(ben.get_by_text("When does the ferry leave?")).to_have_count(0)

    ben.locator("#user-nav-button").click()
    expect(ben.get_by_role("menu")).to_contain_text("Bert")
    shot(ben, "room")
    ben.get_by_role("menuitem").click()
    expect(ben.locator("#email")).to_be_visible()
    anna.reload()
    expect(anna.locator("li[id^=thread-]")).to_contain_text("When does the ferry leave?")
    for context in contexts:
        context.close()
