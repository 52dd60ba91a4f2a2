"""The sources below an answer, and the table of hits."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import chainlit as cl
import pytest

from app.answering.context import Retriever
from app.answering.turn import Answer
from app.documents.document import NEVER
from app.documents.passages import Place
from app.errors import IndexAway
from app.retrieval.packing import Evidence
from app.retrieval.snapshot import NOTHING
from app.ui import source_viewer, sources
from app.ui.source_viewer import CitedPlace, Excerpt, Originals
from tests.support.chat import App, Chat


def evidence(number: int, file: str = "handbook.pdf", page: int = 4) -> Evidence:
    return Evidence(number, file, "Handbook", Place("page", f"page {page}", page), 0, 4, "Text", "en")


def answer(*given: Evidence) -> Answer:
    """An answer that cites nothing of what its model was given."""
    found = SimpleNamespace(hits=())
    return cast("Answer", SimpleNamespace(citations=(), sources=given, found=found, rendered="", turn=None))


def test_where_nothing_is_cited_each_place_is_named_once_and_few_of_them() -> None:
    given = answer(
        evidence(1), evidence(2), evidence(3, page=5), evidence(4), evidence(5, "a.pdf"), evidence(6, "b.pdf")
    )

    listed = sources.listed(given)

    assert [item.number for item in listed] == [1, 3, 5]
    assert sources.line(listed, given) == (
        "The model was given: [1] handbook.pdf, page 4 · [3] handbook.pdf, page 5 · [5] a.pdf, page 4 and 1 more"
    )


@pytest.mark.parametrize("failing", ["snapshot", "a source", "its way to the page"])
async def test_a_source_that_cannot_be_shown_never_costs_the_answer(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    shown: list[str] = []

    def cited(item: Evidence, *_: object) -> CitedPlace:
        if failing == "a source" and item.number == 1:
            raise FileNotFoundError(item.file)
        return CitedPlace(Path(item.file), NEVER, None, "", Excerpt(item.text, (), None))

    async def send(self: cl.CustomElement, for_id: str) -> None:
        if failing == "its way to the page" and self.name.startswith("[1]"):
            raise FileNotFoundError(self.name)
        shown.append(self.name)

    def snapshot(_: object) -> Any:
        if failing == "snapshot":
            raise OSError("the index is gone")
        return NOTHING

    monkeypatch.setattr(source_viewer, "cited", cited)
    monkeypatch.setattr(cl.CustomElement, "send", send)
    monkeypatch.setattr(sources.messages, "component", component())
    given = answer(evidence(1), evidence(2, page=5))

    message = cast("cl.Message", SimpleNamespace(id="m", thread_id="t"))
    await sources.send(
        given.sources, message, given, Originals(cast("Retriever", SimpleNamespace(snapshot=snapshot)), Path)
    )

    assert shown == ["Sources"] + (["[2] handbook.pdf, page 5", "[2]"] if failing != "snapshot" else [])


def component() -> Callable[..., Any]:
    """Make elements that belong to no session."""

    def make(name: str, props: dict[str, Any], display: str = "inline") -> Any:
        element = object.__new__(cl.CustomElement)
        element.name = name
        return element

    return make


async def test_a_row_of_the_table_of_hits_opens_its_passage(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        await chat.ask("When does the ferry leave?")
        [search] = [step for step in chat.steps if step["name"].startswith("Found")]

        opened = await chat.call({"name": "hits", "payload": {"step": search["id"], "row": 0}})

        assert "| Source | Passage | Score | Matching words |" in search["output"]
        assert opened["caption"].startswith("ferry.md, ")
        assert "ferry leaves" in str((await chat.page({"props": opened}))["blocks"])
        for row in (-1, 99):
            assert not await chat.call({"name": "hits", "payload": {"step": search["id"], "row": row}})


async def test_a_row_whose_document_is_out_of_reach_opens_nothing_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    async def opened(*_: object) -> Any:
        raise IndexAway("The index is away.")

    class Message(SimpleNamespace):
        async def send(self) -> None:
            said.append(self.content)

    monkeypatch.setattr(cl, "user_session", {"search x": (None, None)})
    monkeypatch.setattr(sources, "_opened", opened)
    monkeypatch.setattr(cl, "ErrorMessage", Message)

    assert await sources.press(cast("Any", None), {"step": "x", "row": 0}) is None
    assert said == ["The index is away."]
