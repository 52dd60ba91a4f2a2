"""A folder of documents and its index, kept in step: `Corpus` when it is asked, `Watcher` in threads of its own.

These look at the folder when the system reports a change, from time to time where it may report none (a share on a
network), and when somebody asks, so that a question seldom waits for files. Neither knows scores or prompts.
"""

import hashlib
import logging
import math
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.documents.document import Document, Outcome, Problem
from app.documents.folder import Difference, Folder
from app.errors import CorpusError, DamagedIndex
from app.retrieval.search import Exchange, SearchResult, search
from app.retrieval.snapshot import NOTHING, Snapshot
from app.retrieval.store import IndexStore, LocalIndex, Writer
from app.translation import figure, plural, time_left

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
        done = plural(
            "{done} of {number} new file read", "{done} of {number} new files read", self.total, done=figure(self.done)
        )
        return f"{done}, {time_left(self.seconds_left)}" if certain else done


Progress = Callable[[Reading], None]
"""Called after each file, in the thread that refreshes."""


class Corpus:
    """Searches a folder as it is now; every method may block, and any thread may call it."""

    def __init__(self, folder: Folder, state_dir: Path | None = None):
        """The index is kept below `state_dir`, and without one in a folder that ends with this object."""
        self.folder = folder
        self.follows = False
        """Whether somebody keeps looking at the folder."""
        self.notice: CorpusError | None = None
        """Why another index answers than the one that was asked for, None if none does."""
        self.ready: Snapshot | None = None
        """The part of the corpus that can be searched already, None before there is any."""
        self.reading: Reading | None = None
        """How far reading is, by this process or, as of the last look at the folder, another one; None if it is not."""
        self._lock = threading.Lock()
        self._home = state_dir.expanduser().absolute() / "index" if state_dir else self._temporary()

    @cached_property
    def _store(self) -> IndexStore:
        """The index in use."""
        return self._local

    @cached_property
    def _local(self) -> LocalIndex:
        """The index on this machine, opened by the first method that needs it, because its name asks the disk."""
        limits = self.folder.limits  # a file that was left out is tried again under other limits than these
        under = f"{self.folder.max_bytes} bytes, {limits.seconds} s, {limits.megabytes} MB"
        return LocalIndex(self._home / corpus_id(self.folder.path), under)

    def latest(self) -> Snapshot:
        """Return the corpus as of the last look at the folder."""
        return self.ready or self.refresh()

    def refresh(self, progress: Progress | None = None) -> Snapshot:
        """Read and index what is new in the folder, and return the corpus as it is now; raises CorpusError."""
        with self._lock:
            try:
                self.ready = self._sound(progress)
            except OSError as error:
                logger.warning("the index cannot be kept in %s: %s", self._local.folder, error)
                if not (self.ready and self.ready.documents):
                    self.ready = self._elsewhere(progress)
            return self.ready

    def search(self, question: str, history: Sequence[Exchange] = (), k: int = 10) -> SearchResult:
        """Find the `k` best passages for a question after its `history`, oldest exchange first; raises CorpusError."""
        return search(self.refresh().index, question, history, k)

    def settle(self) -> None:
        """Merge segments and free space, unless another process writes; to be called when nobody waits."""
        with self._lock, suppress(OSError, CorpusError):
            if (before := self.ready) is None or not before.mark:
                return
            with self._store.writing(0.0) as writer:
                if writer is not None and self._store.current(before) is before:
                    self.ready = writer.settle(before)
                    self._store.tidy()

    def forget(self) -> None:
        """Have everything read and indexed anew by the next refresh."""
        with self._lock:
            self._store.forget()
            self.ready = None

    def described(self) -> str:
        """Say where the index is that answers; may raise CorpusError."""
        return str(self._local.folder)

    def _temporary(self) -> Path:
        """Make a folder that ends with this object."""
        home = tempfile.mkdtemp(prefix="escalator-")
        weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        return Path(home)

    def _sound(self, progress: Progress | None) -> Snapshot:
        try:
            return self._refreshed(progress)
        except DamagedIndex as error:
            logger.warning("the index is made anew: %s", error)
            self.ready = None
            return self._refreshed(progress)

    def _elsewhere(self, progress: Progress | None) -> Snapshot:
        """Index the corpus in a temporary folder."""
        try:
            self._store = self._local = LocalIndex(self._temporary(), self._local.limits)
            return self._refreshed(progress)
        except OSError as error:
            raise CorpusError(
                "The index of the corpus cannot be written ({reason}). Free some space on the disk, or set "
                "ESCALATOR_STATE_DIR to a folder that this program may write to.",
                reason=error.strerror or error,
            ) from error

    def _refreshed(self, progress: Progress | None) -> Snapshot:
        if self.ready is None:
            self._store.tidy()
        snapshot = self.ready = self._store.current(self.ready or NOTHING)
        while (difference := self._difference(snapshot)) is not None:
            self.reading = Reading(0, len(difference.changed), 0, 0.0) if difference.changed else None
            with self._store.writing(0.0 if snapshot.documents else WAIT_SECONDS) as writer:
                current = self._store.current(snapshot)
                if writer is not None and current is snapshot:
                    return self._changed(writer, snapshot, difference, progress)
                if writer is None and current.documents:  # another process reads what is new; this is what there is
                    return current
                snapshot = current
        self.reading = None
        return snapshot

    def _changed(self, writer: Writer, known: Snapshot, difference: Difference, progress: Progress | None) -> Snapshot:
        """Put what is new into the index, in parts each of which takes twice as long as the one before it."""
        seconds, until = SHOWN_SECONDS, math.inf
        for file in difference.gone:
            writer.remove(file)
        with closing(self._read(difference, progress)) as outcomes:
            for outcome in outcomes:
                if outcome is not None and outcome != known.problems.get(outcome.file):
                    writer.put(outcome)
                    until = min(until, time.monotonic() + seconds)
                if time.monotonic() >= until:
                    known = self.ready = writer.commit(known)
                    seconds, until = 2 * seconds, math.inf
        return writer.commit(known)

    def _read(self, difference: Difference, progress: Progress | None) -> Generator[Outcome, None, None]:
        """Read the files one by one as they are asked for, and keep the progress; yields None for a pause."""
        begun, passages, done, total = time.monotonic(), 0, 0, len(difference.changed)
        report = progress or (lambda reading: None)
        report(Reading(0, total, 0, 0.0))
        try:
            with closing(self.folder.read(difference.changed)) as outcomes:
                for outcome in outcomes:
                    if outcome is not None:
                        done += 1
                        passages += len(outcome.passages) if isinstance(outcome, Document) else 0
                        left = (time.monotonic() - begun) / done * (total - done)
                        self.reading = Reading(done, total, passages, left)
                        report(self.reading)
                    yield outcome
        finally:
            self.reading = None

    def _difference(self, snapshot: Snapshot) -> Difference | None:
        """Compare the folder with the index; None if they agree."""
        # Documents that were read under a higher limit count as changed.
        big = {file: Problem(file, "") for file, doc in snapshot.documents.items() if doc.size > self.folder.max_bytes}
        difference = self.folder.compare({**snapshot.documents, **snapshot.problems, **big})
        return difference if difference.changed or difference.gone else None


def corpus_id(folder: Path) -> str:
    """Return the identity of a corpus: 16 hex digits of its real path, where case counts only if the system says so."""
    path = os.path.normcase(os.path.realpath(folder))
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:16]


POLL_SECONDS = 5.0
"""Between two refreshes without a reported change; longer if a refresh takes long, so that they take at most 1 %."""

PATIENCE_SECONDS = 1.0
"""Time that a question waits for new files."""

NEARLY_SECONDS = 3.0
"""Further time that it waits if all will be read by then, so that a few new files are not reported as missing."""

LOOK_SECONDS = 0.05
"""Interval at which a question that waits looks how far reading is."""

SETTLE_SECONDS = 2.0
"""Time without a refresh after which segments are merged."""

CLOSE_SECONDS = 2.0
"""Time that closing waits for a refresh to end; the thread ends with the process if it takes longer."""


class Watcher:
    """Keeps a corpus up to date in the background; every method may block, and any thread may call it."""

    def __init__(self, corpus: Corpus):
        self._corpus = corpus
        self._lock = threading.Lock()
        self._requested = threading.Event()
        self._next: Future[Snapshot] = Future()
        """The result of the next refresh that begins."""
        self._due = 0.0
        """When the folder is looked at though no change is reported."""
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads unless they run."""
        with self._lock:
            if self._threads:
                return
            self._corpus.follows = True
            for work in (self._keep_up, self._watch):
                self._threads.append(threading.Thread(target=work, name=f"corpus{work.__name__}", daemon=True))
                self._threads[-1].start()
        self._request()

    def close(self) -> None:
        """End the threads; what has been read can still be searched."""
        self._closed.set()
        self._request()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)

    def current(self) -> Snapshot:
        """Return the corpus as it is now, or what is ready of it while new files take long to read.

        Waits as long as nothing is ready at all; raises CorpusError.
        """
        self.start()
        refresh, started = self._request(), time.monotonic()
        while not (refresh.done() or self._closed.is_set()):
            wait([refresh], LOOK_SECONDS)
            left = PATIENCE_SECONDS + NEARLY_SECONDS - (time.monotonic() - started)
            if left <= NEARLY_SECONDS and self._takes_longer(left):
                break
        return refresh.result() if refresh.done() else self._corpus.latest()

    def _takes_longer(self, seconds: float) -> bool:
        """Whether reading goes on for longer than this, and there are documents to answer from meanwhile.

        So does what takes as long without any reading: a server that is slow.
        """
        reading, ready = self._corpus.reading, self._corpus.ready
        unread = reading is not None and reading.done < reading.total and reading.seconds_left >= seconds
        return (unread or seconds <= 0) and ready is not None and bool(ready.documents)

    def _request(self) -> "Future[Snapshot]":
        """Request a refresh, and return the result of the first one that begins after this."""
        with self._lock:
            self._requested.set()
            return self._next

    def _keep_up(self) -> None:
        """Refresh when it is requested, once for all requests so far, and settle afterwards; runs in a thread."""
        unsettled = False
        while True:
            unsettled = self._requested.wait(SETTLE_SECONDS if unsettled else None)
            if self._closed.is_set():
                return
            if unsettled:
                self._refresh()
            else:
                self._corpus.settle()

    def _refresh(self) -> None:
        with self._lock:
            refresh, self._next = self._next, Future()
            self._requested.clear()
        started = time.monotonic()
        try:
            refresh.set_result(self._corpus.refresh())
        except Exception as error:  # it is raised where the corpus is asked for, and the thread lives on
            refresh.set_exception(error)
        now = time.monotonic()
        self._due = now + max(POLL_SECONDS, 100 * (now - started))

    def _watch(self) -> None:
        """Request a refresh whenever the folder has changed, or may have; runs in a thread."""
        from watchfiles import watch

        folder = self._corpus.folder
        while not self._closed.wait(0 if folder.identity() else POLL_SECONDS):
            watched = folder.identity()
            with suppress(OSError, RuntimeError):  # the folder is gone, or the system watches no more folders
                for changes in watch(
                    folder.path,
                    watch_filter=None,
                    step=200,  # milliseconds without a further change: a folder that is being copied is read once
                    debounce=1000,
                    stop_event=self._closed,
                    rust_timeout=int(1000 * POLL_SECONDS),
                    yield_on_timeout=True,
                    ignore_permission_denied=True,
                ):
                    if changes or time.monotonic() >= self._due:
                        self._request()
                    if folder.identity() != watched:
                        break
            self._closed.wait(POLL_SECONDS)
            self._request()
