"""How much of a question a passage covers."""

from app.documents.passages import Passage, Place
from app.retrieval.coverage import coverage
from app.retrieval.index import Index
from app.retrieval.search import search

TEXTS = (
    "The ferry leaves the old harbour at nine.",
    "Many people use the ferry in summer.",
    "The library is closed on Mondays and lends many books.",
    "Many gardens are watered by hand.",
)
INDEX = Index.of([Passage(f"{at}", 0, len(t), t, Place("line", "line 1", 1), "", "en") for at, t in enumerate(TEXTS)])


def covered(question: str) -> float:
    return coverage(INDEX, question, search(INDEX, question).hits[0])


def test_a_question_all_of_whose_words_are_there_is_covered() -> None:
    assert covered("When does the ferry leave the harbour?") == 1.0


def test_a_common_word_covers_little_of_a_question_about_something_else() -> None:
    assert covered("Which people did Habsburg emperors sign treaties with?") < 0.25


def test_a_typing_error_takes_little_away() -> None:
    assert 0.6 < covered("When does the ferry leave the harbuor?") < 1.0


def test_a_question_without_words_of_content_lacks_nothing() -> None:
    assert coverage(INDEX, "what is it?", search(INDEX, "ferry").hits[0]) == 1.0
