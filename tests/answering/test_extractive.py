"""Without a model an answer is quotes: the sentences that say most about the question, word for word."""

from collections.abc import Sequence
from dataclasses import replace

from app.answering import extractive
from app.answering.extractive import MOST, Quote, as_markdown
from app.documents.passages import Place
from app.retrieval.packing import Evidence

TEXT = (
    "# Prices\n\nWhat follows is what is known. A ticket for the ferry costs 5 crowns. The prices are:\n\n"
    "| ticket | crowns |\n|---|---|\n| ferry | 5 |\n\nDogs travel free of charge. Bicycles cost 2 crowns."
)


def evidence(text: str, number: int = 1, offset: int = 100) -> Evidence:
    place = Place("heading", "Prices", 1)
    return Evidence(number, "prices.md", "Prices", place, offset, offset + len(text), text, "en")


def quotes(question: str, items: Sequence[Evidence], most: int = MOST) -> tuple[Quote, ...]:
    return extractive.quotes(question, items, {}, most)


def test_the_sentence_with_the_questions_rare_words_is_quoted_with_its_offsets() -> None:
    [quote, *_] = quotes("What does a ticket for the ferry cost?", [evidence(TEXT)])

    assert quote.text == "A ticket for the ferry costs 5 crowns."
    assert TEXT[quote.start - 100 : quote.end - 100] == quote.text


def test_a_question_in_other_forms_of_the_words_finds_its_sentence() -> None:
    text = "The ferry crosses the bay. Registration of bicycles is free. Dogs bark."
    [quote] = quotes("Must I register my bike or bicycle?", [evidence(text)], most=1)

    assert quote.text == "Registration of bicycles is free."


def test_one_quote_is_the_best_of_three() -> None:
    question = "What does a ticket for the ferry cost?"

    assert set(quotes(question, [evidence(TEXT)], most=1)) <= set(quotes(question, [evidence(TEXT)]))


def test_a_weak_passage_is_quoted_after_a_strong_one() -> None:
    text = "The ferry leaves at nine."
    [quote] = quotes("When does the ferry leave?", [replace(evidence(text), share=0.5), evidence(text, 2)], most=1)

    assert quote.number == 2


def test_the_passage_with_the_best_quote_comes_first() -> None:
    question, other = "What does a ticket for the ferry cost?", "The ferry is white. A ticket is blue."

    [best] = quotes(question, [evidence(other), evidence(TEXT, 2)], most=1)

    assert best.number == 2
    assert quotes(question, [evidence(other), evidence(TEXT, 2)])[0].number == 2


def test_quotes_stand_in_reading_order_and_are_three_at_most() -> None:
    text = " ".join(f"The ferry number {number} leaves early." for number in range(9))

    found = quotes("When does the ferry leave?", [evidence(text), evidence(text, 2, 9_000)])

    assert len(found) == 3
    assert [quote.start for quote in found] == sorted(quote.start for quote in found)


def test_headings_and_announcements_alone_are_no_quotes_unless_nothing_else_is_there() -> None:
    found = [quote.text for quote in quotes("Which prices, ticket, ferry, crowns?", [evidence(TEXT)])]

    assert not any(text.startswith(("#", "|")) or text.endswith(":") for text in found)
    assert quotes("Prices?", []) == ()
    assert [quote.text for quote in quotes("Prices?", [evidence("# Prices")])] == ["# Prices"]


def test_a_quote_is_shown_as_one_with_its_number() -> None:
    found = quotes("dogs", [evidence("Dogs travel\nfree of charge.", 3)])

    assert as_markdown(found) == "> Dogs travel free of charge. [3]"
