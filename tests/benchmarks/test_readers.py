"""Readers compared with independent extractors: words that are lost and invented, by file and by format."""

import shutil
from pathlib import Path

import pytest

from app.errors import EscalatorError
from benchmarks import readers

FILES = Path(__file__).parents[1] / "documents" / "readers" / "files"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("changes.docx", "changes.odt", "harbour.pptx", "market.xlsx", "market.csv", "ferry.eml", "plain.msg"):
        shutil.copy(FILES / name, tmp_path / name)
    (tmp_path / "secret.docx").write_bytes((FILES / "secret.docx").read_bytes())
    (tmp_path / "a.html").write_text("<p>Seen <b>by</b> all</p><p hidden>Unseen</p>", encoding="utf-8")
    return tmp_path


def test_words_are_compared_by_file_and_by_format(folder: Path) -> None:
    result = readers.compare(folder, print)
    first, *others = result["files"]
    assert (first["file"], first["words"], first["lost"], first["lost_words"]) == ("a.html", 4, 0.25, ["unseen"])
    assert {each["file"] for each in others} == {
        "changes.docx", "changes.odt", "harbour.pptx", "market.xlsx", "market.csv", "ferry.eml"
    }  # fmt: skip
    assert all(each["lost"] <= 0.05 for each in others), others
    assert result["formats"][".html"] == {"files": 1, "words": 4, "lost": 0.25, "invented": 0.0}
    assert "password" in result["failed"]["secret.docx"]
    assert result["skipped"] == 1
    text = "\n".join(readers.lines(result))
    assert "25.0% lost    0.0% invented  a.html" in text
    assert text.endswith("1 failed, 1 without an independent extractor")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler")
def test_a_pdf_is_compared_with_poppler(tmp_path: Path) -> None:
    shutil.copy(FILES / "libreoffice.pdf", tmp_path / "a.pdf")
    (found,) = readers.compare(tmp_path, print)["files"]
    assert found["words"] > 40
    assert found["lost"] < 0.1


def test_words_that_a_line_breaks_are_joined() -> None:
    assert readers.words("Gebüh-\nren \ufb01nd co\xadop 3-\n4") == {"gebühren", "find", "coop", "3", "4"}


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(EscalatorError, match="no file that can be compared"):
        readers.compare(tmp_path, print)
