"""A folder of documents and its index, kept in step; it knows the index's home, and neither scores nor prompts."""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from app.documents.document import Document, Problem
from app.documents.folder import Difference, Folder
from app.errors import CorpusError, DamagedIndex
from app.retrieval.archive import Entry
from app.retrieval.index import Index
from app.retrieval.search import Exchange, Found, search
from app.retrieval.store import Generation, Store

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Is told how many files of how many have been read; called in the thread that refreshes."""


@dataclass(frozen=True)
class Snapshot:
    """The corpus at one time: its documents and what could not be read, by file, and the index of both."""

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
    def index(self) -> Index:
        """The passages, searchable."""
        segments = self.generation.segments
        return Index([(segment, segment.alive(gone) if gone else None) for segment, gone in segments])

    def text(self, file: str) -> str:
        """The text of a document as it was read, empty if there is none of that name."""
        for segment, gone in self.generation.segments:
            number = segment.numbers.get(file)
            if number is not None and number not in gone:
                return segment.archive.text(number)
        return ""


class Retriever:
    """Searches a folder as it is now; every method may block, and any thread may call it."""

    def __init__(self, folder: Folder, state_dir: Path | None = None):
        """The index is kept below `state_dir`, and without one in a folder that ends with this object."""
        self.folder = folder
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

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

    def latest(self) -> Snapshot:
        """The corpus as it was when it was looked at last."""
        return self._snapshot or self.refresh()

    def search(self, question: str, history: Sequence[Exchange] = (), k: int = 10) -> Found:
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
        snapshot = self._current(before)
        if before is None:
            self._store.tidy()
        if not self._difference(snapshot):
            return snapshot
        with self._store.writing(wait=not snapshot.documents) as writer:
            if writer is None:  # another process reads what is new; until it has done so, this is what there is
                return snapshot
            snapshot = self._current(snapshot)
            if (difference := self._difference(snapshot)) is None:
                return snapshot
            with closing(self._read(difference, snapshot, progress)) as results:
                first = next(results, None)
                if first is None and not difference.gone:
                    return snapshot
                found = chain([] if first is None else [first], results)
                return Snapshot(writer.change(found, difference.gone))

    def _current(self, before: Snapshot | None) -> Snapshot:
        generation = self._store.current(before.generation if before else None)
        return before if before and before.generation is generation else Snapshot(generation)

    def _difference(self, snapshot: Snapshot) -> Difference | None:
        """What to read and what is gone; None if neither is."""
        difference = self.folder.compare({**snapshot.documents, **snapshot.problems})
        return difference if difference.changed or difference.gone else None

    def _read(
        self, difference: Difference, snapshot: Snapshot, progress: Progress | None
    ) -> Generator[Document | Problem, None, None]:
        """What is to be read, read as it is asked for, without problems that are known."""
        with closing(self.folder.read_all(difference.changed)) as results:
            for done, result in enumerate(results, 1):
                if progress is not None:
                    progress(done, len(difference.changed))
                if result != snapshot.problems.get(result.file):
                    yield result


def _name(folder: Folder) -> str:
    """One for each corpus and its limits, which decide what is left out."""
    path = os.path.normcase(os.path.realpath(folder.path))
    return hashlib.sha256(f"{path}\n{folder.max_bytes}\n{folder.limits}".encode("utf-8", "surrogatepass")).hexdigest()[
        :16
    ]
