"""What is read, in parts: each is searchable while the next one is read."""

import time
from collections.abc import Iterator

from app.documents.document import Document, Outcome, Problem

SHOWN_SECONDS = 1.0
"""After which what has been read is searchable while the rest is read; then after twice as long, and so on."""


def parts(results: Iterator[Outcome]) -> Iterator[Iterator[Document | Problem]]:
    """The results, where None is a pause, in parts each of which takes twice as long to come as the one before it."""
    seconds = SHOWN_SECONDS
    for first in results:
        if first is not None:
            yield _part(first, results, time.monotonic() + seconds)
            seconds *= 2


def _part(first: Document | Problem, results: Iterator[Outcome], until: float) -> Iterator[Document | Problem]:
    yield first
    for following in results:
        if following is not None:
            yield following
        if time.monotonic() >= until:
            return
