"""From a turn to its evidence: the corpus brought up to date, searched, and packed into a budget of tokens."""

import time

from app.answering.events import Retrieved
from app.answering.ledger import Stopwatch
from app.answering.turn import Turn
from app.documents.folder import Folder
from app.documents.language import name
from app.errors import CorpusError
from app.models.tokens import TokenCounter
from app.retrieval.packing import LOOKED_AT, pack, widen
from app.retrieval.retriever import Retriever
from app.retrieval.search import Exchange, search
from app.settings import Settings


class Searching:
    """Finds evidence in the corpus of the settings; the methods block."""

    def __init__(self, settings: Settings, counter: TokenCounter) -> None:
        self._settings = settings
        self._retriever = Retriever(Folder.of(settings), settings.state_dir)
        self._count = counter.count

    def refresh(self) -> None:
        """Read what is new in the corpus; raises CorpusError."""
        self._retriever.refresh()

    @property
    def languages(self) -> list[str]:
        """The languages of the documents, the most frequent one first."""
        return self._retriever.latest().index.languages

    def retrieve(self, turn: Turn, translation: str = "") -> Retrieved:
        """Search and pack; the words of a `translation` are searched as well.

        Raises CorpusError if the corpus is missing or holds nothing that can be read.
        """
        started = time.perf_counter()
        snapshot = self._retriever.refresh()
        problems = tuple(snapshot.problems.values())
        if not snapshot.documents:
            reasons = " ".join(f"{problem.file}: {problem.reason}" for problem in problems[:3])
            raise CorpusError(
                f"The folder {self._settings.corpus} holds no document that can be read. Put Markdown, text, "
                f"PDF or Office files into it and ask again. {reasons}".rstrip()
            )
        found = search(snapshot.index, turn.question, _history(turn), LOOKED_AT, started, translation)
        clock = Stopwatch()
        budget = self._settings.evidence_tokens
        evidence = pack(found, budget, self._count, snapshot.text)
        return Retrieved(found, evidence, problems, clock.ms)

    def widen(self, turn: Turn, retrieved: Retrieved) -> Retrieved:
        """The evidence for the large model: what has a number, and as much again behind it."""
        snapshot = self._retriever.latest()
        found = search(
            snapshot.index, turn.question, _history(turn), LOOKED_AT, translation=retrieved.found.translation
        )
        clock = Stopwatch()
        budget = 2 * self._settings.evidence_tokens
        evidence = widen(retrieved.evidence, found, budget, self._count, snapshot.text)
        return Retrieved(found, evidence, retrieved.problems, clock.ms)


def _history(turn: Turn) -> list[Exchange]:
    return [(exchange.question, exchange.answer) for exchange in turn.history]


def nothing_found(retrieved: Retrieved) -> str:
    """What to say where no passage has a word of the question."""
    words = ", ".join(f"“{word}”" for word in retrieved.found.unknown_words[:8])
    missing = f" These words occur in none of them: {words}." if words else ""
    language = retrieved.found.foreign
    foreign = f" No document is in {name(language)}, the language of the question." if language else ""
    return (
        f"Nothing in your documents matches this question, so no model was asked to answer it.{foreign}{missing} "
        "Ask with words that the documents use, or put a document about it into the corpus folder."
    )
