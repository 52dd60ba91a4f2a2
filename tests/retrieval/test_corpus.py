"""A folder and its index in step: through changes, restarts, other processes, damage and refusals."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import state
from app.documents import readers
from app.documents.document import Document
from app.documents.folder import Folder
from app.documents.sandbox import process
from app.errors import CorpusError
from app.retrieval import corpus, store
from app.retrieval.corpus import Corpus, Snapshot
from app.retrieval.inventory import Inventory
from app.retrieval.search import search
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
    def manifest(self) -> Path:
        return self.index / "manifest.json"

    def segments(self) -> dict[str, int]:
        """The segment files, and when each was written."""
        return {path.name: path.stat().st_mtime_ns for path in self.index.glob("*.segment")}


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
    for score, segment, number in index.top_k(index.terms([(word, 1.0) for word in index.words(question)]), 1000):
        passage = snapshot.generation.segments[segment][0].passages.passage(number)
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
    assert after.generation.mark == before.generation.mark
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
        written = home.manifest.stat().st_mtime_ns
        assert retriever.refresh() is first
        assert home.retriever().refresh().generation.number == first.generation.number
        assert home.manifest.stat().st_mtime_ns == written
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


def test_segments_stay_few_and_a_document_is_copied_a_few_times(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: Counter[str] = Counter()
    real = store.Draft.take

    def take(self: store.Draft, segment: store.Stored, gone: set[int]) -> None:
        copied.update(entry.file for number, entry in enumerate(segment.archive.entries) if number not in gone)
        real(self, segment, gone)

    monkeypatch.setattr(store.Draft, "take", take)
    retriever = home.retriever()
    for number in range(64):
        home.put(f"{number}.md", "The library")
        retriever.refresh()
        if number % 5:  # a change that nobody settles after is no harm
            retriever.settle()
        assert len(retriever.latest().generation.segments) <= store.FEW + 1
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
    (path,) = home.index.glob("*.segment")
    assert b"secret" not in path.read_bytes()


def test_a_corpus_that_was_emptied_leaves_nothing(home: Home) -> None:
    path = home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    path.unlink()
    assert retriever.refresh().documents == {}
    assert retriever.search("library").hits == ()
    home.retriever().refresh()
    assert home.segments() == {}


def test_two_corpora_and_two_limits_of_size_have_indexes_of_their_own(home: Home, tmp_path: Path) -> None:
    home.put("a.md", "The library")
    other = tmp_path / "other"
    other.mkdir()
    assert files(home.retriever(), "library") == ["a.md"]
    assert files(Corpus(Folder(other, MB), home.state), "library") == []
    assert files(Corpus(Folder(home.corpus, 5), home.state), "library") == []
    assert files(home.retriever(), "library") == ["a.md"]


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
    home.retriever().refresh()  # tidies
    assert len(home.segments()) == 1
    assert [hit.passage.text for hit in search(reader.index, "library", k=5).hits] == ["The library is old."]
    assert reader.text("b.md") == "The garden"


def test_who_cannot_write_now_answers_from_what_there_is(home: Home) -> None:
    home.put("a.md", "The library")
    retriever = home.retriever()
    retriever.refresh()
    home.put("b.md", "The garden")
    with store.Store(home.index).writing():
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
        print(*snapshot.documents, retriever.unread)
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


def test_processes_that_start_together_read_each_file_once(home: Home) -> None:
    for number in range(20):
        home.put(f"{number}.md", f"Document number {number}.")
    children = [start(home, "count") for _ in range(3)]
    read = [name for child in children for name in child.communicate(timeout=60)[0].split()]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sorted(read) == sorted(f"{number}.md" for number in range(20))
    assert len(home.retriever().refresh().documents) == 20


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
    home.retriever().refresh()
    left = {path.name for path in home.index.iterdir()} - {"manifest.json", "write.lock"}
    assert left == {segment.name for segment, _ in retriever.latest().generation.segments}


def test_what_is_read_is_searchable_in_all_processes_while_the_rest_is_read(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("TEST_READERS_NOTES", str(notes))
    monkeypatch.setattr(process, "WORKER", "tests.support.bad_readers")
    monkeypatch.setattr(readers, "SUFFIXES", bad_readers.formats())
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
    assert retriever.unread == 0


def test_a_folder_that_never_pauses_is_put_in_force_in_parts_each_twice_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr(corpus, "time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(corpus, "SHOWN_SECONDS", 4)
    results: list[Document | None] = [document(f"{number}", ["aa"]) for number in range(60)]
    results[10:10] = [None, None]
    found = [[each.file for each in part] for part in corpus.parts(iter(results))]
    assert [int(file) for part in found for file in part] == list(range(60))
    sizes = [len(part) for part in found]
    assert sizes[:3] == [5, 7, 17]  # the pauses are in the second one
    assert len(sizes) == 4


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
            assert (problem.passing, "close it in other programs" in problem.reason) == (True, True)
            (file,) = Inventory(each.latest()).files
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
    (segment,) = home.index.glob("*.segment")
    manifest = json.loads(home.manifest.read_text(encoding="utf-8"))
    data = segment.read_bytes()
    match how:
        case "manifest cut off":
            home.manifest.write_bytes(home.manifest.read_bytes()[:-10])
        case "manifest empty":
            home.manifest.write_bytes(b"")
        case "manifest of zeros":
            home.manifest.write_bytes(bytes(300))
        case "manifest of another kind":
            home.manifest.write_text('{"format": 1}', encoding="utf-8")
        case "manifest without end":
            home.manifest.write_text("[" * 100_000, encoding="utf-8")
        case "older format":
            old = {"format": 0, "generation": 7, "mark": "x", "segments": "old", "problems": 3}
            home.manifest.write_text(json.dumps(old), encoding="utf-8")
        case "wrong numbers":
            manifest["segments"][0][1] = [99]
            home.manifest.write_text(json.dumps(manifest), encoding="utf-8")
        case "segment missing":
            segment.unlink()
        case "segment cut off":
            segment.write_bytes(data[: len(data) // 2])
        case "segment empty":
            segment.write_bytes(b"")
        case "segment garbled":
            segment.write_bytes(data[:40] + b"garbage" + data[47:])
        case "segment foreign":
            segment.write_bytes(b"PK\3\4" * 1000)


HOWS = (
    "manifest cut off", "manifest empty", "manifest of zeros", "manifest of another kind", "manifest without end",
    "older format", "wrong numbers", "segment missing", "segment cut off", "segment empty", "segment garbled",
    "segment foreign",
)  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_index_is_made_anew_with_a_warning(
    home: Home, how: str, reads: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    home.put("a.md", "The library")
    home.retriever().refresh()
    garble(home, how)
    assert files(home.retriever(), "library") == ["a.md"]
    assert reads == {"a.md": 2}
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "made anew" in record.getMessage()
    assert files(home.retriever(), "library") == ["a.md"]
    assert reads == {"a.md": 2}
    home.retriever().refresh()
    assert len(home.segments()) == 1


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


def refused(*_: object, **__: object) -> None:
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")


def test_a_segment_that_cannot_be_removed_is_left_for_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where somebody has it mapped."""
    home.put("a.md", "The library")
    home.retriever().refresh()
    home.put("a.md", "The library has changed")
    home.retriever().refresh()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert files(home.retriever(), "changed") == ["a.md"]
        assert len(home.segments()) == 2
    assert files(home.retriever(), "changed") == ["a.md"]
    assert len(home.segments()) == 1


def test_a_manifest_that_somebody_is_reading_is_replaced_a_little_later(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([True, True, False])
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(refusals, False):
            refused()
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    home.put("a.md", "The library")
    assert files(home.retriever(), "library") == ["a.md"]
    assert next(refusals, None) is None
    assert home.manifest.exists()


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
    home.put("b.md", "The garden")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state, "write", full)
        assert files(retriever, "library") == ["a.md"]
        assert files(retriever, "garden") == []
        assert "No space left" in caplog.text
    assert files(retriever, "garden") == ["b.md"]


def test_where_nothing_can_be_written_the_error_says_what_to_do(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "write", full)
    home.put("a.md", "The library")
    with pytest.raises(CorpusError, match=r"cannot be written \(No space left on device\)\. Free some space"):
        home.retriever().refresh()
