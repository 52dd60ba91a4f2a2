"""Files that are dropped into a chat, the panel of the corpus, how far reading is, and what an empty chat shows."""

import asyncio
import io
import os
import shutil
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import chainlit as cl
import pytest
from reportlab.pdfgen.canvas import Canvas

from app.answering.context import Retriever
from app.documents.folder import Folder
from app.errors import CorpusError
from app.models.tokens import TokenCounter
from app.settings import ROOT, load
from app.ui import corpus_panel
from app.ui.corpus_panel import MAX_FILES, NAME, PRESS, starters
from app.ui.screen import Screen
from app.ui.uploads import Uploads
from tests.support.chat import App, Chat, Row, running

BREAD = b"Ada bakes the bread at dawn.\n"


def pdf(*pages: str) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    for text in pages:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def steps(chat: Chat) -> list[str]:
    return [step["name"] for step in chat.steps]


def keeps(chat: Chat) -> dict[str, dict[str, Any]]:
    return {action["label"]: action for action in chat.actions.values() if action["name"] == "keep-file"}


def listed(row: Row) -> str:
    return str(row["output"]).rpartition("Sources: ")[2]


async def test_a_question_is_answered_from_the_file_that_came_with_it(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        answer = await chat.ask("Who bakes the bread?", files=[await chat.upload("bread.txt", BREAD, "text/plain")])

        assert answer["output"].startswith("> Ada bakes the bread at dawn. [1]")
        [source] = chat.sources(answer)
        assert source["name"] == "[1] bread.txt (dropped), line 1"
        lines = (await chat.page(source))["lines"]
        assert BREAD.decode().strip() in "".join(text for line in lines for text, _ in line["parts"])
        read, line, search = steps(chat)
        assert read == "Read bread.txt: 1 passage"
        assert line == "1 passage → quotes"
        assert search.startswith("Found 1 passage · 1 document · ")
        assert (await chat.ask("And when does Ada bake?"))["output"].startswith("> Ada bakes the bread at dawn. [1]")


async def test_a_dropped_file_is_part_of_no_other_conversation(without_models: App) -> None:
    async with Chat(without_models.url) as chat, Chat(without_models.url) as other:
        await chat.ask("", files=[await chat.upload("bread.txt", BREAD)])

        assert (await other.ask("Who bakes the bread?"))["output"].startswith("Nothing in your documents matches")
        assert [path.name for path in without_models.corpus.iterdir()] == ["ferry.md"]


async def test_files_without_a_question_are_read_and_wait_for_one(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        said = await chat.ask("", files=[await chat.upload("bread.txt", BREAD)])

        assert said["output"] == "bread.txt is part of this conversation only. Ask about it."
        assert steps(chat) == ["Read bread.txt: 1 passage"]
        assert list(keeps(chat)) == ["Add bread.txt to my documents"]
        assert "Ada bakes" in (await chat.ask("Who bakes the bread?"))["output"]


async def stopped_while_reading(chat: Chat, question: str) -> dict[str, Any]:
    """Stop the reading of a file that came with a question; returns the button that asks the question again."""
    long = BREAD + b"The harbour is quiet.\n" * 20_000
    await chat.send(question, files=[await chat.upload("bread.txt", long, "text/plain")])
    await chat.until(lambda: "Reading bread.txt" in steps(chat))
    await chat.stop()
    await chat.until(lambda: [each["name"] for each in chat.actions.values()] == ["again"])
    await chat.until_rest()
    assert steps(chat) == ["Reading bread.txt: stopped"]
    [again] = [each for each in chat.actions.values() if each["forId"] == chat.answers[0]["id"]]
    return again


@pytest.mark.parametrize("question", ["Who bakes the bread?", ""])
async def test_a_file_whose_reading_was_stopped_is_read_when_the_question_is_asked_again(
    without_models: App, question: str
) -> None:
    async with Chat(without_models.url) as chat:
        await chat.press(await stopped_while_reading(chat, question))

        await chat.until(lambda: list(keeps(chat)) == ["Add bread.txt to my documents"])
        await chat.until(lambda: ("Ada bakes" in chat.answers[-1]["output"]) == bool(question))
        await chat.until_rest()
        assert "Ada bakes" in (await chat.ask("Who bakes the bread?"))["output"]


@pytest.mark.parametrize("question", ["Who bakes the bread?", ""])
async def test_a_file_whose_reading_was_stopped_is_not_read_for_another_question(
    without_models: App, question: str
) -> None:
    async with Chat(without_models.url) as chat:
        await stopped_while_reading(chat, question)

        assert "Ada" not in (await chat.ask("And who bakes?"))["output"]


@pytest.mark.slow
async def test_a_source_in_a_dropped_pdf_opens_at_its_page(without_models: App) -> None:
    plan = pdf("The plan of the harbour.", "", "The crane lifts forty tonnes.")
    async with Chat(without_models.url) as chat:
        dropped = await chat.upload("Plan.PDF", plan, "application/octet-stream")
        answer = await chat.ask("What does the crane lift?", files=[dropped])

        assert steps(chat)[0] == "Read Plan.PDF: 3 pages, 2 passages, no text on page 2"
        [source] = chat.sources(answer)
        assert source["name"] == "[1] Plan.PDF (dropped), page 3"
        link, _, fragment = (await chat.page(source))["link"].partition("#")
        assert fragment == "page=3"
        assert await chat.content(link) == plan


async def test_two_dropped_files_of_one_name_are_told_apart(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        files = [await chat.upload("note.txt", text) for text in (BREAD, b"Ben bakes the bread on Sundays.\n")]

        answer = await chat.ask("Who bakes the bread?", files=files)

        named = {source["name"].partition("] ")[2] for source in chat.sources(answer)}
        assert named == {"note.txt (dropped), line 1", "note.txt (dropped 2), line 1"}


async def test_a_dropped_file_that_cannot_be_read_is_named_with_its_reason_and_the_question_answered(
    without_models: App,
) -> None:
    async with Chat(without_models.url) as chat:
        files = [await chat.upload("old.doc", b"\xd0\xcf\x11\xe0"), await chat.upload("x.pdf", b"%PDF-1.4 nonsense")]

        answer = await chat.ask("When does the ferry leave?", files=files)

        old, broken, *_ = chat.steps
        assert old["name"] == "old.doc was not read: it is in an old format of Office; save it as .docx"
        assert broken["name"].startswith("x.pdf was not read: it cannot be read")
        assert old["isError"]
        assert broken["isError"]
        assert answer["output"].startswith("> The ferry leaves")
        assert keeps(chat) == {}


async def test_a_picture_that_no_browser_shows_is_shown_as_a_file(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        files = [await chat.upload(f"photo.{ending}", b"x", f"image/{ending}") for ending in ("heic", "png")]
        await chat.ask("When does the ferry leave?", files=files)

        shown = {each["name"]: each["type"] for each in chat.elements if each["name"].startswith("photo")}
        assert shown == {"photo.heic": "file", "photo.png": "image"}


async def test_an_empty_file_is_refused_where_it_is_dropped(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        assert await chat.upload("blank.txt", b"") == {"detail": "it is empty"}


async def test_a_kept_file_is_in_the_corpus_under_a_name_of_its_own_and_found_once(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.ask("", files=[await chat.upload("ferry.md", BREAD)])
        before = (without_models.corpus / "ferry.md").read_bytes()

        await chat.press(keeps(chat)["Add ferry.md to my documents"])

        assert chat.answers[-1]["output"] == (
            "ferry.md is one of your documents now, as ferry (2).md: there is another ferry.md."
        )
        assert keeps(chat) == {}
        assert (without_models.corpus / "ferry (2).md").read_bytes() == BREAD
        assert (without_models.corpus / "ferry.md").read_bytes() == before
        assert listed(await chat.ask("Who bakes the bread?")) == "[1] ferry (2).md, line 1"


async def test_a_file_that_cannot_be_kept_can_be_kept_later(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.ask("", files=[await chat.upload("bread.txt", BREAD)])
        shutil.rmtree(without_models.corpus)

        await chat.press(keeps(chat)["Add bread.txt to my documents"])

        assert chat.answers[-1]["isError"]
        assert chat.answers[-1]["output"].startswith(f"bread.txt cannot be copied into {without_models.corpus}")
        without_models.corpus.mkdir()
        await chat.press(keeps(chat)["Add bread.txt to my documents"])
        assert (without_models.corpus / "bread.txt").read_bytes() == BREAD
        assert keeps(chat) == {}


async def test_the_button_in_the_header_opens_the_panel_beside_the_chat(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.tell("something else")
        await chat.tell(NAME)

        await chat.until(lambda: ("set_sidebar_title", NAME) in chat.history)
        [shown] = [data["elements"] for name, data in chat.history if name == "set_sidebar_elements"]
        assert [element["name"] for element in shown] == [NAME]
        assert chat.answers == []


async def test_a_panel_that_was_closed_is_forgotten_and_another_one_takes_its_place(without_models: App) -> None:
    async with Chat(without_models.url) as chat:

        def gone() -> list[str]:
            return [data["id"] for name, data in chat.history if name == "remove_element"]

        for name in ("Documents", "Models"):
            await chat.tell(name)
            await chat.until(lambda name=name: ("set_sidebar_title", name) in chat.history)
        documents, models = (each["id"] for each in chat.elements)
        assert gone() == [documents]
        await chat.tell("closed")
        await chat.until(lambda: gone() == [documents, models])


@pytest.mark.slow
async def test_the_panel_tells_what_is_in_the_corpus_and_what_is_wrong_with_it_first(without_models: App) -> None:
    corpus = without_models.corpus
    (corpus / "blank.txt").touch()
    (corpus / "again.md").write_bytes((corpus / "ferry.md").read_bytes())
    (corpus / "plan.pdf").write_bytes(pdf("The crane lifts forty tonnes of coal.", "", "", "The end of the plan."))
    (corpus / "tide.md").write_text("The moon pulls the water, so the tide turns late in winter.", encoding="utf-8")
    async with Chat(without_models.url) as chat:
        found = await chat.until_read(4)

        assert found["folder"] == str(corpus)
        documents, languages, problems, changed = found["facts"]
        assert documents == "4 documents, 5 passages"
        assert languages.startswith("languages: English")
        assert problems == "1 file not read"
        assert changed == "index changed just now"
        assert [(file["name"], file["notes"]) for file in found["files"]] == [
            ("blank.txt", ["it is empty"]),
            ("again.md", ["the same text as ferry.md"]),
            ("ferry.md", ["the same text as again.md"]),
            ("plan.pdf", ["no text on pages 2-3"]),
            ("tide.md", []),
        ]
        assert found["files"][0]["facts"] == "not read"
        assert found["files"][3]["facts"].startswith("searchable · 4 pages, 2 passages · English · ")
        assert [file["name"] for file in (await chat.documents("NOT read"))["files"]] == ["blank.txt"]
        assert [file["name"] for file in (await chat.documents("english pdf"))["files"]] == ["plan.pdf"]
        assert (await chat.documents("nowhere"))["more"] == "No file matches."


@pytest.mark.slow
async def test_the_panel_lists_some_of_many_files_and_finds_each(without_models: App) -> None:
    for number in range(MAX_FILES + 50):
        (without_models.corpus / f"note {number}.txt").write_text(f"Note number {number}.", encoding="utf-8")
    async with Chat(without_models.url) as chat:
        found = await chat.until_read(251)

        assert len(found["files"]) == MAX_FILES
        assert found["more"] == "51 more: type part of a name above."
        assert [file["name"] for file in (await chat.documents("e 249"))["files"]] == ["note 249.txt"]


@pytest.mark.slow
async def test_the_panel_of_a_folder_that_is_missing_says_so(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "nowhere") as app:
        async with Chat(app.url) as chat:
            found = await chat.documents()

            assert str(tmp_path / "nowhere") in found["error"]
            assert found["files"] == []


@pytest.mark.slow
async def test_while_the_corpus_is_read_for_the_first_time_the_page_is_told_how_far_and_questions_are_answered(
    tmp_path: Path, corpus: Path
) -> None:
    words = [f"word{number}" for number in range(20_000)]
    for number in range(1_500):  # far longer than a question waits, also where two processes read
        text = f"The harbour of note {number}. {' '.join(words[number : number + 10_000])}."
        (corpus / f"note {number}.txt").write_text(text, encoding="utf-8")
    with running(tmp_path, corpus) as app:
        async with Chat(app.url) as chat:

            def told() -> list[Any]:
                return [
                    data["reading"]
                    for name, data in chat.history
                    if name == "window_message" and data["about"] == "reading"
                ]

            await chat.until(told)
            assert "of 1,501 new files read" in told()[0]["text"]
            assert 0 <= told()[0]["percent"] < 100
            assert chat.of_type("user_message", "assistant_message") == []  # these would take the starters away
            question = "What is said of the harbour?"
            panel, answer = await asyncio.gather(chat.documents(), chat.ask(question))
            assert panel["reading"]["text"].startswith("Reading your documents: ")
            assert "new files read" in steps(chat)[0]
            assert "Your documents are still being read" in answer["output"]

            await chat.until(lambda: told()[-1] is None, 120)
            assert (await chat.documents())["reading"] is None


async def press(chat: Chat, do: str, **payload: Any) -> Any:
    """Press something in the panel *Documents*; what it answers."""
    return await chat.call({"name": "corpus", "payload": {"do": do, **payload}})


async def add(chat: Chat, name: str, content: bytes) -> Any:
    sent = await chat.upload(name.rpartition("/")[2], content)
    return await press(chat, "add", id=sent["id"], file=name)


async def test_files_and_folders_are_added_in_the_panel_and_are_searchable(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        names = [["Project/bread.txt", 29], ["Project/.git/config", 9], ["x.heic", 9], ["big.pdf", 10**9], ["no.md", 0]]
        skipped = (await press(chat, "check", files=names))["skip"]

        assert list(skipped) == ["Project/.git/config", "x.heic", "big.pdf", "no.md"]
        assert skipped["big.pdf"] == "it is 1000 MB; files over 40 MB are left out, see ESCALATOR_MAX_FILE_MB"
        assert await add(chat, "Project/bread.txt", BREAD) == {"kept": "Project/bread.txt"}
        assert await add(chat, "Project/bread.txt", BREAD) == {"kept": "Project/bread.txt", "known": True}
        assert await add(chat, "ferry.md", BREAD) == {"kept": "ferry (2).md"}
        assert (await add(chat, "../x.md", BREAD))["skipped"] == "hidden and temporary files are left out"
        panel = await chat.call({"name": "corpus", "payload": {"filter": "", "look": True}})
        assert [file["name"] for file in panel["files"]] == ["Project/bread.txt", "ferry (2).md", "ferry.md"]
        assert (await press(chat, "added", added=[["ferry.md", "ferry (2).md"]], known=["a"], skipped={"x": "y"}))[
            "lines"
        ] == [
            "1 file was added.",
            "ferry.md is there as ferry (2).md, beside the file that had its name.",
            "1 file was there already.",
            "1 file was skipped:",
            "x: y",
        ]
        assert "Ada bakes" in (await chat.ask("Who bakes the bread?"))["output"]


async def test_what_the_page_sends_as_a_file_is_never_one_that_it_only_shows(without_models: App) -> None:
    (without_models.corpus / "plan.pdf").write_bytes(pdf("The crane lifts forty tonnes."))
    async with Chat(without_models.url) as chat:
        await chat.until_read(2)
        view = (await press(chat, "open", file="plan.pdf"))["view"]
        shown = await chat.page({"props": view})
        key = shown["link"].partition("?")[0].rpartition("/")[2]

        assert (await press(chat, "add", id=key, file="copy.pdf"))["failed"]
        assert (await press(chat, "add", id="unknown", file="copy.pdf"))["failed"]
        assert (without_models.corpus / "plan.pdf").exists()


async def test_a_document_is_opened_in_the_viewer_from_its_beginning(without_models: App) -> None:
    (without_models.corpus / "run.py").write_text("print('The boats.')\n", encoding="utf-8")
    async with Chat(without_models.url) as chat:
        await chat.until_read(2)

        view = (await press(chat, "open", file="ferry.md"))["view"]
        code = (await press(chat, "open", file="run.py"))["view"]

        assert view["caption"] == view["file"] == "ferry.md"
        assert view["blocks"][0]["kind"] == "heading"
        assert (view["own"], code["own"]) == (True, False)  # a program is not run by a click
        assert code["blocks"] is None
        assert (await press(chat, "launch", file="run.py"))["copy"] == str(without_models.corpus / "run.py")
        assert (await press(chat, "open", file="../x.md"))["failed"]


async def test_a_removed_document_is_in_the_bin_and_found_no_more(tmp_path: Path, corpus: Path) -> None:
    (corpus / "bread.txt").write_bytes(BREAD)
    with running(tmp_path, corpus, XDG_DATA_HOME=str(tmp_path / "data"), HOME=str(tmp_path)) as app:
        async with Chat(app.url) as chat:
            await chat.until_read(2)
            removed = await press(chat, "remove", file="bread.txt")

            assert removed == {"said": "bread.txt is in the bin of this machine. Restore it there to have it back."}
            assert not (corpus / "bread.txt").exists()
            assert (tmp_path / "data/Trash/files/bread.txt").read_bytes() == BREAD
            assert (await press(chat, "remove", file="bread.txt"))["failed"]
            panel = await chat.call({"name": "corpus", "payload": {"filter": "", "look": True}})
            assert [file["name"] for file in panel["files"]] == ["ferry.md"]


def test_whoever_is_not_at_this_machine_and_a_folder_that_is_read_only_change_nothing(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(corpus, 1_000_000)
    assert corpus_panel.locked(folder) == ""

    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "read-only" in corpus_panel.locked(folder)
    with pytest.raises(CorpusError, match="read-only"):
        corpus_panel._remove(folder, "ferry.md")

    monkeypatch.setattr(corpus_panel, "organiser", ContextVar("organiser", default=False))
    monkeypatch.setattr(corpus_panel, "sits_here", lambda: False)
    with pytest.raises(CorpusError, match="only by the organiser"):
        corpus_panel._remove(folder, "ferry.md")
    with pytest.raises(CorpusError, match="only for whoever sits at the machine"):
        corpus_panel._launch(folder, "ferry.md")
    button = cl.Action(name="keep-file", payload={"file": "bread.txt (dropped)"})
    retriever = SimpleNamespace(folder=folder)
    with pytest.raises(CorpusError, match="only by the organiser"):
        asyncio.run(Uploads(Screen("a")).keep(button, cast("Any", retriever)))
    assert (corpus / "ferry.md").exists()


def questions(corpus: Path, state: Path) -> list[str]:
    settings = load(corpus=corpus, state_dir=state)
    with closing(Retriever(settings, TokenCounter(state), live=False)) as retriever:
        return [starter.message for starter in starters(retriever)]


def test_the_sample_documents_have_the_sample_questions(tmp_path: Path) -> None:
    asked = questions(ROOT / "corpus", tmp_path)

    assert len(asked) == 5
    assert asked[0] == "Which port did older guides use for Foundry Local?"


def test_documents_of_ones_own_have_questions_by_title_and_heading(tmp_path: Path, corpus: Path) -> None:
    lease = "# Lease of the boathouse\n\n## Rent\n\nThe rent is 100 euros a year.\n\n## Notice\n\nThree months.\n"
    (corpus / "lease.md").write_text(lease, encoding="utf-8")
    house = "# Hausordnung\n\nDie Nachtruhe beginnt um zehn Uhr, und die Tür wird dann geschlossen.\n"
    (corpus / "haus.md").write_text(house, encoding="utf-8")
    (corpus / "ferry.md").unlink()

    asked = questions(corpus, tmp_path / "state")

    assert asked[:2] == ["What is “Lease of the boathouse” about?", "What is “Hausordnung” about?"]
    assert "Rent?" in asked


def test_an_empty_folder_has_none(tmp_path: Path, corpus: Path) -> None:
    (corpus / "ferry.md").unlink()

    assert questions(corpus, tmp_path / "state") == []


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert questions(tmp_path / "nowhere", tmp_path / "state") == []


def started(chat: Chat) -> list[list[str]]:
    """What the page was told to show in an empty chat, each time."""
    return [data["lines"] for name, data in chat.history if name == "window_message" and data["about"] == "start"]


async def test_an_empty_chat_says_which_documents_there_are_and_who_answers(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.until_read(1)
    async with Chat(without_models.url) as chat:
        await chat.until(lambda: started(chat))

    [documents, models] = started(chat)[-1]
    assert documents == f"1 document, 1 passage in {without_models.corpus}"
    assert models == ("No model is on this disk: answers are quotes from your documents. Nothing leaves this machine.")


async def test_a_document_that_is_added_is_counted_in_an_empty_chat(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.until(lambda: started(chat) and started(chat)[-1][0].startswith("1 document, "))

        (without_models.corpus / "tide.md").write_text("# The tide\n\nThe tide turns late.\n", encoding="utf-8")
        await chat.call({"name": PRESS, "payload": {"look": True}})  # as the panel does once it has added a file

        await chat.until(lambda: started(chat)[-1][0].startswith("2 documents, "))


@pytest.mark.parametrize(("missing", "says"), [(True, "does not exist"), (False, "There is no document in")])
async def test_an_empty_chat_says_what_is_wrong_with_the_folder(without_models: App, missing: bool, says: str) -> None:
    (without_models.corpus / "ferry.md").unlink()
    if missing:
        without_models.corpus.rmdir()
    async with Chat(without_models.url) as chat:
        await chat.ask("When does the ferry leave?")  # so that the folder is looked at
    async with Chat(without_models.url) as chat:
        await chat.until(lambda: started(chat))
    without_models.corpus.mkdir(exist_ok=True)

    assert says in started(chat)[-1][0]
    assert str(without_models.corpus) in started(chat)[-1][0]
