"""What is said of the corpus and its files: how much there is, and what is wrong with which."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.folder import Folder
from app.retrieval.corpus import Corpus
from app.retrieval.snapshot import extent, notes, silence


def test_of_many_files_of_one_text_a_few_are_named(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("The ferry leaves at noon.", encoding="utf-8")

    said = notes(Corpus(Folder(tmp_path, 1_000_000)).refresh())

    assert said["0.txt"] == ["the same text as 1.txt, 2.txt, 3.txt and 2 more"]
    assert said["5.txt"] == ["the same text as 0.txt, 1.txt, 2.txt and 2 more"]


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
