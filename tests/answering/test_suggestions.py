"""What an answer suggests to ask next."""

from dataclasses import replace

import pytest

from app.answering.suggestions import follow_ups
from app.answering.turn import Answer, Attempt, Metrics, Turn
from app.documents.passages import Passage, Place
from app.retrieval.packing import Evidence
from app.retrieval.search import Exchange, Explanation, Hit, SearchResult

TITLE = "The ferry to Odda"


def passage(heading: str, text: str = "Some text.", file: str = "ferry.md", language: str = "en") -> Passage:
    return Passage(file, 0, len(text), text, Place("heading", heading, 1), TITLE, language)


def answer(question: str, *passages: Passage, earlier: str = "", scores: tuple[float, ...] = ()) -> Answer:
    """An answer that rests on the first of the passages that were found."""
    values = scores or (1.0,) * len(passages)
    hits = tuple(
        Hit(rank, score, each, lambda rank: Explanation({}, {}, 0.0))
        for rank, (each, score) in enumerate(zip(passages, values, strict=True), 1)
    )
    first = passages[0]
    evidence = Evidence(1, first.file, first.title, first.place, first.start, first.end, first.text, first.language)
    history = (Exchange(earlier, "Yes."),) if earlier else ()
    attempt = Attempt(1, "small", "phi-4-mini", "", "At 9:30 [1].", "stop", Metrics())
    found = SearchResult(question, hits, (), (), 1.0)
    text = attempt.text
    turn = Turn(question, history)
    return Answer(turn, found, (evidence,), (attempt,), attempt, None, text, text, (), (), Metrics())


def test_the_headings_beside_those_used_are_suggested_three_at_most() -> None:
    headings = ["Timetable", "Fares and passes", "Bicycles on board", "Lost and found items", "Winter service hours"]

    found = follow_ups(answer("When does the ferry leave?", *map(passage, headings)))

    assert found == ("Fares and passes", "Bicycles on board", "Lost and found items")


def test_a_heading_of_one_word_comes_with_its_title() -> None:
    assert follow_ups(answer("When does it leave?", passage("Timetable"), passage("Fares"))) == (f"{TITLE}: Fares",)


@pytest.mark.parametrize(
    ("language", "question"), [("en", "What is Ballast?"), ("de", "Was ist Ballast?"), ("ro", "Ce este Ballast?")]
)
def test_a_term_that_is_defined_there_is_asked_for_in_the_language_of_the_documents(
    language: str, question: str
) -> None:
    text = "- **Ballast**: weight that keeps a ship upright."

    assert follow_ups(answer("9:30?", passage("Timetable"), passage("Timetable", text, language=language))) == (
        question,
    )


@pytest.mark.parametrize("line", ["Doors open 8:30 at the main gate", "Price: 5 euros for adults", "| Fish: | a | b c"])
def test_a_time_or_a_price_is_no_definition(line: str) -> None:
    assert not follow_ups(answer("9:30?", passage("Timetable"), passage("Timetable", line)))


def test_what_was_asked_is_not_suggested() -> None:
    found = passage("Timetable"), passage("Fares and passes"), passage("Bicycles on board")

    assert follow_ups(answer("What are the fares and passes?", *found)) == ("Bicycles on board",)
    assert follow_ups(answer("And at noon?", *found, earlier="fares and passes")) == ("Bicycles on board",)


def test_a_document_that_matches_much_less_gives_no_suggestion() -> None:
    other = passage("Rules of the house", file="rules.md")

    assert not follow_ups(answer("When?", passage("Timetable"), other, scores=(1.0, 0.3)))
    assert follow_ups(answer("When?", passage("Timetable"), other, scores=(1.0, 0.9)))


def test_without_an_answer_or_sources_there_are_none() -> None:
    found = answer("When?", passage("Timetable"), passage("Fares and passes"))

    assert not follow_ups(replace(found, attempt=None))
    assert not follow_ups(replace(found, evidence=()))
