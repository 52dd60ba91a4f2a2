"""A corpus kept in step behind its askers: what is noticed without a question, and what a question waits for."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from app.documents import readers
from app.documents.folder import Folder
from app.errors import CorpusError
from app.retrieval import corpus, store
from app.retrieval.corpus import Corpus, Reading, Watcher
from app.retrieval.snapshot import Snapshot
from tests.support import bad_readers
from tests.support.waiting import until

MB = 1_000_000
WORKER = "tests.support.bad_readers"


class Home:
    """A corpus, its index, and those that keep them in step."""

    def __init__(self, path: Path):
        self.corpus, self.state, self.notes = path / "corpus", path / "index", path / "notes"
        self.corpus.mkdir()
        self.notes.mkdir()
        self.syncs: list[Watcher] = []

    def put(self, name: str, text: str) -> Path:
        path = self.corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def sync(self) -> tuple[Watcher, Corpus]:
        retriever = Corpus(Folder(self.corpus, MB), self.state)
        self.syncs.append(Watcher(retriever))
        return self.syncs[-1], retriever

    def go(self) -> None:
        """Let the readers that wait go on."""
        (self.notes / "go").touch()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    before = set(threading.enumerate())
    found = Home(tmp_path)
    monkeypatch.setenv("TEST_READERS_NOTES", str(found.notes))
    yield found
    found.go()
    for each in found.syncs:
        each.close()
    assert until(lambda: not looking(before))


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other quickly."""
    monkeypatch.setattr(corpus, "POLL_SECONDS", 0.05)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Only word of a change brings a look; set as soon as there would be some."""
    watching, watch = threading.Event(), watchfiles.watch

    def told(*given: Any, **named: Any) -> Iterator[set[watchfiles.main.FileChange]]:
        for changes in watch(*given, **named | {"rust_timeout": 50}):
            watching.set()
            if changes:
                yield changes

    monkeypatch.setattr(watchfiles, "watch", told)
    return watching


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files "*.wait" are read when the test says so."""
    bad_readers.use(monkeypatch)
    monkeypatch.setattr(corpus, "SHOWN_SECONDS", 0.0)
    monkeypatch.setattr(corpus, "PATIENCE_SECONDS", 0.1)


def looking(before: set[threading.Thread] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """The threads that look at a corpus."""
    return [each.name for each in set(threading.enumerate()) - before if each.name.startswith("corpus")]


def texts(retriever: Corpus) -> dict[str, str]:
    """What is ready, by file."""
    ready = retriever.ready
    return {file: ready.text(file) for file in ready.documents} if ready else {}


def followed(home: Home, watched: threading.Event) -> Corpus:
    """One that is up to date, and told of changes from now on."""
    followed, retriever = home.sync()
    followed.current()
    assert watched.wait(30)
    followed.current()
    return retriever


# Without a question

CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "added": (lambda corpus: (corpus / "c.md").write_bytes(b"c"), {"a.md": "a", "b.md": "b", "c.md": "c"}),
    "edited": (lambda corpus: (corpus / "a.md").write_bytes(b"other"), {"a.md": "other", "b.md": "b"}),
    "deleted": (lambda corpus: (corpus / "a.md").unlink(), {"b.md": "b"}),
    "renamed": (lambda corpus: (corpus / "a.md").rename(corpus / "z.md"), {"b.md": "b", "z.md": "a"}),
    "replaced": (lambda corpus: (corpus / "b.md").replace(corpus / "a.md"), {"a.md": "b"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_without_a_question(home: Home, watched: threading.Event, change: str) -> None:
    home.put("a.md", "a")
    home.put("b.md", "b")
    retriever = followed(home, watched)
    act, expected = CHANGES[change]
    act(home.corpus)
    assert until(lambda: texts(retriever) == expected)


@pytest.mark.slow
def test_new_folders_in_new_folders_are_noticed_and_what_comes_into_them_later(
    home: Home, watched: threading.Event
) -> None:
    retriever = followed(home, watched)
    home.put("one/two/three/a.md", "a")
    assert until(lambda: texts(retriever) == {"one/two/three/a.md": "a"})
    home.put("one/two/three/b.md", "b")
    assert until(lambda: "one/two/three/b.md" in texts(retriever))


@pytest.mark.slow
def test_a_folder_moved_in_is_noticed_with_all_it_holds_and_moved_out_as_well(
    home: Home, watched: threading.Event, tmp_path: Path
) -> None:
    retriever = followed(home, watched)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("a", encoding="utf-8")
    outside.rename(home.corpus / "inside")
    assert until(lambda: texts(retriever) == {"inside/a.md": "a"})
    (home.corpus / "inside").rename(outside)
    assert until(lambda: texts(retriever) == {})


@pytest.mark.slow
def test_a_thousand_files_at_once_are_noticed(home: Home, watched: threading.Event) -> None:
    retriever = followed(home, watched)
    for number in range(1000):
        home.put(f"{number % 7}/{number}.md", f"Number {number}")
    expected = {f"{number % 7}/{number}.md": f"Number {number}" for number in range(1000)}
    assert until(lambda: len(texts(retriever)) == 1000, 120)
    assert texts(retriever) == expected


@pytest.mark.slow
def test_a_file_that_is_being_written_is_right_in_the_end(home: Home, watched: threading.Event) -> None:
    retriever = followed(home, watched)
    with (home.corpus / "a.md").open("w", encoding="utf-8") as file:
        for words in ("The first half", ", the second half", " and the end."):
            file.write(words)
            file.flush()
            assert until(lambda words=words: texts(retriever).get("a.md", "").endswith(words))  # type: ignore[misc]
    assert texts(retriever) == {"a.md": "The first half, the second half and the end."}


@pytest.mark.slow
@pytest.mark.usefixtures("polled")
def test_a_folder_that_goes_and_one_that_comes_in_its_place_are_noticed(home: Home) -> None:
    home.put("a.md", "a")
    kept, retriever = home.sync()
    kept.current()
    home.corpus.rename(home.corpus.with_name("elsewhere"))

    def gone() -> bool:
        try:
            kept.current()
        except CorpusError:
            return True
        return False

    assert until(gone)
    home.corpus.mkdir()
    home.put("b.md", "b")
    assert until(lambda: texts(retriever) == {"b.md": "b"})
    home.put("c.md", "c")
    assert until(lambda: texts(retriever) == {"b.md": "b", "c.md": "c"})
    shutil.rmtree(home.corpus)
    home.corpus.with_name("elsewhere").rename(home.corpus)
    assert until(lambda: texts(retriever) == {"a.md": "a"})


@pytest.mark.usefixtures("polled")
@pytest.mark.parametrize("error", [OSError(28, "OS file watch limit reached"), RuntimeError("error in the watcher")])
def test_where_the_system_tells_of_no_change_it_is_noticed_all_the_same(
    home: Home, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked = []

    def refused(*_: object, **__: object) -> Iterator[set[Any]]:
        asked.append(1)
        raise error

    monkeypatch.setattr(watchfiles, "watch", refused)
    kept, retriever = home.sync()
    kept.start()
    assert until(lambda: retriever.ready is not None)
    for number in range(3):
        home.put(f"{number}.md", "a")
        assert until(lambda number=number: len(texts(retriever)) == number + 1)  # type: ignore[misc]
    assert len(asked) > 1


@pytest.mark.slow
@pytest.mark.usefixtures("polled")
def test_where_nothing_changes_nothing_is_read_told_or_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put("a.md", "a")
    home.put("b.numbers", "no document")
    kept, retriever = home.sync()
    before = kept.current()
    looks, told = Counter[str](), list[Reading]()
    refresh = retriever.refresh

    def look() -> Snapshot:
        looks["look"] += 1
        return refresh(told.append)

    monkeypatch.setattr(retriever, "refresh", look)
    retriever.settle()
    written = {path: path.stat().st_mtime_ns for path in home.state.rglob("*") if path.is_file()}
    assert until(lambda: looks["look"] >= 5)
    assert kept.current() is before
    assert (told, retriever.reading) == ([], None)
    assert {path: path.stat().st_mtime_ns for path in home.state.rglob("*") if path.is_file()} == written


# Questions meanwhile


@pytest.mark.slow
@pytest.mark.usefixtures("waiting")
def test_questions_during_a_long_reading_are_answered_from_what_is_ready(home: Home) -> None:
    home.put("a.md", "The library")
    home.put("b.wait", "takes its time")
    kept, retriever = home.sync()
    snapshot = kept.current()
    assert list(snapshot.documents) == ["a.md"]
    reading = retriever.reading
    assert reading is not None
    assert (reading.done, reading.total, reading.passages) == (1, 2, 1)
    assert str(reading).startswith("1 of 2 new files read")
    assert list(kept.current().documents) == ["a.md"]
    home.go()
    assert until(lambda: retriever.reading is None)
    assert list(kept.current().documents) == ["a.md", "b.wait"]


@pytest.mark.slow
@pytest.mark.usefixtures("waiting")
def test_a_question_waits_until_anything_is_ready_at_all(home: Home) -> None:
    home.put("a.wait", "takes its time")
    kept, _ = home.sync()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(kept.current)
        assert until(lambda: (home.notes / "busy").exists())
        assert not asked.done()
        home.go()
        assert list(asked.result(60).documents) == ["a.wait"]


def test_a_question_right_after_a_change_is_answered_with_it(home: Home) -> None:
    kept, _ = home.sync()
    for number in range(5):
        home.put("a.md", f"Number {number}{'!' * number}")
        assert kept.current().text("a.md") == f"Number {number}{'!' * number}"


def test_many_parts_of_an_index_become_few_when_nobody_waits_and_a_question_meanwhile_is_answered(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "SETTLE_SECONDS", 0.3)
    watching, retriever = home.sync()
    for number in range(store.FEW + 2):
        home.put(f"{number}.md", f"The ferry {number}")
        assert f"{number}.md" in watching.current().documents
    assert until(lambda: len(retriever.latest().segments) == 1, 10)
    assert len(watching.current().documents) == store.FEW + 2


def test_each_asker_is_told_that_the_folder_is_missing_and_answered_when_it_is_there(home: Home) -> None:
    home.corpus.rmdir()
    kept, _ = home.sync()

    def ask(_: int) -> str:
        with pytest.raises(CorpusError, match="does not exist") as told:
            kept.current()
        return str(told.value)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(12))) == {
            f"The corpus folder {home.corpus} does not exist. Create it, or set CORPUS_DIR."
        }
    home.corpus.mkdir()
    home.put("a.md", "a")
    assert list(kept.current().documents) == ["a.md"]


def test_an_error_that_nobody_foresaw_reaches_who_asks_and_ends_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("a.md", "a")
    kept, retriever = home.sync()
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "compare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kept.current()
    assert list(kept.current().documents) == ["a.md"]
    assert texts(retriever) == {"a.md": "a"}


@pytest.mark.slow
def test_two_on_one_index_see_the_same_and_read_each_file_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, read = Counter[str](), readers.read

    def counted(path: Path, max_bytes: int) -> list[readers.Page]:
        reads[path.name] += 1
        return read(path, max_bytes)

    monkeypatch.setattr(readers, "read", counted)
    (one, first), (two, second) = home.sync(), home.sync()
    one.start()
    two.start()
    for number in range(20):
        home.put(f"{number}.md", f"Number {number}")
        assert f"{number}.md" in (one if number % 2 else two).current().documents
    assert until(lambda: len(texts(first)) == len(texts(second)) == 20)
    assert texts(first) == texts(second)
    assert sum(reads.values()) <= 40  # a file is read again that was found while it was being written
    assert set(reads) == set(texts(first))


# The end


def test_closing_ends_the_threads_and_what_was_ready_stays(home: Home) -> None:
    before = set(threading.enumerate())
    home.put("a.md", "a")
    kept, _ = home.sync()
    kept.current()
    assert len(looking(before)) == 2
    kept.start()
    assert len(looking(before)) == 2
    kept.close()
    assert not looking(before)
    home.put("b.md", "b")
    assert list(kept.current().documents) == ["a.md"]


@pytest.mark.slow
@pytest.mark.usefixtures("waiting")
def test_a_question_that_waits_is_answered_when_the_watcher_is_closed(home: Home) -> None:
    home.put("a.wait", "takes its time")
    kept, _ = home.sync()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(kept.current)
        assert until(lambda: (home.notes / "busy").exists())
        kept.close()
        assert asked.result(60).documents == {}
        home.go()


def test_a_watcher_that_never_started_can_be_closed(home: Home) -> None:
    before = set(threading.enumerate())
    kept, _ = home.sync()
    kept.close()
    with suppress(CorpusError):
        kept.current()
    assert until(lambda: not looking(before))
