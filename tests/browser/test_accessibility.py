"""The chat for people who see little, hear the page, or have only a keyboard."""

import re
from importlib.resources import files

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import test_browser as chat
from tests.browser.test_browser import SAMPLES, SHORT, UNSURE, answer, ask, fits, line, shot, tab, words
from tests.support.chat import App

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser, app = chat.sink, chat.browser, chat.app

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
GRAVE = ("serious", "critical")


# As Chainlit does it, which leaves what only the other theme sets.
SWITCHED = """theme => new Promise((drawn) => {
    const root = document.documentElement;
    root.classList.replace(theme === 'dark' ? 'light' : 'dark', theme);
    for (const [name, value] of Object.entries(window.theme[theme])) root.style.setProperty(name, value);
    requestAnimationFrame(() => requestAnimationFrame(drawn)); // by then what changes its colour slowly has begun to
})"""


def accessible(page: Page, name: str) -> None:
    """Check that axe-core finds nothing serious in what the page shows now, light and dark, and that it fits."""
    page.evaluate(AXE)
    for theme in ("dark", "light"):
        page.evaluate(SWITCHED, theme)
        page.wait_for_function("document.getAnimations().every((each) => each.playState !== 'running')")
        fits(page, f"{name}-{theme}")
        found = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
        grave = [(it["id"], [node["html"][:200] for node in it["nodes"]]) for it in found if it["impact"] in GRAVE]
        assert grave == [], f"{name}, {theme}"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_view_has_a_serious_fault_of_accessibility(app: App, browser: chat.Browser, width: int) -> None:
    with tab(browser, app, width=width, height=800) as page:
        expect(page.locator("#facts")).to_contain_text("documents")
        accessible(page, f"axe-{width}-start")

        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        line(page).click()
        page.get_by_role("button", name=re.compile("^Found ")).click()
        expect(page.get_by_text("Matching words")).to_be_visible()
        accessible(page, f"axe-{width}-answer")

        page.locator("a.element-link").first.click()
        expect(page.locator(".place mark").first).to_be_visible()
        accessible(page, f"axe-{width}-source")
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Compare both").click()
        expect(page.locator(".compared")).to_have_count(2)
        expect(page.locator("#stop-button")).to_have_count(0)
        accessible(page, f"axe-{width}-compared")

        for panel, content in (("Documents", "bm25.md"), ("Models", "free on the disk")):
            page.get_by_role("button", name=panel, exact=True).click()
            expect(page.locator("#side-view-content")).to_contain_text(content)
            accessible(page, f"axe-{width}-{panel.lower()}")
            page.keyboard.press("Escape")
            expect(page.locator("#side-view-content")).to_have_count(0)

        page.get_by_role("button", name="Settings").click()
        expect(page.get_by_role("button", name="Confirm")).to_be_visible()
        accessible(page, f"axe-{width}-settings")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        if width < 500:
            page.get_by_role("button", name="Show or hide the conversations").click()
        expect(page.locator("#thread-history")).to_be_visible()
        accessible(page, f"axe-{width}-history")


FOCUSED = """() => {
    const has = document.activeElement;
    const lines = [has, has.closest('#message-composer')].filter(Boolean).map((each) => getComputedStyle(each));
    return lines.some(({outlineStyle, outlineWidth}) => outlineStyle !== 'none' && outlineWidth !== '0px');
}"""


def reach(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Go to an element by the keyboard alone; at each stop, one can see where one is."""
    for _ in range(80):
        if wanted.count() and wanted.first.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press(key)
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        assert page.evaluate(FOCUSED) or "<body" in where, f"no visible focus: {where}"
    raise AssertionError(f"not reached: {wanted}")


def press(page: Page, name: str | re.Pattern[str], key: str = "Tab") -> None:
    """Press a button by the keyboard alone."""
    reach(page, page.get_by_role("button", name=name, exact=True), key)
    page.keyboard.press("Enter")


def test_everything_can_be_done_with_the_keyboard_alone(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        panel = page.locator("#side-view-content")
        expect(page.locator("#facts")).to_contain_text("documents")
        expect(page.locator("#chat-input")).to_be_focused()
        page.keyboard.type(SHORT["question"])
        page.keyboard.press("Enter")
        answer(page, words(SHORT["large"]))

        press(page, re.compile("→"), "Shift+Tab")
        expect(page.get_by_role("button", name=re.compile("^Found "))).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=re.compile("^Found "))).to_have_count(0)

        source = page.locator("a.element-link").last
        reach(page, source)
        page.keyboard.press("Enter")
        expect(panel.locator("mark").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(panel).to_have_count(0)
        expect(source).to_be_focused()

        press(page, "Compare both")
        expect(page.locator(".compared")).to_have_count(2)
        press(page, "Times and tokens")
        expect(panel).to_contain_text("Always large")
        expect(panel).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Times and tokens")).to_be_focused()

        for name, content in (("Documents", "bm25.md"), ("Models", "free on the disk")):
            press(page, name, "Shift+Tab")
            expect(panel).to_contain_text(content)
            expect(panel).to_be_focused()
            page.get_by_role("button", name=name, exact=True).hover()  # a tooltip opens
            expect(page.get_by_role("tooltip")).to_be_visible()
            page.keyboard.press("Escape")
            page.mouse.move(1275, 400)  # where nothing has one
            expect(panel).to_have_count(0)
            expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()

        press(page, "Settings")
        expect(page.get_by_role("dialog")).to_be_visible()
        press(page, "Cancel")
        expect(page.get_by_role("dialog")).to_have_count(0)

        reach(page, page.locator("#chat-input"))
        page.keyboard.type(SAMPLES[3]["question"])
        page.keyboard.press("Enter")
        expect(page.locator(".ai-message").filter(has_text="Der Betriebsrat hat")).to_be_visible()
        press(page, "Stop")
        expect(line(page, 1).filter(has_text="phi-4-mini stopped")).to_be_visible()

        press(page, "New chat", "Shift+Tab")
        expect(page.locator("#starters button")).to_have_count(len(SAMPLES))
        press(page, "Rename or delete", "Shift+Tab")
        expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Rename or delete").first).to_be_focused()
        reach(page, page.locator("li[id^=thread-] > a"), "Shift+Tab")
        page.keyboard.press("Enter")
        answer(page, words(SHORT["small"]))


def test_a_screen_reader_is_told_who_speaks_and_hears_an_answer_when_it_is_whole(
    app: App, browser: chat.Browser
) -> None:
    with tab(browser, app) as page:
        expect(page.get_by_role("main")).to_be_visible()
        expect(page.get_by_role("heading", level=1, name="Escalator")).to_have_count(1)
        page.evaluate(ANNOUNCED)
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        expect(page.get_by_role("article", name="Your question")).to_contain_text(SHORT["question"])
        expect(page.get_by_role("article", name="Answer by gpt-oss-20b")).to_contain_text(words(SHORT["large"]))
        expect(page.get_by_role("article")).to_have_count(2)
        page.wait_for_function("announced.length")
        [said] = page.evaluate("announced")
        assert said.startswith("Answer by gpt-oss-20b: ")
        assert words(SHORT["large"]) in said


ANNOUNCED = """() => {
    window.announced = [];
    const announcer = document.querySelector('#announcement[role=status]');
    const note = () => announcer.textContent && window.announced.push(announcer.textContent);
    new MutationObserver(note).observe(announcer, {childList: true});
}"""


def test_at_twice_the_size_the_conversation_has_half_of_the_screen(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=640, height=400) as page:
        expect(page.locator("#starters button")).to_have_count(len(SAMPLES))
        fits(page, "zoomed-start")
        head, box = page.locator("#header").bounding_box(), page.locator("#chat-input").bounding_box()
        assert head is not None
        assert box is not None
        assert box["y"] >= head["y"] + head["height"] >= 40
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        fits(page, "zoomed-answer")
        head, box = page.locator("#header").bounding_box(), page.locator("#message-composer").bounding_box()
        assert head is not None
        assert box is not None
        assert box["y"] - head["y"] - head["height"] >= 250


@pytest.mark.parametrize("number", [0, 1], ids=["above", "last"])
def test_what_a_button_begins_is_scrolled_to(app: App, browser: chat.Browser, number: int) -> None:
    with tab(browser, app, width=1200, height=500) as page:
        ask(page, SHORT["question"])
        answer(page, words(SHORT["large"]))
        ask(page, UNSURE["question"])
        answer(page, words(UNSURE["large"]))
        chat.press(page.get_by_role("button", name="Compare both").nth(number), page.locator(".compared").last)
        expect(page.locator(".compared").last).to_be_in_viewport(ratio=0.3)
        expect(page.locator("#stop-button")).to_have_count(0)
        expect(line(page, number)).to_be_in_viewport()


def test_the_organisers_page_shows_figures_that_go_on_and_has_no_serious_fault(app: App, browser: chat.Browser) -> None:
    with tab(browser, app, width=390, height=844) as page:
        page.emulate_media(color_scheme="dark")
        page.goto(f"{app.url}/organiser")
        abstained = page.locator("#outcomes div", has_text="Without a model").locator("dd")
        before = int(abstained.text_content() or 0)
        with tab(browser, app) as other:
            ask(other, "Hello!")
            expect(abstained).to_have_text(str(before + 1))
        expect(page.locator("#running")).to_have_text("Nobody asks anything at the moment.")
        expect(page.locator("#models tbody th")).to_have_text(["phi-4-mini", "gpt-oss-20b"])
        for scheme, width in (("dark", 390), ("light", 1280)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 844})
            shot(page, f"organiser-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            page.evaluate(AXE)
            found = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
            assert [(it["id"], [node["html"] for node in it["nodes"]]) for it in found] == []
