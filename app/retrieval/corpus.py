"""A folder of documents and its index, kept in step; this module knows neither scores nor prompts."""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.documents.document import Document, Outcome, Problem
from app.documents.folder import Difference, Folder
from app.errors import CorpusError, DamagedIndex
from app.humanize import time_left
from app.retrieval.search import Exchange, SearchResult, search
from app.retrieval.segment import Draft, Entry, Stored
from app.retrieval.store import Generation, Store, Writer

if TYPE_CHECKING:
    from app.retrieval.index import Index

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""For another process that reads what this one knows nothing of, before looking what it has brought so far."""


TELLING = 0.05
"""Share of the files from which on what they took tells how long the others will take."""

SHOWN_SECONDS = 1.0
"""After which what has been read is searchable while the rest is read; then after twice as long, and so on."""


@dataclass(frozen=True)
class Snapshot:
    """Documents and problems by file, and the index of the passages."""

    generation: Generation

    @cached_property
    def documents(self) -> Mapping[str, Entry]:
        """Every document without its text."""
        living = (
            entry
            for segment, gone in self.generation.segments
            for number, entry in enumerate(segment.archive.entries)
            if number not in gone
        )
        return {entry.file: entry for entry in sorted(living, key=lambda entry: entry.file)}

    @cached_property
    def problems(self) -> Mapping[str, Problem]:
        """Every file that was left out."""
        return {problem.file: problem for problem in sorted(self.generation.problems, key=lambda each: each.file)}

    @cached_property
    def index(self) -> "Index":
        """The passages, searchable."""
        from app.retrieval.index import Index  # which imports numpy

        segments = self.generation.segments
        return Index([(segment, segment.alive(gone) if gone else None) for segment, gone in segments])

    def plus(self, documents: Sequence[Document]) -> "Snapshot":
        """The same with further documents, which are kept nowhere."""
        if not documents:
            return self
        draft = Draft()
        for document in documents:
            draft.add(document)
        further = (Stored(draft.arrays()), frozenset[int]())
        return Snapshot(replace(self.generation, segments=(*self.generation.segments, further)))

    def text(self, file: str) -> str:
        """The text of a document as it was read, empty if there is none of that name."""
        for segment, gone in self.generation.segments:
            number = segment.numbers.get(file)
            if number is not None and number not in gone:
                return segment.archive.text(number)
        return ""


NOTHING = Snapshot(Generation(0, "", (), ()))
"""Of a corpus without documents."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far reading has come: files done and in all, the passages of these, and about how many seconds remain."""

    done: int
    total: int
    passages: int
    seconds_left: float

    def __str__(self) -> str:
        told = self.seconds_left >= 1 and self.done >= TELLING * self.total
        left = f", {time_left(self.seconds_left)}" if told else ""
        return f"{self.done:,} of {self.total:,} new files read{left}"


Progress = Callable[[Reading], None]
"""Is told after each file; called in the thread that refreshes."""


class Corpus:
    """Searches a folder as it is now; every method may block, and any thread may call it."""

    def __init__(self, folder: Folder, state_dir: Path | None = None):
        """The index is kept below `state_dir`, and without one in a folder that ends with this object."""
        self.folder = folder
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self.unread = 0
        """Files that another process is reading, as far as the last look could tell."""

    @cached_property
    def _store(self) -> Store:
        if self._state_dir is None:
            return self._passing()
        return Store(self._state_dir.expanduser().absolute() / "index" / _name(self.folder))

    def forget(self) -> None:
        """Have everything read and indexed anew when the corpus is looked at next."""
        with self._lock:
            self._store.forget()
            self._snapshot = None

    def refresh(self, progress: Progress | None = None) -> Snapshot:
        """The corpus as it is now, what is new in it read and indexed; raises CorpusError."""
        with self._lock:
            try:
                self._snapshot = self._sound(progress)
            except OSError as error:
                logger.warning("the index cannot be kept in %s: %s", self._store.folder, error)
                if not (self._snapshot and self._snapshot.documents):
                    self._snapshot = self._elsewhere(progress)
            return self._snapshot

    def settle(self) -> None:
        """Tidy the index up, for which nobody should have to wait."""
        with self._lock, suppress(OSError, DamagedIndex), self._store.writing(0.0) as writer:
            before = self._snapshot
            if writer is not None and before is not None and self._current(before) is before:
                generation = writer.settle()
                self._snapshot = before if generation is before.generation else Snapshot(generation)

    @property
    def ready(self) -> Snapshot | None:
        """What is ready of the corpus while it is looked at, None before there is anything."""
        return self._snapshot

    def latest(self) -> Snapshot:
        """The corpus as it was when it was looked at last."""
        return self._snapshot or self.refresh()

    def search(self, question: str, history: Sequence[Exchange] = (), k: int = 10) -> SearchResult:
        """The `k` best passages for a question after its `history`, oldest exchange first; raises CorpusError."""
        return search(self.refresh().index, question, history, k)

    def _sound(self, progress: Progress | None) -> Snapshot:
        try:
            return self._refreshed(self._snapshot, progress)
        except DamagedIndex as error:
            logger.warning("the index is made anew: %s", error)
            self._store.forget()
            return self._refreshed(None, progress)

    def _elsewhere(self, progress: Progress | None) -> Snapshot:
        """The corpus, indexed where nothing is kept."""
        try:
            self._store = self._passing()
            return self._refreshed(None, progress)
        except OSError as error:
            raise CorpusError(
                f"The index of the corpus cannot be written ({error.strerror or error}). Free some space on the disk, "
                "or set ESCALATOR_STATE_DIR to a folder that this program may write to."
            ) from error

    def _passing(self) -> Store:
        home = tempfile.mkdtemp(prefix="escalator-")
        weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        return Store(Path(home))

    def _refreshed(self, before: Snapshot | None, progress: Progress | None) -> Snapshot:
        snapshot = self._snapshot = self._current(before)
        if before is None:
            self._store.tidy()
        while (difference := self._difference(snapshot)) is not None:
            self.unread = len(difference.changed)
            with self._store.writing(0.0 if snapshot.documents else WAIT_SECONDS) as writer:
                current = self._current(snapshot)
                if writer is not None and current is snapshot:
                    self.unread = 0
                    return self._changed(writer, snapshot, difference, progress)
                if writer is None and current.documents:  # another process reads what is new; this is what there is
                    return current
                snapshot = current
        self.unread = 0
        return snapshot

    def _changed(
        self, writer: Writer, snapshot: Snapshot, difference: Difference, progress: Progress | None
    ) -> Snapshot:
        """What is new put into the index, part by part."""
        gone = difference.gone
        with closing(self._read(difference, snapshot, progress)) as results:
            for part in parts(results):
                snapshot = self._snapshot = Snapshot(writer.change(part, gone))
                gone = frozenset()
        return Snapshot(writer.change((), gone)) if gone else snapshot

    def _current(self, before: Snapshot | None) -> Snapshot:
        generation = self._store.current(before.generation if before else None)
        return before if before and before.generation is generation else Snapshot(generation)

    def _difference(self, snapshot: Snapshot) -> Difference | None:
        """What to read and what is gone; None if neither is."""
        difference = self.folder.compare({**snapshot.documents, **snapshot.problems})
        return difference if difference.changed or difference.gone else None

    def _read(
        self, difference: Difference, snapshot: Snapshot, progress: Progress | None
    ) -> Generator[Outcome, None, None]:
        """What is to be read, read as it is asked for, without problems that are known; None for a pause."""
        begun, passages, done, total = time.monotonic(), 0, 0, len(difference.changed)
        if progress is not None:
            progress(Reading(0, total, 0, 0.0))
        with closing(self.folder.read_on(difference.changed)) as results:
            for result in results:
                if result is None:
                    yield None
                    continue
                done += 1
                if isinstance(result, Document):
                    passages += len(result.passages)
                if progress is not None:
                    left = (time.monotonic() - begun) / done * (total - done)
                    progress(Reading(done, total, passages, left))
                if result != snapshot.problems.get(result.file):
                    yield result


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


def corpus_id(folder: Path) -> str:
    """Return the identity of a corpus: 16 hex digits of its real path, where case counts only if the system says so."""
    path = os.path.normcase(os.path.realpath(folder))
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _name(folder: Folder) -> str:
    """Return the name of the index of a folder read under its limits."""
    return hashlib.sha256(f"{corpus_id(folder.path)}\n{folder.max_bytes}\n{folder.limits}".encode()).hexdigest()[:16]
