"""The context consists of whole sentences within the budget, each once, the most useful first, under numbers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Passage, Place, joined, sentences, split
from app.retrieval.packing import MAX_EVIDENCE, MIN_ROOM, Evidence, pack_context
from app.retrieval.search import Explanation, Hit, SearchResult

LINE = Place("line", "line 1", 1)
PAGES = [
    Page(
        "\n".join(f"Sentence {page} {i} has {'some ' * (i % 9)}words of {chr(97 + i % 26)}{i}." for i in range(60)),
        Place("page", f"page {page}", page),
    )
    for page in (1, 2, 3)
]
TEXTS = {name: joined(PAGES) for name in ("a.pdf", "b.pdf")}
PASSAGES = [passage for name in TEXTS for passage in split(PAGES, name, name, "en")]


def text_of(file: str) -> str:
    return TEXTS.get(file, "")


def count(text: str) -> int:
    return len(text.split())


def retrieved(*passages: Passage, scores: Sequence[float] = (), query: str = "words") -> SearchResult:
    given_scores = scores or [9.0] * len(passages)
    hits = tuple(
        Hit(i + 1, given_scores[i], passage, lambda rank: Explanation({}, {}, 0.0))
        for i, passage in enumerate(passages)
    )
    return SearchResult(query, hits, (), (), 0.0, {"word": 1.0})


def passage(text: str, file: str = "c.md", start: int = 0) -> Passage:
    return Passage(file, start, start + len(text), text, LINE, file, "en")


def only(text: str, query: str, budget: int) -> Evidence:
    (evidence,) = pack_context(retrieved(passage(text), query=query), budget, count, lambda _: text)
    return evidence


def check(evidence: Sequence[Evidence], texts: Mapping[str, str]) -> None:
    """What holds for all evidence: exact, numbered, on one page, nowhere the same stretch."""
    assert [one.number for one in evidence] == list(range(1, len(evidence) + 1))
    for one in evidence:
        assert texts[one.file][one.start : one.end] == one.text
        assert one.text == one.text.strip() != ""
        assert "\f" not in one.text
    ordered = sorted(evidence, key=lambda one: (one.file, one.start))
    for one, two in pairwise(ordered):
        assert one.file != two.file or one.end <= two.start


def test_no_hits_give_no_evidence() -> None:
    assert pack_context(retrieved(), 1000, count, text_of) == ()


@pytest.mark.slow
@given(st.permutations(PASSAGES), st.integers(0, 3000), st.sampled_from(["words", "sentence 2 17", "b27 c2", "", "?"]))
def test_evidence_is_exact_numbered_apart_and_within_the_budget(
    passages: list[Passage], budget: int, query: str
) -> None:
    evidence = pack_context(retrieved(*passages, query=query), budget, count, text_of)
    check(evidence, TEXTS)
    assert 1 <= len(evidence) <= MAX_EVIDENCE
    assert sum(count(one.text) for one in evidence) <= max(1, budget)
    for one in evidence:
        assert one.text in PAGES[one.place.number - 1].text


@pytest.mark.slow
@given(st.permutations(PASSAGES), st.integers(20, 3000))
def test_evidence_is_made_of_whole_sentences(passages: list[Passage], budget: int) -> None:
    starts, ends = (
        {page.text[start:end][:20] for page in PAGES for start, end in sentences(page.text)},
        {page.text[start:end][-9:] for page in PAGES for start, end in sentences(page.text)},
    )
    for one in pack_context(retrieved(*passages), budget, count, text_of):
        assert one.text[:20] in starts
        assert one.text[-9:] in ends


@given(st.text(alphabet="ab A.\n|#:-`กข。文é😀", max_size=300), st.integers(0, 60), st.integers(0, 60))
def test_no_text_is_too_odd(text: str, cut: int, budget: int) -> None:
    passages = [passage(part, start=at) for at, part in ((0, text[:cut]), (max(0, cut - 9), text[max(0, cut - 9) :]))]
    kept = [one for one in passages if one.text.strip()]
    check(pack_context(retrieved(*kept, query="ab A"), budget, count, lambda _: text), {"c.md": text})


@pytest.mark.slow
@given(st.permutations(PASSAGES), st.integers(20, 600), st.integers(20, 1200))
def test_wider_evidence_keeps_what_has_a_number_and_repeats_nothing(
    passages: list[Passage], budget: int, wider: int
) -> None:
    first = pack_context(retrieved(*passages[:3]), budget, count, text_of)
    more = pack_context(retrieved(*passages), max(budget, wider), count, text_of, first)
    assert more[: len(first)] == first
    check(more, TEXTS)
    assert sum(count(one.text) for one in more) <= max(budget, wider)


def test_evidence_is_not_widened_for_a_few_tokens() -> None:
    first = pack_context(retrieved(PASSAGES[0]), 100, count, text_of)
    used = sum(count(one.text) for one in first)
    assert pack_context(retrieved(*PASSAGES), used + MIN_ROOM - 1, count, text_of, first) == first


def test_overlapping_passages_become_one_in_the_place_of_the_better() -> None:
    evidence = pack_context(retrieved(PASSAGES[1], PASSAGES[-1], PASSAGES[0]), 10_000, count, text_of)
    assert [(one.file, one.start, one.end) for one in evidence] == [
        ("a.pdf", PASSAGES[0].start, PASSAGES[1].end),
        ("b.pdf", PASSAGES[-1].start, PASSAGES[-1].end),
    ]


def test_a_passage_between_two_makes_one_of_all_three() -> None:
    first, second, third = PASSAGES[:3]
    evidence = pack_context(retrieved(first, third, second), 10_000, count, text_of)
    assert [(one.start, one.end) for one in evidence] == [(first.start, third.end)]


def test_neighbours_on_two_pages_stay_apart() -> None:
    last = [passage for passage in PASSAGES if passage.file == "a.pdf" and passage.place.number == 1][-1]
    following = next(passage for passage in PASSAGES if passage.place.number == 2)
    assert len(pack_context(retrieved(last, following), 10_000, count, text_of)) == 2


def test_weak_hits_are_left_out() -> None:
    evidence = pack_context(retrieved(PASSAGES[0], PASSAGES[-1], scores=[10, 1]), 10_000, count, text_of)
    assert [one.file for one in evidence] == ["a.pdf"]


def test_numbers_follow_the_rank_of_the_passages() -> None:
    texts = {f"{n}.md": f"The fee of {name} is {n} euros." for n, name in enumerate(("Ada", "Bob", "Cid"), 1)}
    hits = retrieved(
        *(passage(text, file) for file, text in texts.items()), scores=[9, 8, 7], query="What fee has Cid?"
    )
    assert [one.file for one in pack_context(hits, 100, count, lambda file: texts.get(file, ""))] == [
        "1.md",
        "2.md",
        "3.md",
    ]


def test_the_sentence_that_answers_is_taken_from_the_middle_of_a_passage() -> None:
    text = "Nothing is here at all.\n\nThe fee is ten euros. It is paid once.\n\nBirds sing in all trees."
    evidence = only(text, "What is the fee?", 9)
    assert "The fee is ten euros." in evidence.text
    assert evidence.place == Place("line", "line 3", 3)


def test_a_repetition_is_left_out() -> None:
    said = "Members of the club pay a yearly fee of ten euros."
    texts = {"1.md": said, "2.md": f"Members of the club pay a yearly fee of ten euros! {'Also others may come. '}"}
    hits = retrieved(*(passage(text, file) for file, text in texts.items()), query="What fee do members pay?")
    assert not any("fee" in one.text for one in pack_context(hits, 100, count, lambda file: texts.get(file, ""))[1:])


def test_a_heading_comes_with_what_it_heads_and_not_alone() -> None:
    text = f"{'Long ago some other things were said. ' * 5}\n\n# The fee\n\nIt is ten euros a year."
    evidence = only(text, "What is the fee?", 9)
    assert evidence.text == "# The fee\n\nIt is ten euros a year."


def test_a_short_sentence_does_not_stand_alone_where_it_goes_on() -> None:
    text = f"{'Long ago some other things were said. ' * 9}\n\nFees rose.\nThe club had to buy a boat."
    assert only(text, "Which fees rose?", 9).text == "Fees rose.\nThe club had to buy a boat."


def test_a_row_comes_with_the_head_of_its_table() -> None:
    rows = "\n".join(f"| {name} | {n} |" for n, name in enumerate(("Ada", "Bob", "Cid")))
    text = f"{'Long ago some other things were said. ' * 9}\n\n| name | fee |\n|---|---|\n{rows}"
    evidence = only(text, "Which fee has Bob?", 24)
    assert "| name | fee |\n|---|---|\n| Ada | 0 |\n| Bob | 1 |" in evidence.text


def test_a_sentence_longer_than_the_budget_is_cut_between_words() -> None:
    assert only("one two three four five", "one", 3).text == "one two three"
    assert only("one two three", "one", 0).text == "one"


def test_text_without_full_stops_is_taken_by_its_clauses() -> None:
    clauses = [f"{'กขคง' * 25}{digit}" for digit in "๑๒๓๔๕"]
    text = " ".join(clauses)
    assert only(text, "กขคง๓", 1).text in clauses


def test_offsets_count_code_points() -> None:
    text = "😀 é. " * 3 + "The end."
    evidence = only(text, "end", 2)
    assert (evidence.text, evidence.start, evidence.end) == ("The end.", 15, 23)


def test_words_of_earlier_questions_count_too() -> None:
    text = "Dogs pay two crowns for the bus.\n\nDogs pay five crowns for the ferry."
    hits = retrieved(passage(text), query="And dogs?")
    with_ferry = SearchResult(hits.query, hits.hits, (), ("ferry",), 0.0, {"dog": 1.0, "ferri": 0.5})
    (evidence,) = pack_context(with_ferry, 7, count, lambda _: text)
    assert evidence.text == "Dogs pay five crowns for the ferry."
