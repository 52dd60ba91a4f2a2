"""Evidence from the corpus and from what was dropped into a conversation."""

from pathlib import Path
from typing import Any

import pytest

from app.answering.context import Retriever
from app.answering.turn import Turn
from app.documents.document import Document
from app.errors import CorpusError
from app.models.tokens import TokenCounter
from app.retrieval import search
from app.retrieval.analysis import QueryWord
from app.retrieval.index import Index
from app.settings import Settings, load

HANDBOOK = "# Handbook\n\nThe notice period for staff is six weeks.\n\nThe canteen opens at noon.\n"
CONTRACT = "# Contract\n\nThe notice period in this contract is nine days.\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    return load(corpus=tmp_path / "corpus")


@pytest.fixture
def retriever(settings: Settings) -> Retriever:
    return Retriever(settings, TokenCounter(settings.state_dir), live=False)


@pytest.fixture
def dropped(retriever: Retriever, tmp_path: Path) -> Document:
    """A file from outside the corpus."""
    path = tmp_path / "4711.md"
    path.write_text(CONTRACT, encoding="utf-8")
    (document,) = retriever.read([("contract.md (dropped)", path)])
    assert isinstance(document, Document)
    return document


def found(retriever: Retriever, turn: Turn) -> list[str]:
    return list(dict.fromkeys(item.file for item in retriever.retrieve(turn).evidence))


def test_hits_for_an_unknown_word_are_explained_where_they_are_searched(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained, explain = list[str](), search._explain

    def noted(index: Index, words: list[QueryWord], *others: Any) -> Any:
        explained.append(" ".join(word.surface for word in words))
        return explain(index, words, *others)

    monkeypatch.setattr(search, "_explain", noted)
    known, unknown = (retriever.retrieve(Turn(f"What is the {it}notice period?")).found for it in ("", "zeppelin "))

    assert known.hits
    assert unknown.unknown_words == ("zeppelin",)
    assert [words.split()[:3] for words in explained] == [["zeppelin", "notice", "period"]]


def test_a_question_finds_what_was_dropped_earlier_beside_the_corpus(retriever: Retriever, dropped: Document) -> None:
    files = found(retriever, Turn("What is the notice period?", dropped=(dropped,)))
    assert set(files) == {"contract.md (dropped)", "handbook.md"}


def test_a_question_that_came_with_a_file_is_answered_from_the_file(retriever: Retriever, dropped: Document) -> None:
    turn = Turn("What is the notice period?", brought=(dropped,), dropped=(dropped,))
    assert found(retriever, turn) == ["contract.md (dropped)"]


def test_what_the_file_does_not_know_is_looked_for_in_the_corpus(retriever: Retriever, dropped: Document) -> None:
    turn = Turn("When does the canteen open?", brought=(dropped,), dropped=(dropped,))
    assert found(retriever, turn) == ["handbook.md"]


def test_evidence_of_a_dropped_file_is_a_stretch_of_its_text(retriever: Retriever, dropped: Document) -> None:
    turn = Turn("notice period contract", brought=(dropped,), dropped=(dropped,))
    for item in retriever.retrieve(turn).evidence:
        assert dropped.text[item.start : item.end] == item.text


def test_wider_evidence_holds_what_was_dropped_too(retriever: Retriever, dropped: Document) -> None:
    turn = Turn("What is the notice period?", brought=(dropped,), dropped=(dropped,))
    wider = retriever.widen(turn, retriever.retrieve(turn))
    assert {item.file for item in wider.evidence} == {"contract.md (dropped)", "handbook.md"}


def test_what_is_dropped_stays_out_of_other_conversations_and_of_the_index(
    retriever: Retriever, dropped: Document, settings: Settings
) -> None:
    found(retriever, Turn("notice period", dropped=(dropped,)))
    assert found(retriever, Turn("What is the notice period?")) == ["handbook.md"]
    again = Retriever(settings, TokenCounter(settings.state_dir), live=False)
    assert [file.name for file in again.latest().files] == ["handbook.md"]


def test_a_dropped_file_is_searched_although_the_corpus_is_empty(
    retriever: Retriever, dropped: Document, settings: Settings
) -> None:
    (settings.corpus / "handbook.md").unlink()
    assert found(retriever, Turn("notice period", dropped=(dropped,))) == ["contract.md (dropped)"]
    with pytest.raises(CorpusError, match="no document that can be read"):
        retriever.retrieve(Turn("notice period"))
