"""What the doctor says of the corpus: how much, how old, and what is wrong with which file."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas
from typer.testing import CliRunner

from app.checkup import ago, extent, notes, silence
from app.cli import cli
from app.documents.folder import Folder
from app.retrieval.health import Health
from app.retrieval.retriever import Retriever


def write_pdf(path: Path, *pages: str) -> None:
    canvas = Canvas(str(path))
    for text in pages:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()


def test_the_doctor_lists_the_health_of_the_corpus_without_its_text(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text("The ferry leaves at noon.", encoding="utf-8")
    (folder / "copy.txt").write_text("The ferry leaves at noon.", encoding="utf-8")
    (folder / "blank.txt").touch()
    write_pdf(folder / "plan.pdf", "The crane lifts forty tonnes.", "", "", "", "The end of it.", "")

    result = CliRunner().invoke(cli, ["doctor", "--corpus", str(folder), "--json"])

    found = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    corpus = found["corpus"]["found"]
    assert corpus.startswith(f"{folder}: 3 documents, 4 passages; languages: English 3; 1 file not read; index chan")
    assert (found["blank.txt"]["found"], found["blank.txt"]["remedy"]) == ("not read", "it is empty")
    assert (found["plan.pdf"]["ok"], found["plan.pdf"]["found"]) == (None, "no text on pages 2-4, 6")
    assert found["ferry.md"]["found"] == "the same text as copy.txt"
    assert found["copy.txt"]["found"] == "the same text as ferry.md"
    assert "crane" not in result.output
    assert "noon" not in result.output


def test_of_many_files_of_one_text_a_few_are_named(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("The ferry leaves at noon.", encoding="utf-8")

    said = notes(Health(Retriever(Folder(tmp_path, 1_000_000)).refresh()))

    assert said["0.txt"] == ["the same text as 1.txt, 2.txt, 3.txt and 2 more"]
    assert said["5.txt"] == ["the same text as 0.txt, 1.txt, 2.txt and 2 more"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "just now"), (59, "just now"), (61, "1 minute ago"), (7300, "2 hours ago"), (9e5, "10 days ago")],
)
def test_age_is_told_in_one_unit(seconds: float, said: str) -> None:
    assert ago(seconds) == said


@pytest.mark.parametrize(
    ("file", "said"), [("a.PDF", "1 page, 2 passages"), ("b.pptx", "1 slide, 2 passages"), ("c.md", "2 passages")]
)
def test_pages_are_counted_where_a_person_would_count_them(file: str, said: str) -> None:
    assert extent(file, 1, 2) == said


@given(st.sets(st.integers(1, 60), min_size=1))
def test_pages_without_text_are_named_once_each(numbers: set[int]) -> None:
    named = silence(sorted(numbers)).removeprefix("no text on page").removeprefix("s").split(", ")

    pages = [range(int(span.split("-")[0]), int(span.split("-")[-1]) + 1) for span in named]
    assert [page for span in pages for page in span] == sorted(numbers)
    assert all(later[0] - earlier[-1] > 1 for earlier, later in pairwise(pages))
