"""Passages and documents made by hand, for tests of the index, and prose that does not go in circles."""

from collections.abc import Iterable

from app.documents.document import Document, Problem
from app.documents.passages import Passage, Place
from app.retrieval.snapshot import NOTHING, Snapshot
from app.retrieval.store import IndexStore

LINE = Place("line", "line 1", 1)

FERRY = "# The ferry\n\nThe ferry leaves at 9:30 from the old harbour. Tickets are sold on board.\n"
"""The shortest document that answers something."""


WHO = "captain cook pilot gull mate keeper ferry".split()
DOES = "waits looks calls sings asks".split()
WHAT = "tide, fog, moon, late mail, cold stove, old bell, gate, long rope, lamp, second boat, buoy".split(", ")


def prose(count: int, mark: str = "") -> str:
    """So many different sentences, each with a mark before its stop; it ends with a space."""
    words = ((WHO[n % len(WHO)], DOES[n % len(DOES)], WHAT[n % len(WHAT)]) for n in range(count))
    return "".join(f"In the harbour a {who} {does} for the {what}{mark}. " for who, does, what in words)


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


def change(kept: IndexStore, *results: Document | Problem, gone: tuple[str, ...] = ()) -> Snapshot:
    """Take files out of an index and put others in, in one change."""
    with kept.writing() as changing:
        assert changing is not None
        for file in gone:
            changing.remove(file)
        for result in results:
            changing.put(result)
        return changing.commit(NOTHING)


def texts(snapshot: Snapshot) -> dict[str, str]:
    """The text of each document."""
    return {file: snapshot.text(file) for file in snapshot.documents}
