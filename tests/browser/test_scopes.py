"""The choice of folders in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_browser import ask, browser, fits, sink, tab
from tests.support.chat import running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["browser", "sink"]  # fixtures


def pick(page: Page, folder: str) -> None:
    page.locator("#mode-picker-trigger-scope").click()
    page.locator("#mode-picker-popover-scope").get_by_text(folder, exact=True).click()


def test_questions_are_limited_to_the_folder_that_is_picked_or_typed(tmp_path: Path, browser: Browser) -> None:
    for name, days in (("hr", "thirty"), ("legal", "five"), ("sales", "nine")):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        text = f"# Leave\n\nThere are {days} days of leave each year.\n"
        (tmp_path / "corpus" / name / "leave.md").write_text(text, encoding="utf-8")
    with running(tmp_path, tmp_path / "corpus") as app, tab(browser, app, width=390, height=844, theme="dark") as page:
        page.locator("#mode-picker-trigger-scope").click()
        expect(page.locator("#mode-picker-popover-scope")).to_contain_text("All documents")
        expect(page.locator("#mode-picker-popover-scope")).to_contain_text("1 document")
        fits(page, "folders")
        page.keyboard.press("Escape")
        expect(page.locator("#chat-submit")).to_be_in_viewport(ratio=1)

        pick(page, "hr/")
        ask(page, "How many days of leave?")
        expect(page.get_by_text("1 passage in hr/").last).to_be_visible()
        expect(page.get_by_text("thirty days of leave").last).to_be_visible()
        fits(page, "folder-answer")

        ask(page, "in: legal/ How many days of leave?")
        expect(page.get_by_text("five days of leave").last).to_be_visible()
        expect(page.locator("#mode-picker-trigger-scope")).to_contain_text("legal/")

        pick(page, "All documents")
        ask(page, "How many days of leave?")
        expect(page.get_by_text("nine days of leave").last).to_be_visible()
