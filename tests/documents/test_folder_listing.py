"""What lies in a folder: files in a cloud, long paths, and names."""

import os
from pathlib import Path

import pytest

from app.documents.document import Document, Problem
from app.documents.folder import Folder, scan
from tests.support.placeholders import put_away

MB = 1_000_000

AWAY = {
    "OneDrive, online only": {"st_file_attributes": 0x400000 | 0x20},
    "OneDrive, an older one": {"st_file_attributes": 0x1000},
    "opened is fetched": {"st_file_attributes": 0x40000},
    "iCloud": {"st_flags": 0x40000000},
}
HERE = {
    "an ordinary file": {"st_file_attributes": 0x20},
    "OneDrive, always on this device": {"st_file_attributes": 0x80000 | 0x20},
    "OneDrive, fetched once": {"st_file_attributes": 0x100000 | 0x20},
    "hidden and read-only": {"st_file_attributes": 0x1 | 0x2},
    "compressed by macOS": {"st_flags": 0x20},
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "corpus").mkdir()
    return Folder(tmp_path / "corpus", MB)


def put(folder: Folder, name: str, text: str = "Some text.") -> Path:
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def known(folder: Folder) -> dict[str, Document | Problem]:
    return {found.file: found for found in folder.read(folder.compare({}).changed) if found}


@pytest.mark.parametrize("kind", AWAY)
def test_a_file_in_the_cloud_is_named_and_not_opened(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put(folder, "a.md")
    put(folder, "b.md")
    put_away(monkeypatch, "a.md", **AWAY[kind])
    found = known(folder)
    assert isinstance(found["b.md"], Document)
    problem = found["a.md"]
    assert isinstance(problem, Problem)
    assert problem.reason == "it is in the cloud only and nothing is fetched unasked; have it kept on this device"
    assert folder.compare(found).changed == ()


@pytest.mark.parametrize("kind", HERE)
def test_a_file_that_is_on_this_device_is_to_be_read_whatever_else_is_said_of_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put(folder, "a.md")
    put_away(monkeypatch, "a.md", **HERE[kind])
    assert folder.compare({}).changed == (("a.md", folder.path / "a.md"),)


def test_a_known_file_that_is_put_away_unchanged_is_as_it_was(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "a.md")
    before = known(folder)
    put_away(monkeypatch, "a.md")
    difference = folder.compare(before)
    assert (difference.changed, difference.gone) == ((), frozenset())


def test_a_file_that_comes_back_from_the_cloud_is_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(folder, "a.md")
    with monkeypatch.context() as patch:
        put_away(patch, "a.md")
        before = known(folder)
        assert isinstance(before["a.md"], Problem)
    assert folder.compare(before).changed == (("a.md", path),)
    assert isinstance(known(folder)["a.md"], Document)


@pytest.mark.slow
def test_files_deeper_than_300_characters_are_read(folder: Folder) -> None:
    name = "/".join(["a folder with a name of some length"] * 9 + ["document.md"])
    long = folder.path / name
    try:
        path = put(folder, name)
    except OSError:
        pytest.skip("this system takes no such paths")
    assert len(str(path)) > 300
    assert isinstance(known(folder)[name], Document)
    csv = put(folder, f"{long.parent.relative_to(folder.path).as_posix()}/table.csv", "Name,Price\nTomato,3\n")
    assert isinstance(known(folder)[csv.relative_to(folder.path).as_posix()], Document)


@pytest.mark.skipif(os.name == "nt", reason="needs names that are reserved there")
@pytest.mark.parametrize("name", ["con.md", "aux.txt", "NUL.md", "com1.md", "a:b.md", "what?.md", "end .md"])
def test_names_that_another_system_would_not_take_are_read(folder: Folder, name: str) -> None:
    put(folder, name)
    assert isinstance(known(folder)[name], Document)


def test_each_file_is_listed_with_size_and_time_and_none_is_opened(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = put(folder, "a/b.md").stat()

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(Path, "open", opened)
    ((file, signature, path),) = scan(folder.path)
    assert (file, signature) == ("a/b.md", (status.st_size, status.st_mtime_ns))
    assert isinstance(path, str)
    assert Path(path).samefile(folder.path / "a" / "b.md")
