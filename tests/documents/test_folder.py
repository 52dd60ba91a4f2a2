"""The corpus folder: what is read, what is named as a problem, what is ignored, and what happens between two syncs."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.documents import readers
from app.documents.folder import Folder, Problem, Snapshot
from app.documents.pages import Page
from app.documents.readers import Format
from app.errors import CorpusError

MB = 1_000_000
OUT = "it is a link to a place outside the corpus; copy the file into the folder"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str = "Some text.") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def files(snapshot: Snapshot) -> list[str]:
    return [document.file for document in snapshot.documents]


def problems(snapshot: Snapshot) -> dict[str, str]:
    return {problem.file: problem.reason for problem in snapshot.problems}


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this user may not make links here")


def test_files_are_found_in_all_folders_and_sorted(corpus: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/b/c.md", "README.md"):
        put(corpus, name)
    assert files(Folder(corpus, MB).sync()) == ["README.md", "a/b/c.md", "a/z.txt", "b.md"]


def test_a_document_knows_its_title_language_text_and_passages(corpus: Path) -> None:
    text = "# Öffnungszeiten\nDie Bibliothek ist jeden Tag von neun Uhr morgens bis acht Uhr abends geöffnet."
    put(corpus, "zeiten.md", text)
    (document,) = Folder(corpus, MB).sync().documents
    assert (document.title, document.language, document.text, document.pages) == ("Öffnungszeiten", "de", text, 1)
    assert document.size == len(text.encode())
    for passage in document.passages:
        assert document.text[passage.start : passage.end] == passage.text
        assert (passage.file, passage.title, passage.language) == ("zeiten.md", "Öffnungszeiten", "de")


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"does not exist\. Create it, or set CORPUS_DIR\.$"):
        Folder(tmp_path / "none", MB).sync()
    with pytest.raises(CorpusError, match="is not a folder"):
        Folder(put(tmp_path, "file.md"), MB).sync()


def test_an_empty_folder_holds_nothing(corpus: Path) -> None:
    assert Folder(corpus, MB).sync() == Snapshot(1, (), ())


def test_files_of_systems_and_editors_are_ignored_in_silence(corpus: Path) -> None:
    for name in (".hidden.md", ".git/a.md", "~$letter.md", "a.md~", ".#a.md", "#a.md#", "a.md.swp", "x.tmp", "y.part"):
        put(corpus, name)
    for name in ("z.crdownload", "Thumbs.db", "sub/.DS_Store"):
        put(corpus, name)
    put(corpus, "#1 guide.md")
    snapshot = Folder(corpus, MB).sync()
    assert files(snapshot) == ["#1 guide.md"]
    assert not snapshot.problems


def test_other_formats_are_problems(corpus: Path) -> None:
    put(corpus, "table.xlsx")
    put(corpus, "LICENSE")
    found = problems(Folder(corpus, MB).sync())
    assert list(found) == ["LICENSE", "table.xlsx"]
    assert all(
        "its format is not supported; supported are: .log, .markdown, .md" in reason for reason in found.values()
    )


def test_nothing_changed_means_the_same_snapshot(corpus: Path) -> None:
    put(corpus, "a.md")
    put(corpus, "b.exe")
    folder = Folder(corpus, MB)
    assert folder.sync() is folder.sync()


def test_additions_changes_and_deletions_are_seen_and_the_rest_is_kept(corpus: Path) -> None:
    folder = Folder(corpus, MB)
    put(corpus, "kept.md")
    gone = put(corpus, "gone.md")
    changed = put(corpus, "changed.md", "before")
    first = folder.sync()
    gone.unlink()
    changed.write_text("afterwards", encoding="utf-8")
    put(corpus, "new.md")
    second = folder.sync()
    assert second.generation == first.generation + 1
    assert files(second) == ["changed.md", "kept.md", "new.md"]
    assert second.documents[0].text == "afterwards"
    assert second.documents[1] is next(document for document in first.documents if document.file == "kept.md")


def test_a_change_that_keeps_the_size_is_seen_by_its_time(corpus: Path) -> None:
    path = put(corpus, "a.md", "one")
    folder = Folder(corpus, MB)
    before = folder.sync().documents[0]
    path.write_text("two", encoding="utf-8")
    os.utime(path, ns=(0, before.modified_ns + 1))
    assert folder.sync().documents[0].text == "two"


def use(monkeypatch: pytest.MonkeyPatch, read: object) -> None:
    monkeypatch.setattr(readers, "SUFFIXES", {**readers.SUFFIXES, ".txt": Format((".txt",), read)})  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [RecursionError, MemoryError, ValueError, AssertionError])
def test_a_reader_that_fails_stops_no_other_file(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(_: bytes) -> list[Page]:
        raise error("the text of the document")

    use(monkeypatch, fail)
    put(corpus, "a.md")
    put(corpus, "bad.txt")
    put(corpus, "c.md")
    snapshot = Folder(corpus, MB).sync()
    assert files(snapshot) == ["a.md", "c.md"]
    assert problems(snapshot) == {
        "bad.txt": f"it cannot be read ({error.__name__}); save it again, or in another format"
    }


def test_a_bad_file_is_read_again_only_when_it_changes(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[bytes] = []

    def fail(data: bytes) -> list[Page]:
        times.append(data)
        raise ValueError

    use(monkeypatch, fail)
    put(corpus, "bad.txt", "1")
    folder = Folder(corpus, MB)
    assert folder.sync() is folder.sync()
    assert times == [b"1"]
    put(corpus, "bad.txt", "22")
    folder.sync()
    assert times == [b"1", b"22"]


def test_a_file_held_open_by_another_program_is_tried_again(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(corpus, "a.md")
    folder = Folder(corpus, MB)

    def sharing_violation(*_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", sharing_violation)
        first = folder.sync()
        assert list(problems(first)) == ["a.md"]
        assert "close it in other programs" in problems(first)["a.md"]
        assert folder.sync() is first
    assert files(folder.sync()) == ["a.md"]


def test_a_file_that_changes_while_it_is_read_is_read_again(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(corpus, "a.txt", "old")
    original = readers.SUFFIXES[".txt"].read
    writes = iter(["new, and longer"])

    def read(data: bytes) -> list[Page]:
        for text in writes:
            path.write_text(text, encoding="utf-8")
        return original(data)

    use(monkeypatch, read)
    folder = Folder(corpus, MB)
    assert folder.sync().documents[0].text == "old"
    assert folder.sync().documents[0].text == "new, and longer"


def test_a_file_that_vanishes_while_it_is_read_is_forgotten(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(corpus, "a.txt")

    def read(_: bytes) -> list[Page]:
        path.unlink()
        return []

    use(monkeypatch, read)
    assert Folder(corpus, MB).sync() == Snapshot(1, (), ())


def test_links_that_lead_out_are_not_read(corpus: Path, tmp_path: Path) -> None:
    secret = put(tmp_path, "outside/secret.md")
    link(corpus / "a.md", secret)
    link(corpus / "folder", secret.parent)
    link(corpus / "up", tmp_path)
    link(corpus / "broken.md", tmp_path / "none.md")
    snapshot = Folder(corpus, MB).sync()
    assert files(snapshot) == []
    assert problems(snapshot) | {"broken.md": ""} == {"a.md": OUT, "folder": OUT, "up": OUT, "broken.md": ""}


def test_a_folder_whose_name_begins_like_the_corpus_is_outside(corpus: Path, tmp_path: Path) -> None:
    link(corpus / "a.md", put(tmp_path, "corpus2/a.md"))
    assert problems(Folder(corpus, MB).sync()) == {"a.md": OUT}


def test_links_inside_are_followed_once_and_never_for_ever(corpus: Path) -> None:
    put(corpus, "real/a.md")
    link(corpus / "also", corpus / "real")
    link(corpus / "real" / "loop", corpus)
    link(corpus / "b.md", corpus / "real" / "a.md")
    link(corpus / "self", corpus / "self")
    put(corpus, ".data/hidden.md")
    link(corpus / "shown.md", corpus / ".data" / "hidden.md")
    snapshot = Folder(corpus, MB).sync()
    assert files(snapshot) == ["real/a.md", "shown.md"]
    assert list(problems(snapshot)) == ["self"]


def test_the_corpus_itself_may_be_a_link(corpus: Path, tmp_path: Path) -> None:
    put(corpus, "a.md")
    link(tmp_path / "linked", corpus)
    assert files(Folder(tmp_path / "linked", MB).sync()) == ["a.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in folders")
def test_a_pipe_is_not_waited_for(corpus: Path) -> None:
    os.mkfifo(corpus / "pipe.md")
    assert "not an ordinary file" in problems(Folder(corpus, MB).sync())["pipe.md"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_a_problem_that_can_be_shown(corpus: Path) -> None:
    try:
        (corpus / os.fsdecode(b"caf\xe9.md")).write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system refuses such names")
    (problem,) = Folder(corpus, MB).sync().problems
    assert problem == Problem("caf?.md", "its name holds bytes that are no text; rename it")


def test_many_threads_get_one_and_the_same_snapshot(corpus: Path) -> None:
    for number in range(20):
        put(corpus, f"{number}.md", f"Document number {number}.")
    folder = Folder(corpus, MB)
    together = threading.Barrier(8)

    def sync(_: int) -> Snapshot:
        together.wait()
        return folder.sync()

    with ThreadPoolExecutor(8) as pool:
        snapshots = list(pool.map(sync, range(8)))
    assert all(snapshot is snapshots[0] for snapshot in snapshots)
    assert snapshots[0].generation == 1
