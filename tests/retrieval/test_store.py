"""The store: what a change puts in force, what a failed one leaves, and how segments are merged."""

import math
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.documents.document import Problem
from app.documents.passages import Place
from app.retrieval import store
from app.retrieval.snapshot import NOTHING, Snapshot
from app.retrieval.store import LocalIndex
from tests.support.corpora import change, document, passage, texts


def assert_aligned(snapshot: Snapshot) -> None:
    """Each passage has the postings of its own word."""
    for segment in snapshot.segments:
        postings = segment.postings
        for number in range(segment.size):
            if segment.alive is None or segment.alive[number]:
                assert postings.terms[postings.tokens[postings.begins[number]]] == segment.passage(number).text


def rows(kept: LocalIndex, query: str) -> list[tuple[object, ...]]:
    """What is in the database, whatever a snapshot sees."""
    with closing(sqlite3.connect(kept.path)) as db:
        return db.execute(query).fetchall()


@pytest.fixture
def kept(tmp_path: Path) -> LocalIndex:
    return LocalIndex(tmp_path / "index")


def test_without_an_index_there_is_the_snapshot_of_nothing(kept: LocalIndex) -> None:
    assert kept.current() is NOTHING
    assert not kept.path.exists()


@pytest.mark.parametrize("name", ["a b", "what?mode=memory", "50%25", "#", "ü", "'"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("this system refuses the name")
    kept = LocalIndex(tmp_path / name)
    assert texts(change(kept, document("a", ["aa"]))) == {"a": "aa"}
    assert [path.name for path in kept.folder.glob("*.db")] == ["1.db"]


def test_what_is_gone_and_was_never_there_changes_nothing(kept: LocalIndex) -> None:
    change(kept, document("a", ["aa"]))
    assert texts(change(kept, gone=("b",))) == {"a": "aa"}


def test_a_document_may_hold_no_passage(kept: LocalIndex) -> None:
    snapshot = change(kept, document("a", []))
    assert list(snapshot.documents) == ["a"]
    assert len(snapshot.index) == 0
    assert texts(change(kept, document("b", ["bb"]))) == {"a": "", "b": "bb"}


def test_a_text_is_kept_to_the_last_code_point(kept: LocalIndex) -> None:
    text = "a\0b\r\n\u2028\ud800 \U0001f600 \udc00é"
    change(kept, document("a", [text, "", text]))
    snapshot = LocalIndex(kept.folder).current()
    assert snapshot.text("a") == f"{text}\f\f{text}"
    assert [passage.text for passage in snapshot.passages("a")] == [text, "", text]


def test_titles_places_and_reasons_are_kept_to_the_last_code_point(kept: LocalIndex) -> None:
    odd = "a\0\ud800\u2028é"
    page = replace(passage("aa", "a"), title=odd, place=Place("heading", odd, 3, odd))
    change(kept, replace(document("a", ["aa"]), title=odd, passages=(page,)), Problem("b", odd, 1, 2, temporary=True))
    snapshot = LocalIndex(kept.folder).current()
    assert snapshot.documents["a"].title == odd
    assert snapshot.passages("a") == [page]
    assert snapshot.problems["b"] == Problem("b", odd, 1, 2, temporary=True)


def test_a_snapshot_goes_on_seeing_what_was_there(kept: LocalIndex) -> None:
    before = change(kept, document("a", ["aa", "bb"]), document("b", ["cc"]))
    change(kept, document("a", ["dd"]), gone=("b",))
    with kept.writing() as changing:
        assert changing is not None
        changing.settle(kept.current())
    assert texts(before) == {"a": "aa\fbb", "b": "cc"}
    assert [passage.text for passage in before.passages("a")] == ["aa", "bb"]
    assert texts(kept.current()) == {"a": "dd"}


def test_what_was_refused_under_other_limits_counts_as_never_tried(kept: LocalIndex) -> None:
    change(kept, Problem("a", "it is too large", 9, 1), Problem("b", "it is a link"))
    other = LocalIndex(kept.folder, "other limits")
    assert other.current().problems == {"a": Problem("a", "it is too large"), "b": Problem("b", "it is a link")}
    change(other, Problem("a", "it is too large", 9, 1))
    assert other.current().problems["a"] == Problem("a", "it is too large", 9, 1)
    assert kept.current().problems["a"] == Problem("a", "it is too large")


def test_tidying_keeps_what_is_in_force_and_waits_for_no_writer(kept: LocalIndex) -> None:
    change(kept, document("a", ["aa"]))
    kept.forget()
    change(kept, document("a", ["bb"]))
    (kept.folder / "1.db-wal").touch()
    with kept.writing():
        LocalIndex(kept.folder).tidy()
    assert {path.name for path in kept.folder.glob("*.db")} == {"2.db"}
    assert not (kept.folder / "1.db-wal").exists()
    assert texts(LocalIndex(kept.folder).current()) == {"a": "bb"}


@pytest.mark.slow
def test_the_log_of_changes_does_not_grow_for_ever(kept: LocalIndex) -> None:
    """Though there always is a snapshot that reads."""
    snapshot, sizes = NOTHING, []
    for number in range(60):
        snapshot = change(kept, document("a", [f"aa {number} " * 2000]))
        with kept.writing() as changing:
            assert changing is not None
            snapshot = changing.settle(snapshot)
        assert texts(snapshot) == {"a": f"aa {number} " * 2000}
        sizes.append(kept.path.with_name(f"{kept.path.name}-wal").stat().st_size)
    assert sizes[-1] <= max(sizes[:10])
    assert kept.path.stat().st_size < 1_000_000


def test_a_large_build_is_parted_into_segments(kept: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PASSAGES", 20)
    documents = [document(f"{number:02}", ["aa bb cc dd"] * 5) for number in range(40)]
    snapshot = change(kept, *documents)
    assert all(segment.size <= 20 for segment in snapshot.segments)
    assert len(snapshot.segments) > 1
    assert texts(snapshot) == {each.file: each.text for each in documents}


@pytest.mark.slow
@pytest.mark.parametrize("most", [30, 600, 1 << 17])
@pytest.mark.parametrize(("seed", "few"), [(0, 8), (1, 8), (2, 1)])
def test_after_many_changes_there_are_the_documents_there_should_be(
    kept: LocalIndex, monkeypatch: pytest.MonkeyPatch, most: int, seed: int, few: int
) -> None:
    monkeypatch.setattr(store, "PASSAGES", most)
    monkeypatch.setattr(store, "FEW", few)
    chance = random.Random(seed)
    expected: dict[str, str] = {}
    for _ in range(60):
        names = chance.sample(range(40), chance.randint(1, 6))
        gone = tuple(f"{name}" for name in names if chance.random() < 0.4)
        documents = [document(f"{n}", [f"w{chance.randint(1, 99)}"] * 5) for n in names if f"{n}" not in gone]
        snapshot = change(kept, *documents, gone=gone)
        expected = {file: text for file, text in expected.items() if file not in gone}
        expected |= {each.file: each.text for each in documents}
        assert texts(snapshot) == dict(sorted(expected.items()))
        doublings = math.log2(len(snapshot.index) or 1)
        assert len(snapshot.segments) <= max(2 * store.FEW, doublings) or most == 30
        if chance.random() < 0.5:
            continue
        with kept.writing() as changing:
            assert changing is not None
            snapshot = changing.settle(snapshot)
        assert texts(snapshot) == texts(LocalIndex(kept.folder).current()) == dict(sorted(expected.items()))
        assert sum(len(segment.entries) for segment in snapshot.segments) == len(expected)
        assert sum(len(segment.indexed) for segment in snapshot.segments) <= 2 * len(expected) + 1 or most == 30
        assert len(snapshot.segments) <= max(store.FEW, doublings) or most == 30
        count = "select (select count(*) from texts), (select count(distinct document) from passages)"
        assert rows(kept, count) == [(len(expected), len(expected))]
        segments = "select distinct segment from arrays order by 1"
        assert rows(kept, segments) == rows(kept, "select distinct segment from documents order by 1")
        assert_aligned(snapshot)
