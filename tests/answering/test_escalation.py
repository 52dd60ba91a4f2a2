"""The decision is a pure function: each code for its reason, and nothing for an answer that stands."""

import pytest

from app.answering.escalation import asks_for_more, decide
from app.documents.pages import Place
from app.retrieval.packing import Evidence

EVIDENCE = (Evidence(1, "ferry.md", "Ferry", Place("line", "line 1", 1), 0, 30, "The ferry leaves at 9:30.", "en"),)


def code(question: str, draft: str, finish: str = "stop", **given: object) -> str | None:
    return decide(question, EVIDENCE, draft, finish, **given).code  # type: ignore[arg-type]


@pytest.mark.parametrize("draft", ["", "  \n", "[1]", " [1] [2]"])
def test_a_draft_without_words_is_empty(draft: str) -> None:
    assert code("When does it leave?", draft) == "empty"


def test_a_draft_that_reached_its_longest_length_is_cut_off() -> None:
    assert code("When does it leave?", "The ferry leaves at 9:30 and", "length") == "cut_off"


def test_a_long_draft_that_ends_in_an_opening_is_cut_off_though_the_server_says_stop() -> None:
    assert code("When does it leave?", "The ferry leaves every morning from the old harbour at 9:30,") == "cut_off"


@pytest.mark.parametrize("draft", ["9:30 [1]", "5273.", "On board:", "- 9:30\n- 10:30\n- 11:30"])
def test_a_short_answer_to_a_factoid_stands(draft: str) -> None:
    assert code("What port?", draft) is None


@pytest.mark.parametrize(
    "question",
    [
        "Explain how BM25 works.",
        "How do I set up Foundry Local?",
        "Why is prefill slow?",
        "Please list the steps.",
        "What are the main differences between the models?",
        "Wie kann ich ein Modell laden?",
        "Warum ist das so?",
        "Hvordan kan jeg installere det?",
        "Waarom is dat zo?",
        "Comment puis-je l'installer ?",
        "¿Por qué es lento?",
        "Perché è lento?",
        "De ce este lent?",
        "Varför är det långsamt?",
        "Hvorfor er det tregt?",
    ],
)
def test_a_few_words_are_short_where_an_explanation_a_list_or_a_how_to_is_asked_for(question: str) -> None:
    assert asks_for_more(question)
    assert code(question, "It is quick [1].") == "short"
    assert code(question, "It is quick [1]. " + "It does so because of the following. " * 6) is None


@pytest.mark.parametrize(
    "question",
    [
        "What port?",
        "How many points did they score?",
        "How much does it cost?",
        "How old is the bridge?",
        "Who wrote it?",
        "When was it built?",
        "Wie viel kostet das?",
        "Wie heißt der Fluss?",
        "Hvor mange er der?",
        "Quelle heure est-il ?",
    ],
)
def test_a_factoid_is_never_short(question: str) -> None:
    assert not asks_for_more(question)
    assert code(question, "42 [1].") is None


def test_the_trainers_number_decides_what_is_short() -> None:
    assert code("Explain it.", "It is quick [1].", short_chars=0) is None
    assert code("Explain it.", "word " * 100 + ".", short_chars=1_000) == "short"


@pytest.mark.parametrize(
    "draft",
    [
        "I do not know.",
        "The passages do not mention the price.",
        "The provided context does not contain information about that [1].",
        "Das weiß ich leider nicht, die Dokumente enthalten keine Angaben dazu.",
        "Dokumenterne indeholder ikke oplysninger om det.",
        "De documenten bevatten geen informatie over de prijs.",
        "Je ne sais pas.",
    ],
)
def test_a_first_sentence_that_declines_is_an_abstention_when_passages_were_found(draft: str) -> None:
    assert code("What does it cost?", draft) == "abstained"
    assert decide("What does it cost?", (), draft, "stop").code is None


def test_a_later_sentence_that_declines_is_not() -> None:
    draft = "The ferry leaves at 9:30 [1]. The passages do not mention the price."
    assert code("When does it leave?", draft) is None


def test_a_quoted_refusal_is_not_the_models_own() -> None:
    assert code("What does the sign say?", "The sign says “I do not know” [1].") is None


@pytest.mark.parametrize(
    "draft",
    [
        "I am not sure, but it may leave at 9:30 [1].",
        "It leaves at 9:30. I'm not entirely certain, though.",
        "Ich bin mir nicht sicher, vielleicht um 9:30.",
        "Jeg er ikke sikker, men måske 9:30.",
    ],
)
def test_a_model_that_says_it_is_not_sure_is_believed(draft: str) -> None:
    assert code("When does it leave?", draft) == "unsure"


def test_the_models_own_low_counts_and_its_high_does_not() -> None:
    assert code("When does it leave?", "At 9:30 [1].", confidence="low") == "unsure"
    assert code("Explain why.", "At 9:30 [1].", confidence="high") == "short"
    assert code("When does it leave?", "At 9:30 [1].", confidence="high") is None


def test_every_escalation_says_why_in_a_sentence() -> None:
    cases = {
        "empty": ("What?", "", "stop"),
        "cut_off": ("What?", "A b", "length"),
        "short": ("Explain it.", "So.", "stop"),
        "abstained": ("What?", "I do not know.", "stop"),
        "unsure": ("What?", "I am not sure.", "stop"),
    }
    for expected, (question, draft, finish) in cases.items():
        decision = decide(question, EVIDENCE, draft, finish)

        assert decision.code == expected
        assert decision.why[0].isupper()
        assert decision.why.endswith(".")
