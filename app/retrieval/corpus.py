"""A folder of documents and its index, kept in step; this module knows neither scores nor prompts."""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.documents.document import Document, Outcome, Problem
from app.documents.folder import Difference, Folder
from app.errors import CorpusError, DamagedIndex
from app.humanize import time_left
from app.retrieval.search import Exchange, SearchResult, search
from app.retrieval.store import NOTHING, Snapshot, Store
from app.retrieval.writer import Writer, writing

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""Time given to another process that reads a corpus of which nothing is indexed, before its progress is looked at."""

TELLING = 0.05
"""Share of the files after which the time they took is a fair estimate for the others."""

SHOWN_SECONDS = 1.0
"""Time after which files become searchable while others are still being read; it doubles with each part."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The progress of reading: files done and in all, passages of those done, and the seconds that remain, roughly."""

    done: int
    total: int
    passages: int
    seconds_left: float

    def __str__(self) -> str:
        certain = self.seconds_left >= 1 and self.done >= TELLING * self.total
        left = f", {time_left(self.seconds_left)}" if certain else ""
        return f"{self.done:,} of {self.total:,} new files read{left}"


Progress = Callable[[Reading], None]
"""Called after each file, in the thread that refreshes."""


class Corpus:
    """Searches a folder as it is now; every method may block, and any thread may call it."""

    def __init__(self, folder: Folder, state_dir: Path | None = None):
        """The index is kept below `state_dir`, and without one in a folder that ends with this object."""
        self.folder = folder
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self.unread = 0
        """Files that another process is reading, as of the last look at the folder."""

    @property
    def ready(self) -> Snapshot | None:
        """The part of the corpus that can be searched already, None before there is any."""
        return self._snapshot

    def latest(self) -> Snapshot:
        """Return the corpus as of the last look at the folder."""
        return self._snapshot or self.refresh()

    def refresh(self, progress: Progress | None = None) -> Snapshot:
        """Read and index what is new in the folder, and return the corpus as it is now; raises CorpusError."""
        with self._lock:
            try:
                self._snapshot = self._sound(progress)
            except OSError as error:
                logger.warning("the index cannot be kept in %s: %s", self._store.folder, error)
                if not (self._snapshot and self._snapshot.documents):
                    self._snapshot = self._elsewhere(progress)
            return self._snapshot

    def search(self, question: str, history: Sequence[Exchange] = (), k: int = 10) -> SearchResult:
        """Find the `k` best passages for a question after its `history`, oldest exchange first; raises CorpusError."""
        return search(self.refresh().index, question, history, k)

    def settle(self) -> None:
        """Merge segments and free space, unless another process writes; to be called when nobody waits."""
        with self._lock, suppress(OSError, DamagedIndex):
            if (before := self._snapshot) is None or not before.mark:
                return
            with writing(self._store, 0.0) as writer:
                if writer is not None and self._store.current(before) is before:
                    self._snapshot = writer.settle(before)
                    self._store.tidy()

    def forget(self) -> None:
        """Have everything read and indexed anew by the next refresh."""
        with self._lock:
            self._store.forget()
            self._snapshot = None

    @cached_property
    def _store(self) -> Store:
        if self._state_dir is None:
            return self._temporary()
        folder = self._state_dir.expanduser().absolute() / "index" / corpus_id(self.folder.path)
        return Store(folder, self._limits)

    def _temporary(self) -> Store:
        home = tempfile.mkdtemp(prefix="escalator-")
        weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        return Store(Path(home), self._limits)

    @property
    def _limits(self) -> str:
        """What decides whether a file is left out; those left out under other limits are tried again."""
        limits = self.folder.limits
        return f"{self.folder.max_bytes} bytes, {limits.seconds} s, {limits.megabytes} MB"

    def _sound(self, progress: Progress | None) -> Snapshot:
        try:
            return self._refreshed(self._snapshot, progress)
        except DamagedIndex as error:
            logger.warning("the index is made anew: %s", error)
            self._store.forget()
            return self._refreshed(None, progress)

    def _elsewhere(self, progress: Progress | None) -> Snapshot:
        """Index the corpus in a temporary folder."""
        try:
            self._store = self._temporary()
            return self._refreshed(None, progress)
        except OSError as error:
            raise CorpusError(
                f"The index of the corpus cannot be written ({error.strerror or error}). Free some space on the disk, "
                "or set ESCALATOR_STATE_DIR to a folder that this program may write to."
            ) from error

    def _refreshed(self, before: Snapshot | None, progress: Progress | None) -> Snapshot:
        if before is None:
            self._store.tidy()
        snapshot = self._snapshot = self._store.current(before or NOTHING)
        while (difference := self._difference(snapshot)) is not None:
            self.unread = len(difference.changed)
            with writing(self._store, 0.0 if snapshot.documents else WAIT_SECONDS) as writer:
                current = self._store.current(snapshot)
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
        """Put what is new into the index, part by part."""
        gone = difference.gone
        with closing(self._read(difference, snapshot, progress)) as results:
            for part in parts(results):
                snapshot = self._snapshot = writer.change(part, gone)
                gone = frozenset()
        return writer.change((), gone) if gone else snapshot

    def _difference(self, snapshot: Snapshot) -> Difference | None:
        """Compare the folder with the index; None if they agree."""
        # Documents that were read under a higher limit count as changed.
        big = {file: Problem(file, "") for file, doc in snapshot.documents.items() if doc.size > self.folder.max_bytes}
        difference = self.folder.compare({**snapshot.documents, **snapshot.problems, **big})
        return difference if difference.changed or difference.gone else None

    def _read(
        self, difference: Difference, snapshot: Snapshot, progress: Progress | None
    ) -> Generator[Outcome, None, None]:
        """Read the files one by one as they are asked for; leave out known problems, and yield None for a pause."""
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
    """Cut results, where None is a pause, into parts each of which takes twice as long as the one before it."""
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
