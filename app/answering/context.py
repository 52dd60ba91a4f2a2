"""From a turn to its evidence: its part of the corpus brought up to date, searched, and packed into a token budget."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeVar

from app.answering.escalation import early_reason
from app.answering.events import Emitter, Retrieved
from app.answering.extractive import PARTS, outlines
from app.answering.generation import leaving
from app.answering.lexicon import find_phrase
from app.answering.prompt import Message
from app.answering.router import Route
from app.answering.row_counts import with_row_count
from app.answering.scope import scoped
from app.answering.turn import Sent, Stopwatch, Turn
from app.documents.document import ANY, Document, Problem, kept_here
from app.documents.folder import Folder
from app.documents.language import name, shown_name
from app.errors import CorpusError, IndexAway, ModelError
from app.models import chat
from app.models.discovery import ServerLookup
from app.models.foundry import Foundry
from app.models.tokens import TokenCounter
from app.postgres import corpus_of
from app.retrieval.corpus import Reading, Watcher
from app.retrieval.packing import MAX_HITS, is_answerable, pack_context
from app.retrieval.search import SearchResult, search
from app.retrieval.snapshot import NOTHING, Snapshot
from app.settings import Settings
from app.translation import _, again, listed, quoted

THREADS = 16
"""Questions that can wait for documents at once; further ones queue."""

SEARCHES = 2
"""Searches at a time: more of them would not end sooner, and hold up the event loop."""

PROGRESS_SECONDS = 0.5
"""Interval between two messages about documents being read."""

TELLING = 4
"""Characters of a word by which a question can tell what only private documents say; a number of fewer is anywhere."""

TRANSLATE = """\
Translate the question of the user into search words in {languages}. Write the words that matter, names unchanged, with
blanks between them, on one line, and nothing else."""

TRANSLATION_TOKENS = 60
TRANSLATION_CHARS = 300
TRANSLATION_LANGUAGES = 3
"""Limits of a translation: what the model may write, what of it is searched, and how many languages are named."""

T = TypeVar("T")


class Retriever:
    """Finds evidence in the corpus of the settings; its methods block, so event loops call them by `run`.

    A `live` retriever has the corpus read in the background, and waits only a moment for new documents.
    """

    def __init__(self, settings: Settings, counter: TokenCounter, *, live: bool) -> None:
        self.folder = Folder.of(settings)
        self._settings = settings
        self._corpus = corpus_of(settings)
        self._watcher = Watcher(self._corpus) if live else None
        self._count = counter.count
        self._threads = ThreadPoolExecutor(THREADS, "retrieval")
        self._searching = BoundedSemaphore(SEARCHES)

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread of the retriever, away from the event loop's default threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, self._whole, work)

    def _whole(self, work: Callable[[], T]) -> T:
        """Do some work, and once more if the index was changed, or its server vanished, in the middle."""
        try:
            return work()
        except IndexAway:
            self.refresh()
            return work()

    async def wait(self, work: Callable[[], T], tell: Callable[[str], object]) -> T:
        """Run blocking work that needs the documents, and tell how far reading them is."""
        running = asyncio.ensure_future(self.run(work))
        while not (await asyncio.wait([running], timeout=PROGRESS_SECONDS))[0]:
            if (reading := self.reading) is not None:
                tell(_("Reading your documents: {how_far}", how_far=reading))
        return running.result()

    def close(self) -> None:
        """End the threads, after a moment at most; work that waits for one is cancelled. Blocks."""
        if self._watcher:
            self._watcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def refresh(self) -> Snapshot:
        """Return the corpus as it is now, or what is ready of it; raises CorpusError."""
        return self._watcher.current() if self._watcher else self._corpus.refresh()

    @property
    def notice(self) -> str:
        """Why another index answers than the one of the settings; empty if none does."""
        return str(self._corpus.notice or "")

    @property
    def reading(self) -> Reading | None:
        """How far reading is, None if nothing is being read."""
        return self._corpus.reading if self._watcher else None

    def latest(self) -> Snapshot:
        """Return the corpus as of the last look."""
        return self._corpus.latest()

    def read(self, files: Sequence[tuple[str, Path]]) -> list[Document | Problem]:
        """Read files from outside the corpus, each under the name given with it."""
        with closing(self.folder.read(files)) as results:
            return sorted(filter(None, results), key=lambda result: result.file)

    def available(self, turn: Turn) -> Snapshot:
        """Return the corpus with the dropped documents; empty if it cannot be read, which a search will report."""
        try:
            return self._of_turn(turn, self.refresh())
        except CorpusError:
            return NOTHING

    def public(self) -> Snapshot:
        """Return the corpus as it is now, without private documents; raises CorpusError."""
        return self.refresh().public(self._settings.private)

    def rule(self, turn: Turn, grounds: Iterable[str]) -> str:
        """Return the rule that keeps on this machine a question and what rests on some grounds; empty if none does."""
        snapshot = self.available(replace(turn, scope=()))
        if rule := kept_here(grounds, snapshot.documents, self._settings.private):
            return rule
        public = snapshot.public(self._settings.private)
        if len(public.documents) < len(snapshot.documents):
            words = [it for it in snapshot.index.words(turn.question) if len(it.surface) >= TELLING]
            for word in (it for it in words if snapshot.index.knows(it) and not public.index.knows(it)):
                return _("Only private documents have {word}.", word=quoted(word.surface))
        return ""

    def snapshot(self, turn: Turn) -> Snapshot:
        """Return the corpus as of the last look, with the dropped documents."""
        return self._of_turn(turn, self._corpus.latest())

    def retrieve(self, turn: Turn, translation: str = "") -> Retrieved:
        """Search and pack, with the words of a `translation` if given.

        Documents that came with the question are searched alone first. There is no evidence if the top passage covers
        too little of the question. Raises CorpusError if the corpus is missing or holds no readable document.
        """
        snapshot = self._of_turn(turn, self.refresh())
        reading = self.reading
        if not snapshot.documents:
            no_document = CorpusError(
                "The folder {folder} holds no document that can be read. Put Markdown, text, PDF or Office files into "
                "it and ask again.",
                folder=self._settings.corpus,
            )
            reasons = [f"{problem.file}: {again(problem.reason)}" for problem in [*snapshot.problems.values()][:3]]
            raise CorpusError(" ".join([str(no_document), *reasons]))
        with self._searching:
            return self._searched(turn, snapshot, translation, reading)

    def _searched(self, turn: Turn, snapshot: Snapshot, translation: str, reading: Reading | None) -> Retrieved:
        took_ms = 0.0  # reading what is new is no part of the search
        indexes = [NOTHING.plus(turn.brought).index] if turn.brought else []
        for index in [*indexes, snapshot.index]:
            found = search(index, turn.question, turn.history, MAX_HITS, translation)
            took_ms += found.took_ms
            if found.hits:
                break
        clock = Stopwatch()
        answerable = turn.brought or is_answerable(snapshot.index, found)
        evidence = pack_context(found, self._settings.evidence_tokens, self._count, snapshot.text) if answerable else ()
        if evidence and find_phrase(turn.question, "counts"):
            evidence = with_row_count(turn.question, evidence, snapshot.passages, snapshot.text)
        _ = found.missing  # explains each hit, here and not in the event loop that shows the search
        problems = tuple(snapshot.problems.values())
        return Retrieved(replace(found, took_ms=took_ms), evidence, problems, clock.ms, reading)

    def look_up(self, turn: Turn) -> Retrieved:
        """Search for the words of a question alone, in the folders that it names; raises InputError and CorpusError."""
        turn.check()
        asked = scoped(turn, self.available(Turn("", public=turn.public)).documents)
        return replace(self.retrieve(asked), scope=asked.scope or ())

    def widen(self, turn: Turn, retrieved: Retrieved) -> Retrieved:
        """Add as much evidence again for the large model; the numbers so far stay the same."""
        if not retrieved.found.hits:
            return retrieved
        snapshot, translation = self.snapshot(turn), retrieved.found.translation
        found = search(snapshot.index, turn.question, turn.history, MAX_HITS, translation)
        clock = Stopwatch()
        budget = 2 * self._settings.evidence_tokens
        evidence = pack_context(found, budget, self._count, snapshot.text, retrieved.evidence)
        return replace(retrieved, found=found, evidence=evidence, packed_ms=clock.ms)

    def _of_turn(self, turn: Turn, corpus: Snapshot) -> Snapshot:
        """Return what a turn may be answered from: its scope, and what came with it, or all that was dropped before."""
        limited = corpus.within(turn.scope).plus(turn.brought) if turn.scope else corpus.plus(turn.dropped)
        return limited.public(self._settings.private) if turn.public else limited

    def outline(self, route: Route) -> Retrieved:
        """Return the beginnings of the parts of the first documents of a route, or of the one that a search finds."""
        clock = Stopwatch()
        turn, files = route.turn, route.files or tuple(item.file for item in self.retrieve(route.turn).evidence[:1])
        snapshot = self.snapshot(turn)
        documents = [(snapshot.passages(file), snapshot.text(file)) for file in files[:PARTS]]
        evidence = outlines(documents, self._settings.evidence_tokens, self._count)
        return replace(unsearched(turn), evidence=evidence, packed_ms=clock.ms, reading=self.reading)


async def context_for(
    route: Route, retriever: Retriever, foundry: Foundry, lookup: ServerLookup, emit: Emitter
) -> Retrieved:
    """Return the evidence of an earlier answer, of a document or of a search, none if unaided; raises CorpusError."""
    turn, earlier = route.turn, route.turn.earlier
    if turn.unaided:
        return unsearched(turn)
    if earlier is not None and earlier.attempt is not None and (earlier.evidence or earlier.turn.unaided):
        return Retrieved(earlier.found, earlier.evidence)  # an answer from the history has none
    if route.kind == "recaps":
        return unsearched(turn)
    if route.files is not None:
        return await retriever.run(partial(retriever.outline, route))
    retrieved = await retriever.wait(partial(retriever.retrieve, turn), emit.progress)
    if not retrieved.found.foreign or earlier is not None:
        return retrieved
    sent: list[Sent] = []
    try:
        await lookup.wait(emit.progress)
        corpus = await retriever.run(partial(retriever.snapshot, turn))
        rule = await retriever.run(partial(retriever.rule, turn, (ANY,)))  # of what it finds, nothing is known yet
        words = await search_words(turn.question, corpus.index.languages, foundry, emit, rule, sent)
    except ModelError as error:
        return replace(retrieved, failure=error, sent=tuple(sent))
    if early_reason(words) is None:  # else the model declined
        retrieved = await retriever.run(partial(retriever.retrieve, turn, words))
    return replace(retrieved, sent=tuple(sent))


async def search_words(
    question: str, languages: Sequence[str], foundry: Foundry, emit: Emitter, kept_here: str, sent: list[Sent]
) -> str:
    """Ask the small model for search words in the languages of the documents, and note what is sent for them.

    Raises ModelError.
    """
    names = " and ".join(name(code) for code in languages[:TRANSLATION_LANGUAGES])
    small, large = foundry.pair.of("small")
    shown = listed([shown_name(code) for code in languages[:TRANSLATION_LANGUAGES]])
    emit.progress(_("Asking {model} for search words in {languages}", model=small, languages=shown))
    model = await foundry.ready(small, emit.progress, instead_of=large, role="small", kept_here=kept_here)
    prompt: list[Message] = [
        {"role": "system", "content": TRANSLATE.format(languages=names)},
        {"role": "user", "content": question},
    ]
    async with foundry.slot(model, emit.progress):
        how: dict[str, Any] = {"max_tokens": TRANSLATION_TOKENS, "instead_of": large}
        how["sending"] = lambda asked: sent.extend(leaving(prompt, asked))
        text = await chat.reply(foundry, model, prompt, kept_here=kept_here, **how)
    return " ".join(text.split())[:TRANSLATION_CHARS]


def unsearched(turn: Turn) -> Retrieved:
    """Return a context without any search."""
    return Retrieved(SearchResult(turn.question, (), (), (), 0.0), ())
