"""The trainer's page is played as it is printed: each step of the three scripts, on scripted models, in a browser.

What a step does and what is then seen comes from its tables, so that page and app cannot drift apart. In the column of
things to do, `code` is typed as a question and *italics* are pressed; in the column of things to see, *italics* must
appear, with … for what varies. A step that has nothing to press, to type or to see fails.
"""

import io
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from app.settings import ROOT
from tests.browser.test_browser import ASK_LIGHTHOUSE, LIGHTHOUSE, SAMPLES, ask, browser, models, shot, sink, tab
from tests.docs.test_commands import said_by_the_program
from tests.support.chat import App, environment, running

__all__ = ["browser", "sink"]  # fixtures

PAGE = ROOT / "docs" / "trainer.md"
SEEN_SECONDS = 30
QUESTIONS = {sample["question"] for sample in SAMPLES}
COMMAND_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a table: when, what to do, and what is then seen."""

    minute: str
    do: str
    see: str


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return re.split(r"^##+ ", text.partition(f"# {title}\n")[2], maxsplit=1, flags=re.M)[0]


def rows(title: str) -> list[Step]:
    """The rows of the first table of a section."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")][1:]
    cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return [Step(*[*row, ""][:3]) for row in cells]


DEMO, HALF, FULL = rows("The demo in seven minutes"), rows("Half an hour"), rows("The full session")
SET_UP = rows("Set up a laptop")


def of_demo(part: str) -> list[Step]:
    """The steps of "minutes 0 to 2:30 and 5 to 6:30"."""
    minutes = [step.minute for step in DEMO]
    chosen: list[Step] = []
    for first, last in re.findall(r"([\d:]+) to ([\d:]+)", part):
        chosen += DEMO[minutes.index(first) : minutes.index(last) + 1]
    return chosen


def italics(text: str) -> list[str]:
    return re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)


def pattern(words: str) -> "re.Pattern[str]":
    """What finds words on the screen, with anything for …"""
    return re.compile(r"\s*".join(".*?".join(map(re.escape, part.split("…"))) for part in words.split(" ")), re.S)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The chat over the sample documents, with models that give the documented answers."""
    folder = tmp_path_factory.mktemp("trainer")
    corpus = shutil.copytree(ROOT / "corpus", folder / "corpus")
    with running(folder, corpus, ESCALATOR_MODEL_CACHE=str(models(folder / "models"))) as running_app:
        yield running_app


class Room:
    """A trainer at work: a page of the chat, and a terminal in the project's folder."""

    def __init__(self, page: Page, app: App) -> None:
        self.page, self.app = page, app
        self.connect()

    def connect(self) -> None:
        """Wait until the server knows the page: before that, a button in the header does nothing."""
        expect(self.page.get_by_text("Nothing leaves this machine.")).to_be_visible(timeout=1000 * SEEN_SECONDS)

    def play(self, step: Step) -> None:
        """Do what a step of the demo says, and look for what it promises."""
        before = {words: self._count(words) for words in italics(step.see)}
        actions = re.findall(r"`([^`]+)`|(?<!\*)\*([^*]+)\*", step.do)
        assert actions, step
        assert before, step
        for typed, pressed in actions:
            if typed == "corpus/":
                self.add_documents("lighthouse.md")
                self.ask(ASK_LIGHTHOUSE)
                expect(self.page.locator(".ai-message").last).to_contain_text(
                    "lighthouse.md", timeout=1000 * SEEN_SECONDS
                )
            elif typed:
                self.ask(typed)
            else:
                self.press(pressed)
        end = time.monotonic() + SEEN_SECONDS
        for words, count in before.items():
            while self._count(words) <= count:
                assert time.monotonic() < end, f"{words!r} is not on the screen after {step.do}:\n{self._shown()}"
                self.page.wait_for_timeout(100)
        shot(self.page, f"trainer-{step.minute.replace(':', '-')}")

    def _count(self, words: str) -> int:
        return len(pattern(words).findall(self._shown()))

    def _shown(self) -> str:
        return self.page.locator("body").inner_text()

    def ask(self, question: str) -> None:
        self.page.keyboard.press("Escape")  # closes a panel
        ask(self.page, question)

    def press(self, name: str) -> None:
        named = re.compile(f"^{pattern(name).pattern}", re.S)
        button = self.page.get_by_role("button", name=named).or_(self.page.locator("a.element-link", has_text=named))
        button.filter(visible=True).last.click(timeout=1000 * SEEN_SECONDS)

    def file(self, name: str) -> Path:
        """A file of a participant, outside the folder of documents."""
        path = self.app.state.parent / name
        path.write_text(f"{LIGHTHOUSE}\nThis is {name}.\n", encoding="utf-8")
        return path

    def add_documents(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.file(name), self.app.corpus)

    def run(self, line: str) -> str:
        """Type a command; returns what it prints."""
        words = shlex.split(line)
        program = {"python": sys.executable}.get(words[0]) or shutil.which(words[0], path=sysconfig.get_path("scripts"))
        assert program, line
        known = environment(self.app.state.parent, self.app.corpus)
        cache = str(self.app.state.parent / "models")
        variables = known | {"ESCALATOR_MODEL_CACHE": cache, "PYTHONUTF8": "1", "COLUMNS": "100"}
        ended = subprocess.run(
            [program, *words[1:]], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=COMMAND_SECONDS,
            encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def set_up(self) -> None:
        """Do what the table for laptops says, apart from what a kit does, which its own tests play."""
        typed = [re.findall(r"`((?:escalator doctor|chainlit)[^`]*)`", step.do) for step in SET_UP]
        assert [line for lines in typed for line in lines] == ["escalator doctor", "chainlit run app/main.py"]
        assert re.search(r"^ok\b", self.run("escalator doctor"), re.M)
        self.page.goto(self.app.url)
        self.connect()
        for sample in SAMPLES:
            expect(self.page.locator("#starters").get_by_text(sample["question"])).to_be_visible()

    def plan(self, steps: list[Step]) -> list[str]:
        """Play a plan by its rows; returns what they are."""
        for step in steps:
            if step.do == "Demo":
                chosen = of_demo(step.see)
                if chosen != DEMO[: len(chosen)]:  # else the demo's own test has played them, one after the other
                    for each in chosen:
                        self.play(each)
            elif "sets up a laptop" in step.do:
                self.set_up()
            elif step.do == "Own documents":
                for name in italics(step.see):
                    if name == "Add files":
                        self.page.get_by_label(name).set_input_files([self.file(it) for it in ("one.md", "two.md")])
                    else:
                        self.press(name)
                self.add_documents("three.md")
                for name in ("one.md", "two.md", "three.md"):
                    expect(self.page.get_by_text(name).first).to_be_visible(timeout=1000 * SEEN_SECONDS)
            elif step.do.startswith("Exercise"):
                (line,) = re.findall(r"`(python [^`]+)`", step.see)
                assert self.run(line)
            elif step.do == "Results":
                for line in re.findall(r"^escalator compare .*$", section("The full session"), re.M):
                    said = self.run(line)
                    assert "phi-4-mini" in said
                    assert "gpt-oss-20b" in said
                self.page.keyboard.press("Escape")
                self.ask("Which port did older guides use for Foundry Local?")
                self.press(italics(step.see)[0])
                expect(self.page.get_by_role("button", name="Download")).to_be_visible()
            else:
                assert step.do == "Round", step
        return [step.do for step in steps]


def minutes(plan: list[Step]) -> list[tuple[int, int]]:
    return [(int(first), int(last)) for first, last in (step.minute.split("–") for step in plan)]


@pytest.mark.parametrize(("plan", "whole"), [(HALF, 30), (FULL, 55)], ids=["half an hour", "the full session"])
def test_the_minutes_of_a_plan_follow_each_other_and_add_up(plan: list[Step], whole: int) -> None:
    times = minutes(plan)
    assert (times[0][0], times[-1][1]) == (0, whole)
    assert all(ended == begun for (_, ended), (begun, _) in pairwise(times))


def test_the_demo_takes_seven_minutes_and_types_the_sample_questions() -> None:
    seconds = [60 * int(minute) + int(second or 0) for minute, _, second in (it.minute.partition(":") for it in DEMO)]
    assert (seconds[0], seconds[-1] < 7 * 60, seconds == sorted(seconds)) == (0, True, True)
    typed = [question for step in DEMO for question in re.findall(r"`([^`]+\?|Explain [^`]+)`", step.do)]
    assert [it for it in typed if it not in QUESTIONS] == ["Pumpkin soup?"]


@pytest.mark.slow
@pytest.mark.browser
def test_the_demo_shows_what_it_promises_minute_by_minute(app: App, browser: Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        room = Room(page, app)
        for step in DEMO:
            room.play(step)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.browser
def test_half_an_hour_goes_as_planned(app: App, browser: Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        assert len(Room(page, app).plan(HALF)) == 4


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.browser
def test_the_full_session_goes_as_planned(app: App, browser: Browser) -> None:
    with tab(browser, app, width=1280, height=800) as page:
        assert len(Room(page, app).plan(FULL)) == 7


A4 = """<style>@page { size: A4; margin: 15mm } body { font: 10.5pt/1.35 sans-serif }
table { border-collapse: collapse }
td, th { border: 1px solid #bbb; padding: 2px 6px; text-align: left } h1, h2, p, ul, ol { margin: 0.4em 0 }</style>"""


def printed_pages(browser: Browser, markdown: str) -> int:
    """The pages that a text takes on paper, with the style of an ordinary Markdown printer."""
    page = browser.new_page()
    page.set_content(A4 + MarkdownIt().enable("table").render(markdown))
    pages = len(PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages)
    page.close()
    return pages


@pytest.mark.slow
@pytest.mark.browser
def test_the_sheet_for_participants_is_one_page_of_paper_with_ten_words(browser: Browser) -> None:
    sheet = (ROOT / "docs" / "participants-sheet.md").read_text(encoding="utf-8")

    assert printed_pages(browser, sheet) == 1
    assert len(re.findall(r"^\| \*\*", sheet, re.M)) == 10


@pytest.mark.slow
@pytest.mark.browser
def test_a_dozen_slides_have_a_heading_each_and_fit_on_a_page(browser: Browser) -> None:
    text = (ROOT / "docs" / "slides.md").read_text(encoding="utf-8")
    start, _, rest = text.removeprefix("---\n").partition("\n---\n")
    slides = rest.split("\n---\n")

    assert "marp: true" in start
    assert 10 <= len(slides) <= 14
    for slide in slides:
        assert len(re.findall(r"^# ", slide, re.M)) == 1, slide
        assert len(slide.strip().splitlines()) <= 24, slide
    assert printed_pages(browser, slides[0]) == 1


def test_what_slides_and_sheet_call_buttons_and_marks_is_what_the_program_says() -> None:
    said = said_by_the_program() + (ROOT / "public" / "escalator.js").read_text(encoding="utf-8")
    for name in ("slides.md", "participants-sheet.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        words = [it.strip("()") for it in italics(text) if it != "[1]"]
        assert [
            it for it in words if re.split(r":| \[", it)[0].lower() not in said.lower() and it not in QUESTIONS
        ] == []
