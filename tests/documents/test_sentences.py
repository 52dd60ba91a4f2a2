"""Sentences: what ends one, what does not, and that their offsets are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


ANY_TEXT = st.text(st.sampled_from("aZ9é日。. !?…\n\f\t -#|`*'\"()[]1") | st.characters(), max_size=300)


@given(ANY_TEXT)
def test_sentences_cover_all_text_that_is_not_blank_once_and_in_order(text: str) -> None:
    spans = sentences(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Miller met Mrs. Jones at 5 p.m. sharp.",
        "See Fig. 3 and no. 7 on pp. 12.",
        "It costs 3.50 EUR, see example.com for more.",
        "J. R. R. Tolkien wrote it.",
        "Siehe z. B. Kapitel 3 bzw. Anhang A.",
        "Sie wurde am 3. Oktober eröffnet.",
        "Het is bijv. Amsterdam, aldus dhr. De Vries.",
        "„Wirklich?“ fragte er.",
        "It was made by Example Co. of London etc. and sold.",
        "Approx. 5 people, e.g. Anna, came.",
    ],
)
def test_these_are_one_sentence(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("**Bold.** Then plain.[1] And so on.", ["**Bold.**", "Then plain.[1]", "And so on."]),
        ("„Ja.“ Dann ging er.", ["„Ja.“", "Dann ging er."]),
        ("It was 1990. The wall fell.", ["It was 1990.", "The wall fell."]),
        (
            "He said no. Then he changed his mind. Art. All of it.",
            ["He said no.", "Then he changed his mind.", "Art.", "All of it."],
        ),
        ("東京は首都です。人口は多い！本当？はい", ["東京は首都です。", "人口は多い！", "本当？", "はい"]),
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("¿Qué es? Es así… Bien.", ["¿Qué es?", "Es así…", "Bien."]),
    ],
)
def test_these_are_several(text: str, parts: list[str]) -> None:
    assert split(text) == parts


def test_headings_items_and_rows_end_with_their_line() -> None:
    text = "# A heading\nText here.\n- one item\n  that goes on\n- two\n1. first\n2. second\n"
    text += "| a | b |\n|---|---|\n| c | d |"
    assert split(text) == [
        "# A heading", "Text here.", "- one item\n  that goes on", "- two", "1. first", "2. second",
        "| a | b |", "|---|---|", "| c | d |",
    ]  # fmt: skip


def test_a_wrapped_paragraph_is_read_through_its_line_breaks() -> None:
    text = (
        "The library opens at nine in the morning and closes at eight in the\n"
        "Evening on every day but Sunday. On holidays it is closed, which the\n"
        "notice at the door says as well."
    )
    assert [" ".join(part.split()) for part in split(text)] == [
        "The library opens at nine in the morning and closes at eight in the Evening on every day but Sunday.",
        "On holidays it is closed, which the notice at the door says as well.",
    ]


def test_a_short_line_without_a_full_stop_is_a_heading_of_the_text_below() -> None:
    text = "Opening hours\nThe library opens at nine in the morning and closes at eight in the evening."
    assert split(text)[0] == "Opening hours"


@pytest.mark.parametrize(
    "lines",
    [
        ["Project Gull", "Lead: Jens Ahlers", "Budget: 48,000 euro", "Start: 3 March 2025"],
        ["Bus 14 leaves at 7:05 from the square", "Bus 21 leaves at 7:20 from the bridge", "Bus 33 leaves at 7:45"],
        ["Where: In the old boiler house.", "When: From eleven to one."],
    ],
)
def test_lines_of_which_each_says_something_by_itself_stay_apart(lines: list[str]) -> None:
    assert split("\n".join(lines)) == lines


def test_wrapped_lines_without_a_full_stop_stay_together() -> None:
    for text in (
        "Rules of the harbour of\nWest Bay and Eype",
        "这是一个很长的段落并且\n没有句号所以它必须\n保持在一起不能分开",
    ):
        assert split(text) == [text]


def test_code_is_kept_by_lines() -> None:
    assert split("```\na = 1\nB = 2.5 # really\n```") == ["```", "a = 1", "B = 2.5 # really", "```"]


@pytest.mark.parametrize("text", ["." * 200_000, "a. " * 100_000, "[1" * 100_000, "- " * 100_000, " " * 300_000 + "x"])
def test_odd_text_takes_time_in_proportion(text: str) -> None:
    sentences(text)  # would run for hours if it did not
