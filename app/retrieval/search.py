"""A question with its conversation, searched in a folder of documents."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.documents.folder import Folder, Snapshot
from app.retrieval.analysis import QueryWord, leans_back
from app.retrieval.index import Hit, Index

__all__ = ["DECAY", "Found", "Hit", "Index", "Retriever", "search"]

DECAY = 0.3
"""The weight of an earlier question's words is this to the power of how many questions ago it was asked.

Measured on mtrag-un, 252 follow-up questions of people: nDCG@10 0.83, against 0.76 for the last question alone and for
all questions with equal weight; 0.2 to 0.7 differ little.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found; `unknown_words` occur in no document, `earlier_words` come from earlier questions."""

    query: str
    hits: tuple[Hit, ...]
    unknown_words: tuple[str, ...]
    earlier_words: tuple[str, ...]
    took_ms: float


class Retriever:
    """Keeps an index of a folder up to date and searches it; every method may block, and any thread may call it."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self._lock = threading.Lock()
        self._state: tuple[Snapshot, Index] | None = None

    @property
    def texts(self) -> Mapping[str, str]:
        """The text of every document by its file, as of the last refresh."""
        state = self._state
        return {document.file: document.text for document in state[0].documents} if state else {}

    def refresh(self) -> Snapshot:
        """Reads what changed in the folder; raises CorpusError."""
        return self._refreshed()[0]

    def search(self, question: str, history: Sequence[str] = (), k: int = 10, *, fresh: bool = False) -> Found:
        """The `k` best passages for a question; `history` holds the earlier ones, oldest first. Raises CorpusError.

        `fresh` says that the folder was looked at a moment ago, so that it is not looked at again.
        """
        started = time.perf_counter()
        _, index = self._state if fresh and self._state is not None else self._refreshed()
        return search(index, question, history, k, started)

    def _refreshed(self) -> tuple[Snapshot, Index]:
        with self._lock:
            snapshot = self.folder.sync()
            if self._state is None or self._state[0] is not snapshot:
                passages = [passage for document in snapshot.documents for passage in document.passages]
                self._state = snapshot, Index(passages, self._state[1] if self._state else None)
            return self._state


def search(
    index: Index, question: str, history: Sequence[str] = (), k: int = 10, started: float | None = None
) -> Found:
    """The search itself, in any index; `started` is when it began, by `time.perf_counter`."""
    started = time.perf_counter() if started is None else started
    own = index.words(question)
    known = [word for word in own if index.knows(word)]
    # Words of which none occurs name another topic, unless the question says that it goes on from the last one.
    carries_on = bool(known) or not own or leans_back(question, index.languages)
    earlier = _earlier(index, history) if carries_on else []
    hits = index.search([*((word, 1.0) for word in known), *earlier], k)
    said = {word.surface.casefold() for word in known}
    return Found(
        query=question,
        hits=tuple(hits),
        unknown_words=_once([word for word in own if not index.knows(word)]),
        earlier_words=_once([word for word, _ in earlier if word.surface.casefold() not in said]),
        took_ms=round((time.perf_counter() - started) * 1000, 3),
    )


def _earlier(index: Index, history: Sequence[str]) -> list[tuple[QueryWord, float]]:
    """The words of earlier questions that occur in a document, with their weights, the latest question first."""
    return [
        (word, DECAY**ago)
        for ago, question in enumerate(reversed(history), 1)
        for word in index.words(question)
        if index.knows(word)
    ]


def _once(words: Sequence[QueryWord]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.surface.casefold(), word.surface)
    return tuple(first.values())
