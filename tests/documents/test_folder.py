"""The corpus folder: what is read, what is named as a problem, what is ignored, and what is named as changed."""

import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import readers
from app.documents.document import Document, Problem
from app.documents.folder import Difference, Folder, safe, wanted
from app.documents.passages import Page
from app.documents.readers import Format, read_file
from app.errors import CorpusError
from app.files import is_portable

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


def known(folder: Folder) -> dict[str, Document | Problem]:
    """Everything in the folder, read."""
    changed = folder.compare({}).changed
    results = [path if isinstance(path, Problem) else read_file(file, path, MB) for file, path in changed]
    return {result.file: result for result in results if result is not None}


def files(folder: Folder) -> list[str]:
    return [result.file for result in known(folder).values() if isinstance(result, Document)]


def problems(folder: Folder) -> dict[str, str]:
    return {result.file: result.reason for result in known(folder).values() if isinstance(result, Problem)}


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this user may not make links here")


def test_files_are_found_in_all_folders_and_sorted(corpus: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/b/c.md", "README.md"):
        put(corpus, name)
    assert files(Folder(corpus, MB)) == ["README.md", "a/b/c.md", "a/z.txt", "b.md"]


@pytest.mark.slow
def test_a_document_knows_its_title_language_text_and_passages(corpus: Path) -> None:
    text = "# Öffnungszeiten\nDie Bibliothek ist jeden Tag von neun Uhr morgens bis acht Uhr abends geöffnet."
    put(corpus, "zeiten.md", text)
    (document,) = known(Folder(corpus, MB)).values()
    assert isinstance(document, Document)
    assert (document.title, document.language, document.text, document.pages) == ("Öffnungszeiten", "de", text, 1)
    assert document.size == len(text.encode())
    for passage in document.passages:
        assert document.text[passage.start : passage.end] == passage.text
        assert (passage.file, passage.title, passage.language) == ("zeiten.md", "Öffnungszeiten", "de")


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"does not exist\. Create it, or set CORPUS_DIR\.$"):
        Folder(tmp_path / "none", MB).compare({})
    with pytest.raises(CorpusError, match="is not a folder"):
        Folder(put(tmp_path, "file.md"), MB).compare({})


def test_an_empty_folder_holds_nothing(corpus: Path) -> None:
    assert known(Folder(corpus, MB)) == {}


def test_files_of_systems_and_editors_are_ignored_in_silence(corpus: Path) -> None:
    for name in (".hidden.md", ".git/a.md", "~$letter.md", "a.md~", ".#a.md", "#a.md#", "a.md.swp", "x.tmp", "y.part"):
        put(corpus, name)
    for name in ("z.crdownload", "Thumbs.db", "sub/.DS_Store"):
        put(corpus, name)
    put(corpus, "#1 guide.md")
    folder = Folder(corpus, MB)
    assert files(folder) == ["#1 guide.md"]
    assert not problems(folder)


def test_other_formats_are_problems(corpus: Path) -> None:
    put(corpus, "table.numbers")
    put(corpus, "LICENSE")
    found = problems(Folder(corpus, MB))
    assert list(found) == ["LICENSE", "table.numbers"]
    assert all(
        reason == "its format is not supported; save it as PDF, HTML, Markdown or text" for reason in found.values()
    )


def test_what_is_known_and_unchanged_is_not_named(corpus: Path) -> None:
    put(corpus, "a.md")
    put(corpus, "b.exe")
    link(corpus / "broken.md", corpus / "none.md")
    folder = Folder(corpus, MB)
    assert folder.compare(known(folder)) == Difference((), frozenset())


def test_additions_changes_and_deletions_are_named_and_the_rest_is_not(corpus: Path) -> None:
    folder = Folder(corpus, MB)
    put(corpus, "kept.md")
    gone = put(corpus, "gone.md")
    changed = put(corpus, "changed.md", "before")
    before = known(folder)
    gone.unlink()
    changed.write_text("afterwards", encoding="utf-8")
    new = put(corpus, "new.md")
    assert folder.compare(before) == Difference((("changed.md", changed), ("new.md", new)), frozenset({"gone.md"}))


def test_a_change_that_keeps_the_size_is_seen_by_its_time(corpus: Path) -> None:
    path = put(corpus, "a.md", "one")
    folder = Folder(corpus, MB)
    before = known(folder)
    path.write_text("two", encoding="utf-8")
    os.utime(path, ns=(0, before["a.md"].modified_ns + 1))
    assert folder.compare(before).changed == (("a.md", path),)


def test_a_file_that_became_a_folder_is_gone(corpus: Path) -> None:
    path = put(corpus, "a.md")
    folder = Folder(corpus, MB)
    before = known(folder)
    path.unlink()
    put(corpus, "a.md/b.md")
    difference = folder.compare(before)
    assert [file for file, _ in difference.changed] == ["a.md/b.md"]
    assert difference.gone == {"a.md"}


def use(monkeypatch: pytest.MonkeyPatch, read: object) -> None:
    monkeypatch.setattr(readers, "SUFFIXES", {**readers.SUFFIXES, ".txt": Format((".txt",), read)})  # type: ignore[arg-type]


DAMAGED = "it is damaged, or it is not a .txt file; save it as .txt again"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        *((error, DAMAGED) for error in (RecursionError, ValueError, AssertionError)),
        (MemoryError, "reading it takes more memory than there is; split it"),
    ],
)
def test_a_reader_that_fails_stops_no_other_file(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], reason: str
) -> None:
    def fail(_: bytes) -> list[Page]:
        raise error("the text of the document")

    use(monkeypatch, fail)
    put(corpus, "a.md")
    put(corpus, "bad.txt")
    put(corpus, "c.md")
    folder = Folder(corpus, MB)
    assert files(folder) == ["a.md", "c.md"]
    assert problems(folder) == {"bad.txt": reason}


def test_a_bad_file_is_to_be_read_again_only_when_it_changes(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> list[Page]:
        raise ValueError

    use(monkeypatch, fail)
    path = put(corpus, "bad.txt", "1")
    folder = Folder(corpus, MB)
    before = known(folder)
    assert folder.compare(before).changed == ()
    put(corpus, "bad.txt", "22")
    assert folder.compare(before).changed == (("bad.txt", path),)


def test_a_file_held_open_by_another_program_is_to_be_tried_again(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(corpus, "a.md")
    folder = Folder(corpus, MB)

    def sharing_violation(*_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", sharing_violation)
        before = known(folder)
    problem = before["a.md"]
    assert isinstance(problem, Problem)
    assert "close it in other programs" in problem.reason
    assert folder.compare(before).changed == (("a.md", path),)
    assert isinstance(read_file("a.md", path, MB), Document)


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
    before = known(folder)
    assert before["a.txt"].text == "old"  # type: ignore[union-attr]
    assert folder.compare(before).changed == (("a.txt", path),)


def test_a_file_that_vanishes_while_it_is_read_is_forgotten(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(corpus, "a.txt")

    def read(_: bytes) -> list[Page]:
        path.unlink()
        return []

    use(monkeypatch, read)
    assert known(Folder(corpus, MB)) == {}


def test_links_that_lead_out_are_not_read(corpus: Path, tmp_path: Path) -> None:
    secret = put(tmp_path, "outside/secret.md")
    link(corpus / "a.md", secret)
    link(corpus / "folder", secret.parent)
    link(corpus / "up", tmp_path)
    link(corpus / "broken.md", tmp_path / "none.md")
    folder = Folder(corpus, MB)
    assert files(folder) == []
    assert problems(folder) | {"broken.md": ""} == {"a.md": OUT, "folder": OUT, "up": OUT, "broken.md": ""}


def test_a_folder_whose_name_begins_like_the_corpus_is_outside(corpus: Path, tmp_path: Path) -> None:
    link(corpus / "a.md", put(tmp_path, "corpus2/a.md"))
    assert problems(Folder(corpus, MB)) == {"a.md": OUT}


def test_links_inside_are_followed_once_and_never_for_ever(corpus: Path) -> None:
    put(corpus, "real/a.md")
    link(corpus / "also", corpus / "real")
    link(corpus / "real" / "loop", corpus)
    link(corpus / "b.md", corpus / "real" / "a.md")
    link(corpus / "self", corpus / "self")
    put(corpus, ".data/hidden.md")
    link(corpus / "shown.md", corpus / ".data" / "hidden.md")
    folder = Folder(corpus, MB)
    assert files(folder) == ["real/a.md", "shown.md"]
    assert list(problems(folder)) == ["self"]


def test_the_corpus_itself_may_be_a_link(corpus: Path, tmp_path: Path) -> None:
    put(corpus, "a.md")
    link(tmp_path / "linked", corpus)
    assert files(Folder(tmp_path / "linked", MB)) == ["a.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in folders")
def test_a_pipe_is_not_waited_for(corpus: Path) -> None:
    os.mkfifo(corpus / "pipe.md")
    assert "not an ordinary file" in problems(Folder(corpus, MB))["pipe.md"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_each_name_is_named_once_and_a_file_goes_before_a_problem(corpus: Path) -> None:
    put(corpus, "caf?.md")
    try:
        for name in (b"caf\xe9.md", b"caf\xe8.md", b"th\xe9.md", b"th\xe8.md"):
            put(corpus, os.fsdecode(name))
    except OSError:
        pytest.skip("this file system refuses such names")
    folder = Folder(corpus, MB)
    assert [file for file, _ in folder.compare({}).changed] == ["caf?.md", "th?.md"]
    assert (files(folder), list(problems(folder))) == (["caf?.md"], ["th?.md"])


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_a_problem_that_can_be_shown(corpus: Path) -> None:
    try:
        (corpus / os.fsdecode(b"caf\xe9.md")).write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system refuses such names")
    (problem,) = known(Folder(corpus, MB)).values()
    assert problem == Problem("caf?.md", "its name holds bytes that are no text; rename it")


# What is put into the folder

RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


@given(
    st.one_of(
        st.text(max_size=400),
        st.text("aé漢😀 .~#$_/\\:", max_size=300),
        st.builds(
            "{}{}{}".format,
            st.sampled_from(
                ["con", "NUL", "com1", "LPT¹", "conin$", "aux ", ".", "~$", "#", "", "a" * 300, "漢" * 300]
            ),
            st.sampled_from(["", ".", " ", ".b", "#", "~"]),
            st.sampled_from([".md", ".pdf", ".tmp", ".part", ".ini", "", ".", " ", ".markdown", f".{'x' * 60}"]),
        ),
        st.sampled_from(["Thumbs.db", "desktop.ini", ".DS_Store", "C:\\a\\b.md", "../../etc/passwd", "\ud800.md"]),
    )
)
def test_a_safe_name_is_one_that_every_system_takes_and_the_corpus_does_not_ignore(name: str) -> None:
    found = safe(name)
    assert found
    assert not RESERVED.match(found)
    assert not re.search(r'[\x00-\x1f\x7f<>:"/\\|?*]', found)
    assert found[-1] not in ". "
    assert found[0] not in ". "
    assert len(f"{found} (1000000)".encode()) <= 255
    assert safe(found) == found


@given(st.text(max_size=300), st.sampled_from([".md", ".pdf", ".docx", ".PDF", ".ipynb", ".xhtml"]))
def test_a_safe_name_keeps_its_ending_and_is_listed(name: str, suffix: str) -> None:
    found = safe(name + suffix)
    assert Path(found).suffix == suffix
    assert wanted(found)


@pytest.mark.parametrize(
    "name", ["Minutes 2024-05.pdf", "Bericht für März.docx", "a.b.c.md", "#1 guide.md", "漢字.txt"]
)
def test_a_good_name_hardly_changes(name: str) -> None:
    assert safe(name) == name.removeprefix("#")


@pytest.mark.parametrize("name", ["notes.tmp", "Thumbs.db", "desktop.ini", "movie.part"])
def test_what_would_be_ignored_gets_a_name_that_is_listed_and_named(corpus: Path, tmp_path: Path, name: str) -> None:
    folder = Folder(corpus, MB)
    kept = folder.keep(put(tmp_path, "upload"), name)
    assert list(problems(folder)) == [kept]


def test_a_file_is_kept_beside_those_of_the_same_name_and_over_none(corpus: Path, tmp_path: Path) -> None:
    folder = Folder(corpus, MB)
    put(corpus, "a.md", "there before")
    names = [folder.keep(put(tmp_path, f"upload{number}", f"number {number}"), "a.md") for number in range(3)]
    assert names == ["a (2).md", "a (3).md", "a (4).md"]
    texts = {path.name: path.read_text(encoding="utf-8") for path in corpus.iterdir()}
    assert texts == {"a.md": "there before"} | {name: f"number {at}" for at, name in enumerate(names)}


def test_files_that_are_kept_at_the_same_time_get_names_of_their_own(corpus: Path, tmp_path: Path) -> None:
    folder, together = Folder(corpus, MB), threading.Barrier(8)
    sources = [put(tmp_path, f"upload{number}", f"number {number}" * 1000) for number in range(8)]

    def keep(source: Path) -> str:
        together.wait()
        return folder.keep(source, "a.md")

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(keep, sources))
    assert sorted(names) == sorted(["a.md", *(f"a ({number}).md" for number in range(2, 9))])
    for source, name in zip(sources, names, strict=True):
        assert (corpus / name).read_bytes() == source.read_bytes()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_copy_that_fails_leaves_no_half_file(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    closed = []

    def fail(source: IO[bytes], copy: IO[bytes]) -> None:
        copy.write(source.read(3))
        closed.append(copy)
        raise error

    unlink = Path.unlink

    def unlinked(self: Path, *, missing_ok: bool = False) -> None:
        assert all(copy.closed for copy in closed), "Windows removes no open file"
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    monkeypatch.setattr(Path, "unlink", unlinked)
    expected = CorpusError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as told:
        Folder(corpus, MB).keep(put(tmp_path, "upload"), "a.md")
    if isinstance(error, OSError):
        assert "No space left on device" in str(told.value)
        assert "Free some space" in str(told.value)
    assert list(corpus.iterdir()) == []


def test_what_cannot_be_copied_is_told_with_the_name_it_came_under(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"^minutes\.pdf cannot be copied into "):
        Folder(corpus, MB).keep(tmp_path / "none", "minutes.pdf")
    assert list(corpus.iterdir()) == []


def test_a_file_of_a_folder_is_kept_in_it_and_what_is_there_is_known(corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.txt"
    file.write_text("The plan.", encoding="utf-8")
    folder = Folder(corpus, MB)

    assert not folder.holds(file, "Project/sub/plan.txt")
    assert folder.keep(file, "plan.txt", "Project/sub") == "Project/sub/plan.txt"
    assert folder.holds(file, "Project/sub/plan.txt")
    assert folder.find("Project/sub/plan.txt").read_text(encoding="utf-8") == "The plan."
    assert folder.keep(file, "plan.txt", "Project/sub") == "Project/sub/plan (2).txt"


@pytest.mark.parametrize("within", ["..", "../..", "a/../../b", "/etc", "C:/x", "NUL", "a\\..\\..\\b", ".ssh", "x\0y"])
def test_no_name_of_a_folder_leads_out_or_to_a_device(corpus: Path, tmp_path: Path, within: str) -> None:
    file = tmp_path / "plan.txt"
    file.write_text("The plan.", encoding="utf-8")

    before = set(tmp_path.iterdir())

    kept = Folder(corpus, MB).keep(file, "plan.txt", within)

    assert (corpus / kept).resolve().is_relative_to(corpus)
    assert is_portable(kept)
    assert set(tmp_path.iterdir()) == before


def test_nothing_is_put_through_a_link_that_leads_out(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (corpus / "link").symlink_to(tmp_path / "outside")
    file = tmp_path / "plan.txt"
    file.write_text("The plan.", encoding="utf-8")

    with pytest.raises(CorpusError, match="a link out of your documents"):
        Folder(corpus, MB).keep(file, "plan.txt", "link/sub")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    "file", ["../secret.md", "sub/../../secret.md", "link.md", "folder/secret.md", ".env", "sub", "gone.md", "", "a\0b"]
)
def test_only_files_of_the_folder_are_found(corpus: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "outside").mkdir()
    for path in (tmp_path / "secret.md", tmp_path / "outside/secret.md", corpus / ".env"):
        path.write_text("secret", encoding="utf-8")
    (corpus / "link.md").symlink_to(tmp_path / "secret.md")
    (corpus / "folder").symlink_to(tmp_path / "outside")
    (corpus / "sub").mkdir(exist_ok=True)

    with pytest.raises(CorpusError, match="not in the folder of your documents any more"):
        Folder(corpus, MB).find(file)
    with pytest.raises(CorpusError):
        Folder(corpus, MB).find(str(tmp_path / "secret.md"))
