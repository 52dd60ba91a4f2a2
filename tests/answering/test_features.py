"""What is measured of a draft: support, breaking off, loops; offsets and languages as they come."""

import re
from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.features import (
    QUOTED,
    STRETCH,
    UNTELLING,
    breaks_off,
    certainty,
    foreign,
    loops,
    repeats,
    support,
    weakest_part,
    without_loop,
)
from app.documents.passages import Place
from app.retrieval.packing import Evidence

FERRY = (
    "The ferry leaves the old harbour of Bergen at 9:30 every morning and returns at 18:15. Tickets are sold on board "
    "for 120 kroner, and children under six travel free of charge."
)
FÄHRE = "Die Fähre verlässt den alten Hafen von Bergen jeden Morgen um 9:30 Uhr. Karten werden an Bord verkauft."


def evidence(*texts: str, language: str = "en") -> tuple[Evidence, ...]:
    place = Place("line", "line 1", 1)
    return tuple(Evidence(n, "a.md", "A", place, 0, len(t), t, language) for n, t in enumerate(texts, 1))


def test_a_draft_taken_from_its_passage_is_supported() -> None:
    found = support("When does it leave?", evidence(FERRY), "The ferry leaves the old harbour of Bergen at 9:30 [1].")

    assert found.wording == 0
    assert found.claims == 0


def test_a_draft_about_something_else_is_not() -> None:
    draft = "Penguins raise their young on windswept islands near Antarctica, far beyond any shipping lane."
    found = support("When does it leave?", evidence(FERRY), draft)

    assert found.wording is not None
    assert found.wording > 0.6


def test_an_invented_paragraph_is_not_excused_by_a_long_true_one() -> None:
    true = f"{FERRY} " * 6
    invented = "Penguins raise their young on windswept islands near Antarctica, beyond any shipping lane. " * 6
    found = support("When?", evidence(FERRY), true + invented)

    assert len(invented) > STRETCH
    assert found.wording is not None
    assert found.wording > 0.6


def test_an_inflected_word_counts_as_half_there() -> None:
    same = support("", evidence(FERRY), "Every morning the ferry is leaving the old harbours of Bergen.").wording
    other = support("", evidence(FERRY), "Every morning the train is reaching the new station of Bergen.").wording

    assert same is not None
    assert other is not None
    assert same < other


def test_names_and_numbers_are_strange_where_passages_and_question_lack_them() -> None:
    draft = "In summer the ferry of Captain Olsen leaves Bergen at 7:45 for 120 kroner."

    assert support("Does Olsen sail?", evidence(FERRY), draft).strange == ("7:45", "Captain")
    assert support("", evidence(FERRY), draft).strange == ("7:45", "Captain", "Olsen")


def test_the_title_of_a_passage_is_evidence_too() -> None:
    titled = (replace(evidence(FERRY)[0], title="Olsen's ferries"),)

    assert support("", titled, "In Bergen the ferry is Olsen's.").strange == ()


def test_marks_between_digits_do_not_make_another_number() -> None:
    assert support("", evidence("It cost 1,200,000 crowns in 1998."), "Around 1.200.000 crowns it was.").claims == 0


def test_the_numbers_of_a_list_are_no_claims() -> None:
    draft = "1. The ferry leaves the old harbour.\n2. Tickets are sold on board.\n3. Children travel free of charge."

    assert support("", evidence(FERRY), draft).claims == 0


@pytest.mark.parametrize("draft", ["In Vienna.", "At 7:45.", "1998", "an elephant", "7", "Oslo, Kiel and Hull"])
def test_a_short_draft_is_compared_like_any_other(draft: str) -> None:
    assert (support("", evidence(FERRY), draft).wording or 0) > 0.6


@pytest.mark.parametrize("draft", ["Bergen", "at 9:30", "18:15", "on board", "120 kroner [1]"])
def test_a_short_draft_from_the_passage_is_supported(draft: str) -> None:
    assert (support("", evidence(FERRY), draft).wording or 0) < 0.3


@pytest.mark.parametrize("draft", ["Yes.", "No.", "Nein [1].", "Da.", "Oui.", "No, it is.", "はい"])
def test_a_yes_or_no_says_nothing_that_could_be_compared(draft: str) -> None:
    assert (support("", evidence(FERRY), draft).wording or 0) <= UNTELLING


def test_one_invented_name_spoils_a_short_answer() -> None:
    true = "The ferry leaves the old harbour of Bergen at 9:30 every morning, and tickets are sold on board"
    invented = true.replace("tickets are sold on board", "Captain Wallenstein serves hot waffles")
    plain, spoiled = (support("", evidence(FERRY), draft).wording or 0 for draft in (true, invented))

    assert spoiled > plain + 0.3


def test_wording_in_another_language_is_not_compared_but_numbers_are() -> None:
    draft = "Die Fähre verlässt den alten Hafen jeden Morgen um 7:45 Uhr und kehrt am Abend zurück."
    found = support("Wann fährt sie?", evidence(FERRY), draft, foreign=True)

    assert found.wording is None
    assert found.strange == ("7:45",)


@pytest.mark.parametrize(
    "draft",
    [
        "Jeg tror den går klokken ni om morgenen fra den gamle havnen.",
        "Den afgår hver morgen fra den gamle havn, og billetterne sælges om bord.",
    ],
)
def test_a_neighbouring_language_with_the_same_small_words_is_not_foreign(draft: str) -> None:
    source = "Fergen går om morgenen fra den gamle havnen klokken ni, og den er tilbake om kvelden. Jeg tror det og du."

    assert not foreign(draft, draft.lower().split(), source.lower().split(), {"no"})


def test_the_part_that_is_quoted_is_the_one_that_the_evidence_lacks() -> None:
    draft = f"{FERRY} Penguins raise their young on windswept islands near Antarctica [1]. {FERRY}"
    part, share = weakest_part(evidence(FERRY), draft)

    assert "Penguins raise their young on windswept islands near Antarctica" in part
    assert len(part) < 2 * QUOTED
    assert share > 0.6
    assert weakest_part(evidence(FERRY), "In Vienna [1].")[0] == "In Vienna"


def written(text: str, *unsure: str) -> list[tuple[str, float]]:
    """The words of a text as tokens, each with a probability of 0.9, or 0.1 for some of them."""
    return [(token, log(0.1 if token.strip() in unsure else 0.9)) for token in re.findall(r"\s*\w+|\W", text)]


def test_certainty_is_that_of_the_least_certain_sentence() -> None:
    draft = "The ferry leaves at nine. The ferry returns at eight."

    assert certainty(draft, written(draft)) == pytest.approx(0.9)
    assert certainty(draft, written(draft, "eight")) == pytest.approx(0.1)
    assert certainty(draft, written(draft, ".")) == pytest.approx(0.9)  # not a word


def test_in_a_long_sentence_a_single_word_may_be_unusual() -> None:
    draft = "The ferry leaves the old harbour of Bergen every morning and comes back in the late evening of most days."

    assert certainty(draft, written(draft, "old")) == pytest.approx(0.9)
    assert certainty(draft, written(draft, "old", "Bergen", "evening")) == pytest.approx(0.1)


def test_certainty_leaves_out_the_reasoning_before_a_draft() -> None:
    draft = "The ferry leaves at nine."

    assert certainty(draft, written(f"<think>Perhaps Monday?</think>\n\n{draft}\n", "Monday")) == pytest.approx(0.9)


def test_certainty_is_unknown_where_the_tokens_are_not_those_of_the_draft() -> None:
    assert certainty("The ferry leaves at nine.", []) is None
    assert certainty("The ferry leaves at nine.", written("Something else.")) is None
    assert certainty("", written("Something else.")) is None
    assert certainty("…", [("…", -1.0)]) is None


def test_unknown_evidence_leaves_every_claim_open() -> None:
    found = support("Who?", None, "Two of them:\n- the painter Munch\n- the playwright Ibsen, born in 1828")

    assert found.wording is None
    assert found.claims == 7  # three sentences, two items, two names


def test_scripts_without_spaces_are_compared_too() -> None:
    passage = evidence(
        "船は毎朝九時半に古い港を出て、夕方に戻ります。切符は船内で売られ、六歳未満の子供は無料です。", language="ja"
    )
    draft = "船は毎朝九時半に古い港を出て、夕方に戻ります。切符は船内で売られ、六歳未満の子供は無料です。"
    other = "象は南極で子供を育て、遠い島々の間を泳いで渡ると言われていますが、確かな記録は残っていません。"

    assert support("いつ出ますか", passage, draft).wording == 0
    assert (support("いつ出ますか", passage, other).wording or 0) > 0.6


@pytest.mark.parametrize(
    "draft",
    [
        "The ferry leaves the old harbour at 9:30. Tickets are sold on",
        "The ferry leaves every morning from the old harbour at 9:30,",
        "There are several ways to pay for the ticket. Here are some examples:",
        "Die Fähre verlässt den Hafen um 9:30 Uhr. Karten werden an",
    ],
)
def test_a_draft_that_does_not_finish_its_last_sentence_breaks_off(draft: str) -> None:
    assert breaks_off(draft)


@pytest.mark.parametrize(
    "draft",
    [
        "9:30",
        "On board, in cash",
        "from the old harbour of Bergen every morning at half past nine",
        "The ferry leaves at 9:30. Tickets are sold on board [1].",
        "She said: “The ferry leaves the harbour at 9:30. Be there.”",
        "You need three things for the crossing today:\n\n- a ticket\n- a coat\n- some patience",
        "Follow these steps to get on board. They are:\n1. Go to the harbour\n2. Buy a ticket",
        "The times are these. Look:\n\n| from | to |\n|---|---|\n| 9:30 | 18:15 |",
        "Run this to print the table of times.\n\n```sh\nescalator search ferry\n```",
        "The ferry leaves at 9:30 every single day.\n\n## Tickets",
        "船は毎朝九時半に港を出ます。 切符は 船内で 売られ、 子供は 無料 です 。",
    ],
)
def test_lists_tables_code_and_short_answers_do_not_break_off(draft: str) -> None:
    assert not breaks_off(draft)


@pytest.mark.parametrize(
    "text", ["!" * 80, "and so on " * 12, "The ferry leaves at 9:30 from the harbour. " * 3 + "The"]
)
def test_the_end_of_a_text_that_says_the_same_over_and_over_loops(text: str) -> None:
    assert loops(f"It starts well. {text}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no, no, no.",
        "The end.\n\n" + "-" * 100,
        "| a | b |\n" + "|---|---|" * 12,
        "Chapter 1 " + ". " * 60,
        "- The ferry to Bergen leaves at 9.\n- The ferry to Moss leaves at 10.\n- The ferry to Horten leaves at 11.",
    ],
)
def test_rules_tables_and_lists_do_not_loop(text: str) -> None:
    assert not loops(text)


@given(st.text(max_size=300))
def test_no_text_is_too_strange_to_be_measured(text: str) -> None:
    found = support(text, evidence(FERRY, FÄHRE), text)
    part, share = weakest_part(evidence(FERRY, FÄHRE), text)

    assert found.wording is not None
    assert 0 <= found.wording <= 1
    assert 0 <= share <= 1
    assert len(part) <= len(text) + QUOTED
    assert found.claims == len(found.strange)
    assert isinstance(breaks_off(text), bool)
    assert isinstance(repeats(text), bool)


@given(st.text(min_size=1, max_size=30).filter(lambda text: any(map(str.isalpha, text)) and not text.isspace()))
def test_anything_said_often_enough_loops(text: str) -> None:
    assert loops(f"{text} " * 60)


def test_sentences_said_again_and_again_repeat_though_their_numbers_grow() -> None:
    draft = "\n".join(f"{n}. Press the green button again." for n in range(1, 8))

    assert repeats(draft)
    assert not loops("Press it. Then wait for the light.")
    assert not repeats("Press the green button. Wait for the light. Open the lid carefully. Take the bread out.")


ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
TOWNS = "Bergen Moss Horten Oslo Larvik Arendal Molde Narvik".split()


@pytest.mark.parametrize(
    ("begin", "rounds"),
    [
        ("It is a formula.", [f"The {word} question is about the classification of BM25." for word in ORDINALS]),
        (
            "Es sind acht Fragen.",
            [
                f"Die {word}te Frage handelt von der Fähre im Hafen."
                for word in "vier fünf sechs acht neun zehn elf zwölf".split()
            ],
        ),
        ("", [f"{n}. The {word} question is about the old harbour." for n, word in enumerate(ORDINALS, 1)]),
        ("", [f"Question {n}: The {word} question is about the old harbour." for n, word in enumerate(ORDINALS, 1)]),
        ("These:\n", [f"- {n}. Full leak search with multiple leaks\n" for n in range(1, 6)]),
        ("", [f"The value of the timeout in round {n} is unknown." for n in range(3, 9)]),
        ("", [f"The {word} ferry leaves at nine.\nIt returns in the evening.\n" for word in ORDINALS]),
        ("", [f"{n}. Look at the table of times.\nIt is on page {n}.\nRead it.\n" for n in range(1, 7)]),
        ("They are:\n", [f"{n}.\n" for n in range(1, 30)]),
        ("They are:\n", [f"- 1.5.{n}. Memcheck:\n" for n in range(1, 20)]),
    ],
)
def test_lines_or_sentences_that_only_count_on_loop_and_are_cut_to_the_first(begin: str, rounds: list[str]) -> None:
    text = f"{begin} {' '.join(rounds)}"

    assert loops(text)
    assert repeats(text)
    assert without_loop(text).split() == f"{begin} {rounds[0]}".split()


@pytest.mark.parametrize("blank", ["\n", " ", "\t", "\u00a0", "\u200b", "\ufeff", " \n", "\r\n", "\u3000"])
@pytest.mark.parametrize("begin", ["", "At 9:30."])
def test_blanks_without_end_loop(begin: str, blank: str) -> None:
    assert loops(begin + blank * 400)
    assert without_loop(begin + blank * 400) == begin


@pytest.mark.parametrize(
    "text",
    [
        "At 9:30.\n\n\n\n",
        "```python\nif open:\n" + " " * 60,
        "| from | to |\n|" + "-" * 300 + "|" + "-" * 300 + "|\n| Bergen" + " " * 200,
    ],
)
def test_blank_lines_indentation_and_padding_do_not_loop(text: str) -> None:
    assert not loops(text)


@pytest.mark.parametrize(
    "lines",
    [
        [f"{day}: 9 to 17" for day in DAYS],
        [f"- On {day} the office in the old harbour is open from 9 to 17." for day in DAYS],
        [f"| {month} | 120 euros a month for each of the rooms |" for month in MONTHS],
        [f"In {month} the price of a ticket for the ferry is {20 + n} kroner." for n, month in enumerate(MONTHS)],
        [f"{n} × 7 = {n * 7}" for n in range(1, 13)],
        [f"{n} times seven is {n * 7}, as every child at school learns." for n in range(1, 13)],
        [f"- The ferry to {town} leaves the old harbour at {9 + n}." for n, town in enumerate(TOWNS)],
        [f"- `{town.upper()}_PORT` sets the port of the server, 8000 by default" for town in TOWNS],
        [f"* Add support for the new harbour of {town}." for town in TOWNS],
        [f"- Clean up the manual page of {town.lower()}.8 [A. Berg]" for town in TOWNS],
        [f"10:00:0{n} the ferry sends that it is well and on time" for n in range(9)],
        [f"Day {n}: rest" for n in range(1, 10)],
        ["```sql", *(f"ALTER TABLE ferries ADD COLUMN seat_{n} INTEGER NOT NULL DEFAULT 0;" for n in range(9))],
        [f"{line}\nAnd the ferry sails on to the shore." for line in ("It rains.", "It blows.", "Night falls.")],
    ],
)
def test_lists_whose_items_are_similar_do_not_loop(lines: list[str]) -> None:
    for n in range(1, len(lines) + 1):
        assert not loops("\n".join(lines[:n]))
        assert not loops(" ".join(lines[:n]))
    assert without_loop("\n".join(lines)) == "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("It is 404 then. " + "The model is not found. " * 4 + "The", "It is 404 then. The model is not found."),
        ("Lør to lør to lør to lør to lør to lør to lør to lør to lør to lør to", "Lør to lør"),
        ("Sizes:\n" + "- 100k\n- 200k\n- 900k\n" * 4, "Sizes:\n- 100k\n- 200k\n- 900k"),
        ("It sails [1].  It sails [2]. It\nsails. " * 3, "It sails [1]."),
        (
            "Run it:\n\n```js\nconst it = [\n" + "  serverPort: 3128,\n" * 9,
            "Run it:\n\n```js\nconst it = [\n  serverPort: 3128,",
        ),
        (
            "So. " + "The ferry leaves from the harbour at nine. " * 200,
            "So. The ferry leaves from the harbour at nine.",
        ),
        ("Well said.", "Well said."),
    ],
)
def test_of_a_text_that_goes_in_circles_the_first_round_is_left(text: str, best: str) -> None:
    assert without_loop(text) == best


@given(st.text(max_size=200), st.text(min_size=1, max_size=30), st.integers(0, 90))
def test_what_is_left_of_any_text_is_its_beginning_and_loops_no_more(begin: str, unit: str, times: int) -> None:
    text = begin + unit * times
    left = without_loop(text)

    assert text.startswith(left)
    assert not loops(left)
    assert without_loop(left) == left
