"""Packing: the budget, the merging of neighbours, and the numbers."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.pages import Page, Place, joined
from app.documents.passages import Passage, split
from app.retrieval.packing import MAX_EVIDENCE, Evidence, pack
from app.retrieval.search import Hit

LINE = Place("line", "line 1", 1)
PAGES = [
    Page(
        "\n".join(f"Sentence {page} {i} has {'some ' * 8}words." for i in range(60)),
        Place("page", f"page {page}", page),
    )
    for page in (1, 2, 3)
]
TEXTS = {name: joined(PAGES) for name in ("a.pdf", "b.pdf")}
PASSAGES = [passage for name in TEXTS for passage in split(PAGES, name, name, "en")]


def count(text: str) -> int:
    return len(text.split())


def hits(*passages: Passage, scores: Sequence[float] = ()) -> list[Hit]:
    given_scores = scores or [9.0] * len(passages)
    return [Hit(i + 1, given_scores[i], passage, {"words": 1.0}) for i, passage in enumerate(passages)]


def test_nothing_found_is_no_evidence() -> None:
    assert pack([], 1000, count, TEXTS) == ()


@given(st.permutations(PASSAGES), st.integers(0, 3000))
def test_evidence_is_exact_numbered_apart_and_within_the_budget(passages: list[Passage], budget: int) -> None:
    evidence = pack(hits(*passages), budget, count, TEXTS)
    assert [one.number for one in evidence] == list(range(1, len(evidence) + 1))
    assert 1 <= len(evidence) <= MAX_EVIDENCE
    for one in evidence:
        assert TEXTS[one.file][one.start : one.end] == one.text
        assert "\f" not in one.text
        assert one.text in PAGES[one.place.number - 1].text
    assert sum(count(one.text) for one in evidence) <= max(1, budget)
    ordered = sorted(evidence, key=lambda one: (one.file, one.start))
    for one, two in pairwise(ordered):
        assert one.file != two.file or one.end <= two.start
    first = passages[0]
    best = evidence[0]
    assert best.file == first.file
    assert best.start < first.end
    assert first.start < best.end


def test_overlapping_passages_become_one_in_the_place_of_the_better() -> None:
    evidence = pack(hits(PASSAGES[1], PASSAGES[-1], PASSAGES[0]), 10_000, count, TEXTS)
    assert [(one.file, one.start, one.end) for one in evidence] == [
        ("a.pdf", PASSAGES[0].start, PASSAGES[1].end),
        ("b.pdf", PASSAGES[-1].start, PASSAGES[-1].end),
    ]


def test_a_passage_between_two_makes_one_of_all_three() -> None:
    first, second, third = PASSAGES[:3]
    evidence = pack(hits(first, third, second), 10_000, count, TEXTS)
    assert [(one.start, one.end) for one in evidence] == [(first.start, third.end)]


def test_neighbours_on_two_pages_stay_apart() -> None:
    last = [passage for passage in PASSAGES if passage.file == "a.pdf" and passage.place.number == 1][-1]
    following = next(passage for passage in PASSAGES if passage.place.number == 2)
    assert len(pack(hits(last, following), 10_000, count, TEXTS)) == 2


def test_weak_hits_are_left_out() -> None:
    evidence = pack(hits(PASSAGES[0], PASSAGES[-1], scores=[10, 1]), 10_000, count, TEXTS)
    assert [one.file for one in evidence] == ["a.pdf"]


def test_a_later_passage_that_does_not_fit_is_passed_over() -> None:
    long, short = PASSAGES[0], Passage("c.txt", 0, 12, "Short words.", LINE, "c", "en")
    evidence = pack(hits(long, PASSAGES[-1], short), count(long.text) + 5, count, {**TEXTS, "c.txt": "Short words."})
    assert [one.file for one in evidence] == ["a.pdf", "c.txt"]


def only(text: str, words: dict[str, float], budget: int) -> Evidence:
    passage = Passage("c.txt", 0, len(text), text, LINE, "c", "en")
    (evidence,) = pack([Hit(1, 1.0, passage, words)], budget, count, {"c.txt": text})
    return evidence


def test_the_first_hit_is_cut_at_the_ends_of_sentences_from_where_the_words_are() -> None:
    text = "Nothing is here at all.\n\nThe fee is ten euros. It is paid once. Then you are free."
    evidence = only(text, {"fee": 0.6, "euros": 0.4}, 9)
    assert evidence.text == "The fee is ten euros. It is paid once."
    assert evidence.place == Place("line", "line 3", 3)


def test_a_sentence_longer_than_the_budget_is_cut_between_words() -> None:
    assert only("one two three four five", {"one": 1.0}, 3).text == "one two three"
    assert only("one two three", {"one": 1.0}, 0).text == "one"


@pytest.mark.parametrize("texts", [{}, {"a.pdf": "The file was changed since."}])
def test_a_file_that_changed_since_the_search_is_quoted_as_it_was(texts: dict[str, str]) -> None:
    evidence = pack(hits(PASSAGES[0], PASSAGES[1]), 10_000, count, texts)
    assert [one.text for one in evidence] == [PASSAGES[0].text, PASSAGES[1].text]


def test_offsets_count_code_points() -> None:
    text = "😀 é. " * 3 + "The end."
    assert only(text, {"end": 1.0}, 100).text == text
