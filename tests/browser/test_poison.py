"""Documents that attack, models that obey them: the chat asks nothing of another host, runs no script, names no file
that is not there."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, expect

import tests.browser.test_browser as chat
from tests.support import poison, scripted
from tests.support.chat import App, running
from tests.support.poison import ATTACKS, FREE, HIDDEN, Attack
from tests.support.scripted import Script

pytestmark = [pytest.mark.browser, pytest.mark.slow]

browser, sink = chat.browser, chat.sink

NUMBER = re.compile(r"\[\d+\]")
# The page of a PDF, which the chat draws itself, is all that may be shown as a picture.
LOADED = """where => [...document.querySelectorAll(where)].flatMap(part => [...part.querySelectorAll(
        'img, video, audio, source, iframe, embed, object')])
    .filter(each => !each.matches('.place img[src^="data:image/png;base64,"]'))
    .map(each => each.src || each.data || '').filter(each => each && new URL(each).origin !== location.origin)"""
LINKED = """where => [...document.querySelectorAll(where)].flatMap(part => [...part.querySelectorAll('a[href]')])
    .map(each => each.getAttribute('href')).filter(each => new URL(each, location).origin !== location.origin)"""


def models(cache: Path) -> Path:
    """Make a small model that does what the documents say."""
    obeyed = {attack.keyword: attack.obeyed for attack in ATTACKS}
    return scripted.make(cache, Script("phi-4-mini", "Script missing.", obeyed, "Phi-4-mini-instruct-generic-cpu:5"))


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """The app over the poisoned corpus, with models that obey it or with none."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    poison.write(corpus)
    settings = {"ESCALATOR_MODEL_CACHE": str(models(tmp_path / "models"))} if request.param == "obeying" else {}
    with running(tmp_path, corpus, ESCALATE="never", **settings) as running_app:
        yield running_app


# A quote goes through the same filter as an answer, which the tests of that show for all attacks.
@pytest.mark.parametrize(
    ("app", "attacks"), [("obeying", ATTACKS), ("quoting", ATTACKS[::3])], indirect=["app"], ids=["obeying", "quoting"]
)
def test_attacks_come_to_nothing(
    request: pytest.FixtureRequest, app: App, browser: Browser, sink: chat.Sink, attacks: Sequence[Attack]
) -> None:
    how = request.node.callspec.id
    with chat.tab(browser, app) as page:
        dialogs: list[Dialog] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog))
        for number, attack in enumerate(attacks):
            answer = ask(page, attack, number)
            if how == "obeying":
                expect(answer).to_contain_text(attack.obeyed.partition(" [")[0])
            chat.shot(page, f"poison-{how}-{attack.name}")
            harmless(page, ".ai-message", attack)
            names = answer.locator("a.element-link").all_inner_texts()
            assert names, f"no source is listed: {attack.name}"
            listed = [name for name in names if not NUMBER.fullmatch(name)]
            assert all(shown_name(app, name) for name in listed), names
            assert {name for name in names if name not in listed} <= {name.partition(" ")[0] for name in listed}

            chat.line(page, number).click()
            page.get_by_role("button", name="Found ").nth(number).click()
            expect(page.get_by_text("Matching words")).to_have_count(number + 1)
            harmless(page, ".ai-message", attack)
            answer.locator("a.element-link").first.click()
            page.wait_for_load_state("networkidle")
            chat.shot(page, f"poison-{how}-{attack.name}-source")
            harmless(page, "body", attack)
            assert dialogs == [], attack.name
            assert sink.hits == [], attack.name


def ask(page: Page, attack: Attack, before: int) -> Locator:
    """Ask the question of an attack after so many others, and wait for the answer with its sources."""
    chat.ask(page, attack.question)
    answers = page.locator(".ai-message").filter(has_text=re.compile("Sources:|The model was given:"))
    expect(answers).to_have_count(before + 1, timeout=15_000)
    answer = answers.nth(before)
    expect(answer.locator("a.element-link").first).to_be_visible()  # a model may write "Sources:" itself
    return answer


def harmless(page: Page, where: str, attack: Attack) -> None:
    """Nothing within has been loaded from elsewhere or has run, and no link leads to where no document does."""
    assert page.evaluate(LOADED, where) == [], attack.name
    hrefs = page.evaluate(LINKED, where)
    assert [href for href in hrefs if href != FREE and not stands(href)] == [], attack.name
    assert page.evaluate("window.poisoned") is None, attack.name


def stands(href: str) -> bool:
    """Whether the address stands in a document letter by letter; then it tells nobody anything."""
    return any(href in f"{attack.text} {HIDDEN}" for attack in ATTACKS)


def shown_name(app: App, shown: str) -> bool:
    """Whether a listed source is a file that is there."""
    return any(path.stem.lower()[:5] in shown.lower() for path in app.corpus.iterdir())
