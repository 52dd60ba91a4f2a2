"""What a person sees before a slow model's first token, in a real browser."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from app.settings import ROOT
from tests.browser import test_browser as chat
from tests.browser.test_browser import KEPT, answer, ask, fits, models, tab
from tests.support.chat import App, running, served
from tests.support.runtime import held
from tests.support.servers import Fault, FaultProxy

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sink, browser = chat.sink, chat.browser


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over the sample corpus, with models that read for some seconds."""
    folder = tmp_path_factory.mktemp("waiting")
    corpus = shutil.copytree(ROOT / "corpus", folder / "corpus")
    with (
        held(models(folder / "models")) as lease,
        served(FaultProxy(lease.url, Fault(delay=8))) as slow,
        running(folder, corpus, FOUNDRY_LOCAL_ENDPOINT=slow.url) as running_app,
    ):
        yield running_app


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1200, "light")])
def test_the_answer_begins_where_the_quote_was_read(app: App, browser: chat.Browser, width: int, theme: str) -> None:
    with tab(browser, app, width=width, height=844, theme=theme) as page:
        page.evaluate(ANNOUNCED)
        ask(page, KEPT["question"])

        message = page.locator(".ai-message").last
        expect(message).to_contain_text("From foundry-local-setup.md")
        expect(message.locator("blockquote")).to_contain_text(
            "Older guides for Foundry Local used the fixed port 5273."
        )
        row = page.locator(".loading-shimmer")
        expect(row).to_contain_text(re.compile(r"phi-4-mini reads \d+ tokens"))
        expect(row).to_have_attribute("data-waited", re.compile(r"^ · \d s$"))
        fits(page, f"{width}-{theme}-reading")
        message = page.locator(".ai-message").nth(page.locator(".ai-message").count() - 1)  # the ledger comes below it
        before = top(message)

        expect(message).not_to_contain_text("until the answer begins", timeout=15_000)
        # On a phone the line above takes one line of text or three.
        assert abs(top(message) - before) <= (48 if width < 500 else 1)
        answer(page, KEPT["small"])
        expect(page.locator("blockquote")).to_have_count(0)
        assert page.evaluate("window.announced").count("fixed port 5273") == 1
        expect(page.locator("#announcement")).to_be_empty()
        fits(page, f"{width}-{theme}-read")


def test_events_that_come_while_the_page_draws_are_handed_over_together(app: App, browser: chat.Browser) -> None:
    with tab(browser, app) as page:
        assert page.evaluate(DRAWN) == [["1"], ["2", "3"], ["4"], ['42["set_sidebar_title", "Models"]']]


DRAWN = """async () => {
    const drawn = [];
    const socket = new WebSocket('ws://127.0.0.1:9/');  // nobody listens there
    socket.onmessage = ({ data }) => {
        if (data === '1' || data === '2') {  // the first event of a draw, which takes long
            drawn.push([]);
            for (const end = performance.now() + 40; performance.now() < end;);
        }
        if (data === '4' || data.startsWith('42')) drawn.push([]);
        drawn.at(-1).push(data);
    };
    const receive = (data) => socket.dispatchEvent(new MessageEvent('message', { data }));
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    receive('1');
    receive('2');
    await wait(10);
    receive('3');
    if (drawn.length > 1) return 'not together';
    await wait(300);
    receive('4');
    receive('42["set_sidebar_title", "closed meanwhile"]');
    await wait(300);
    document.body.insertAdjacentHTML('beforeend', '<p id="side-view-content"></p>');
    receive('42["set_sidebar_title", "Models"]');  // by itself
    await wait(300);
    return drawn;
}"""


ANNOUNCED = """() => {
    window.announced = '';
    const announcer = document.querySelector('#announcement[role=status]');
    new MutationObserver(() => { window.announced += announcer.textContent; }).observe(announcer, {childList: true});
}"""


def top(message: Locator) -> float:
    box = message.bounding_box()
    assert box is not None
    return box["y"]
