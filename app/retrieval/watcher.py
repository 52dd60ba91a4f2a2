"""A corpus kept in step with its folder by threads of its own, so that a question seldom waits for files.

They look when the system tells of a change, from time to time where it may tell nothing (a share on a network), and
when somebody asks. Knows no question.
"""

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from app.errors import EscalatorError
from app.retrieval.corpus import Corpus, Reading
from app.retrieval.store import Snapshot

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Between two looks without word of a change; longer where a look takes long, so that looking takes at most 1 %."""

_WATCHING: dict[str, Any] = {
    "step": 200,  # without a further change before it is told: who copies a folder has it looked at once
    "debounce": 1000,
    "rust_timeout": int(POLL_SECONDS * 1000),
    "yield_on_timeout": True,
    "raise_interrupt": False,
    "ignore_permission_denied": True,
}
"""How watchfiles tells of changes; in milliseconds."""

PATIENCE_SECONDS = 1.0
"""That a question waits for what is new in the folder."""


SETTLE_SECONDS = 2.0
"""Without a look after which the index is tidied up."""

NEARLY_SECONDS = 3.0
"""That it waits longer if all will be read by then: who has a few files is not to be told that some are missing."""


class Watcher:
    """Looks at a corpus behind its askers; every method may block, and any thread may call it."""

    def __init__(self, retriever: Corpus):
        self._retriever = retriever
        self._changed = threading.Condition()
        self._wanted = self._done = 0
        self._error: Exception | None = None
        self._reading: Reading | None = None
        self._took = 0.0
        self._over = threading.Event()
        self._started = False

    @property
    def reading(self) -> Reading | None:
        """How far reading is, None if nothing is being read."""
        reading, unread = self._reading, self._retriever.unread
        return reading or (Reading(0, unread, 0, 0.0) if unread else None)

    def start(self) -> None:
        """Begin to look; a second time is no matter."""
        with self._changed:
            if self._started:
                return
            self._started = True
        for work in (self._keep_up, self._watch):
            threading.Thread(target=work, name=f"corpus{work.__name__}", daemon=True).start()
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._look()

    def current(self) -> Snapshot:
        """The corpus as it is now or, where reading what is new takes longer, what is ready of it.

        Waits as long as nothing is ready at all; raises CorpusError.
        """
        self.start()
        with self._changed:
            asked = self._look()
            self._changed.wait_for(lambda: self._done >= asked or self._over.is_set(), PATIENCE_SECONDS)
            for left, seconds in ((NEARLY_SECONDS, NEARLY_SECONDS), (0.0, None)):
                self._changed.wait_for(partial(self._answerable, asked, left), seconds)
            if self._done >= asked and self._error is not None:
                raise self._error
        return self._retriever.latest()

    def _answerable(self, asked: int, left: float) -> bool:
        """Whether the look that was asked for is over, or need not be waited for."""
        return self._done >= asked or self._over.is_set() or self._some_ready(left)

    def _some_ready(self, left: float) -> bool:
        """Whether files are still to be read, for longer than so many seconds, and there are others to answer from."""
        reading, ready = self._reading, self._retriever.ready
        unread = reading is not None and reading.done < reading.total and reading.seconds_left >= left
        return unread and ready is not None and bool(ready.documents)

    def _look(self) -> int:
        """Have the corpus looked at; the number of the look that begins after this."""
        with self._changed:
            self._wanted += 1
            self._changed.notify_all()
            return self._wanted

    def _keep_up(self) -> None:
        """A thread: looks when it is wanted, once for all who have wanted it by then, and tidies up after it."""
        unsettled = False
        while True:
            with self._changed:
                wanted = self._changed.wait_for(
                    lambda: self._wanted > self._done, SETTLE_SECONDS if unsettled else None
                )
                looked = self._wanted
            if not wanted:
                self._retriever.settle()
                unsettled = False
                continue
            if self._over.is_set():
                return
            begun, unsettled = time.monotonic(), True
            error: Exception | None = None
            try:
                self._retriever.refresh(self._tell)
            except EscalatorError as failure:
                error = failure
            except Exception as failure:  # whoever asks must hear of it, and the thread live on
                logger.exception("looking at the corpus failed")
                error = failure
            with self._changed:
                self._done, self._error, self._reading = looked, error, None
                self._took = time.monotonic() - begun
                self._changed.notify_all()

    def _tell(self, reading: Reading) -> None:
        with self._changed:
            self._reading = reading
            self._changed.notify_all()

    def _watch(self) -> None:
        """A thread: wants a look whenever the folder has changed, or may have."""
        from watchfiles import watch

        folder = self._retriever.folder.path
        while not self._over.wait(0 if _identity(folder) else POLL_SECONDS):
            watched, looked = _identity(folder), 0.0
            with suppress(OSError, RuntimeError):  # it is gone, or the system watches no more folders
                for changes in watch(folder, watch_filter=None, stop_event=self._over, **_WATCHING):
                    if changes or time.monotonic() - looked > max(POLL_SECONDS, 100 * self._took):
                        looked = time.monotonic()
                        self._look()
                    if _identity(folder) != watched:
                        break
            self._over.wait(POLL_SECONDS)
            self._look()


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one of its name, None if there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
