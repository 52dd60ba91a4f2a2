"""Kindred terms are those that share much of their spelling, and the measure is the cosine of their 5-grams."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval.expansion import LEAST, MOST, arrays, kindred

TERM = st.text("abc", min_size=1, max_size=12) | st.text(min_size=1, max_size=40)
TERMS = st.lists(TERM, unique=True, max_size=14).map(sorted)


def near(term: str, terms: list[str]) -> dict[str, float]:
    return dict(kindred(term, terms, arrays(terms)))


def grams(term: str) -> set[str]:
    marked = f"_{term[:30]}_"
    return set() if term.isdecimal() else {marked[at : at + 5] for at in range(max(1, len(marked) - 4))}


def cosine(one: set[str], two: set[str]) -> float:
    return len(one & two) / math.sqrt(len(one) * len(two)) if one and two else 0.0


@given(TERM, TERMS)
def test_the_measure_is_the_cosine_of_sets_of_5_grams(term: str, terms: list[str]) -> None:
    alike = {other: cosine(grams(term), grams(other)) for other in terms if other != term}
    assert near(term, terms) == pytest.approx({other: value for other, value in alike.items() if value >= LEAST})


@given(TERMS)
def test_two_terms_are_as_alike_as_the_same_two_terms(terms: list[str]) -> None:
    for one in terms:
        for two, alike in near(one, terms).items():
            assert near(two, terms)[one] == pytest.approx(alike)


@given(TERM, TERMS)
def test_the_most_alike_come_first(term: str, terms: list[str]) -> None:
    values = list(near(term, terms).values())
    assert values == sorted(values, reverse=True)


def test_a_compound_finds_its_part_and_a_part_the_compound() -> None:
    terms = sorted(["versicherung", "versicherungsvertrag", "vertrag", "garten"])
    assert set(near("versicherungsvertrag", terms)) == {"versicherung", "vertrag"}
    assert set(near("versicherung", terms)) == {"versicherungsvertrag"}
    assert near("garten", terms) == {}


def test_a_term_that_is_not_there_has_kindred_ones_too() -> None:
    assert set(near("librarians", ["library", "tomato"])) == {"library"}


def test_numbers_have_none() -> None:
    assert near("202412", ["2024", "202413", "20241"]) == {}
    assert set(near("x202412", ["202412", "x20241"])) == {"x20241"}


def test_there_are_no_more_than_a_few() -> None:
    terms = sorted(f"library{letter}{other}" for letter in "abcdefgh" for other in "abcdefgh")
    assert MOST <= len(near("library", terms)) <= MOST + 1
    assert MOST <= len(near("libraryaa", terms)) <= MOST + 1


def test_an_empty_vocabulary_has_none() -> None:
    assert near("library", []) == {}
