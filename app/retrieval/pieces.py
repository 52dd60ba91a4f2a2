"""Pieces of passages: the sentences that evidence is made of, each with what it cannot do without."""

import re
from collections.abc import Iterator, Sequence

from app.documents.sentences import Span, sentences

_CLAUSE = re.compile(r"(?<=[\u0e00-\u0eff]) +")
_CLAUSE_CHARS = 80
"""Thai and Lao end sentences and clauses with a blank; shorter stretches than this are joined."""

_HEADING_CHARS = 80
_CLOSED = re.compile(r"[.!?…。！？｡।॥؟۔,;\"”»)\]]\W*$")
_BEGINS_LINE = re.compile(r"[#|>*+•◦▪–-]|\(?\w{1,3}[.)]\s")
_RULE = re.compile(r"\|[\s|:]*-[\s|:-]*$")


def spans(text: str) -> Iterator[Span]:
    """The sentences of a text; in Thai and Lao, which have no full stop, clauses."""
    for start, end in sentences(text):
        last = start
        for blank in _CLAUSE.finditer(text, start, end):
            if blank.start() - last >= _CLAUSE_CHARS <= end - blank.end():
                yield last, blank.start()
                last = blank.end()
        yield last, end


def needs(texts: Sequence[str]) -> list[int]:
    """For each sentence of a stretch the first one that has to stand before it: its heading, or the head of its table.

    A line of code needs the beginning of its block, what is announced by a colon the announcement.
    """
    first: list[int] = []
    head: int | None = None
    fence: int | None = None
    for at, text in enumerate(texts):
        row = text.startswith("|")
        if row and at + 1 < len(texts) and head is None and _RULE.match(texts[at + 1]):
            head = at
        elif not row:
            head = None
        start = fence if fence is not None else head if head is not None else at
        first.append(first[start] if start < at else first[at - 1] if at and leads(texts[at - 1], text) else at)
        if text.startswith(("```", "~~~")):
            fence = at if fence is None else None
    return first


def leads(text: str, following: str) -> bool:
    """Whether a sentence only heads or announces what follows."""
    if text.startswith("#") or text.endswith((":", "：")):
        return True
    short = len(text) < min(_HEADING_CHARS, len(following)) and "\n" not in text
    return short and not _CLOSED.search(text) and not (_BEGINS_LINE.match(text) or _BEGINS_LINE.match(following))
