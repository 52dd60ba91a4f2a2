"""What an empty chat says of documents and models, and the questions that it offers."""

from contextlib import closing
from pathlib import Path

import pytest

from app.answering.context import Retriever
from app.models.tokens import TokenCounter
from app.settings import ROOT, load
from app.ui.corpus_panel import PRESS
from app.ui.start_page import starters
from tests.support.chat import App, Chat


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
