"""Sentences of an answer are tied to spans of the documents, whatever marks the model wrote."""

import pytest

from app.answering.citations import cite
from app.documents.pages import Place
from app.retrieval.packing import Evidence

FERRY = "The ferry leaves at 9:30 from the old harbour. Tickets are sold on board."
MUSEUM = "The museum opens at ten. It is closed on Mondays."


def evidence(text: str, number: int) -> Evidence:
    place = Place("line", "line 1", 1)
    return Evidence(number, f"{number}.md", f"{number}", place, 50, 50 + len(text), text, "en")


EVIDENCE = [evidence(FERRY, 1), evidence(MUSEUM, 2)]


def test_a_sentence_is_tied_to_the_span_that_says_it() -> None:
    _, [citation] = cite("The museum opens at ten [2].", EVIDENCE)

    assert (citation.sentence, citation.file, citation.number) == ("The museum opens at ten.", "2.md", 2)
    assert citation.supported
    assert MUSEUM[citation.start - 50 : citation.end - 50] == "The museum opens at ten."


def test_a_supported_sentence_without_a_mark_gets_one() -> None:
    rendered, _ = cite("Tickets are sold on board. The museum opens at ten!", EVIDENCE)

    assert rendered == "Tickets are sold on board [1]. The museum opens at ten [2]!"


@pytest.mark.parametrize(
    ("answer", "rendered"),
    [
        ("Tickets are sold on board [7].", "Tickets are sold on board [1]."),
        ("Tickets are sold on board [1][9].", "Tickets are sold on board [1]."),
        ("Whales sing in summer nights [9].", "Whales sing in summer nights."),
    ],
)
def test_a_mark_that_names_no_passage_is_dropped(answer: str, rendered: str) -> None:
    assert cite(answer, EVIDENCE)[0] == rendered


def test_a_sentence_that_no_passage_says_is_not_supported() -> None:
    _, [citation] = cite("Whales sing loudly during summer nights [1].", EVIDENCE)

    assert not citation.supported
    assert citation.number == 1  # the model's mark stays to be looked up


def test_a_mark_that_names_the_wrong_passage_is_replaced() -> None:
    rendered, [citation] = cite("The museum opens at ten [1].", EVIDENCE)

    assert rendered == "The museum opens at ten [2]."
    assert citation.number == 2


def test_marks_behind_the_full_stop_belong_to_the_sentence_before_them() -> None:
    _, citations = cite("Tickets are sold on board. [1] The museum opens at ten. [2]", EVIDENCE)

    assert [citation.number for citation in citations] == [1, 2]
    assert [citation.sentence for citation in citations] == ["Tickets are sold on board.", "The museum opens at ten."]


def test_code_is_left_as_it_is() -> None:
    answer = "Run it:\n\n```sh\nferry --leaves 9:30 [9]\n```\n"

    assert "ferry --leaves 9:30 [9]" in cite(answer, EVIDENCE)[0]


def test_nothing_to_cite_changes_nothing() -> None:
    assert cite("Tickets are sold on board.", []) == (
        "Tickets are sold on board.",
        cite("Tickets are sold on board.", [])[1],
    )
    assert cite("", EVIDENCE) == ("", ())
