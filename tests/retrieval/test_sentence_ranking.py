"""The order of sentences by their chance to answer a question."""

import pytest

from app.retrieval.sentence_ranking import rank_sentences


def chance_of_the_second(question: str, text: str) -> float:
    """Return the chance of the second of two sentences, as a share of both."""
    [[(*_, first), (*_, second)]] = rank_sentences(question, {}, [(1.0, text)])
    return second / (first + second)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How many guests does the hotel have?", "The guests of the hotel have a garden. The hotel takes {} guests."),
        ("Wie viele Gäste hat das Haus am Markt?", "Das Haus am Markt hat einen Garten. Das Haus hat {} Gäste."),
        ("Hvor mange gjester har huset?", "Mange gjester har roser i huset. I huset er {} gjester."),
        ("Hoeveel gasten heeft het huis?", "Het huis heeft een tuin voor gasten. Het huis is voor {} gasten."),
        ("Câți oaspeți are casa?", "Casa are oaspeți și grădină. Casa primește {} de oaspeți."),
        ("Combien de clients a la maison ?", "Les clients de la maison ont un jardin. La maison loge {} clients."),
        ("In what year was the mill built?", "The mill was built in the valley. The mill dates from {}."),
        ("What does a ticket cost?", "A ticket does not cost much. A ticket is {} euros."),
        ("Wann öffnet das Haus?", "Das Haus öffnet sich zum Tal. Das Haus ist ab {} Uhr offen."),
    ],
)
def test_a_number_makes_a_sentence_likelier_where_one_is_asked_for(question: str, text: str) -> None:
    assert chance_of_the_second(question, text.format(19)) > 1.2 * chance_of_the_second(question, text.format("xy"))


@pytest.mark.parametrize(
    "question",
    ["Which guests does the hotel have when it rains?", "Who are the guests of the hotel?"],
)
def test_a_number_counts_for_nothing_where_none_is_asked_for(question: str) -> None:
    text = "The guests of the hotel have a garden. It is for {} and all."

    assert chance_of_the_second(question, text.format(19)) <= 1.2 * chance_of_the_second(question, text.format("xy"))


def test_a_number_of_the_question_is_not_the_one_that_is_asked_for() -> None:
    question, text = "How many of the 19 guests have a garden?", "The guests have a garden. It is for all {}."

    assert chance_of_the_second(question, text.format(19)) < chance_of_the_second(question, text.format(23))
