"""The confidence line is held back while it streams, and nothing else is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.generation import ConfidenceFilter


def filtered(pieces: list[str]) -> tuple[str, str | None]:
    line = ConfidenceFilter()
    shown = "".join([line.feed(piece) for piece in pieces]) + line.close()
    return shown, line.level


def chunked(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, 1_000)))
@pytest.mark.parametrize(
    ("text", "shown", "level"),
    [
        ("It leaves at 9:30 [1].\nCONFIDENCE: low", "It leaves at 9:30 [1].", "low"),
        ("It leaves at 9:30 [1]. Confidence: high", "It leaves at 9:30 [1].", "high"),
        ("It leaves.\n\n**Confidence:** Low.\n", "It leaves.", "low"),
        ("Er fährt.\nZuversicht: gering", "Er fährt.", "low"),
        ("CONFIDENCE: low", "", "low"),
        ("Confidence is a word.", "Confidence is a word.", None),
        ("- Tempo: hoch\n- Confidence: high", "- Tempo: hoch\n- Confidence: high", None),
        ("Text that ends in con", "Text that ends in con", None),
    ],
)
def test_only_the_line_is_taken_out_however_the_stream_is_cut(
    text: str, shown: str, level: str | None, cuts: list[int]
) -> None:
    assert filtered(chunked(text, cuts)) == (shown, level)


@given(st.text(), st.lists(st.integers(0, 1_000)))
def test_a_text_without_the_line_comes_out_as_it_went_in(text: str, cuts: list[int]) -> None:
    shown, level = filtered(chunked(text, cuts))

    assert level is not None or shown == text
