"""From a turn to its evidence: the corpus brought up to date, searched, and packed into a budget of tokens."""

from app.answering.events import Retrieved
from app.answering.ledger import Stopwatch
from app.answering.turn import Turn
from app.documents.folder import Folder
from app.errors import CorpusError
from app.models.tokens import TokenCounter
from app.retrieval.packing import pack, widen
from app.retrieval.search import Retriever
from app.settings import Settings

WIDE = 20
"""Passages that are looked at for the large model."""


class Searching:
    """Finds evidence in the corpus of the settings; the methods block."""

    def __init__(self, settings: Settings, counter: TokenCounter) -> None:
        self._settings = settings
        self._retriever = Retriever(Folder(settings.corpus, settings.max_file_bytes))
        self._count = counter.count

    def refresh(self) -> None:
        """Read what is new in the corpus; raises CorpusError."""
        self._retriever.refresh()

    def retrieve(self, turn: Turn) -> Retrieved:
        """Search and pack.

        Raises CorpusError if the corpus is missing or holds nothing that can be read.
        """
        snapshot = self._retriever.refresh()
        if not snapshot.documents:
            reasons = " ".join(f"{problem.file}: {problem.reason}" for problem in snapshot.problems[:3])
            raise CorpusError(
                f"The folder {self._settings.corpus} holds no document that can be read. Put Markdown, text or "
                f"PDF files into it and ask again. {reasons}".rstrip()
            )
        found = self._retriever.search(turn.question, _questions(turn), fresh=True)
        clock = Stopwatch()
        budget = self._settings.evidence_tokens
        evidence = pack(found.hits, budget, self._count, self._retriever.texts)
        return Retrieved(found, evidence, snapshot.problems, clock.ms)

    def widen(self, turn: Turn, retrieved: Retrieved) -> Retrieved:
        """The evidence for the large model: what has a number, and as much again behind it."""
        found = self._retriever.search(turn.question, _questions(turn), k=WIDE, fresh=True)
        clock = Stopwatch()
        budget = 2 * self._settings.evidence_tokens
        evidence = widen(retrieved.evidence, found.hits, budget, self._count, self._retriever.texts)
        return Retrieved(found, evidence, retrieved.problems, clock.ms)


def _questions(turn: Turn) -> list[str]:
    return [exchange.question for exchange in turn.history]


def nothing_found(retrieved: Retrieved) -> str:
    """What to say where no passage has a word of the question."""
    words = ", ".join(f"“{word}”" for word in retrieved.found.unknown_words[:8])
    missing = f" These words occur in none of them: {words}." if words else ""
    return (
        f"Nothing in your documents matches this question, so no model was asked.{missing} "
        "Ask with words that the documents use, or put a document about it into the corpus folder."
    )
