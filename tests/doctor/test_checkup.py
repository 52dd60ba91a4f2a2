"""What the doctor says of the corpus, and what it keeps to itself in a report for others."""

import json
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas
from typer.testing import CliRunner

from app.cli.commands import cli
from app.doctor import _history
from app.history import History
from app.room import folder_of
from app.settings import load


def write_pdf(path: Path, *pages: str) -> None:
    canvas = Canvas(str(path))
    for text in pages:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()


@pytest.mark.slow
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


def test_the_conversations_of_everyone_in_a_room_are_counted(tmp_path: Path) -> None:
    settings = load(state_dir=tmp_path)
    none = _history(settings)
    for name in ("Anna", "Ben"):
        History(folder_of(tmp_path, name)).title("a", "When does the ferry leave?")

    assert (none.found, _history(settings).found) == ("none are kept", f"{tmp_path}: 2")


def test_a_report_for_others_names_no_document_no_person_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "maren"
    folder = home / "papers"
    folder.mkdir(parents=True)
    (folder / "dismissal of Jensen.md").write_text("The ferry leaves at noon.", encoding="utf-8")
    (folder / "blank.txt").touch()
    (folder / "empty.txt").touch()
    for name, value in {"HOME": home, "USERPROFILE": home, "USER": "maren", "API_KEY": "k-123"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("FOUNDRY_LOCAL_ENDPOINT", "http://maren:secret@127.0.0.1:9")
    monkeypatch.setenv("CORPUS_DIR", str(folder))
    monkeypatch.setenv("BENCH_PROMPT", "Is Maren's key k-123?")

    said = CliRunner().invoke(cli, ["doctor", "--report"]).stdout

    assert said.startswith("### Escalator's doctor\n\n```text\nok    Python: ")
    assert f"corpus: {Path('~/papers')}: 1 document, 1 passage" in said
    assert "FAIL  2 files: not read\n      it is empty" in said
    assert "BENCH_PROMPT=Is USER's key hidden?" in said
    assert "http://127.0.0.1:9" in said
    for private in ("maren", "Jensen", "blank", "empty.txt", "k-123", "secret", "ferry", str(home)):
        assert private not in said.replace("it is empty", "")
