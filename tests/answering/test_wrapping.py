"""A fence around an answer and a list of sources at its end are dropped while it streams, and nothing else is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.generation import WrappingFilter, words_of
from app.documents.passages import Place
from app.retrieval.packing import Evidence

LAMP = Evidence(1, "rooms/lamp.txt", "Lamp room", Place("line", "line 1", 1), 0, 5, "Lamps", "en")
NAMES = words_of([LAMP])
ANSWER = "The lamp room opens at 07:40 [1]."


def filtered(text: str, cuts: list[int]) -> str:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    wrapping = WrappingFilter(NAMES)
    return "".join(wrapping.feed(text[start:end]) for start, end in pairwise(edges)) + wrapping.close()


CUTS = st.lists(st.integers(0, 1_000))


@given(CUTS)
@pytest.mark.parametrize(
    "text",
    [
        f"{ANSWER}\n\nSources:\n[1] lamp.txt, line 1",
        f"{ANSWER}\n\nSources:\n[1] On the opening of rooms",
        f"{ANSWER}\n\n---\n**Sources:**\n- rooms/lamp.txt, line 1 [1]\n",
        f"{ANSWER}\n\n## References\n1. Lamp room",
        f"{ANSWER}\nQuellen: [1], [2]",
        f"{ANSWER} Source: lamp.txt",
        f"{ANSWER}\n(Source: lamp.txt, page 12)",
        f"{ANSWER}\n\n[1] lamp.txt, line 1",
        f"{ANSWER}\n\n[^1]: Lamp room",
        f"{ANSWER}\n\nSources:",
        f"```markdown\n{ANSWER}\n```",
        f"```\n{ANSWER}\n```\n",
        f"~~~md\n{ANSWER}\n~~~",
        f"```markdown\n{ANSWER}",
        f"```markdown\n{ANSWER}\n```\n\nSources: [1]",
    ],
)
def test_what_wraps_an_answer_is_dropped_however_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == ANSWER


@given(CUTS)
@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "Sources: coal and gas.",
        "Sources:\n- lamp.txt [1]",
        f"{ANSWER}\n\nSources of energy are coal.",
        f"{ANSWER}\nSources:\n- coal [1]\n- gas [1]\n",
        f"{ANSWER}\n\nSources: lamp.txt\n\nIt closes at 16:10 [1].",
        f"{ANSWER}\n\n[1] opens early.",
        "```sh\nls\n```",
        "```\nls\n```",
        "```\nls -l\n```\nIt lists files [1].",
        "``code`` is it.",
    ],
)
def test_what_an_answer_says_stays(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == text


def test_code_within_a_fence_keeps_its_own() -> None:
    assert filtered("```markdown\nRun:\n```sh\nls\n```\nDone.\n```", []) == "Run:\n```sh\nls\n```\nDone."


@given(st.text(st.sampled_from("`~\n[1]:. Sources lamp-*#a")), CUTS)
def test_how_the_stream_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == filtered(text, [])


@given(st.text(st.characters(exclude_characters="`~[:")))
def test_a_text_without_marks_is_shown_but_for_its_end_at_once(text: str) -> None:
    wrapping = WrappingFilter(NAMES)
    shown = wrapping.feed(text + " x. And so on")
    assert shown + wrapping.close() == text + " x. And so on"
    assert shown == text + " x. And so on"
