"""From a citation to its place in the document, in a real browser, without a model: the answers are quotes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from tests.browser import test_browser as chat
from tests.browser.test_browser import ask, shot, tab
from tests.support.chat import App, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser = chat.sink, chat.browser

WIDTH, HEIGHT = A4
LEFT, ABOVE = (60, 700, "The quay walls were inspected in spring."), (60, 100, "The drawbridge opens at seven,")
BELOW, LAST = (320, 700, "except on Sundays."), (320, 680, "The ferry does not wait for it.")

LURE = "The postcard says <img src=x onerror=alert(1)> and [more](http://evil.example/more) in its corner."
PLAIN = {
    "lamps.py": "# Lamps\n\n\ndef northern():\n    # The northern lantern burns red.\n    return 1\n",
    "lure.md": f"# The postcard\n\n{LURE}\n",
    "__init__ [draft] *x*.csv": "Boat;Berth\nSeagull;A3\nCormorant;B12\n",
}


def printed(path: Path) -> None:
    """A plan of three pages; the third has two columns, and a sentence that goes on in the second one."""
    canvas = Canvas(str(path), pagesize=A4)
    for line in ("The harbour master signs this plan.", "This page has no news."):
        canvas.drawString(60, 700, line)
        canvas.showPage()
    for x, y, line in (LEFT, ABOVE, BELOW, LAST):
        canvas.setFont("Helvetica", 12)
        canvas.drawString(x, y, line)
    canvas.save()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("citations")
    corpus = folder / "corpus"
    corpus.mkdir()
    printed(corpus / "plan.pdf")
    for name, text in PLAIN.items():
        (corpus / name).write_text(text, encoding="utf-8")
    with running(folder, corpus) as running_app:
        yield running_app


@pytest.fixture(params=[(1200, "light"), (390, "dark")], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, app: App, browser: chat.Browser) -> Iterator[Page]:
    width, theme = request.param
    with tab(browser, app, width=width, theme=theme) as opened:
        yield opened


def answer(page: Page, text: str) -> None:
    """Wait for an answer whose sources open beside it."""
    chat.answer(page, text)
    expect(page.locator(".sources")).to_be_attached()


def opened(page: Page, link: Locator) -> Locator:
    """The viewer, after a click."""
    link.click()
    place = page.locator(".place")
    expect(place).to_be_focused()
    return place


def test_a_citation_of_a_pdf_shows_its_page_with_its_words_marked(page: Page) -> None:
    ask(page, "When does the drawbridge open?")
    answer(page, "The drawbridge opens at seven, except on Sundays.")

    place = opened(page, page.locator("a.element-link", has_text="[1] plan.pdf, page 3"))

    picture = place.get_by_role("img", name="plan.pdf, page 3")
    expect(picture).to_be_visible()
    shot(page, f"cited-pdf-{page.viewport_size['width']}")  # type: ignore[index]
    boxes = place.locator(".cited")
    expect(boxes).to_have_count(2)
    expect(boxes.first).to_be_in_viewport()
    for box, (x, y, line) in zip(boxes.all(), (ABOVE, BELOW), strict=True):
        left, top, right, bottom = parts(picture, box)
        assert abs(left - x / WIDTH) < 0.01
        assert abs(right - (x + stringWidth(line.rstrip(",."), "Helvetica", 12)) / WIDTH) < 0.01
        assert top < 1 - (y + 9) / HEIGHT
        assert bottom > 1 - y / HEIGHT
        assert bottom - top < 20 / HEIGHT
    link = place.get_by_role("link", name="Open the PDF at this page").get_attribute("href")
    assert link is not None
    assert link.endswith("#page=3")
    content = page.request.get(link)
    assert content.headers["content-type"] == "application/pdf"
    assert content.body().startswith(b"%PDF")
    expect(place.locator("mark")).to_have_text(["cited: The drawbridge opens at seven,", "except on Sundays."])


def parts(picture: Locator, box: Locator) -> tuple[float, float, float, float]:
    """Where a box lies on a picture, as parts of its size: left, top, right, bottom; both may move meanwhile."""
    left, top, right, bottom = box.evaluate(
        """(part, whole) => {
            const p = part.getBoundingClientRect(), w = whole.getBoundingClientRect();
            return [(p.left - w.left) / w.width, (p.top - w.top) / w.height,
                    (p.right - w.left) / w.width, (p.bottom - w.top) / w.height];
        }""",
        picture.element_handle(),
    )
    return left, top, right, bottom


def test_the_number_in_the_answer_opens_the_same_place_and_the_keyboard_reaches_all_of_it(page: Page) -> None:
    ask(page, "When does the drawbridge open?")
    answer(page, "The drawbridge opens at seven, except on Sundays.")
    mark = page.locator("blockquote a.element-link", has_text="[1]")

    mark.focus()
    page.keyboard.press("Enter")

    place = page.get_by_role("region", name="plan.pdf, page 3")
    expect(place).to_be_focused()
    button = place.get_by_role("button", name="Large print")
    expect(button).to_be_visible()
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.tagName") == "DIV":  # what scrolls can be reached as well
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    was = button.get_attribute("aria-pressed")
    page.keyboard.press("Enter")
    expect(button).not_to_have_attribute("aria-pressed", str(was))
    page.keyboard.press("Tab")
    expect(place.get_by_role("link")).to_be_focused()
    page.keyboard.press("Escape")
    expect(place).to_have_count(0)
    expect(mark).to_be_focused()


def test_before_the_viewer_is_there_a_source_opens_as_a_page(page: Page) -> None:
    page.route("**/Sources.jsx", lambda route: route.abort())
    ask(page, "When does the drawbridge open?")
    chat.answer(page, "The drawbridge opens at seven, except on Sundays.")
    link = page.locator("a.element-link", has_text="[1] plan.pdf, page 3")

    place = opened(page, link)

    expect(page.locator("#element-view .cited")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(place).to_have_count(0)
    opened(page, page.locator("blockquote a.element-link", has_text="[1]"))
    expect(page.locator("#element-view .cited")).to_have_count(2)


def test_lines_of_code_have_their_numbers(page: Page) -> None:
    ask(page, "Which lantern burns red?")
    answer(page, "The northern lantern burns red.")

    place = opened(page, page.locator("a.element-link", has_text="lamps.py").last)

    line = place.get_by_text("The northern lantern burns red.").locator("xpath=ancestor::div[1]")
    expect(line).to_have_text(re.compile(r"^line 5\s*cited: # The northern lantern burns red\.$"))
    expect(place).to_contain_text("def northern():")
    shot(page, f"cited-code-{page.viewport_size['width']}")  # type: ignore[index]


def test_rows_are_a_table_whatever_their_file_is_called(page: Page) -> None:
    ask(page, "Which berth has the Cormorant?")
    answer(page, "Cormorant")

    place = opened(page, page.locator("a.element-link", has_text="draft"))

    expect(place).to_have_attribute("aria-label", "__init__ [draft] *x*.csv, lines 2-3")
    expect(place.get_by_role("row").last.get_by_role("cell")).to_have_text(["cited: Cormorant", "B12"])
    shot(page, f"cited-table-{page.viewport_size['width']}")  # type: ignore[index]


def test_what_a_document_holds_is_shown_as_text(page: Page) -> None:
    ask(page, "What does the postcard say?")
    answer(page, "The postcard says")

    place = opened(page, page.locator("a.element-link", has_text="[1] lure.md"))

    shown = LURE.replace("[more](http://evil.example/more)", "more")  # its link leads nowhere
    expect(place.locator("mark")).to_have_text(f"cited: {shown}")
    expect(place.locator("img, a")).to_have_count(0)
    place.get_by_role("button", name="Show as text").click()
    expect(place.locator("mark")).to_have_text(f"cited: {LURE}")
    expect(place.locator("img, a")).to_have_count(0)


def test_a_file_that_has_changed_since_is_not_shown_but_its_text_is(app: App, browser: chat.Browser) -> None:
    plan = app.corpus / "plan.pdf"
    before = plan.read_bytes()
    with tab(browser, app) as page:
        ask(page, "When does the drawbridge open?")
        answer(page, "The drawbridge opens at seven, except on Sundays.")
        try:
            plan.write_bytes(before + b"\n")
            place = opened(page, page.locator("a.element-link", has_text="[1] plan.pdf, page 3"))
            expect(place.get_by_role("status")).to_contain_text("has changed since it was read")
            expect(place.locator("mark").first).to_contain_text("The drawbridge opens at seven,")
            expect(place.locator("img")).to_have_count(0)
        finally:
            plan.write_bytes(before)
