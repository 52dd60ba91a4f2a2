"""Made-up text is like text in what a search engine feels of it."""

from collections import Counter
from statistics import fmean

import pytest

from app.documents.language import detect
from app.errors import InputError
from app.retrieval.analysis import terms
from benchmarks.generated import WORDS, longer, passages, questions


def test_the_same_seed_makes_the_same_text() -> None:
    assert passages(50) == passages(50)
    assert passages(50, seed=1) != passages(50)


def test_passages_vary_in_length_around_the_mean() -> None:
    lengths = [len(text.split()) for text in passages(2000)]

    assert fmean(lengths) == pytest.approx(WORDS, rel=0.05)
    assert min(lengths) < WORDS / 2 < 2 * WORDS < max(lengths)


@pytest.mark.slow
def test_questions_touch_postings_and_the_vocabulary_grows_as_in_documentation() -> None:
    texts = passages(5000)
    found = [set(terms(text, "en")) for text in texts]
    frequency = Counter(term for each in found for term in each)

    touched = fmean(sum(frequency[term] for term in question) for question in questions(texts, 200, "en"))

    assert touched / len(texts) == pytest.approx(0.24, rel=0.25)
    assert len(frequency) == pytest.approx(12_000, rel=0.3)
    assert len(set().union(*found[:100])) == pytest.approx(1_000, rel=0.3)


def test_questions_are_of_three_to_six_words_of_one_passage_that_tell_something() -> None:
    texts = passages(100)

    for question in questions(texts, 50, "en"):
        assert 3 <= len(question) == len(set(question)) <= 6
        assert any(set(question) <= set(terms(text, "en")) for text in texts)
        assert not {"the", "of"} & set(question)


def test_a_collection_that_is_too_small_is_made_longer_from_its_halves() -> None:
    texts = ["one two three four", "five six seven eight"]

    more = longer(texts, 10)

    assert len(more) == 10
    assert more[:2] == texts
    assert longer(texts, 1) == texts[:1]


def test_text_without_words_to_ask_for_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than three words"):
        questions(["the of and", "it is"], 5, "en")


@pytest.mark.slow
def test_the_text_passes_for_english_where_its_language_is_detected() -> None:
    assert detect(" ".join(passages(20))) == "en"
