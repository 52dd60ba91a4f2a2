"""Threads that keep a corpus in step with its folder, so that a question seldom waits for files; no question is known.

They compare the folder with the index when the system reports a change, from time to time where it may report none (a
share on a network), and when somebody asks.
"""

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import EscalatorError
from app.retrieval.corpus import Corpus, Reading
from app.retrieval.store import Snapshot

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Between two refreshes without a reported change; longer if a refresh takes long, so that they take at most 1 %."""

_WATCHING: dict[str, Any] = {
    "step": 200,  # without a further change before one is reported: a folder that is being copied is read once
    "debounce": 1000,
    "rust_timeout": int(POLL_SECONDS * 1000),
    "yield_on_timeout": True,
    "raise_interrupt": False,
    "ignore_permission_denied": True,
}
"""How watchfiles reports changes; in milliseconds."""

PATIENCE_SECONDS = 1.0
"""Time that a question waits for new files."""

NEARLY_SECONDS = 3.0
"""Further time that it waits if all will be read by then, so that a few new files are not reported as missing."""

SETTLE_SECONDS = 2.0
"""Time without a refresh after which segments are merged."""

CLOSE_SECONDS = 2.0
"""Time that closing waits for a refresh to end; the thread ends with the process if it takes longer."""


class Watcher:
    """Keeps a corpus up to date in the background; every method may block, and any thread may call it."""

    def __init__(self, corpus: Corpus):
        self._corpus = corpus
        self._changed = threading.Condition()
        self._requested = self._done = 0
        self._error: Exception | None = None
        self._reading: Reading | None = None
        self._seconds = 0.0
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def reading(self) -> Reading | None:
        """The progress of reading, None if nothing is being read."""
        reading, unread = self._reading, self._corpus.unread
        return reading or (Reading(0, unread, 0, 0.0) if unread else None)

    def start(self) -> None:
        """Start the threads unless they run."""
        with self._changed:
            if self._threads:
                return
            for work in (self._keep_up, self._watch):
                thread = threading.Thread(target=work, name=f"corpus{work.__name__}", daemon=True)
                self._threads.append(thread)
                thread.start()
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
        with self._changed:
            number = self._request()

            def finished() -> bool:
                return self._done >= number or self._closed.is_set()

            self._changed.wait_for(finished, PATIENCE_SECONDS)
            self._changed.wait_for(lambda: finished() or self._takes_longer(NEARLY_SECONDS), NEARLY_SECONDS)
            self._changed.wait_for(lambda: finished() or self._takes_longer(0.0))
            if self._done >= number and self._error is not None:
                raise self._error
        return self._corpus.latest()

    def _takes_longer(self, seconds: float) -> bool:
        """Whether reading goes on for longer than this, and there are documents to answer from meanwhile."""
        reading, ready = self._reading, self._corpus.ready
        unread = reading is not None and reading.done < reading.total and reading.seconds_left >= seconds
        return unread and ready is not None and bool(ready.documents)

    def _request(self) -> int:
        """Request a refresh, and return the number of the first one that begins after this."""
        with self._changed:
            self._requested += 1
            self._changed.notify_all()
            return self._requested

    def _keep_up(self) -> None:
        """Refresh when it is requested, once for all requests so far, and settle afterwards; runs in a thread."""
        unsettled = False
        while True:
            with self._changed:
                patience = SETTLE_SECONDS if unsettled else None
                requested = self._changed.wait_for(lambda: self._requested > self._done, patience)
                number = self._requested
            if self._closed.is_set():
                return
            if requested:
                self._refresh(number)
            else:
                self._corpus.settle()
            unsettled = requested

    def _refresh(self, number: int) -> None:
        started = time.monotonic()
        error: Exception | None = None
        try:
            self._corpus.refresh(self._report)
        except EscalatorError as failure:
            error = failure
        except Exception as failure:  # it is raised where the corpus is asked for, and the thread lives on
            logger.exception("refreshing the corpus failed")
            error = failure
        with self._changed:
            self._done, self._error, self._reading = number, error, None
            self._seconds = time.monotonic() - started
            self._changed.notify_all()

    def _report(self, reading: Reading) -> None:
        with self._changed:
            self._reading = reading
            self._changed.notify_all()

    def _watch(self) -> None:
        """Request a refresh whenever the folder has changed, or may have; runs in a thread."""
        from watchfiles import watch

        folder = self._corpus.folder.path
        while not self._closed.wait(0 if _identity(folder) else POLL_SECONDS):
            watched, last = _identity(folder), 0.0
            with suppress(OSError, RuntimeError):  # the folder is gone, or the system watches no more folders
                for changes in watch(folder, watch_filter=None, stop_event=self._closed, **_WATCHING):
                    if changes or time.monotonic() - last > max(POLL_SECONDS, 100 * self._seconds):
                        last = time.monotonic()
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
