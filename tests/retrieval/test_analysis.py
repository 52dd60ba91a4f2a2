"""Words and terms: what is a word, what is the same word, and which words say what a question is about."""

import json
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.documents.language import SNOWBALL
from app.retrieval.analysis import names_subject, normalize, query_words, terms, word_spans


def content(question: str, *languages: str) -> list[str]:
    return [word.surface for word in query_words(question, languages or ["en"]) if word.content]


@given(st.text(max_size=200))
def test_words_are_ordered_stretches_of_the_text(text: str) -> None:
    at = 0
    for start, end in word_spans(text):
        assert at <= start < end <= len(text)
        at = end


@given(st.text(max_size=100), st.sampled_from([*SNOWBALL, "ja", "xx"]))
@example("I\u0307", "tr")  # one letter, in two characters
def test_a_question_of_the_documents_own_words_finds_its_terms(text: str, language: str) -> None:
    assert {term for word in query_words(text, [language]) for term in word.terms} <= set(terms(text, language))


@given(st.text(st.characters(codec="ascii"), max_size=100))
def test_plain_english_letters_are_read_like_all_others(text: str) -> None:
    assert [*terms(text, "xx"), "é1"] == terms(f"{text} é1", "xx")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The Libraries opened in 2024, at 7.", "en", ["the", "librari", "open", "in", "2024", "at", "7"]),
        ("x + y = snake_case", "en", ["snake_cas"]),
        ("Die Häuser der Straße", "de", ["die", "haus", "der", "strass"]),
        ("ＦＵＬＬ ﬁle", "xx", ["full", "file"]),
        ("東京都", "ja", ["東", "京", "都", "東京", "京都"]),
        ("हिन्दी", "xx", ["हिन्दी"]),
        ("cafe\u0301", "xx", ["café"]),
    ],
)
def test_terms(text: str, language: str, expected: list[str]) -> None:
    assert terms(text, language) == expected


def test_case_never_tells_words_apart() -> None:
    assert normalize("STRASSE") == normalize("Straße")
    assert normalize("İSTANBUL") == normalize("istanbul")
    assert normalize("ΛΌΓΟΣ") == normalize("λόγος")


def test_function_words_are_not_what_a_question_is_about() -> None:
    assert content("What is the price of a library card, and how do I get one?") == ["price", "library", "card"]
    assert content("Was kostet der Ausweis und wie bekomme ich ihn?", "de") == ["kostet", "Ausweis", "bekomme"]
    assert content("What is it? And why don't they?") == []
    assert content("東京の人口は何ですか", "ja") == ["東京の人口は何ですか"]
    assert content("ですか", "ja") == []


def test_the_language_of_a_question_may_be_another_than_that_of_the_documents() -> None:
    assert content("Wat is de prijs van het pasje?", "en") == ["prijs", "pasje"]
    assert content("What war was that?", "de", "en") == ["war"]


def test_acronyms_are_content_although_they_look_like_function_words() -> None:
    assert content("What does IT do for US customers?") == ["IT", "US", "customers"]
    assert content("WHAT IS IT?") == []


def test_the_ending_of_a_files_name_is_not_content() -> None:
    assert content("What does notes.md say?") == ["notes"]


def test_a_word_is_searched_in_each_language_of_the_corpus() -> None:
    (word,) = query_words("Universities", ["en", "nl"])
    assert word.terms == (*terms("universities", "en"), *terms("universities", "nl"))
    assert len(word.terms) == 2


def test_with_no_language_a_word_is_its_own_term() -> None:
    (word,) = query_words("Libraries", [])
    assert word.terms == ("libraries",)


@pytest.mark.parametrize(
    "question", ["And there?", "Is it expensive?", "Wie lange genau?", "Hvor dyrt er det?", "why?", "And the price?"]
)
def test_these_name_no_subject_of_their_own(question: str) -> None:
    assert not names_subject([word for word in query_words(question, ["en", "de", "da"]) if word.content])


@pytest.mark.parametrize("question", ["Pumpkin soup?", "And dogs?", "Is there any Wi-Fi?", "Und Hunde?", "insurance?"])
def test_these_name_a_subject(question: str) -> None:
    assert names_subject([word for word in query_words(question, ["en", "de"]) if word.content])


def test_threads_do_not_disturb_each_other() -> None:
    text = "The libraries were opening their connections generously " * 50
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: terms(text, "en"), range(64)))
    assert all(result == results[0] for result in results)


def test_the_lists_of_words_hold_no_word_twice_and_nothing_but_words() -> None:
    data = json.loads(resources.files("app.retrieval").joinpath("stopwords.json").read_text(encoding="utf-8"))
    assert {"en", "de", "nl", "da", "no", "sv", "fr", "es", "it", "pt", "ro", "fi", "pl", "ru", "tr"} <= set(data)
    for kinds in data.values():
        assert "function" in kinds
        assert set(kinds) <= {"function", "vague"}
        listed = " ".join(kinds.values()).split()
        assert len(listed) == len(set(listed))
        assert all(word == word.lower() and word.isalpha() for word in listed)
