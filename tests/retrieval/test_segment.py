"""Postings hold for each term the passages it stands in, however these came together."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.retrieval.segment import BREAK, Builder, Postings, _kinds

TERM = st.sampled_from([*"abcde", "ß", "東京", "東", "\U0001f600", "e\u0301", "\ud800", "a b"]) | st.text(
    st.characters(blacklist_characters="\n"), min_size=1, max_size=5
)
PASSAGES = st.lists(st.lists(TERM, max_size=8), max_size=8)

Naive = dict[str, list[tuple[int, int, int]]]


def naive(passages: list[list[str]]) -> Naive:
    """For each term: passage, frequency, length."""
    found: Naive = {}
    for number, passage in enumerate(passages):
        for term, frequency in Counter(passage).items():
            found.setdefault(term, []).append((number, frequency, len(passage)))
    return found


def built(passages: list[list[str]]) -> Postings:
    """Postings of passages of these terms."""
    builder = Builder()
    for passage in passages:
        builder._tokens.extend(builder._terms.setdefault(term, len(builder._terms)) for term in passage)
        builder._begins.append(len(builder._tokens))
    return Postings(builder.arrays())


def content(postings: Postings) -> Naive:
    found = {}
    for number, term in enumerate(postings.terms):
        passages, kinds = postings.of(number)
        parts = passages, postings.frequency[kinds], postings.length[kinds]
        found[term] = list(zip(*(part.tolist() for part in parts), strict=True))
    return found


def texts(postings: Postings) -> list[list[str | None]]:
    """The terms of each passage in their order, None at a break."""
    tokens = [None if number == BREAK else postings.terms[number] for number in postings.tokens]
    begins = postings.begins.tolist()
    return [tokens[first:last] for first, last in pairwise(begins)]


@pytest.mark.slow
@given(PASSAGES)
def test_postings_say_what_stands_where(passages: list[list[str]]) -> None:
    postings = built(passages)
    assert content(postings) == naive(passages)
    assert postings.terms == sorted(naive(passages))
    assert postings.numbers == {term: number for number, term in enumerate(postings.terms)}
    assert postings.lengths.tolist() == list(map(len, passages))
    assert texts(postings) == passages


@pytest.mark.slow
@given(PASSAGES, PASSAGES, st.randoms(use_true_random=False))
def test_merged_postings_equal_those_made_of_what_was_kept(
    first: list[list[str]], second: list[list[str]], random: object
) -> None:
    builder, kept = Builder(), []
    for passages in (first, second):
        keep = [random.random() < 0.7 for _ in passages]  # type: ignore[attr-defined]
        earlier = built(passages)
        builder.add_tokens(earlier.terms, earlier.tokens_of(np.flatnonzero(keep).tolist()))
        kept += [passage for passage, there in zip(passages, keep, strict=True) if there]
    merged = Postings(builder.arrays())
    assert content(merged) == naive(kept)
    assert texts(merged) == kept


def test_merging_keeps_where_sentences_end() -> None:
    first, second = Builder(), Builder()
    first.add("One two. Three", "Above", "he")
    first.add("Four.", "", "he")
    earlier = Postings(first.arrays())
    second.add_tokens(earlier.terms, earlier.tokens_of([0]))
    second.add("Five", "", "he")
    assert texts(Postings(second.arrays())) == [
        ["one", "two", None, "three", None, "above"],
        ["five", None],
    ]


def test_what_stands_above_a_passage_counts_once() -> None:
    builder = Builder()
    builder.add("cat dog cat", "Cat cat bird", "he")
    assert content(Postings(builder.arrays())) == {"cat": [(0, 3, 5)], "dog": [(0, 1, 5)], "bird": [(0, 1, 5)]}


def test_each_passage_is_stemmed_in_its_own_language() -> None:
    builder = Builder()
    builder.add("gives", "", "en")
    builder.add("gives", "", "he")
    assert content(Postings(builder.arrays())) == {"give": [(0, 1, 1)], "gives": [(1, 1, 1)]}


@pytest.mark.parametrize("passages", [[], [[]], [[], []], [[], ["a"], []]])
def test_passages_without_terms_stay_passages(passages: list[list[str]]) -> None:
    assert content(built(passages)) == naive(passages)
    assert built(passages).lengths.tolist() == list(map(len, passages))


def test_a_text_of_nothing_but_marks_is_a_passage_without_terms() -> None:
    builder = Builder()
    builder.add("... !!! \ud800 \0 …", "", "en")
    assert content(Postings(builder.arrays())) == {}


@settings(max_examples=5)
@given(st.integers(60_000, 80_000))
def test_a_term_may_stand_many_times_in_a_passage(times: int) -> None:
    passages = [["a"] * times, ["a", "b"]]
    assert content(built(passages)) == naive(passages)


@pytest.mark.slow
def test_a_passage_may_be_very_long() -> None:
    passages = [[f"w{number % 30_000}" for number in range(100_000)], ["w1"] * 200, ["w2", "w1"]]
    assert content(built(passages)) == naive(passages)


def test_there_may_be_more_kinds_of_postings_than_16_bits_tell_apart() -> None:
    frequency, length = np.arange(1, 70_001), np.arange(70_001, 1, -1)
    kinds, pairs = _kinds(frequency, length)
    assert pairs[0][kinds].tolist() == frequency.tolist()
    assert pairs[1][kinds].tolist() == length.tolist()
