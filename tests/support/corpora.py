"""Passages and documents made by hand, for tests of the index."""

from collections.abc import Iterable

from app.documents.document import Document
from app.documents.passages import Passage, Place

LINE = Place("line", "line 1", 1)

FERRY = "# The ferry\n\nThe ferry leaves at 9:30 from the old harbour. Tickets are sold on board.\n"
"""The shortest document that answers something."""


def passage(text: str, file: str = "", language: str = "he") -> Passage:
    """A passage in a language without stems by default, so that its terms are its words."""
    return Passage(file, 0, len(text), text, LINE, "", language)


def document(file: str, passages: Iterable[str], language: str = "he") -> Document:
    """A document whose passages are these texts."""
    texts, start, found = list(passages), 0, []
    for text in texts:
        found.append(Passage(file, start, start + len(text), text, LINE, "", language))
        start += len(text) + 1
    return Document(file, "", "\f".join(texts), language, len(texts), tuple(found), start, 1)
