"""What a corpus may rely on, wherever its index is: the same assertions on this disk and on PostgreSQL."""

import random
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from app.documents.document import Document, Problem
from app.retrieval import store
from app.retrieval.packing import is_answerable
from app.retrieval.search import Exchange, search
from app.retrieval.snapshot import NOTHING, Snapshot
from app.retrieval.store import IndexStore, LocalIndex
from tests.support.corpora import change, document, texts

Open = Callable[[], IndexStore]
"""Opens the index as another process would."""


@pytest.fixture(params=["plain", "extended"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["local", "plain", "extended"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "local":
        return lambda: LocalIndex(tmp_path / "index", "limits")
    return on_postgres(request.getfixturevalue(request.param))


def on_postgres(address: str) -> Open:
    from app.postgres.writing import PostgresStore

    corpus = secrets.token_hex(8)
    return lambda: PostgresStore(address, corpus, "limits")


def test_a_change_is_in_force_for_everybody(opened: Open) -> None:
    kept, other = opened(), opened()
    assert other.current() is NOTHING
    snapshot = change(kept, document("a", ["aa", "bb"]), Problem("b", "it is empty", 0, 1))
    for current in (kept.current(), other.current(), opened().current()):
        assert (current.mark, current.problems) == (snapshot.mark, {"b": Problem("b", "it is empty", 0, 1)})
        assert texts(current) == {"a": "aa\fbb"}
        assert [passage.text for passage in current.passages("a")] == ["aa", "bb"]
    before = other.current()
    assert other.current(before) is before


def test_what_is_read_again_replaces_what_was_there(opened: Open) -> None:
    kept = opened()
    change(kept, document("a", ["aa"]), document("b", ["bb"]), Problem("c", "it is empty"))
    snapshot = change(kept, document("a", ["cc"]), document("c", ["dd"]))
    assert texts(snapshot) == {"a": "cc", "b": "bb", "c": "dd"}
    assert (snapshot.problems, len(snapshot.index)) == ({}, 3)
    assert [len(snapshot.index.top_k(snapshot.index.terms(snapshot.index.words(w)), 9)) for w in ("aa", "cc")] == [0, 1]


def test_a_temporary_problem_keeps_what_was_read_before(opened: Open) -> None:
    kept = opened()
    change(kept, document("a", ["aa"]), document("b", ["bb"]))
    snapshot = change(kept, Problem("a", "it is open", temporary=True), Problem("b", "it is empty"), gone=("none",))
    assert (texts(snapshot), list(snapshot.problems)) == ({"a": "aa"}, ["a", "b"])


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyboardInterrupt])
def test_a_change_that_fails_leaves_the_index_as_it_was(opened: Open, error: type[BaseException]) -> None:
    kept = opened()
    before = change(kept, document("a", ["aa"]))

    def fail() -> None:
        with kept.writing() as changing:
            assert changing is not None
            changing.remove("a")
            changing.put(document("a", ["bb"]))
            raise error

    with pytest.raises(error):
        fail()
    assert kept.current(before) is before
    assert texts(change(opened(), document("b", ["bb"]))) == {"a": "aa", "b": "bb"}


def test_there_is_one_writer_at_a_time(opened: Open) -> None:
    with opened().writing() as changing:
        assert changing is not None
        with opened().writing(0) as other:
            assert other is None
    with opened().writing(0) as other:
        assert other is not None


def test_after_it_is_forgotten_the_next_change_begins_anew(opened: Open) -> None:
    kept = opened()
    change(kept, document("a", ["aa"]))
    kept.forget()
    assert kept.current() is NOTHING
    assert texts(change(kept, document("b", ["bb"]))) == texts(opened().current()) == {"b": "bb"}


def test_a_document_may_hold_no_passage_and_odd_characters(opened: Open) -> None:
    odd = "a\0b\r\n\u2028\ud800 \U0001f600 é"
    snapshot = change(opened(), document("a", []), document("b/c'd %s", [odd, "", "bb"]))
    assert (snapshot.text("a"), snapshot.passages("a")) == ("", [])
    assert len(snapshot.text("b/c'd %s")) == len(f"{odd}\f\fbb")  # PostgreSQL takes no zero and no half a pair
    assert snapshot.passages("b/c'd %s")[2].text == "bb"


def randomly(chance: random.Random, number: int) -> Document:
    """Return a document of some words, of which some are frequent, and some are spelled alike."""
    words = [f"{chance.choice('bcdfg')}a{chance.choice('rlmn')}e{chance.choice('kst')}" for _ in range(8)]
    said = [" ".join(chance.choices(words, k=20)) + ". " + " ".join(chance.choices(words, k=9)) for _ in range(4)]
    return document(f"{chance.choice('xyz')}/{number}.md", said, "en")


def found(snapshot: Snapshot, question: str, history: tuple[Exchange, ...] = ()) -> list[tuple[object, ...]]:
    result = search(snapshot.index, question, history)
    hits = [(hit.passage, hit.score, str(hit.explanation)) for hit in result.hits]
    return [*hits, result.unknown_words, result.earlier_words, is_answerable(snapshot.index, result)]


@pytest.mark.slow
def test_after_many_changes_both_find_and_explain_the_same(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also within a folder, and beside documents that were dropped into a conversation."""
    from app.retrieval import scoring

    monkeypatch.setattr(scoring, "compiled", lambda _: None)  # it adds up in another order
    monkeypatch.setattr(store, "FEW", 2)
    monkeypatch.setattr(store, "PASSAGES", 150)
    chance, both = random.Random(0), (LocalIndex(tmp_path / "index", "limits"), on_postgres(address)())
    numbers: list[int] = []
    for turn in range(4):
        put = [randomly(chance, 10 * turn + number) for number in range(10)]
        gone = tuple(each for each in both[0].current().documents if chance.random() < 0.3)
        for kept in both:
            change(kept, *put, gone=gone)
        one, two = (kept.current() for kept in both)
        assert [len(it.entries) for it in one.segments] == [len(it.entries) for it in two.segments]
        numbers.append(len(two.segments))
        dropped = (document("dropped", [put[0].passages[0].text], "en"),)
        for make in (Snapshot.plus, Snapshot.within):
            given: tuple[Document, ...] | tuple[str, ...] = dropped if make is Snapshot.plus else ("x/", "y/")
            for question in (put[1].text[:30], "barek dares", "gamek? bnorek", "the barels of fanes", "calet"):
                earlier = (Exchange("What about dalek?", "It is a barek."),)
                for history in ((), earlier):
                    assert found(make(one, given), question, history) == found(make(two, given), question, history)  # type: ignore[arg-type]
        assert texts(one) == texts(two)
    assert max(numbers) > 1
