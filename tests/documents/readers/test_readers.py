"""Reading files: what the formats share, and every way in which a file can be bad."""

import os
from pathlib import Path

import pytest

from app.documents.document import Document
from app.documents.readers import read, read_file
from app.errors import UnreadableFile

MB = 1_000_000


def reason(path: Path, max_bytes: int = 40 * MB) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read(path, max_bytes)
    return str(caught.value)


def test_a_large_file_is_left_out_and_the_setting_named(tmp_path: Path) -> None:
    path = tmp_path / "big.md"
    with path.open("wb") as file:
        file.truncate(50 * MB)
    assert reason(path) == "it is 50 MB; files over 40 MB are left out, see ESCALATOR_MAX_FILE_MB"


@pytest.mark.parametrize("data", [b"", b"   \n\n\t", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("suffix", [".md", ".txt"])
def test_an_empty_file_is_named(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert reason(path) == "it is empty"


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes(range(256)) * 40, b"\xff\xfea"])
def test_a_binary_file_under_a_text_name_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(data)
    assert reason(path) == "it is not text although its name ends in .md"


def test_an_unknown_format_is_told_what_is_supported(tmp_path: Path) -> None:
    path = tmp_path / "a.exe"
    path.write_bytes(b"PK")
    assert reason(path) == "its format is not supported; save it as PDF, HTML, Markdown or text"


def test_a_missing_file_is_told_apart_by_its_cause(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read(tmp_path / "gone.md", MB)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_file_that_another_program_holds_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")

    def sharing_violation(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", sharing_violation)
    assert "close it in other programs" in reason(path)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="needs a user with limits")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    path.chmod(0)
    assert "allow this program to read it" in reason(path)


def test_endings_in_capitals_count(tmp_path: Path) -> None:
    path = tmp_path / "A.TXT"
    path.write_text("text", encoding="utf-8")
    assert read(path, MB).pages[0].text == "text"


def test_the_title_is_the_first_heading_of_level_1_else_the_name(tmp_path: Path) -> None:
    path = tmp_path / "some-notes.md"
    path.write_text("## Before\ntext\n# The *real* `title`\n# Another", encoding="utf-8")
    assert read(path, MB).title == "The *real* title"
    path.write_text("## Only a section", encoding="utf-8")
    assert read(path, MB).title == ""
    document = read_file("notes/some-notes.md", path, MB)
    assert isinstance(document, Document)
    assert document.title == "some-notes"
