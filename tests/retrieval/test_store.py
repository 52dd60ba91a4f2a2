"""The store: what a change puts in force, what a failed one leaves, and how segments are merged."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.documents.folder import Document, Problem
from app.retrieval import store
from app.retrieval.corpus import Snapshot
from app.retrieval.store import Generation, Store
from tests.support.corpora import document


def change(kept: Store, *results: Document | Problem, gone: tuple[str, ...] = ()) -> Generation:
    with kept.writing() as writer:
        assert writer is not None
        return writer.change(iter(results), gone)


def texts(generation: Generation) -> dict[str, str]:
    snapshot = Snapshot(generation)
    return {file: snapshot.text(file) for file in snapshot.documents}


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "index")


def test_a_folder_without_an_index_holds_an_empty_generation(kept: Store) -> None:
    assert kept.current() == Generation(0, "", (), ())
    assert not kept.exists()


def test_a_change_is_in_force_for_everybody(kept: Store) -> None:
    generation = change(kept, document("a", ["aa", "bb"]), Problem("b", "it is empty", 0, 1))
    for current in (kept.current(), Store(kept.folder).current()):
        assert (current.number, current.mark, current.problems) == (
            1,
            generation.mark,
            (Problem("b", "it is empty", 0, 1),),
        )
        assert texts(current) == {"a": "aa\fbb"}


def test_what_is_read_again_replaces_what_was_there(kept: Store) -> None:
    change(kept, document("a", ["aa"]), document("b", ["bb"]), Problem("c", "it is empty"))
    generation = change(kept, document("a", ["cc"]), document("c", ["dd"]))
    assert texts(generation) == {"a": "cc", "b": "bb", "c": "dd"}
    assert generation.problems == ()
    assert len(Snapshot(generation).index) == 3


def test_what_is_gone_and_was_never_there_changes_nothing(kept: Store) -> None:
    change(kept, document("a", ["aa"]))
    assert texts(change(kept, gone=("b",))) == {"a": "aa"}


def test_a_document_may_hold_no_passage(kept: Store) -> None:
    generation = change(kept, document("a", []))
    assert list(Snapshot(generation).documents) == ["a"]
    assert len(Snapshot(generation).index) == 0
    assert texts(change(kept, document("b", ["bb"]))) == {"a": "", "b": "bb"}


def test_a_text_is_kept_to_the_last_code_point(kept: Store) -> None:
    text = "a\0b\r\n\u2028\ud800 \U0001f600 \udc00é"
    change(kept, document("a", [text, "", text]))
    (segment, _), *_ = Store(kept.folder).current().segments
    assert segment.archive.text(0) == f"{text}\f\f{text}"
    assert [segment.archive.passage(number).text for number in range(3)] == [text, "", text]


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyboardInterrupt])
def test_a_change_that_fails_leaves_the_index_as_it_was(kept: Store, error: type[BaseException]) -> None:
    before = change(kept, document("a", ["aa"]))

    def failing() -> Iterator[Document]:
        yield document("a", ["bb"])
        raise error

    with kept.writing() as writer:
        assert writer is not None
        with pytest.raises(error):
            writer.change(failing(), ("a",))
    assert kept.current(before) is before
    assert texts(change(kept, document("b", ["bb"]))) == {"a": "aa", "b": "bb"}


def test_there_is_one_writer_at_a_time(kept: Store) -> None:
    with kept.writing() as writer:
        assert writer is not None
        with Store(kept.folder).writing(0) as other:
            assert other is None
    with Store(kept.folder).writing(0) as other:
        assert other is not None


def test_tidying_keeps_what_is_in_force_and_waits_for_no_writer(kept: Store) -> None:
    change(kept, document("a", ["aa"]))
    generation = change(kept, document("a", ["bb"]))
    stray = kept.folder / "manifest.json.0a1b2c3d"
    stray.write_text("{", encoding="utf-8")
    with kept.writing():
        Store(kept.folder).tidy()
    assert len(list(kept.folder.glob("*.segment"))) == 2
    Store(kept.folder).tidy()
    assert [path.name for path in kept.folder.glob("*.segment")] == [segment.name for segment, _ in generation.segments]
    assert not stray.exists()
    assert texts(Store(kept.folder).current()) == {"a": "bb"}


def test_a_large_build_is_parted_into_segments(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WORDS", 100)
    documents = [document(f"{number:02}", ["aa bb cc dd"] * 5) for number in range(40)]
    generation = change(kept, *documents)
    assert all(len(segment.postings.tokens) < 200 for segment, _ in generation.segments)
    assert texts(generation) == {each.file: each.text for each in documents}


@pytest.mark.parametrize("words", [100, 2000, 1 << 24])
@pytest.mark.parametrize("seed", range(2))
def test_after_many_changes_there_are_the_documents_there_should_be(
    kept: Store, monkeypatch: pytest.MonkeyPatch, words: int, seed: int
) -> None:
    monkeypatch.setattr(store, "WORDS", words)
    chance = random.Random(seed)
    expected: dict[str, str] = {}
    for _ in range(60):
        names = chance.sample(range(40), chance.randint(1, 6))
        gone = tuple(f"{name}" for name in names if chance.random() < 0.4)
        documents = [document(f"{n}", [f"w{chance.randint(1, 99)}"] * 5) for n in names if f"{n}" not in gone]
        generation = change(kept, *documents, gone=gone)
        expected = {file: text for file, text in expected.items() if file not in gone}
        expected |= {each.file: each.text for each in documents}
        assert texts(generation) == dict(sorted(expected.items()))
        assert len(generation.segments) <= 2 * store.FEW or words == 100
        if chance.random() < 0.5:
            continue
        with kept.writing() as writer:
            assert writer is not None
            generation = writer.settle()
        assert texts(generation) == texts(Store(kept.folder).current()) == dict(sorted(expected.items()))
        living = sum(len(segment.numbers) - len(dead) for segment, dead in generation.segments)
        assert living == len(expected)
        everything = sum(len(segment.numbers) for segment, _ in generation.segments)
        assert everything <= 2 * len(expected) + 1 or words == 100
        assert len(generation.segments) <= store.FEW + 1 or words == 100
