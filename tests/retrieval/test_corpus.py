"""A folder and its index in step: through changes, restarts, other processes, damage and refusals."""

import gc
import logging
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.documents import readers
from app.documents.document import Document, Limits
from app.documents.folder import Folder
from app.errors import CorpusError
from app.retrieval import corpus, store
from app.retrieval.corpus import Corpus
from app.retrieval.search import search
from app.retrieval.snapshot import Snapshot
from app.retrieval.store import LocalIndex
from app.settings import ROOT
from tests.support import bad_readers
from tests.support.corpora import document
from tests.support.placeholders import put_away
from tests.support.waiting import until

MB = 1_000_000
WORDS = "library garden tomato river winter bridge castle market harbour station theatre museum school forest".split()
GERMAN = "Bücherei Gärten Häuser Versicherung Versicherungsvertrag Brücken Märkte Schulen Wälder Bibliothek".split()


class Home:
    """A corpus, and the state folder that retrievers keep its index in."""

    def __init__(self, path: Path):
        self.corpus, self.state = path / "corpus", path / "state"
        self.corpus.mkdir()

    def put(self, name: str, text: str) -> Path:
        path = self.corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + random.randint(1, 10**9)))
        return path

    def retriever(self) -> Corpus:
        return Corpus(Folder(self.corpus, MB), self.state)

    def fresh(self) -> Corpus:
        """One that has seen nothing yet."""
        return Corpus(Folder(self.corpus, MB))

    @property
    def index(self) -> Path:
        (folder,) = (self.state / "index").iterdir()
        return folder

    @property
    def database(self) -> Path:
        return max(self.index.glob("*.db"), key=lambda path: int(path.stem))

    def state_mark(self) -> str:
        """The mark of the last change."""
        return str(self.select("select mark from state")[0][0])

    def segments(self) -> dict[int, int]:
        """The segments in the database, and the bytes of each."""
        return dict(self.select("select segment, sum(length(data)) from arrays group by segment"))

    def select(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read."""
    counts: Counter[str] = Counter()
    real = readers.read

    def read(path: Path, max_bytes: int) -> list[readers.Page]:
        counts[path.name] += 1
        return real(path, max_bytes)

    monkeypatch.setattr(readers, "read", read)
    return counts


def files(retriever: Corpus, question: str) -> list[str]:
    return [hit.passage.file for hit in retriever.search(question, k=50).hits]


def hits(snapshot: Snapshot, question: str) -> dict[tuple[str, int, int, str], float]:
    """Every passage that is found, and its score."""
    index, found = snapshot.index, {}
    for score, segment, number in index.top_k(index.terms(index.words(question)), 1000):
        passage = snapshot.segments[segment].passage(number)
        found[passage.file, passage.start, passage.end, passage.text] = score
    return found


def sentence(chance: random.Random) -> str:
    return f"The {' '.join(chance.choices(WORDS, k=chance.randint(2, 9)))} {chance.randint(1, 30)}."


def satz(chance: random.Random) -> str:
    return f"Die {' und '.join(chance.choices(GERMAN, k=chance.randint(2, 9)))} sind hier."


def misspelt(word: str, chance: random.Random) -> str:
    at = chance.randrange(len(word) - 1)
    return chance.choice([word[:at] + word[at + 1 :], word[:at] + word[at + 1] + word[at] + word[at + 2 :]])


# Changes


def test_what_is_added_edited_renamed_and_deleted_is_found_as_it_is_now(home: Home) -> None:
    home.put("a.md", "The library is old.")
    retriever = home.retriever()
    assert files(retriever, "library") == ["a.md"]

    home.put("b.md", "A new library, and a garden.")
    assert sorted(files(retriever, "library")) == ["a.md", "b.md"]

    home.put("a.md", "The castle is old.")
    assert files(retriever, "library") == ["b.md"]
    assert files(retriever, "castle") == ["a.md"]

    (home.corpus / "b.md").rename(home.corpus / "c.md")
    assert files(retriever, "library") == ["c.md"]

    (home.corpus / "c.md").unlink()
    found = retriever.search("library garden")
    assert found.hits == ()
    assert found.unknown_words == ("library", "garden")


@pytest.mark.slow
@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_the_index_answers_like_a_new_one(home: Home, seed: int) -> None:
    chance = random.Random(seed)
    retriever = home.retriever()
    for step in range(25):
        for _ in range(chance.randint(1, 4)):
            name = f"{chance.choice('abc')}/{chance.randint(1, 9)}.md"
            if chance.random() < 0.3:
                (home.corpus / name).unlink(missing_ok=True)
            else:
                make = satz if chance.random() < 0.3 else sentence
                home.put(name, f"# Part {step}\n" + "\n\n".join(make(chance) for _ in range(chance.randint(1, 3))))
        if chance.random() < 0.2:
            retriever = home.retriever()
        retriever.refresh()
    changed, fresh = retriever.refresh(), home.fresh().refresh()
    assert changed.documents == fresh.documents
    assert changed.index.languages == fresh.index.languages
    questions = [make(chance) for make in (sentence, satz) for _ in range(8)]
    questions += [f"{misspelt(word, chance)}?" for word in (*WORDS, *GERMAN)]
    for question in questions:
        assert hits(changed, question) == pytest.approx(hits(fresh, question), abs=1e-9)


def test_a_language_goes_with_its_last_document(home: Home) -> None:
    home.put("haus.md", "Die Häuser sind ab zehn Uhr abends geschlossen, und die Türen werden verriegelt.")
    home.put("garden.md", "Tomatoes need sun and water. Plant them in May, and harvest the fruits in August.")
    home.put("other.md", "The library opens at nine every morning, and it closes late in the evening.")
    retriever = home.retriever()
    assert set(retriever.refresh().index.languages) == {"de", "en"}
    (home.corpus / "haus.md").unlink()
    assert retriever.refresh().index.languages == ["en"]
    assert retriever.search("Haus").unknown_words == ("Haus",)


def test_a_word_that_only_a_deleted_document_had_is_not_what_is_meant(home: Home) -> None:
    home.put("a.md", "The tomato")
    home.put("b.md", "The castle")
    home.put("c.md", "The tomatoes")
    retriever = home.retriever()
    assert "a.md" in files(retriever, "tomatp")
    (home.corpus / "a.md").unlink()
    (home.corpus / "c.md").unlink()
    assert files(retriever, "tomatp") == []


# What is kept


def test_an_unchanged_folder_gives_the_same_snapshot(home: Home) -> None:
    home.put("a.md", "The library")
    home.put("b.exe", "no document")
    retriever = home.retriever()
    assert retriever.refresh() is retriever.refresh()
    assert retriever.latest() is retriever.refresh()


def test_after_a_restart_no_file_is_read_again(home: Home, reads: Counter[str]) -> None:
    home.put("a.md", "The library")
    home.put("empty.md", "")
    home.put("table.numbers", "no document")
    before = home.retriever().refresh()
    assert reads == {"a.md": 1, "empty.md": 1, "table.numbers": 1}
    after = home.retriever().refresh()
    assert reads.total() == 3
    assert after.mark == before.mark
    assert (after.documents, after.problems) == (before.documents, before.problems)
    assert after.text("a.md") == "The library"


def test_only_what_has_changed_is_read_again(home: Home, reads: Counter[str]) -> None:
    for name in "abc":
        home.put(f"{name}.md", "The library")
    home.retriever().refresh()
    home.put("b.md", "The library, changed")
    home.retriever().refresh()
    assert reads == {"a.md": 1, "b.md": 2, "c.md": 1}


def test_a_file_that_could_not_be_read_is_tried_again_without_a_new_generation(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("a.md", "The library")
    home.put("b.md", "The garden")
    real = readers.read

    def busy(path: Path, max_bytes: int) -> list[readers.Page]:
        if path.name == "b.md":
            raise readers.UnreadableFile("it is in use") from PermissionError(13, "in use")
        return real(path, max_bytes)

    with monkeypatch.context() as patch:
        patch.setattr(readers, "read", busy)
        retriever = home.retriever()
        first = retriever.refresh()
        assert list(first.problems) == ["b.md"]
        written = home.state_mark()
        assert retriever.refresh() is first
        assert home.retriever().refresh().mark == first.mark
        assert home.state_mark() == written
    assert files(retriever, "garden") == ["b.md"]
    assert retriever.latest().problems == {}


def test_a_file_that_changes_while_it_is_read_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.put("a.md", "old")
    real = readers.read
    writes = iter(["new, and longer"])

    def read(found: Path, max_bytes: int) -> list[readers.Page]:
        pages = real(found, max_bytes)
        for text in writes:
            path.write_text(text, encoding="utf-8")
        return pages

    monkeypatch.setattr(readers, "read", read)
    retriever = home.retriever()
    assert retriever.refresh().text("a.md") == "old"
    assert retriever.refresh().text("a.md") == "new, and longer"
    assert retriever.refresh() is retriever.refresh()


def test_a_document_becomes_a_problem_and_a_document_again(home: Home) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    home.put("a.md", "")
    snapshot = retriever.refresh()
    assert (list(snapshot.documents), list(snapshot.problems)) == ([], ["a.md"])
    assert not retriever.search("library").hits
    home.put("a.md", "The library again")
    snapshot = retriever.refresh()
    assert (list(snapshot.documents), list(snapshot.problems)) == (["a.md"], [])


def test_two_names_that_look_the_same_when_shown_do_not_make_a_new_generation_each_time(home: Home) -> None:
    home.put("a.md", "The library")
    try:
        for name in (b"caf\xe9.md", b"caf\xe8.md"):
            (home.corpus / os.fsdecode(name)).write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system refuses such names")
    retriever = home.retriever()
    assert list(retriever.refresh().problems) == ["caf?.md"]
    assert retriever.refresh() is retriever.refresh()


def test_a_new_document_is_written_into_a_segment_of_its_own(home: Home) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    before = home.segments()
    home.put("b.md", "The garden")
    retriever.refresh()
    after = home.segments()
    assert len(after) == 2
    assert after.items() >= before.items()


@pytest.mark.slow
def test_segments_stay_few_and_a_document_is_copied_a_few_times(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: Counter[str] = Counter()
    real = store.Builder.add_tokens

    def add_tokens(self: store.Builder, terms: list[str], passages: Any) -> None:
        copied.update(term for term in terms if term.isdecimal())  # the name of a file
        real(self, terms, passages)

    monkeypatch.setattr(store.Builder, "add_tokens", add_tokens)
    retriever = home.retriever()
    for number in range(64):
        home.put(f"{number}.md", "The library")
        retriever.refresh()
        if number % 5:  # a change that nobody settles after is no harm
            retriever.settle()
        assert len(retriever.latest().segments) <= store.FEW + 1
    assert len(copied) > 50
    assert max(copied.values()) <= 2 + 6  # log2(64)
    assert len(files(retriever, "library")) == 50


def test_what_is_deleted_does_not_stay_for_ever(home: Home) -> None:
    for number in range(10):
        home.put(f"{number}.md", f"The library {'and secret' + str(number) if number else ''}")
    home.retriever().refresh()
    for number in range(1, 10):
        (home.corpus / f"{number}.md").unlink()
    home.retriever().refresh()
    home.retriever().refresh()
    assert len(home.segments()) == 1
    assert all(b"secret" not in path.read_bytes() for path in home.index.iterdir())


def test_a_corpus_that_was_emptied_leaves_nothing(home: Home) -> None:
    path = home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    path.unlink()
    assert retriever.refresh().documents == {}
    assert retriever.search("library").hits == ()
    home.retriever().refresh()
    assert home.segments() == {}


def test_two_corpora_have_indexes_of_their_own(home: Home, tmp_path: Path) -> None:
    home.put("a.md", "The library")
    other = tmp_path / "other"
    other.mkdir()
    assert files(home.retriever(), "library") == ["a.md"]
    (other / "b.md").write_text("The library", encoding="utf-8")
    assert files(Corpus(Folder(other, MB), home.state), "library") == ["b.md"]
    assert files(home.retriever(), "library") == ["a.md"]
    assert len(list((home.state / "index").iterdir())) == 2


def test_a_corpus_has_one_index_whatever_the_limits_are(home: Home, reads: Counter[str]) -> None:
    home.put("a.md", "The library")
    home.put("b.md", "The")
    home.put("c.md", "The garden and the library")
    one = home.retriever()
    small = Corpus(Folder(home.corpus, 15), home.state)
    assert sorted(files(one, "library")) == ["a.md", "c.md"]
    assert files(small, "library") == ["a.md"]
    assert list(small.latest().problems) == ["c.md"]
    assert files(Corpus(Folder(home.corpus, 5), home.state), "library") == []
    assert sorted(files(home.retriever(), "library")) == ["a.md", "c.md"]
    assert reads["b.md"] == 1
    assert len(list((home.state / "index").iterdir())) == 1


@pytest.mark.parametrize("limits", [Limits(seconds=31), Limits(megabytes=2000)])
def test_what_was_refused_is_tried_again_once_when_the_limits_change(
    home: Home, reads: Counter[str], limits: Limits
) -> None:
    home.put("a.md", "The library")
    home.put("empty.md", "")
    home.retriever().refresh()
    for _ in range(2):
        snapshot = Corpus(Folder(home.corpus, MB, limits), home.state).refresh()
        assert list(snapshot.problems) == ["empty.md"]
        assert reads == {"a.md": 1, "empty.md": 2}


def test_a_corpus_has_one_identity_by_whatever_path_it_is_named(home: Home, tmp_path: Path) -> None:
    assert corpus.corpus_id(home.corpus / ".." / "corpus") == corpus.corpus_id(home.corpus)
    assert corpus.corpus_id(home.state) != corpus.corpus_id(home.corpus)
    assert re.fullmatch("[0-9a-f]{16}", corpus.corpus_id(home.corpus))
    try:
        (tmp_path / "link").symlink_to(home.corpus, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert corpus.corpus_id(tmp_path / "link") == corpus.corpus_id(home.corpus)


def test_without_a_state_folder_nothing_is_left(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home.put("a.md", "The library")
    retriever = home.fresh()
    assert files(retriever, "library") == ["a.md"]
    assert list(tmp_path.glob("escalator-*"))
    del retriever
    if os.name != "nt":  # where what is mapped cannot be removed
        assert not list(tmp_path.glob("escalator-*"))


# Others at the same index


def test_a_second_retriever_sees_what_the_first_has_read(home: Home, reads: Counter[str]) -> None:
    home.put("a.md", "The library")
    one, two = home.retriever(), home.retriever()
    assert files(one, "library") == files(two, "library") == ["a.md"]
    home.put("b.md", "The garden")
    assert files(two, "garden") == files(one, "garden") == ["b.md"]
    assert reads == {"a.md": 1, "b.md": 1}


def test_who_reads_an_old_generation_goes_on_reading_it(home: Home) -> None:
    home.put("a.md", "The library is old.")
    home.put("b.md", "The garden")
    reader = home.retriever().refresh()
    home.put("a.md", "The castle is new.")
    home.put("b.md", "The river")
    home.retriever().refresh()
    home.retriever().refresh()
    home.retriever().settle()
    assert len(home.segments()) == 1
    assert home.select("select file from documents where gone") == []
    assert [hit.passage.text for hit in search(reader.index, "library", k=5).hits] == ["The library is old."]
    assert reader.text("b.md") == "The garden"


def test_who_cannot_write_now_answers_from_what_there_is(home: Home) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    home.put("b.md", "The garden")
    with LocalIndex(home.index).writing():
        assert files(retriever, "garden") == []
        assert files(retriever, "library") == ["a.md"]
    assert files(retriever, "garden") == ["b.md"]


def test_many_threads_get_one_and_the_same_snapshot(home: Home, reads: Counter[str]) -> None:
    for number in range(20):
        home.put(f"{number}.md", f"Document number {number}.")
    retriever = home.retriever()
    together = threading.Barrier(8)

    def refresh(_: int) -> Snapshot:
        together.wait()
        return retriever.refresh()

    with ThreadPoolExecutor(8) as pool:
        snapshots = list(pool.map(refresh, range(8)))
    assert all(snapshot is snapshots[0] for snapshot in snapshots)
    assert set(reads.values()) == {1}


def test_retrievers_in_many_threads_read_each_file_once(home: Home, reads: Counter[str]) -> None:
    for number in range(20):
        home.put(f"{number}.md", f"Document number {number}.")
    together = threading.Barrier(6)

    def refresh(_: int) -> list[str]:
        together.wait()
        return list(home.retriever().refresh().documents)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(refresh, range(6)))
    assert all(documents == found[0] and len(documents) == 20 for documents in found)
    assert reads.total() == 20


CHILD = """
    import sys
    from pathlib import Path
    from app.documents import readers
    from app.documents.folder import Folder
    from app.retrieval.corpus import Corpus

    corpus, state, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    real = readers.read

    def read(path, max_bytes):
        if mode == "count":
            print(path.name, flush=True)
        return real(path, max_bytes)

    readers.read = read
    retriever = Corpus(Folder(corpus, 1_000_000), state)
    snapshot = retriever.refresh()
    if mode == "answer":
        print(*snapshot.documents, retriever.reading.total)
    number = 0
    while mode == "forever":
        (corpus / f"{number % 7}.md").write_text(f"The library number {number}", encoding="utf-8")
        retriever.refresh()
        number += 1
        print(number, flush=True)
"""


def start(home: Home, mode: str) -> "subprocess.Popen[str]":
    """A process of its own that refreshes, once or for ever."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(home.corpus), str(home.state), mode],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        encoding="utf-8",
    )


@pytest.mark.slow
def test_processes_that_start_together_read_each_file_once(home: Home) -> None:
    for number in range(20):
        home.put(f"{number}.md", f"Document number {number}.")
    children = [start(home, "count") for _ in range(3)]
    read = [name for child in children for name in child.communicate(timeout=60)[0].split()]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sorted(read) == sorted(f"{number}.md" for number in range(20))
    assert len(home.retriever().refresh().documents) == 20


@pytest.mark.slow
def test_readers_never_notice_that_somebody_writes_and_tidies(home: Home) -> None:
    home.put("kept.md", "The castle")
    with start(home, "forever") as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            reader = home.retriever()
            for _ in range(40):
                assert "kept.md" in files(reader, "castle")
                assert "kept.md" in files(home.retriever(), "castle")  # which tidies
            assert child.poll() is None
        finally:
            child.kill()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("seed", range(8))
def test_a_writer_killed_at_any_moment_leaves_a_sound_index(home: Home, seed: int, reads: Counter[str]) -> None:
    chance = random.Random(seed)
    home.put("kept.md", "The castle")
    with start(home, "forever") as child:
        assert child.stdout is not None
        for _ in range(chance.randint(1, 20)):
            child.stdout.readline()
        time.sleep(chance.random() / 50)
        child.kill()
    retriever = home.retriever()
    snapshot = retriever.refresh()
    assert set(snapshot.documents) | set(snapshot.problems) == {path.name for path in home.corpus.iterdir()}
    assert reads.total() <= 1  # what was being written; the rest was kept
    assert files(retriever, "castle") == ["kept.md"]
    assert hits(snapshot, "library number") == pytest.approx(hits(home.fresh().refresh(), "library number"), abs=1e-9)
    retriever.settle()
    assert {path.name for path in home.index.iterdir()} <= {"1.db", "1.db-wal", "1.db-shm", "write.lock"}
    assert home.select("pragma integrity_check") == [("ok",)]
    assert set(home.segments()) == {segment.key for segment in retriever.latest().segments}


@pytest.mark.slow
def test_what_is_read_is_searchable_in_all_processes_while_the_rest_is_read(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("TEST_READERS_NOTES", str(notes))
    bad_readers.use(monkeypatch)
    monkeypatch.setattr(corpus, "SHOWN_SECONDS", 0.0)
    home.put("a.md", "The library")
    home.put("b.wait", "takes its time")
    home.put("c.wait", "takes its time")
    retriever = home.retriever()
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(retriever.refresh)
        try:
            assert until(lambda: retriever.ready is not None and "a.md" in retriever.ready.documents)
            assert retriever.ready is not None
            assert [hit.passage.file for hit in search(retriever.ready.index, "library", k=5).hits] == ["a.md"]
            with start(home, "answer") as other:
                assert other.communicate(timeout=60)[0].split() == ["a.md", "2"]
            assert not whole.done()
        finally:
            (notes / "go").touch()
        assert list(whole.result(60).documents) == ["a.md", "b.wait", "c.wait"]
    assert retriever.reading is None


def test_a_folder_that_never_pauses_is_put_in_force_in_parts_each_twice_as_long(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[Document | None] = [document(f"{number:02}", ["aa"]) for number in range(60)]
    results[10:10] = [None, None]
    clock, ready = [0], list[int]()
    commit = store.Writer.commit

    def read(*_: object) -> Iterator[Document | None]:
        for result in results:
            clock[0] += 1
            yield result

    def counted(self: store.Writer, known: Snapshot) -> Snapshot:
        ready.append(len((snapshot := commit(self, known)).documents))
        return snapshot

    monkeypatch.setattr(corpus, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(corpus, "SHOWN_SECONDS", 4)
    monkeypatch.setattr(Folder, "read", read)
    monkeypatch.setattr(store.Writer, "commit", counted)
    home.put("a.md", "The library")
    assert list(home.retriever().refresh().documents) == [f"{number:02}" for number in range(60)]
    assert ready == [5, 5 + 7, 5 + 7 + 17, 60]  # the pauses are in the second part


# Damage and refusals


def hold(patch: pytest.MonkeyPatch, name: str) -> None:
    """As on Windows, where another program has the file of this name open for itself."""
    real = Path.open

    def opened(self: Path, *given: Any, **named: Any) -> Any:
        return refused() if self.name == name else real(self, *given, **named)

    patch.setattr(Path, "open", opened)


def test_a_file_held_by_another_program_keeps_its_old_text_and_is_named_until_it_is_free(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("a.md", "The library is old.")
    retriever = home.retriever()
    retriever.refresh()
    with monkeypatch.context() as patch:
        home.put("a.md", "The castle is new.")
        hold(patch, "a.md")
        for each in (retriever, home.retriever()):
            assert files(each, "library") == ["a.md"]
            assert files(each, "castle") == []
            problem = each.latest().problems["a.md"]
            assert (problem.temporary, "close it in other programs" in problem.reason) == (True, True)
            (file,) = each.latest().files
            assert (file.name, file.state, file.reason) == ("a.md", "outdated", problem.reason)
        assert retriever.refresh() is retriever.refresh()
    assert files(retriever, "castle") == ["a.md"]
    assert files(retriever, "library") == []
    assert retriever.latest().problems == {}


def test_a_file_held_by_another_program_that_is_deleted_then_is_gone(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.put("a.md", "The library is old.")
    retriever = home.retriever()
    retriever.refresh()
    with monkeypatch.context() as patch:
        home.put("a.md", "The castle is new.")
        hold(patch, "a.md")
        retriever.refresh()
    path.unlink()
    snapshot = retriever.refresh()
    assert (dict(snapshot.documents), dict(snapshot.problems)) == ({}, {})


def test_a_file_that_went_to_the_cloud_stays_searchable_and_is_read_when_it_has_changed_and_is_back(
    home: Home, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    home.put("a.md", "The library is old.")
    home.put("b.md", "The castle is old.")
    retriever = home.retriever()
    retriever.refresh()
    with monkeypatch.context() as patch:
        put_away(patch, "a.md")
        home.put("b.md", "The castle is new.")
        put_away(patch, "b.md")
        for each in (retriever, home.retriever()):
            snapshot = each.refresh()
            assert files(each, "library") == ["a.md"]
            assert list(snapshot.problems) == ["b.md"]
            assert "in the cloud only" in snapshot.problems["b.md"].reason
        assert retriever.refresh() is retriever.refresh()
        assert reads == {"a.md": 1, "b.md": 1}
    assert files(retriever, "castle new") == ["b.md"]
    assert retriever.latest().problems == {}
    assert reads == {"a.md": 1, "b.md": 2}


def garble(home: Home, how: str) -> None:
    """Damage the index, which nobody has open, so that the log has been copied into the database."""
    path = home.database
    data = path.read_bytes()
    page = 16384
    match how:
        case "cut off":
            path.write_bytes(data[: len(data) // 2])
        case "cut off in the first page":
            path.write_bytes(data[:1000])
        case "empty":
            path.write_bytes(b"")
        case "zeros":
            path.write_bytes(bytes(len(data)))
        case "foreign":
            path.write_bytes(b"PK\3\4" * 5000)
        case "header garbled":
            path.write_bytes(b"garbage" + data[7:])
        case "tables garbled":
            path.write_bytes(data[: 2 * page] + b"garbage!" * (page // 8) + data[3 * page :])
        case "everything but the first page garbled":
            path.write_bytes(data[:page] + random.Random(1).randbytes(len(data) - page))
        case _:
            with closing(sqlite3.connect(path)) as db, db:
                db.execute(how)


HOWS = (
    "cut off", "cut off in the first page", "empty", "zeros", "foreign", "header garbled", "tables garbled",
    "everything but the first page garbled", "pragma user_version = 3", "pragma user_version = 99", "drop table arrays",
    "drop table state", "delete from state", "delete from arrays where name = 'tokens'", "delete from arrays",
    "update arrays set data = x'00' where name = 'starts'", "update arrays set type = 'odd', checksum = checksum",
    "update arrays set data = zeroblob(length(data))", "update documents set passages = 99",
    "update documents set silent = '['", "update documents set segment = 1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_index_is_made_anew_with_a_warning(
    home: Home, how: str, reads: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    home.put("a.md", "The library")
    home.retriever().refresh()
    gc.collect()
    garble(home, how)
    assert files(home.retriever(), "library") == ["a.md"]
    assert reads == {"a.md": 2}
    for record in caplog.records:
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert "made anew" in record.getMessage()
    assert len(caplog.records) == (how != "empty")  # which is as if it had never been made
    assert files(home.retriever(), "library") == ["a.md"]
    assert reads == {"a.md": 2}
    home.retriever().refresh()
    assert len(home.segments()) == 1
    assert len(list(home.index.glob("*.db"))) == 1


@pytest.mark.parametrize("table", ["texts", "passages"])
def test_a_text_that_is_missing_is_said_to_be_and_the_index_made_anew_by_the_next_question(
    home: Home, table: str, reads: Counter[str]
) -> None:
    home.put("a.md", "The library")
    home.retriever().refresh()
    gc.collect()
    garble(home, f"delete from {table}")
    retriever = home.retriever()
    with pytest.raises(CorpusError, match="is damaged"):
        retriever.search("library")
    assert files(retriever, "library") == ["a.md"]
    assert reads == {"a.md": 2}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_few_wrong_bytes_anywhere_are_an_answer_or_an_error_in_words(home: Home, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(5):
        home.put(f"{number}.md", f"# Part {number}\n" + "\n\n".join(sentence(chance) for _ in range(40)))
    home.retriever().refresh()
    gc.collect()
    data = bytearray(home.database.read_bytes())
    for _ in range(chance.randint(1, 400)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    home.database.write_bytes(data)
    retriever = home.retriever()
    for _ in range(3):
        with suppress(CorpusError):
            retriever.search("library garden tomato", k=50)
        home.put("0.md", f"The ferry {chance.random()}")
    assert "0.md" in files(retriever, "ferry")


def test_an_index_that_is_deleted_while_it_is_used_is_made_anew(home: Home) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    for path in home.index.iterdir():
        path.unlink()
    home.index.rmdir()
    home.put("b.md", "The garden")
    assert files(retriever, "library") == ["a.md"]
    assert files(retriever, "garden") == ["b.md"]


def fill(patch: pytest.MonkeyPatch) -> None:
    """As on a disk without space."""
    connect = store.connect

    def connected(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute("pragma max_page_count = 1")
        return db

    patch.setattr(store, "connect", connected)


def refused(*_: object, **__: object) -> None:
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")


def test_a_database_that_cannot_be_removed_is_left_for_a_later_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where somebody has it open."""
    home.put("a.md", "The library")
    home.retriever().refresh()
    rebuilt = home.retriever()
    rebuilt.forget()
    home.put("a.md", "The library has changed")
    rebuilt.refresh()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert files(home.retriever(), "changed") == ["a.md"]
        assert len(list(home.index.glob("*.db"))) == 2
    assert files(home.retriever(), "changed") == ["a.md"]
    assert [path.name for path in home.index.glob("*.db")] == ["2.db"]


def test_who_has_an_index_open_that_is_made_anew_goes_on_and_then_sees_the_new_one(home: Home) -> None:
    home.put("a.md", "The library")
    one, two = home.retriever(), home.retriever()
    before = one.refresh()
    two.forget()
    home.put("b.md", "The garden")
    assert sorted(two.refresh().documents) == ["a.md", "b.md"]
    assert before.text("a.md") == "The library"
    assert files(one, "garden") == ["b.md"]
    assert home.select("pragma integrity_check") == [("ok",)]


def test_a_state_folder_that_cannot_be_made_is_done_without(
    home: Home, caplog: pytest.LogCaptureFixture, reads: Counter[str]
) -> None:
    home.state.write_text("a file where the folder should be", encoding="utf-8")
    home.put("a.md", "The library")
    retriever = home.retriever()
    assert files(retriever, "library") == ["a.md"]
    home.put("b.md", "The garden")
    assert files(retriever, "garden") == ["b.md"]
    assert reads == {"a.md": 1, "b.md": 1}
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the index cannot be kept in {home.state}")


def test_an_index_that_may_only_be_read_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put("a.md", "The library")
    home.retriever().refresh()
    monkeypatch.setattr(store.FileLock, "acquire", refused)
    assert files(home.retriever(), "library") == ["a.md"]


def test_a_change_that_cannot_be_written_leaves_what_there_was(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    home.put("b.md", "The garden. " * 5000)

    with monkeypatch.context() as patch:
        fill(patch)
        assert files(retriever, "library") == ["a.md"]
        assert files(retriever, "garden") == []
        assert "database or disk is full" in caplog.text
    assert set(files(retriever, "garden")) == {"b.md"}


def test_where_nothing_can_be_written_the_error_says_what_to_do(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch)
    home.put("a.md", "The library")
    with pytest.raises(CorpusError, match=r"cannot be written \(database or disk is full\)\. Free some space"):
        home.retriever().refresh()
