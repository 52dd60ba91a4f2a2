"""A page in another language than English shows no English: documents, question, answers and all words are German."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_browser import ask, browser, shot, sink, words
from tests.support import scripted
from tests.support.chat import App, running
from tests.support.scripted import Script

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["browser", "sink"]

HOUSE = (
    "# Hausordnung\n\nDie Nachtruhe beginnt um zehn Uhr abends und endet um sechs Uhr morgens. In dieser Zeit sind "
    "Musik und lautes Reden im Treppenhaus untersagt.\n\n## Waschküche\n\nDie Waschküche ist werktags geöffnet.\n"
)
QUESTION = "Erkläre mir ausführlich, was während der Nachtruhe gilt."
DRAFT = "Es ist still [1]."
ANSWER = (
    "Die Nachtruhe beginnt um zehn Uhr abends und endet um sechs Uhr morgens [1]. In dieser Zeit sind Musik und lautes "
    "Reden im Treppenhaus untersagt [1]."
)
ENGLISH = re.compile(
    r"\b(?<!/)(?:the|of|and|is|are|not|with|your|when|this|from|for|by|it|no|new|one|on|to|as|all|files?|models?|answers?|"
    r"question|documents?|sources?|passages?|read(?:ing)?|settings?|close|toggle|search(?:ing)?)\b",
    re.IGNORECASE,
)
"""Words of English that are not German, and no names of commands either."""

COMMANDS = {"search", "sources"}
"""Names of commands with words of English."""

SEEN = """() => {
  const texts = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true });
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const named = parent.closest('.sr-only')?.closest('[aria-label]');
    const shown = seen(parent) && !named && !parent.closest('script, style, noscript');
    if (shown) texts.push(walker.currentNode.textContent);
  }
  for (const element of document.querySelectorAll('[aria-label], [placeholder], [title], [alt]')) {
    if (!seen(element) || element.closest('[aria-hidden=true]')) continue;
    for (const name of ['aria-label', 'placeholder', 'title', 'alt']) texts.push(element.getAttribute(name) ?? '');
  }
  return texts.map((text) => text.trim()).filter(Boolean);
}"""


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("german")
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "hausordnung.md").write_text(HOUSE, encoding="utf-8")
    (corpus / "leer.pdf").write_bytes(b"")
    cache = scripted.make(
        folder / "models",
        Script(alias="phi-4-mini", id="Phi-4-mini-instruct-generic-cpu:5", say=DRAFT),
        Script(alias="gpt-oss-20b", id="gpt-oss-20b-generic-cpu:1", say=ANSWER),
    )
    with running(folder, corpus, ESCALATOR_MODEL_CACHE=str(cache)) as app:
        yield app


@contextmanager
def page_in(browser: Browser, app: App, language: str, *, width: int = 1280, theme: str = "light") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": 800}, locale=language)
    context.add_init_script(f"localStorage.setItem('vite-ui-theme', '{theme}')")
    page = context.new_page()
    page.goto(app.url)
    try:
        yield page
    finally:
        context.close()


def english(page: Page, app: App) -> list[str]:
    """Return the texts that the page shows or tells a screen reader, and that have English words."""
    texts = (text.replace(str(app.corpus), "") for text in page.evaluate(SEEN))
    return sorted({text for text in texts if ENGLISH.search(text)} - COMMANDS)


def test_a_german_page_shows_no_english_words(german: App, browser: Browser) -> None:
    found: dict[str, list[str]] = {}
    with page_in(browser, german, "de-AT") as page:
        expect(page.locator("#facts p")).to_have_count(2)
        expect(page.locator("html")).to_have_attribute("lang", "de")
        found["start"] = english(page, german)
        shot(page, "de-start")

        ask(page, QUESTION)
        expect(page.locator(".ai-message").filter(has_text=words(ANSWER)[:60]).last).to_be_visible(timeout=30_000)
        expect(page.locator("a.element-link").first).to_be_visible()
        page.get_by_role("button", name=re.compile("→")).first.click()
        for row in ("Gefunden:", "phi-4-mini ·"):
            page.get_by_role("button", name=re.compile(row)).last.click()
        expect(page.get_by_text("Verworfen:")).to_be_visible()
        found["answer"] = english(page, german)
        shot(page, "de-answer")

        page.locator("a.element-link").first.click()
        expect(page.locator("section.place")).to_be_visible()
        found["source"] = english(page, german)
        shot(page, "de-source")

        for panel in ("Documents", "Models"):
            page.locator(f"#header [data-opens={panel}]").click()
            expect(page.locator("#side-view-content section")).to_be_visible()
            page.wait_for_timeout(500)
            found[panel] = english(page, german)
            shot(page, f"de-{panel}")

        page.get_by_role("button", name="Zeiten und Tokens").click()
        expect(page.locator("#side-view-content table").first).to_be_visible()
        found["figures"] = english(page, german)
        shot(page, "de-figures")
        page.keyboard.press("Escape")

        for question, button in (("Wie teuer ist Safran in Isfahan?", "Das Modell trotzdem fragen"), ("Hallo!", "")):
            ask(page, question)
            expect(page.get_by_text(question).last).to_be_visible()
            if button:
                expect(page.get_by_role("button", name=button)).to_be_visible()
            page.wait_for_timeout(1000)
        found["nothing"] = english(page, german)
        shot(page, "de-nothing")

        for opener in ("#mode-picker-trigger-mode", "#readme-button"):
            page.locator(opener).click()
            page.wait_for_timeout(500)
            found[opener] = english(page, german)
            shot(page, f"de-{opener[1:]}")
            page.keyboard.press("Escape")

        page.locator("#chat-input").press_sequentially("/")
        expect(page.locator(".command-item").first).to_be_visible()
        found["commands"] = english(page, german)
        shot(page, "de-commands")
        page.locator("#chat-input").fill("")

        page.locator("#chat-settings-open-modal").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found["settings"] = english(page, german)
        shot(page, "de-settings")
    assert {where: texts for where, texts in found.items() if texts} == {}
    assert "not found" not in german.said
