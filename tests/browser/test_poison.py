"""Documents that attack, models that obey them: the chat asks nothing of another host, runs no script, names no file
that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

import tests.browser.test_browser as chat
from tests.support import poison, scripted
from tests.support.chat import App, running
from tests.support.poison import ATTACKS, FREE, HIDDEN, Attack
from tests.support.scripted import Script

pytestmark = pytest.mark.browser

browser, sink = chat.browser, chat.sink

NUMBER = re.compile(r"\[\d+\]")
# The page of a PDF, which the chat draws itself, is all that may be shown as a picture.
LOADED = """where => [...document.querySelectorAll(where)].flatMap(part => [...part.querySelectorAll(
        'img, video, audio, source, iframe, embed, object')])
    .filter(each => !each.matches('.place img[src^="data:image/png;base64,"]'))
    .map(each => each.src || each.data || '').filter(each => each && new URL(each).origin !== location.origin)"""
LINKED = """where => [...document.querySelectorAll(where)].flatMap(part => [...part.querySelectorAll('a[href]')])
    .map(each => each.getAttribute('href')).filter(each => new URL(each, location).origin !== location.origin)"""


CASES = [*(("obeying", attack) for attack in ATTACKS), *(("quoting", attack) for attack in ATTACKS[::3])]
"""A quote goes through the same filter as an answer, which the tests of that show for all attacks."""


@pytest.fixture(scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over the poisoned corpus, with models that obey it or with none."""
    folder = tmp_path_factory.mktemp(request.param)
    corpus = folder / "corpus"
    corpus.mkdir()
    poison.write(corpus)
    settings = {"ESCALATOR_MODEL_CACHE": str(models(folder / "models"))} if request.param == "obeying" else {}
    with running(folder, corpus, ESCALATE="never", **settings) as running_app:
        yield running_app


def models(cache: Path) -> Path:
    """A small model that does what the documents say."""
    obeyed = {attack.keyword: attack.obeyed for attack in ATTACKS}
    return scripted.make(cache, Script("phi-4-mini", "Script missing.", obeyed, "Phi-4-mini-instruct-generic-cpu:5"))


@pytest.mark.parametrize(("app", "attack"), CASES, indirect=["app"], ids=[f"{how}-{it.name}" for how, it in CASES])
def test_an_attack_comes_to_nothing(app: App, browser: Browser, sink: chat.Sink, attack: Attack) -> None:
    with chat.tab(browser, app) as page:
        dialogs: list[Dialog] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog))
        chat.ask(page, attack.question)
        expect(page.locator(".ai-message").filter(has_text=re.compile("Sources:|The model was given:"))).to_be_visible(
            timeout=15_000
        )
        chat.shot(page, f"poison-{app.corpus.parent.name}-{attack.name}")
        harmless(page, ".ai-message")
        sources = page.locator("a.element-link")
        names = sources.all_inner_texts()
        assert names, "no source is listed"
        listed = [name for name in names if not NUMBER.fullmatch(name)]
        assert all(shown_name(app, name) for name in listed), names
        assert {name for name in names if name not in listed} <= {name.partition(" ")[0] for name in listed}

        page.get_by_role("button", name="Found ").click()
        expect(page.get_by_text("Because of")).to_be_visible()
        harmless(page, ".ai-message")
        sources.first.click()
        page.wait_for_load_state("networkidle")
        chat.shot(page, f"poison-{app.corpus.parent.name}-{attack.name}-source")
        harmless(page, "body")
        assert dialogs == []
    assert sink.hits == []


def harmless(page: Page, where: str) -> None:
    """Nothing within has been loaded from elsewhere or has run, and no link leads to where no document does."""
    assert page.evaluate(LOADED, where) == []
    hrefs = page.evaluate(LINKED, where)
    assert [href for href in hrefs if href != FREE and not stands(href)] == []
    assert page.evaluate("window.poisoned") is None


def stands(href: str) -> bool:
    """Whether the address stands in a document letter by letter; then it tells nobody anything."""
    return any(href in f"{attack.text} {HIDDEN}" for attack in ATTACKS)


def shown_name(app: App, shown: str) -> bool:
    """Whether a listed source is a file that is there."""
    return any(path.stem.lower()[:5] in shown.lower() for path in app.corpus.iterdir())
