"""Sentences of an answer are tied to spans of the documents, whatever marks the model wrote."""

import re
import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.citations import cite, marked_safely
from app.answering.verification import check
from app.documents.passages import Place
from app.retrieval.packing import Evidence

FERRY = "The ferry leaves at 9:30 from the old harbour of Bergen. Tickets are sold on board for 1,200 kroner."
MUSEUM = "The museum opens at ten. It is closed on Mondays. Johan Dahl paid twelve builders to enlarge it in 1906."
GERMAN = "Die Fähre verlässt den alten Hafen um 9:30 Uhr. Der Kapitän heißt Johan Dahl und wohnt seit 1906 in Bergen."


def evidence(text: str, number: int, language: str = "en") -> Evidence:
    place = Place("line", "line 1", 1)
    return Evidence(number, f"{number}.md", f"{number}", place, 50, 50 + len(text), text, language)


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
        ("Tickets are sold on board【1†source】.", "Tickets are sold on board[1]."),
        ("On board [1-2] tickets are sold.", "On board [1] tickets are sold."),
        ("Whales sing in summer nights [9].", "Whales sing in summer nights. *(not found in the sources)*"),
        ("Here is a list [9]:", "Here is a list:"),
    ],
)
def test_a_mark_that_names_no_passage_or_a_wrong_one_is_dropped(answer: str, rendered: str) -> None:
    assert cite(answer, EVIDENCE)[0] == rendered


def test_a_mark_that_names_the_wrong_passage_is_replaced() -> None:
    rendered, [citation] = cite("The museum opens at ten [1].", EVIDENCE)

    assert rendered == "The museum opens at ten [2]."
    assert citation.number == 2


def test_a_mark_stays_if_its_passage_says_it_as_well_as_another() -> None:
    twice = [*EVIDENCE, evidence(MUSEUM, 3)]

    assert cite("The museum opens at ten [3].", twice)[0] == "The museum opens at ten [3]."
    assert cite("The museum opens at ten [2][3].", twice)[0] == "The museum opens at ten [2][3]."


def test_marks_behind_the_full_stop_belong_to_the_sentence_before_them() -> None:
    _, citations = cite("Tickets are sold on board. [1] The museum opens at ten. [2]", EVIDENCE)

    assert [citation.number for citation in citations] == [1, 2]
    assert [citation.sentence for citation in citations] == ["Tickets are sold on board.", "The museum opens at ten."]


def test_a_sentence_that_joins_two_passages_has_both() -> None:
    rendered, citations = cite("The museum opens at ten, and tickets are sold on board.", EVIDENCE)

    assert {citation.number for citation in citations} == {1, 2}
    assert re.search(r" \[\d\]\[\d\]\.$", rendered)


def test_a_sentence_that_no_passage_says_is_marked_in_words() -> None:
    rendered, [citation] = cite("Whales sing loudly during summer nights [1].", EVIDENCE)

    assert rendered == "Whales sing loudly during summer nights. *(not found in the sources)*"
    assert (citation.supported, citation.number) == (False, None)


def test_several_in_a_row_are_marked_once() -> None:
    whales = "Whales sing loudly during summer nights. Penguins raise their young on windswept islands."
    rendered, citations = cite(f"{whales}\n\n- Tickets are sold on board.\n- Penguins eat small fish.", EVIDENCE)

    assert f"{whales} *(the last 2 sentences were not found in the sources)*\n\n- Tickets" in rendered
    assert rendered.endswith("Penguins eat small fish. *(not found in the sources)*")
    assert [citation.supported for citation in citations] == [False, False, True, False]


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("The ferry leaves at 10:45 from the old harbour of Bergen.", "10:45"),
        ("The ferry leaves at 9:30 from the old harbour of Oslo.", "Oslo"),
        ("Johan Bull paid twelve builders to enlarge it in 1906.", "Bull"),
    ],
)
def test_a_number_or_name_that_the_source_lacks_is_told(answer: str, missing: str) -> None:
    rendered, [citation] = cite(answer, EVIDENCE)

    assert not citation.supported
    assert citation.missing == (missing,)
    assert rendered.endswith(f"[{citation.number}]. *(not in [{citation.number}]: {missing})*")


def test_a_name_of_the_same_passage_that_stands_where_another_one_stood_is_told() -> None:
    text = "Anna Dahl sold the boat to Erik Lund. The boat was built in Stavanger."

    [citation] = cite("Anna Dahl sold the boat to Erik Stavanger.", [evidence(text, 1)])[1]

    assert citation.missing == ("Stavanger",)


@pytest.mark.parametrize(
    "answer",
    [
        "Tickets are sold on board for 1.200 kroner.",
        "Tickets are sold on board for 1 200 kroner.",
        "The ferry leaves at 09.30 from the old harbour.",
        "In 1906, Dahl paid 12 builders to enlarge it.",
        "3. The museum opens at ten.",
        "The ferry leaves Bergen's old harbour at 9:30.",
    ],
)
def test_the_same_number_or_name_written_otherwise_is_no_other_one(answer: str) -> None:
    assert [citation.supported for citation in cite(answer, EVIDENCE)[1]] == [True]


def test_german_nouns_are_no_names() -> None:
    source = [evidence(GERMAN, 1, "de")]

    said = cite("Um 9:30 Uhr verlässt die Fähre als erstes Schiff den alten Hafen.", source)
    exchanged = cite("Der Kapitän heißt Erik Dahl und wohnt seit 1906 in Bergen.", source)

    assert [citation.missing for citation in said[1]] == [()]
    assert [citation.missing for citation in exchanged[1]] == [("Erik",)]


@pytest.mark.parametrize(
    "text",
    [
        "Hello! Certainly, here you go.",
        "Here is a list:",
        "# Penguins raise their young on islands",
        "**Penguins raise their young**",
        "| Penguins raise | their young on islands |",
        "Do penguins raise their young on windswept islands?",
        "The passages do not say whether penguins raise their young in Antarctica.",
        "I hope this helps.",
    ],
)
def test_what_states_nothing_is_neither_cited_nor_marked(text: str) -> None:
    assert cite(text, EVIDENCE) == (text, ())


def test_an_answer_in_another_language_is_tied_by_names_and_numbers_and_never_marked() -> None:
    answer = (
        "Le capitaine s'appelle Johan Dahl et il habite la ville depuis 1906. Les baleines chantent la nuit en été."
    )

    rendered, [citation] = cite(answer, [evidence(FERRY, 1), evidence(GERMAN, 2, "de")])

    assert (citation.number, citation.supported) == (2, True)
    assert rendered == answer.replace("1906.", "1906 [2].")


def test_an_answer_in_another_language_with_nothing_in_common_is_said_not_to_be_compared() -> None:
    answer = "Les baleines chantent la nuit en été, et les phoques dorment sur les rochers de la côte."

    rendered, citations = cite(answer, [evidence(GERMAN, 1, "de")])

    assert rendered == f"{answer}\n\n*(not compared with the sources, which are in another language)*"
    assert citations == ()


@pytest.mark.parametrize(
    "answer", ["Yes.", "The answer is no.", "No, it is not.", "The answer to the question is: yes!"]
)
def test_what_has_no_content_is_neither_cited_nor_marked(answer: str) -> None:
    text = "The answer is yes. The answer is no. It is not the question."

    assert cite(answer, [evidence(text, 1)]) == (answer, ())


def test_of_passages_that_say_it_equally_well_the_first_is_the_source() -> None:
    """The sums of the weights of the words differ in their last digits, by the order in which they are added."""
    for count in range(3, 30):
        text = " ".join(str(1000 + number) for number in range(count))
        part = " ".join(str(1000 + number) for number in range(0, count, 3))
        for first, second in permutations(["en", "de"]):
            others = [evidence(f"{part} and {word}.", number, "de") for number, word in enumerate(["more", "less"], 3)]
            items = [evidence(text, 1, first), evidence(text, 2, second), *others]

            assert [citation.number for citation in cite(text, items)[1]] == [1]


def test_support_falls_with_what_the_evidence_lacks() -> None:
    answers = (
        "Tickets are sold on board.",
        "Tickets are sold quickly on board.",
        "Tickets are sold on board in Oslo.",
        "Tickets for Whales and Penguins are sold in Oslo for 777 kroner.",
    )

    support = [cite(answer, EVIDENCE)[1][0].support for answer in answers]

    assert support == sorted(support, reverse=True)
    assert support[0] == 1.0
    assert len(set(support)) == len(support)


def test_code_is_left_as_it_is() -> None:
    answer = "Run it:\n\n```sh\nferry --leaves 9:30 [9]\n```\n\nTickets are sold on board with `tickets[9]`."

    rendered, _ = cite(answer, EVIDENCE)

    assert "ferry --leaves 9:30 [9]" in rendered
    assert "`tickets[9]`" in rendered


def test_nothing_to_cite_changes_nothing() -> None:
    assert cite("Tickets are sold on board.", []) == ("Tickets are sold on board.", ())
    assert cite("", EVIDENCE) == ("", ())


SNIPPETS = st.sampled_from(
    [
        *re.split(r"(?<=\.) ", f"{FERRY} {MUSEUM}"),
        "The ferry leaves at 10:45 from the old harbour of Oslo.",
        "Whales sing loudly during summer nights.",
        "[1]", "[2, 9]", "【1†a】", "`x[1]`", "```", "\n",
        "\n\n", "- ", "# ", "| a | b |", "**", ":", "?", ".", "e.g.", "ten",
    ]
)  # fmt: skip
ANSWERS = st.lists(SNIPPETS, max_size=12).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda blank: blank.join(parts))
)
NOTES = re.compile(
    r" \*\((?:not found in the sources|the last \d+ sentences were not found in the sources|not in .*?)\)\*"
)


@given(ANSWERS)
def test_nothing_is_lost_but_marks_and_nothing_added_but_marks_and_notes(answer: str) -> None:
    rendered, citations = cite(answer, EVIDENCE)

    assert without_marks(NOTES.sub("", rendered)) == without_marks(answer)
    for citation in citations:
        assert without_marks(rendered[slice(*citation.shown)]) == without_marks(citation.sentence)
        if citation.number is not None:
            item = EVIDENCE[citation.number - 1]
            assert item.start <= citation.start < citation.end <= item.end


def without_marks(text: str) -> str:
    """Without what could be a mark, in code too, and without blanks."""
    return "".join(re.sub(r"\[[\d, ]+\]|【.*?】", "", text).split())


def test_a_long_answer_with_much_evidence_is_cited_at_once() -> None:
    passages = [
        evidence(" ".join(f"Passage {n} says w{n}x{k} and more of it." for k in range(20)), n) for n in range(1, 21)
    ]
    answer = " ".join(f"Passage {n} says w{n}x{k} and more of it." for n in range(1, 21) for k in range(4))

    started = time.process_time()
    cite(answer, passages)

    assert time.process_time() - started < 0.6  # ten times what it takes


def test_what_is_shown_is_safe_though_a_removed_mark_joins_an_address() -> None:
    rendered, _ = marked_safely(check("Tickets are sold on board, see ht[9]tp://evil.example/joined.", EVIDENCE))

    assert "http://" not in rendered
