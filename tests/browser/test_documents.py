"""Documents in a real browser: dropped into a chat, listed beside it, and read while somebody looks on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from reportlab.pdfgen.canvas import Canvas

from app.settings import ROOT
from tests.browser.test_browser import ask, browser, fits, shot, sink, source, tab
from tests.support.chat import App, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["browser", "sink"]  # fixtures


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "corpus", tmp_path / "corpus")


@pytest.fixture
def app(tmp_path: Path, corpus: Path) -> Iterator[App]:
    with running(tmp_path, corpus) as running_app:
        yield running_app


def open_panel(page: Page) -> None:
    """As somebody without a mouse does."""
    page.locator("#header [data-opens=Documents]").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Files", exact=True)).to_be_visible(timeout=30_000)


def inside(page: Page, name: str) -> None:
    """Nothing of the panel is wider than it."""
    fits(page, name)
    assert page.locator(".corpus").evaluate("each => each.scrollWidth <= each.clientWidth + 1"), name


def test_a_dropped_pdf_answers_opens_and_is_kept(app: App, browser: Browser, tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "plan.pdf"))
    canvas.drawString(72, 700, "The harbour crane lifts forty tonnes.")
    canvas.save()
    with tab(browser, app, width=390, height=844, theme="dark") as page:
        expect(page.locator("#mode-picker-trigger-mode")).to_be_visible(
            timeout=30_000
        )  # connected, without which nothing is taken
        page.locator("#upload-button-input").set_input_files(tmp_path / "plan.pdf")
        expect(page.locator("#attachments")).to_contain_text("plan.pdf")
        ask(page, "What does the harbour crane lift?")

        expect(page.get_by_text("Read plan.pdf: 1 page, 1 passage")).to_be_visible(timeout=30_000)
        expect(source(page, "[1] plan.pdf (dropped), page 1")).to_be_visible(timeout=30_000)
        fits(page, "dropped")
        page.get_by_role("button", name="Add plan.pdf to my documents").click()
        expect(page.get_by_text("plan.pdf is one of your documents now.")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("button", name="Add plan.pdf to my documents")).to_have_count(0)

        open_panel(page)
        expect(page.locator(".corpus").get_by_text("plan.pdf")).to_be_visible(timeout=30_000)
        inside(page, "panel")
        page.get_by_label("Show only files that match").fill("danish")
        expect(page.get_by_text("lokale-sprogmodeller.md")).to_be_visible()
        expect(page.locator(".corpus").get_by_text("plan.pdf")).to_have_count(0)
        shot(page, "filtered")


def test_who_comes_while_the_corpus_is_read_sees_how_far_it_is_beside_the_sample_questions(
    tmp_path: Path, corpus: Path, browser: Browser
) -> None:
    for number in range(1000):
        words = " ".join(f"word{number * 7 + each}" for each in range(900))
        (corpus / f"note {number}.txt").write_text(f"The harbour of note {number}. {words}.", encoding="utf-8")
    with running(tmp_path, corpus) as app, tab(browser, app, width=1200, height=844, theme="light") as page:
        bar = page.get_by_role("progressbar", name="Reading your documents")
        expect(bar).to_be_visible(timeout=30_000)
        expect(page.locator("#reading")).to_contain_text("of 1,011 new files read", timeout=30_000)
        expect(page.locator("#starters button").first).to_be_visible()
        fits(page, "reading")

        open_panel(page)
        expect(page.locator("#reading")).to_be_hidden()  # the panel tells it
        expect(page.locator(".corpus").get_by_text("Reading your documents: ")).to_be_visible()
        inside(page, "reading-panel")
        expect(page.get_by_role("listitem").filter(has_text="1,011 documents")).to_be_visible(timeout=120_000)
        expect(page.locator(".corpus").get_by_text("Reading your documents: ")).to_have_count(0)


def test_documents_are_added_opened_and_removed_in_the_panel(corpus: Path, browser: Browser, tmp_path: Path) -> None:
    project = tmp_path / "Project"
    (project / "sub").mkdir(parents=True)
    (project / "sub/plan.md").write_text("# The plan\n\n- The **crane** lifts <b>coal</b>.\n", encoding="utf-8")
    (project / "photo.heic").write_bytes(b"a picture")
    (tmp_path / "plan.md").write_text("Another plan.", encoding="utf-8")
    (corpus / "plan.md").write_text("The first plan.", encoding="utf-8")
    bin_ = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    with running(tmp_path, corpus, **bin_) as app, tab(browser, app, theme="dark") as page:
        expect(page.locator("#mode-picker-trigger-mode")).to_be_visible(timeout=30_000)
        open_panel(page)
        files, said = page.get_by_label("Files", exact=True), page.locator(".corpus-said")
        page.locator(".corpus input[type=file]").first.set_input_files(tmp_path / "plan.md")
        expect(said).to_contain_text("plan.md is there as plan (2).md", timeout=30_000)
        page.locator(".corpus input[type=file]").last.set_input_files(project)
        expect(said).to_contain_text("1 file was added.", timeout=30_000)
        expect(said).to_contain_text("Project/photo.heic: its format is not supported")
        inside(page, "panel-added")
        expect(files).to_contain_text("Project/sub/plan.md")

        dropped = page.evaluate_handle(
            "() => { const all = new DataTransfer(); all.items.add(new File(['Here.'], 'dropped.txt')); return all; }"
        )
        page.locator(".corpus").dispatch_event("drop", {"dataTransfer": dropped})
        expect(files).to_contain_text("dropped.txt", timeout=30_000)
        expect(page.locator("#attachments")).to_have_count(0)  # it is not part of the conversation

        files.get_by_role("button", name="Project/sub/plan.md", exact=True).click()
        place = page.locator(".place")
        expect(place.get_by_role("heading", name="The plan")).to_be_visible(timeout=30_000)
        expect(place.get_by_text("The crane lifts <b>coal</b>.")).to_be_visible()  # as text
        shot(page, "panel-opened")
        place.get_by_role("button", name="Show as text").click()
        expect(place).to_contain_text("- The **crane** lifts")
        place.get_by_role("button", name="All documents").click()

        page.get_by_role("button", name="Remove plan.md", exact=True).click()
        expect(page.get_by_text("Move plan.md to the bin of this machine?")).to_be_visible(timeout=30_000)
        assert (corpus / "plan.md").exists()
        page.get_by_role("button", name="Move to the bin").click()
        expect(said).to_contain_text("plan.md is in the bin of this machine.", timeout=30_000)
        assert (tmp_path / "data/Trash/files/plan.md").read_text(encoding="utf-8") == "The first plan."
        expect(page.get_by_role("button", name="Remove plan.md", exact=True)).to_have_count(0, timeout=30_000)
