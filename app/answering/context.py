"""From a turn to its evidence: its part of the corpus brought up to date, searched, and packed into a token budget."""

import asyncio
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from app.answering.escalation import early_reason
from app.answering.events import Emitter, Retrieved
from app.answering.extractive import PARTS, outlines
from app.answering.lexicon import find_phrase
from app.answering.prompt import Message
from app.answering.router import Route
from app.answering.row_counts import with_row_count
from app.answering.turn import Stopwatch, Turn
from app.documents.document import Document, Problem
from app.documents.folder import Folder
from app.documents.language import name, shown_name
from app.errors import CorpusError, InputError, ModelError
from app.humanize import listed
from app.models import chat
from app.models.foundry import Foundry, ServerLookup
from app.models.tokens import TokenCounter
from app.retrieval.corpus import Corpus, Reading
from app.retrieval.inventory import Inventory
from app.retrieval.packing import MAX_HITS, pack_context
from app.retrieval.search import Exchange, SearchResult, is_answerable, search
from app.retrieval.store import NOTHING, Snapshot
from app.retrieval.watcher import Watcher
from app.settings import Settings
from app.translation import _, again, figure

THREADS = 16
"""Questions that can wait for documents at once; further ones queue."""

PROGRESS_SECONDS = 0.5
"""Interval between two messages about documents being read."""

TRANSLATE = """\
Translate the question of the user into search words in {languages}. Write the words that matter, names unchanged, with
blanks between them, on one line, and nothing else."""

TRANSLATION_TOKENS = 60
TRANSLATION_CHARS = 300
TRANSLATION_LANGUAGES = 3
"""Limits of a translation: what the model may write, what of it is searched, and how many languages are named."""

EVERYTHING = {"all", "*", "alle", "alles", "alt", "toate"}
"""What is written after "in:" for all documents."""

NAME_WORDS = 8
"""Words of a folder's name at most, if it is not in quotation marks."""

_IN = re.compile(r"(?:^|(?<=\s))in ?:", re.IGNORECASE)
_QUOTED = re.compile(r"\s*[\"“„«»‘](.+?)[\"”“»«’]")
_WORD = re.compile(r"[^\s,]+")

T = TypeVar("T")


class Retriever:
    """Finds evidence in the corpus of the settings; its methods block, so event loops call them by `run`.

    A `live` retriever has the corpus read in the background, and waits only a moment for new documents.
    """

    def __init__(self, settings: Settings, counter: TokenCounter, *, live: bool) -> None:
        self.folder = Folder.of(settings)
        self._settings = settings
        self._corpus = Corpus(self.folder, settings.state_dir)
        self._watcher = Watcher(self._corpus) if live else None
        self._count = counter.count
        self._threads = ThreadPoolExecutor(THREADS, "retrieval")

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread of the retriever, away from the event loop's default threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)

    def close(self) -> None:
        """End the threads, after a moment at most; work that waits for one is cancelled. Blocks."""
        if self._watcher:
            self._watcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def refresh(self) -> Snapshot:
        """Return the corpus as it is now, or what is ready of it; raises CorpusError."""
        return self._watcher.current() if self._watcher else self._corpus.refresh()

    @property
    def reading(self) -> Reading | None:
        """How far reading is, None if nothing is being read."""
        return self._corpus.reading if self._watcher else None

    def health(self) -> Inventory:
        """Return the inventory of the corpus as of the last look."""
        return Inventory(self._corpus.latest())

    def read(self, files: Sequence[tuple[str, Path]]) -> list[Document | Problem]:
        """Read files from outside the corpus, each under the name given with it."""
        with closing(self.folder.read(files)) as results:
            return sorted(filter(None, results), key=lambda result: result.file)

    def available(self, turn: Turn) -> Snapshot:
        """Return the corpus with the dropped documents; empty if it cannot be read, which a search will report."""
        try:
            return _of_turn(turn, self.refresh())
        except CorpusError:
            return NOTHING

    def snapshot(self, turn: Turn) -> Snapshot:
        """Return the corpus as of the last look, with the dropped documents."""
        return _of_turn(turn, self._corpus.latest())

    def retrieve(self, turn: Turn, translation: str = "") -> Retrieved:
        """Search and pack, with the words of a `translation` if given.

        Documents that came with the question are searched alone first. There is no evidence if the top passage covers
        too little of the question. Raises CorpusError if the corpus is missing or holds no readable document.
        """
        snapshot = _of_turn(turn, self.refresh())
        problems, reading = tuple(snapshot.problems.values()), self.reading
        if not snapshot.documents:
            no_document = CorpusError(
                "The folder {folder} holds no document that can be read. Put Markdown, text, PDF or Office files into "
                "it and ask again.",
                folder=self._settings.corpus,
            )
            reasons = [f"{problem.file}: {again(problem.reason)}" for problem in problems[:3]]
            raise CorpusError(" ".join([str(no_document), *reasons]))
        started = time.perf_counter()  # reading what is new is no part of the search
        indexes = [NOTHING.plus(turn.brought).index] if turn.brought else []
        for index in [*indexes, snapshot.index]:
            found = search(index, turn.question, turn.history, MAX_HITS, started, translation)
            if found.hits:
                break
        clock = Stopwatch()
        answerable = turn.brought or is_answerable(snapshot.index, found)
        evidence = pack_context(found, self._settings.evidence_tokens, self._count, snapshot.text) if answerable else ()
        if evidence and find_phrase(turn.question, "counts"):
            evidence = with_row_count(turn.question, evidence, snapshot.passages, snapshot.text)
        return Retrieved(found, evidence, problems, clock.ms, reading)

    def widen(self, turn: Turn, retrieved: Retrieved) -> Retrieved:
        """Add as much evidence again for the large model; the numbers so far stay the same."""
        if not retrieved.found.hits:
            return retrieved
        snapshot, translation = self.snapshot(turn), retrieved.found.translation
        found = search(snapshot.index, turn.question, turn.history, MAX_HITS, translation=translation)
        clock = Stopwatch()
        budget = 2 * self._settings.evidence_tokens
        evidence = pack_context(found, budget, self._count, snapshot.text, retrieved.evidence)
        return Retrieved(found, evidence, retrieved.problems, clock.ms, retrieved.reading)

    def outline(self, route: Route) -> Retrieved:
        """Return the beginnings of the parts of the first documents of a route, or of the one that a search finds."""
        clock = Stopwatch()
        turn, files = route.turn, route.files or tuple(item.file for item in self.retrieve(route.turn).evidence[:1])
        snapshot = self.snapshot(turn)
        documents = [(snapshot.passages(file), snapshot.text(file)) for file in files[:PARTS]]
        evidence = outlines(documents, self._settings.evidence_tokens, self._count)
        return replace(unsearched(turn), evidence=evidence, packed_ms=clock.ms, reading=self.reading)


def _of_turn(turn: Turn, corpus: Snapshot) -> Snapshot:
    """Return what a turn may be answered from: its scope, and what came with it, or all that was dropped before."""
    return corpus.within(turn.scope).plus(turn.brought) if turn.scope else corpus.plus(turn.dropped)


def folders(documents: Iterable[str]) -> Mapping[str, int]:
    """Return the folders of the first level, with the number of documents in each."""
    return Counter(f"{file.partition('/')[0]}/" for file in sorted(documents) if "/" in file)


def scoped(turn: Turn, corpus: Callable[[], Snapshot]) -> Turn:
    """Return a turn with its scope known, and its questions without what says so ("in: hr/").

    Its own question counts first, then its scope, then the latest question before it that names one. `corpus` is called
    if there is any such. Raises InputError for a name that no folder and no file has.
    """
    if not (turn.scope or any(map(_IN.search, [turn.question, *(asked for asked, _ in turn.history)]))):
        return replace(turn, scope=())
    documents = corpus().documents
    places = _places(documents)
    own, question = _split(turn.question, places)
    history = [(_split(asked, places), said) for asked, said in turn.history]
    earlier = [names for (names, _), _ in history if names and all(_key(each) in places for each in names)]
    names = own or (earlier[-1] if turn.scope is None and earlier else turn.scope or ())
    scope: dict[str, None] = {}
    for each in () if any(_key(each) in EVERYTHING for each in names) else names:
        if _key(each) not in places and documents:
            if not (there := folders(documents)):
                raise InputError("There is no folder “{name}” in your documents, and no other one.", name=each)
            listed = ", ".join(f"{folder} ({figure(number)})" for folder, number in there.items())
            raise InputError(
                "There is no folder “{name}” in your documents. There are: {folders}.", name=each, folders=listed
            )
        scope |= dict.fromkeys(places.get(_key(each), ()))
    exchanges = tuple(Exchange(asked, said) for (_, asked), said in history)
    return replace(turn, question=question, history=exchanges, scope=tuple(scope))


def _places(documents: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return folders and files by what they may be called: the path, or its last part if no path is the same."""
    paths: dict[str, None] = {}
    for file in documents:
        above = (f"{folder}/" for folder in PurePosixPath(file).parents if folder.name)
        paths |= dict.fromkeys([*above, file])
    last = defaultdict(list)
    for path in paths:
        last[_key(PurePosixPath(path).name)].append(path)
    return {**dict.fromkeys(EVERYTHING, ()), **last, **{_key(path): [path] for path in paths}}


def _key(name: str) -> str:
    """Return a name as it is compared: without case, kind of slash, and marks at its end."""
    plain = unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
    return " ".join(plain.rstrip("?!").strip("/ ").split())


def _split(question: str, places: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """Return the names after each "in:" with which a question begins or ends, and the rest of it."""
    names: list[str] = []
    rest = question.strip()
    while begin := _IN.match(rest):
        found, rest = _names(rest[begin.end() :], places)
        names += found
    for part in reversed([*_IN.finditer(rest)]):
        found, more = _names(rest[part.end() :], places)
        if more or not found:
            break
        names, rest = found + names, rest[: part.start()].strip()
    return names, rest


def _names(text: str, places: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """Return the names with which a text begins, separated by commas, and what follows.

    A name without quotation marks is the longest known one, else the first word.
    """
    names: list[str] = []
    while True:
        if quoted := _QUOTED.match(text):
            name, end = quoted[1], quoted.end()
        else:
            ends = [word.end() for word in _WORD.finditer(text.partition(",")[0])][:NAME_WORDS]
            known = (at for at in reversed(ends) if _key(text[:at]) in places)
            end = next(known, ends[0] if ends and not names else 0)
            name = text[:end].strip()
        if not name:
            return names, text.strip(" ,")
        names.append(name)
        text = text[end:].lstrip()
        if not text.startswith(","):
            return names, text.strip(" ?!.") and text
        text = text[1:]


async def context_for(
    route: Route, retriever: Retriever, foundry: Foundry, lookup: ServerLookup, emit: Emitter
) -> Retrieved:
    """Return the evidence of an earlier answer, of a document or of a search, none if unaided; raises CorpusError."""
    turn, earlier = route.turn, route.turn.earlier
    if turn.unaided or (route.kind == "recaps" and earlier is None):
        return unsearched(turn)
    if earlier is not None and earlier.attempt is not None:
        return Retrieved(earlier.found, earlier.evidence)
    if route.files is not None:
        return await retriever.run(partial(retriever.outline, route))
    retrieval = asyncio.ensure_future(retriever.run(partial(retriever.retrieve, turn)))
    while not (await asyncio.wait([retrieval], timeout=PROGRESS_SECONDS))[0]:
        if (reading := retriever.reading) is not None:
            emit.progress(_("Reading your documents: {how_far}", how_far=reading))
    retrieved = retrieval.result()
    if not retrieved.found.foreign or earlier is not None:
        return retrieved
    try:
        await lookup.wait(emit.progress)
        corpus = await retriever.run(partial(retriever.snapshot, turn))
        words = await search_words(turn.question, corpus.index.languages, foundry, emit)
    except ModelError:  # reported with the answer
        return retrieved
    if early_reason(words) is not None:  # the model declined
        return retrieved
    return await retriever.run(partial(retriever.retrieve, turn, words))


async def search_words(question: str, languages: Sequence[str], foundry: Foundry, emit: Emitter) -> str:
    """Ask the small model for search words in the languages of the documents; raises ModelError."""
    names = " and ".join(name(code) for code in languages[:TRANSLATION_LANGUAGES])
    small, large = foundry.pair.of("small")
    shown = listed([shown_name(code) for code in languages[:TRANSLATION_LANGUAGES]])
    emit.progress(_("Asking {model} for search words in {languages}", model=small, languages=shown))
    model = await foundry.ready(small, emit.progress, instead_of=large)
    prompt: list[Message] = [
        {"role": "system", "content": TRANSLATE.format(languages=names)},
        {"role": "user", "content": question},
    ]
    text = ""
    async with foundry.slot(model):
        stream = chat.answer(foundry, model, prompt, max_tokens=TRANSLATION_TOKENS, instead_of=large)
        async with aclosing(stream):
            async for piece in stream:
                if isinstance(piece, chat.Retraction):
                    text = ""
                elif isinstance(piece, chat.Delta) and not piece.reasoning:
                    text += piece.text
    return " ".join(text.split())[:TRANSLATION_CHARS]


def unsearched(turn: Turn) -> Retrieved:
    """Return a context without any search."""
    return Retrieved(SearchResult(turn.question, (), (), (), 0.0), ())
