"""The questions of an empty chat are about the documents that are there."""

from contextlib import closing
from pathlib import Path

from app.answering.context import Retriever
from app.models.tokens import TokenCounter
from app.settings import ROOT, load
from app.ui.controls import starters


def questions(corpus: Path, state: Path) -> list[str]:
    settings = load(corpus=corpus, state_dir=state)
    with closing(Retriever(settings, TokenCounter(state), live=False)) as retriever:
        return [starter.message for starter in starters(retriever)]


def test_the_sample_documents_have_the_sample_questions(tmp_path: Path) -> None:
    asked = questions(ROOT / "corpus", tmp_path)

    assert len(asked) == 5
    assert asked[0] == "Which port did older guides use for Foundry Local?"


def test_documents_of_ones_own_have_questions_by_title_and_heading(tmp_path: Path, corpus: Path) -> None:
    lease = "# Lease of the boathouse\n\n## Rent\n\nThe rent is 100 euros a year.\n\n## Notice\n\nThree months.\n"
    (corpus / "lease.md").write_text(lease, encoding="utf-8")
    house = "# Hausordnung\n\nDie Nachtruhe beginnt um zehn Uhr, und die Tür wird dann geschlossen.\n"
    (corpus / "haus.md").write_text(house, encoding="utf-8")
    (corpus / "ferry.md").unlink()

    asked = questions(corpus, tmp_path / "state")

    assert asked[:2] == ["What is “Lease of the boathouse” about?", "What is “Hausordnung” about?"]
    assert "Rent?" in asked


def test_an_empty_folder_has_none(tmp_path: Path, corpus: Path) -> None:
    (corpus / "ferry.md").unlink()

    assert questions(corpus, tmp_path / "state") == []


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert questions(tmp_path / "nowhere", tmp_path / "state") == []
