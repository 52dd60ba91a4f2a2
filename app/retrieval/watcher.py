"""Threads that keep a corpus in step with its folder, so that a question seldom waits for files.

They compare the folder with the index when the system reports a change, from time to time where it may report none (a
share on a network), and when somebody asks.
"""

import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.retrieval.corpus import Corpus
from app.retrieval.store import Snapshot

POLL_SECONDS = 5.0
"""Between two refreshes without a reported change; longer if a refresh takes long, so that they take at most 1 %."""

_WATCHING: dict[str, Any] = {
    "step": 200,  # without a further change before one is reported: a folder that is being copied is read once
    "debounce": 1000,
    "rust_timeout": int(POLL_SECONDS * 1000),
    "yield_on_timeout": True,
    "ignore_permission_denied": True,
}
"""How watchfiles reports changes; in milliseconds."""

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
        unread = unread or seconds <= 0
        return unread and ready is not None and bool(ready.documents)

    def _request(self) -> "Future[Snapshot]":
        """Request a refresh, and return the result of the first one that begins after this."""
        with self._lock:
            self._requested.set()
            return self._next

    def _keep_up(self) -> None:
        """Refresh when it is requested, once for all requests so far, and settle afterwards; runs in a thread."""
        unsettled = False
        while True:
            requested = self._requested.wait(SETTLE_SECONDS if unsettled else None)
            if self._closed.is_set():
                return
            if requested:
                self._refresh()
            else:
                self._corpus.settle()
            unsettled = requested

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

        folder = self._corpus.folder.path
        while not self._closed.wait(0 if _identity(folder) else POLL_SECONDS):
            watched = _identity(folder)
            with suppress(OSError, RuntimeError):  # the folder is gone, or the system watches no more folders
                for changes in watch(folder, watch_filter=None, stop_event=self._closed, **_WATCHING):
                    if changes or time.monotonic() >= self._due:
                        self._request()
                    if _identity(folder) != watched:
                        break
            self._closed.wait(POLL_SECONDS)
            self._request()


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what distinguishes a folder from a later one of the same name, None if there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
