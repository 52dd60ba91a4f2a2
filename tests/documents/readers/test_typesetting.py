"""What printing did to a text: hyphens, ligatures, running heads and page numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.readers.pdf import unprinted

LINES = st.lists(st.lists(st.sampled_from(["Head", "Page 1", "a-", "b c", "", "1987 412"]) | st.text(max_size=6)))


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ("the infra-\nstructure of\nit", "the infrastructure\nof\nit"),
        ("the infra\xad\nstructure", "the infrastructure\n"),
        ("the infra\x02structure, too", "the infrastructure,\ntoo"),
        ("well-known, not un-\nknown, as well\ufffeknown", "well-known, not unknown,\nas well-known\n"),
        ("the Anglo-\nSaxon law", "the Anglo-Saxon\nlaw"),
        ("in 1990-\n1995 - and\nso on", "in 1990-\n1995 - and\nso on"),
        ("ﬁve eﬃcient ﬂoors", "five efficient floors"),
        ("soft\xadly", "softly"),
    ],
)
def test_words_are_whole_again(printed: str, text: str) -> None:
    assert unprinted([printed]) == [text]


def test_heads_of_left_and_right_pages_and_page_numbers_go() -> None:
    body = [f"One {word}.\nTwo {word}.\nThree {word}." for word in "abcdefgh"]
    pages = [f"{'Report' if n % 2 else 'Chapter'}\n{text}\n- {n + 11} of 30 -" for n, text in enumerate(body)]
    assert unprinted(pages) == [f"Chapter\n{body[0]}", f"Report\n{body[1]}", *body[2:]]


def test_figures_of_a_table_over_many_pages_stay() -> None:
    pages = ["\n".join(f"{1900 + 7 * row + 31 * page} {row * page * 13 + 5}" for row in range(9)) for page in range(6)]
    assert unprinted(pages) == pages


def test_two_pages_that_begin_alike_stay() -> None:
    assert unprinted(["Letter\na\n1", "Letter\nb\n2"]) == ["Letter\na\n1", "Letter\nb\n2"]


@given(LINES)
def test_pages_keep_their_number(pages: list[list[str]]) -> None:
    assert len(unprinted(["\n".join(page) for page in pages])) == len(pages)
