"""Searching some folders of a corpus alone."""

import random
from pathlib import Path

import pytest

from app.documents.folder import Folder
from app.retrieval.corpus import Corpus
from app.retrieval.search import SearchResult, search
from app.retrieval.snapshot import Snapshot

WORDS = (
    "leave holiday salary contract notice period canteen budget invoice travel expense laptop meeting overtime "
    "sickness parental training mentor probation pension bonus manager office remote contractor "
    "severance vacation payroll"
).split()


def make(root: Path, *folders: str) -> Snapshot:
    """A corpus of twelve documents in each of the folders; those of a folder are always the same."""
    for folder in folders:
        chance = random.Random(folder)
        words = chance.sample(WORDS, 18)
        for number in range(12):
            file = root / folder / f"page {number}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            sentences = (f"The {' '.join(chance.choices(words, k=9))} of {folder}." for _ in range(30))
            file.write_text(f"# Page {number}\n\n{' '.join(sentences)}\n", encoding="utf-8")
    return Corpus(Folder(root, 1_000_000)).refresh()


def shown(result: SearchResult) -> list[tuple[str, int, float]]:
    return [(hit.passage.file, hit.passage.start, pytest.approx(hit.score, rel=1e-3)) for hit in result.hits]


@pytest.mark.parametrize("scope", [("hr/",), ("legal/old/",), ("hr/", "it/"), ("hr/", "it/page 3.md")])
def test_a_search_in_some_folders_is_that_of_a_corpus_of_these_alone(tmp_path: Path, scope: tuple[str, ...]) -> None:
    whole = make(tmp_path / "all", "hr", "it", "legal", "legal/old", "sales")
    alone = make(tmp_path / "some", *(each.partition("/page")[0].rstrip("/") for each in scope))
    for entry in alone.documents.values():
        if not any(entry.file == each or entry.file.startswith(each) for each in scope):
            (tmp_path / "some" / entry.file).unlink()
    alone = Corpus(Folder(tmp_path / "some", 1_000_000)).refresh()

    for question in (
        *WORDS,
        "holliday contracts",
        "parentl leave of managers",
        "severence pay",
        "salaries of contractors",
    ):
        found, expected = (search(each.index, question, k=500) for each in (whole.within(scope), alone))
        assert shown(found) == shown(expected)
        assert found.unknown_words == expected.unknown_words
        assert found.taken_for == expected.taken_for


def test_no_passage_outside_is_found_and_none_inside_is_missed(tmp_path: Path) -> None:
    whole = make(tmp_path, "hr", "it")
    both, inside = (
        search(index, "budget leave salary office", k=1000) for index in (whole.index, whole.within(("hr/",)).index)
    )

    hits = {(hit.passage.file, hit.passage.start) for hit in both.hits if hit.passage.file.startswith("hr/")}
    assert {(hit.passage.file, hit.passage.start) for hit in inside.hits} == hits


def test_documents_texts_and_problems_are_those_of_the_folders(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    whole = make(tmp_path, "hr", "it", "itinerary")
    limited = whole.within(("it/",))

    assert {file.partition("/")[0] for file in limited.documents} == {"it"}
    assert list(limited.problems) == ["it/broken.pdf"]
    assert not limited.text("hr/page 1.md")
    assert limited.text("it/page 1.md") == whole.text("it/page 1.md") != ""
    assert whole.within(()) is whole
    assert whole.within(("it/",)) is limited
