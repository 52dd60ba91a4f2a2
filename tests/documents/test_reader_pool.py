"""Files are read in processes of their own: what a file may do to one, and how all of them end."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from app.documents import folder as folders
from app.documents import reader_pool
from app.documents.document import Document, Limits, Problem
from app.documents.folder import Folder
from app.documents.readers import read_file
from app.retrieval.corpus import Corpus
from app.settings import ROOT
from tests.support import bad_readers
from tests.support.waiting import until

pytestmark = pytest.mark.slow

MB = 1_000_000
WORKER = "tests.support.bad_readers"
DIED = "reading it ended the reader; it may be damaged, export it again"
GOOD = "The library opens at nine every morning, and it closes late in the evening."


class Home:
    """A corpus whose formats misbehave, and the numbers of the processes that were started to read it."""

    def __init__(self, path: Path):
        self.path, self.notes = path / "corpus", path / "notes"
        self.path.mkdir()
        self.notes.mkdir()

    def put(self, *names: str, text: str = GOOD) -> None:
        for name in names:
            (self.path / name).write_text(text, encoding="utf-8")

    def folder(self, **limits: int) -> Folder:
        return Folder(self.path, MB, Limits(**{"seconds": 20, "megabytes": 400} | limits))

    def started(self, note: str = "started") -> list[int]:
        path = self.notes / note
        return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.exists() else []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    found = Home(tmp_path)
    bad_readers.use(monkeypatch)
    monkeypatch.setenv("TEST_READERS_NOTES", str(found.notes))
    return found


def read(folder: Folder) -> dict[str, Document | Problem]:
    return {result.file: result for result in folder.read(folder.compare({}).changed) if result}


def paths(folder: Folder) -> list[tuple[str, Path]]:
    return [(file, path) for file, path in folder.compare({}).changed if isinstance(path, Path)]


def reason(result: Document | Problem) -> str:
    assert isinstance(result, Problem)
    return result.reason


def gone(pids: Iterable[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


# What a file may do


@pytest.mark.parametrize("kind", ["hang", "cling"])
def test_a_file_that_takes_too_long_is_given_up_and_the_others_go_on(home: Home, kind: str) -> None:
    home.put(f"bad.{kind}", "a.tell", "c.tell", "d.md")
    found = read(home.folder(seconds=2))
    assert reason(found.pop(f"bad.{kind}")) == (
        "it took longer than 2 s to read and was given up; split it, or raise ESCALATOR_READ_SECONDS"
    )
    assert sorted(found) == ["a.tell", "c.tell", "d.md"]
    assert all(isinstance(result, Document) for result in found.values())


@pytest.mark.parametrize("kind", ["eat", "swallow"])
def test_a_file_that_takes_too_much_memory_is_given_up_and_the_others_go_on(home: Home, kind: str) -> None:
    if kind == "swallow" and os.name == "nt":
        pytest.skip("memory that is not used is not limited there")
    home.put(f"bad.{kind}", "a.tell", "c.tell")
    found = read(home.folder())
    assert reason(found.pop(f"bad.{kind}")) == (
        "reading it took more than 400 MB of memory and was given up; split it, or raise ESCALATOR_READ_MB"
    )
    assert all(isinstance(result, Document) for result in found.values())
    assert len(found) == 2


@pytest.mark.parametrize("kind", ["crash", "garbage", "wrong", "half"])
def test_a_file_that_breaks_its_reader_is_a_problem_and_the_others_go_on(home: Home, kind: str) -> None:
    home.put(f"bad.{kind}", "a.tell", "c.tell")
    found = read(home.folder(seconds=3))
    expected = "it took longer than 3 s" if kind == "half" else "it holds more than" if kind == "garbage" else DIED
    assert reason(found.pop(f"bad.{kind}")).startswith(expected)
    assert all(isinstance(result, Document) for result in found.values())
    assert len(found) == 2


@pytest.mark.parametrize("kind", ["long", "expand"])
def test_more_text_than_is_allowed_is_not_taken(home: Home, kind: str) -> None:
    home.put(f"bad.{kind}", "a.tell")
    found = read(Folder(home.path, MB // 10, Limits(60, 1000)))
    assert reason(found["bad." + kind]) == "it holds more than 2 MB of text and was given up; split it"
    assert isinstance(found["a.tell"], Document)


def test_a_file_that_was_given_up_is_to_be_read_again_only_when_it_changes(home: Home) -> None:
    home.put("bad.crash")
    folder = home.folder()
    before = read(folder)
    assert folder.compare(before).changed == ()
    home.put("bad.crash", text="changed")
    assert [file for file, _ in folder.compare(before).changed] == ["bad.crash"]


def test_a_reader_that_prints_or_asks_disturbs_nobody(home: Home) -> None:
    home.put("a.chat", "b.chat")
    assert all(isinstance(result, Document) for result in read(home.folder()).values())


def test_a_file_gets_at_no_key_of_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "sesame-1")
    monkeypatch.setenv("CHAINLIT_AUTH_SECRET", "sesame-2")
    home.put("a.spy")
    (result,) = read(home.folder()).values()
    assert isinstance(result, Document)
    assert str(home.notes) in result.text
    assert "sesame" not in result.text


def test_a_file_is_not_blamed_for_the_damage_that_another_one_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    home.put("a.spoil", "b.suffer", "c.tell")
    assert all(isinstance(result, Document) for result in read(home.folder()).values())
    assert len(home.started()) == 2


def test_where_no_process_starts_each_file_is_a_problem_that_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("a.tell", "b.md")
    folder = home.folder()
    for owner, name, value in ((sys, "executable", "no-such-program"), (reader_pool, "WORKER", "tests.no_such_module")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            found = read(folder)
        assert "no process could be started" in reason(found["a.tell"])
        assert isinstance(found["b.md"], Document)
        assert [file for file, _ in folder.compare(found).changed] == ["a.tell"]
    assert isinstance(read(folder)["a.tell"], Document)


# Which files


def test_a_few_text_files_start_no_process(home: Home) -> None:
    home.put(*(f"{number}.md" for number in range(62)), "table.unknown", "empty.txt")
    assert len(read(home.folder())) == 64
    assert home.started() == []


def test_many_text_files_are_read_by_processes_and_become_the_same_documents(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "HERE_SECONDS", 0.0)
    for number in range(300):
        home.put(
            f"{number}.md", text=f"# Teil {number}\n\n{GOOD * (number % 40)}\n\n## Grüße, 你好 \U0001f600\n\nEnde."
        )
    home.put("empty.md", text="")
    home.put("lines.txt", text="One line.\n\n" * 900)
    folder = home.folder()
    here = {file: read_file(file, path, MB) for file, path in paths(folder)}
    assert read(folder) == here
    assert len(home.started()) == min(os.cpu_count() or 1, reader_pool.MAX_PROCESSES)


def test_a_reader_is_used_again_and_ends_when_there_is_nothing_to_read_for_a_while(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    home.put("a.tell", "b.tell")
    folder = home.folder()
    read(folder)
    read(folder)
    (pid,) = home.started()
    assert not gone([pid])
    monkeypatch.setattr(reader_pool, "IDLE_SECONDS", 0.1)
    read(folder)
    assert until(lambda: gone([pid]))


# How they end


def test_who_wants_no_more_leaves_no_process(home: Home) -> None:
    home.put(*(f"{number}.tell" for number in range(20)), "z.hang")
    folder = home.folder()
    results = folder.read(folder.compare({}).changed)
    next(filter(None, results))
    results.close()
    assert home.started()
    assert gone(home.started())


def test_with_the_folder_its_readers_go(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_pool, "IDLE_SECONDS", 1.0)
    home.put("a.tell")
    folder = home.folder()
    read(folder)
    del folder
    assert until(lambda: gone(home.started()))


@pytest.mark.parametrize(("kind", "seconds"), [("tell", 60), ("hang", 60), ("cling", 1)])
def test_readers_end_when_who_asks_them_is_killed(home: Home, kind: str, seconds: int) -> None:
    """Also in the middle of a file; but if its parser lets no other thread run, after its time."""
    home.put(f"a.{kind}", f"b.{kind}")
    script = f"""
        import sys, time
        from pathlib import Path
        from app.documents import readers
        from app.documents import reader_pool
        from app.documents.document import Limits
        from app.documents.folder import Folder
        from tests.support import bad_readers
        reader_pool.WORKER, readers.SUFFIXES = {WORKER!r}, bad_readers.formats()
        reader_pool.Reader.watch = lambda self: None  # nobody else ends them
        folder = Folder(Path({str(home.path)!r}), 10**6, Limits({seconds}, 400))
        found = list(folder.read(folder.compare({{}}).changed))
        print("read", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            if kind == "tell":
                process.stdout.readline()
            count = min(os.cpu_count() or 1, 2)
            assert until(lambda: len(home.started("started" if kind == "tell" else "busy")) == count)
            assert not gone(home.started())
        finally:
            process.kill()
    assert until(lambda: gone(home.started()))


def test_two_at_once_read_the_same_and_leave_each_other_alone(home: Home, tmp_path: Path) -> None:
    home.put(*(f"{number}.tell" for number in range(12)), "bad.crash", "a.md")
    retrievers = [Corpus(home.folder(), tmp_path / f"state{number}") for number in range(2)]
    threads = [threading.Thread(target=retriever.refresh) for retriever in retrievers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for retriever in retrievers:
        assert len(retriever.latest().documents) == 13
        assert {file: problem.reason for file, problem in retriever.latest().problems.items()} == {"bad.crash": DIED}


def test_progress_is_told_and_a_search_finds_what_was_read_elsewhere(home: Home) -> None:
    home.put("a.tell", "b.tell", "c.md", "bad.crash")
    retriever, told = Corpus(home.folder()), []
    retriever.refresh(lambda reading: told.append((reading.done, reading.total)))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert {hit.passage.file for hit in retriever.search("process").hits} == {"a.tell", "b.tell"}
