"""A word with one typing error leads to the word that was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval.spelling import LONGEST, SHORTEST, alphabet, corrected

WORDS = "library garden tomato yearly opening membership straße bücherei überweisung библиотека βιβλίο".split()
LETTERS = alphabet(WORDS)


@st.composite
def mistyped(draw: st.DrawFn) -> tuple[str, str]:
    """A word and what one typing error makes of it, which keeps the first letter or takes the second for it."""
    word = draw(st.sampled_from(WORDS))
    letter = draw(st.sampled_from(LETTERS))
    at = draw(st.integers(0, len(word)))
    left, right = word[:at], word[at:]
    swapped = left + right[1::-1] + right[2:]
    others = [left + right[1:], left + letter + right[1:], left + letter + right] if left else []
    return word, draw(st.sampled_from([swapped, *others]))


@given(mistyped())
def test_every_word_is_found_again_after_one_error(pair: tuple[str, str]) -> None:
    word, wrong = pair
    if wrong != word and wrong.isalpha():
        assert word in corrected(wrong, ["he"], LETTERS, WORDS)


@pytest.mark.parametrize("wrong", ["lbrry", "librarians", "xlibraryx", "bilrary"])
def test_two_errors_are_too_many(wrong: str) -> None:
    assert corrected(wrong, ["he"], LETTERS, WORDS) == ()


@pytest.mark.parametrize("word", ["", "x", "cat", "20245", "b2b4c", "naïve-", "a" * (LONGEST + 1), "\ud800" * 6])
def test_short_words_numbers_and_monsters_are_left_as_they_are(word: str) -> None:
    assert corrected(word, ["en"], "abc", {word, word[1:], f"{word}a", word[:-1]}) == ()


@pytest.mark.parametrize("wrong", ["xibrary", "ibrary", "xlibrary"])
def test_the_first_letter_is_not_taken_for_a_wrong_one(wrong: str) -> None:
    assert corrected(wrong, ["he"], LETTERS + "x", WORDS) == ()


@pytest.mark.parametrize(("word", "known"), [("pause", "caus"), ("pause", "paus"), ("winds", "win"), ("newton", "new")])
def test_a_word_of_another_topic_is_not_taken_for_one_with_a_short_stem(word: str, known: str) -> None:
    assert corrected(word, ["en", "de"], "abcdefghijklmnopqrstuvwxyz", {known}) == ()


def test_the_shortest_stems_that_are_meant() -> None:
    meant = "a" * (SHORTEST - 1) + "b"
    assert corrected(meant[:-1], ["he"], "ab", {meant, meant[1:]}) == (meant,)


def test_what_is_known_are_stems_of_each_language() -> None:
    assert corrected("libaries", ["en"], LETTERS, {"librari"}) == ("librari",)
    assert corrected("Gärtnre".lower(), ["en", "de"], LETTERS, {"gartn"}) == ("gartn",)
    assert corrected("libaries", [], LETTERS, {"librari"}) == ()


def test_each_stem_is_named_once() -> None:
    assert corrected("libraryy", ["he", "th", "he"], LETTERS, WORDS) == ("library",)


def test_the_alphabet_has_the_most_frequent_letters_first_and_no_foreign_ones() -> None:
    assert alphabet(["aab", "ab1-"]) == "ab"
    assert alphabet(["a" * 3000, "ж"]) == "a"
    assert alphabet([]) == ""
