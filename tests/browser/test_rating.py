"""The page on which a person rates answers, opened from a file in a real browser."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.evaluation.rubric import Ratings, as_json, rating_page, samples
from tests.browser.test_browser import browser, sink
from tests.evaluation.test_rubric import RUN

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["browser", "sink"]  # fixtures

ASKED = samples(RUN)
PAGE = rating_page("Ferries", ASKED)  # read here, as nothing of ours may block while a browser runs


def test_answers_are_rated_by_keys_alone_without_a_network_and_saved_as_a_file(
    tmp_path: Path, browser: Browser
) -> None:
    (tmp_path / "rate.html").write_text(PAGE, encoding="utf-8")
    with browser.new_context(offline=True, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto((tmp_path / "rate.html").as_uri())
        expect(page.get_by_text("Answer 1 of 4 · 0 rated")).to_be_visible()
        shown = []
        for _ in ASKED:
            shown.append(page.locator("#answer").inner_text())
            page.keyboard.type("452")
            page.keyboard.press("ArrowRight")
        expect(page.get_by_text("Answer 4 of 4 · 4 rated")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.locator("#brevity").get_by_text("1", exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("button", name="Save ratings").click()
        expect(page.get_by_text("Enter your name above")).to_be_visible()
        page.keyboard.type("Ann 1")  # goes into the name, and rates nothing
        with page.expect_download() as saving:
            page.get_by_role("button", name="Save ratings").click()
        assert saving.value.suggested_filename == "ratings-Ann-1.json"
        saving.value.save_as(file := tmp_path / "saved.json")

    assert not errors
    assert sorted(shown) == sorted(sample.text for sample in ASKED)
    saved = json.loads(file.read_text(encoding="utf-8"))
    levels = {text: {"coherence": 4, "factuality": 5, "brevity": 1 if text == shown[2] else 2} for text in shown}
    expected = as_json(Ratings("Ann 1", {sample.id: levels[sample.text] for sample in ASKED}))
    assert saved["rater"] == "Ann 1"
    assert sorted(saved["ratings"], key=lambda it: it["sample"]) == expected["ratings"]
