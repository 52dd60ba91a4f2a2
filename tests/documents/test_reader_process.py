"""What a reader process answers: whole there and back, and nothing else gets through."""

import struct
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import reader_process
from app.documents.document import Document, Outcome, Problem
from app.documents.passages import Page, Place, joined, split

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
PLACES = st.builds(Place, st.sampled_from(["page", "heading", "slide", "line"]), TEXT, st.integers(0, 10**6), TEXT)
MOST = 10_000
HEAD = b'["title","en",1,1,1,[[0,2,"page","page 1",1,"Tides"]],[1]]'


@st.composite
def documents(draw: st.DrawFn) -> Document:
    pages = draw(st.lists(st.builds(Page, TEXT, PLACES), min_size=1, max_size=4))
    title, code = draw(TEXT), draw(st.sampled_from(["en", "de", "zh"]))
    passages = tuple(split(pages, "a.md", title, code))
    silent = tuple(draw(st.lists(st.integers(0, 10**6), max_size=3)))
    return Document("a.md", title, joined(pages), code, len(pages), passages, draw(st.integers(-1, 2**40)), 1, silent)


PROBLEMS = st.builds(Problem, st.just("a.md"), TEXT, st.integers(-1, 2**40), st.integers(-(2**40), 2**62))


def received(data: bytes) -> Outcome:
    return reader_process.receive(BytesIO(data), "a.md", MOST)


def framed(head: bytes, text: bytes = b"hi") -> bytes:
    return struct.pack("!II", len(head), len(text)) + head + text


@given(st.lists(st.one_of(documents(), PROBLEMS, st.none()), max_size=3))
def test_what_is_sent_is_received(everything: list[Outcome]) -> None:
    stream = BytesIO()
    for found in everything:
        reader_process.send(stream, found)
    stream.seek(0)
    assert [reader_process.receive(stream, "a.md", MOST) for _ in everything] == everything
    assert stream.read() == b""


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_anything_else_is_refused_with_an_error_that_is_expected(head: bytes, text: bytes) -> None:
    for data in (head, framed(head, text)):
        with suppress(EOFError, ValueError):
            received(data)


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b'"title"', b"7"),
        HEAD.replace(b'"title"', rb'"\ud800"'),
        HEAD.replace(b'"en"', b'"xx"'),
        HEAD.replace(b'"en"', b"[]"),
        HEAD.replace(b'"en",1', b'"en",true'),
        HEAD.replace(b'"en",1', b'"en",1e400'),
        HEAD.replace(b'"en",1', b'"en",-1'),
        HEAD.replace(b'"en",1', b'"en",' + b"9" * 5000),
        HEAD.replace(b"[0,2", b"[0,3"),
        HEAD.replace(b"[0,2", b"[2,1"),
        HEAD.replace(b"[0,2", b"[-1,2"),
        HEAD.replace(b"[0,2", b"[0"),
        HEAD.replace(b"[[0", b"[5,[0"),
        HEAD.replace(b'"page",', b'"scroll",'),
        HEAD.replace(b'"page",', b"{},"),
        HEAD.replace(b'"Tides"', b"1"),
        HEAD.replace(b"[1]]", b"[-1]]"),
        HEAD.replace(b"[1]]", b'["1"]]'),
        b"[" * 100_000,
        b"{}",
        b'["reason", 1]',
        b'[["reason"], 1, 1]',
    ],
)
def test_an_answer_with_a_wrong_value_is_refused(head: bytes) -> None:
    assert isinstance(received(framed(HEAD)), Document)
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        received(framed(head))


@pytest.mark.parametrize("lengths", [(reader_process.MAX_HEAD + 1, 0), (1, MOST + 1)])
def test_an_answer_that_is_too_long_is_not_even_read(lengths: tuple[int, int]) -> None:
    with pytest.raises(reader_process.Oversize):
        received(struct.pack("!II", *lengths))
