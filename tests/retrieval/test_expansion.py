"""A word is expanded by terms with a similar spelling, and corrected where it has one typing error."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval.expansion import (
    MAX_SIMILAR,
    MAX_WORD,
    MIN_SIMILARITY,
    MIN_STEM,
    alphabet,
    correct_spelling,
    gram_index,
    similar_terms,
)  # fmt: skip

TERM = st.text("abc", min_size=1, max_size=12) | st.text(min_size=1, max_size=40)
TERMS = st.lists(TERM, unique=True, max_size=14).map(sorted)


def near(term: str, terms: list[str]) -> dict[str, float]:
    return dict(similar_terms(term, terms, gram_index(terms)))


def grams(term: str) -> set[str]:
    marked = f"_{term[:30]}_"
    return set() if term.isdecimal() else {marked[at : at + 5] for at in range(max(1, len(marked) - 4))}


def cosine(one: set[str], two: set[str]) -> float:
    return len(one & two) / math.sqrt(len(one) * len(two)) if one and two else 0.0


@given(TERM, TERMS)
def test_similarity_is_the_cosine_of_sets_of_5_grams(term: str, terms: list[str]) -> None:
    similarity = {other: cosine(grams(term), grams(other)) for other in terms if other != term}
    expected = {other: value for other, value in similarity.items() if value >= MIN_SIMILARITY}
    assert near(term, terms) == pytest.approx(expected)


@pytest.mark.slow
@given(TERMS)
def test_similarity_is_symmetric(terms: list[str]) -> None:
    for one in terms:
        for two, similarity in near(one, terms).items():
            assert near(two, terms)[one] == pytest.approx(similarity)


@given(TERM, TERMS)
def test_the_most_similar_terms_come_first(term: str, terms: list[str]) -> None:
    values = list(near(term, terms).values())
    assert values == sorted(values, reverse=True)


def test_a_compound_finds_its_part_and_a_part_the_compound() -> None:
    terms = sorted(["versicherung", "versicherungsvertrag", "vertrag", "garten"])
    assert set(near("versicherungsvertrag", terms)) == {"versicherung", "vertrag"}
    assert set(near("versicherung", terms)) == {"versicherungsvertrag"}
    assert near("garten", terms) == {}


def test_a_term_that_occurs_nowhere_has_similar_ones_too() -> None:
    assert set(near("librarians", ["library", "tomato"])) == {"library"}


def test_numbers_have_no_similar_terms() -> None:
    assert near("202412", ["2024", "202413", "20241"]) == {}
    assert set(near("x202412", ["202412", "x20241"])) == {"x20241"}


def test_a_term_has_a_limited_number_of_similar_ones() -> None:
    terms = sorted(f"library{letter}{other}" for letter in "abcdefgh" for other in "abcdefgh")
    assert MAX_SIMILAR <= len(near("library", terms)) <= MAX_SIMILAR + 1
    assert MAX_SIMILAR <= len(near("libraryaa", terms)) <= MAX_SIMILAR + 1


def test_an_empty_vocabulary_has_no_similar_terms() -> None:
    assert near("library", []) == {}


WORDS = "library garden tomato yearly opening membership straße bücherei überweisung библиотека βιβλίο".split()
LETTERS = alphabet(WORDS)


@st.composite
def mistyped(draw: st.DrawFn) -> tuple[str, str]:
    """Return a word and the word with one typing error, which keeps the first letter or transposes it."""
    word = draw(st.sampled_from(WORDS))
    letter = draw(st.sampled_from(LETTERS))
    at = draw(st.integers(0, len(word)))
    left, right = word[:at], word[at:]
    swapped = left + right[1::-1] + right[2:]
    others = [left + right[1:], left + letter + right[1:], left + letter + right] if left else []
    return word, draw(st.sampled_from([swapped, *others]))


@given(mistyped())
def test_every_word_is_recognised_after_one_error(pair: tuple[str, str]) -> None:
    word, wrong = pair
    if wrong != word and wrong.isalpha():
        assert word in correct_spelling(wrong, ["he"], LETTERS, WORDS)


@pytest.mark.parametrize("wrong", ["lbrry", "librarians", "xlibraryx", "bilrary"])
def test_two_errors_are_too_many(wrong: str) -> None:
    assert correct_spelling(wrong, ["he"], LETTERS, WORDS) == ()


@pytest.mark.parametrize("word", ["", "x", "cat", "20245", "b2b4c", "naïve-", "a" * (MAX_WORD + 1), "\ud800" * 6])
def test_short_words_numbers_and_overlong_words_are_not_corrected(word: str) -> None:
    assert correct_spelling(word, ["en"], "abc", {word, word[1:], f"{word}a", word[:-1]}) == ()


@pytest.mark.parametrize("wrong", ["xibrary", "ibrary", "xlibrary"])
def test_the_first_letter_is_never_replaced(wrong: str) -> None:
    assert correct_spelling(wrong, ["he"], LETTERS + "x", WORDS) == ()


@pytest.mark.parametrize(("word", "known"), [("pause", "caus"), ("pause", "paus"), ("winds", "win"), ("newton", "new")])
def test_a_word_of_another_topic_is_not_corrected_to_a_short_stem(word: str, known: str) -> None:
    assert correct_spelling(word, ["en", "de"], "abcdefghijklmnopqrstuvwxyz", {known}) == ()


def test_a_stem_of_the_least_length_is_corrected_to() -> None:
    meant = "a" * (MIN_STEM - 1) + "b"
    assert correct_spelling(meant[:-1], ["he"], "ab", {meant, meant[1:]}) == (meant,)


def test_words_are_corrected_to_stems_of_each_language() -> None:
    assert correct_spelling("libaries", ["en"], LETTERS, {"librari"}) == ("librari",)
    assert correct_spelling("Gärtnre".lower(), ["en", "de"], LETTERS, {"gartn"}) == ("gartn",)
    assert correct_spelling("libaries", [], LETTERS, {"librari"}) == ()


def test_each_correction_is_returned_once() -> None:
    assert correct_spelling("libraryy", ["he", "th", "he"], LETTERS, WORDS) == ("library",)


def test_the_alphabet_has_the_most_frequent_letters_first_and_no_foreign_ones() -> None:
    assert alphabet(["aab", "ab1-"]) == "ab"
    assert alphabet(["a" * 3000, "ж"]) == "a"
    assert alphabet([]) == ""
