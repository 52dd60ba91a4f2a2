"""From a turn to its evidence: the corpus brought up to date, searched, and packed into a budget of tokens."""

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from app.answering.aim import Aim, aim
from app.answering.events import Retrieved
from app.answering.router import intent
from app.answering.summing_up import spread
from app.answering.turn import Turn
from app.answering.usage import Stopwatch
from app.documents.document import Document, Problem
from app.documents.folder import Folder
from app.errors import CorpusError
from app.models.tokens import TokenCounter
from app.retrieval.corpus import Corpus, Reading
from app.retrieval.inventory import Inventory
from app.retrieval.packing import MAX_HITS, pack_context, widen_context
from app.retrieval.search import Exchange, SearchResult, answerability, search
from app.retrieval.store import NOTHING, Snapshot
from app.retrieval.watcher import Watcher
from app.settings import Settings

COVERED = 0.24
"""The least share of a question that the best passage covers if models are asked to answer it.

Of the own questions of seven collections at most 0.9 % are below it, and 1.6 % with a typing error in each; of those
that found something in the eleven sample documents, but were asked of other collections, 49 to 86 %.
"""


class Searching:
    """Finds evidence in the corpus of the settings; the methods block.

    If it is `live` the corpus is read behind questions, which then wait a moment at most for what is new.
    """

    def __init__(self, settings: Settings, counter: TokenCounter, *, live: bool) -> None:
        self.folder = Folder.of(settings)
        self._settings = settings
        self._retriever = Corpus(self.folder, settings.state_dir)
        self._sync = Watcher(self._retriever) if live else None
        self._count = counter.count

    def refresh(self) -> Snapshot:
        """The corpus as it is now, or what is ready of it; raises CorpusError."""
        return self._sync.current() if self._sync else self._retriever.refresh()

    @property
    def reading(self) -> Reading | None:
        """How far reading is, None if nothing is being read."""
        return self._sync.reading if self._sync else None

    def health(self) -> Inventory:
        """How the corpus was when it was looked at last."""
        return Inventory(self._retriever.latest())

    def read(self, files: Sequence[tuple[str, Path]]) -> list[Document | Problem]:
        """Files from elsewhere, each with the name that it goes by."""
        with closing(self.folder.read_all(files)) as results:
            return sorted(results, key=lambda result: result.file)

    @property
    def languages(self) -> list[str]:
        """The languages of the documents, the most frequent one first."""
        return self._retriever.latest().index.languages

    def aim(self, turn: Turn) -> Aim:
        """What the question of a turn aims at."""
        if turn.earlier is not None or intent(turn.question, goes_on=bool(turn.history)) is None:
            return Aim(turn)
        with suppress(CorpusError):  # said with the first question that needs documents
            return aim(turn, self.refresh().plus(turn.dropped))
        return aim(turn, NOTHING)

    @property
    def documents(self) -> int:
        """How many are ready to be searched."""
        return len(ready.documents) if (ready := self._retriever.ready) else 0

    def summed_up(self, turn: Turn, file: str) -> Retrieved:
        """How each part of a document begins."""
        clock = Stopwatch()
        snapshot = self._retriever.latest().plus(turn.dropped)
        passages = snapshot.passages(file)
        evidence = spread(passages, snapshot.text(file), self._settings.evidence_tokens, self._count)
        return Retrieved(SearchResult(turn.question, (), (), (), 0.0), evidence, (), clock.ms, self.reading)

    def retrieve(self, turn: Turn, translation: str = "") -> Retrieved:
        """Search and pack; the words of a `translation` are searched as well.

        What was dropped with the question is searched alone first. There is no evidence if what was found covers too
        little of the question. Raises CorpusError if the corpus is missing or holds nothing that can be read.
        """
        started = time.perf_counter()
        corpus = self.refresh()
        problems, reading = tuple(corpus.problems.values()), self.reading
        snapshot = corpus.plus(turn.dropped)
        if not snapshot.documents:
            reasons = " ".join(f"{problem.file}: {problem.reason}" for problem in problems[:3])
            raise CorpusError(
                f"The folder {self._settings.corpus} holds no document that can be read. Put Markdown, text, "
                f"PDF or Office files into it and ask again. {reasons}".rstrip()
            )
        found = None
        if turn.brought:
            alone = NOTHING.plus(turn.brought)
            found = search(alone.index, turn.question, _history(turn), MAX_HITS, started, translation)
        if found is None or not found.hits:
            found = search(snapshot.index, turn.question, _history(turn), MAX_HITS, started, translation)
        clock = Stopwatch()
        given = turn.brought or found.earlier_words or found.foreign  # more than its own words
        if found.hits and not given and answerability(snapshot.index, turn.question, found.hits[0]) < COVERED:
            return Retrieved(found, (), problems, clock.ms, reading)
        evidence = pack_context(found, self._settings.evidence_tokens, self._count, snapshot.text)
        return Retrieved(found, evidence, problems, clock.ms, reading)

    def snapshot(self, turn: Turn) -> Snapshot:
        """The corpus as it was when it was looked at last, with what was dropped."""
        return self._retriever.latest().plus(turn.dropped)

    def widen(self, turn: Turn, retrieved: Retrieved) -> Retrieved:
        """The evidence for the large model: what has a number, and as much again behind it if that was searched."""
        if not retrieved.found.hits:
            return retrieved
        snapshot = self.snapshot(turn)
        found = search(snapshot.index, turn.question, _history(turn), MAX_HITS, translation=retrieved.found.translation)
        clock = Stopwatch()
        budget = 2 * self._settings.evidence_tokens
        evidence = widen_context(retrieved.evidence, found, budget, self._count, snapshot.text)
        return Retrieved(found, evidence, retrieved.problems, clock.ms, retrieved.reading)


def _history(turn: Turn) -> list[Exchange]:
    return [(exchange.question, exchange.answer) for exchange in turn.history]
