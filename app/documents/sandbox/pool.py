"""Several readers at work, and files on their way through them."""

import _thread
import os
import threading
import weakref
from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

from app.documents.document import NEVER, Limits, Outcome, Problem, Signature, signature
from app.documents.sandbox.process import DIED, Batch, Broken, Reader

MOST = 4
"""Processes."""

AHEAD = 2
"""Batches that are on their way for each process, the one in work included."""

IDLE_SECONDS = 10.0
WATCH_SECONDS = 0.05

_NOT_STARTED = "no process could be started to read it; close other programs, and try again"


class Pool:
    """Starts readers when there is something to read, and ends them when there has been nothing for a while."""

    def __init__(self, max_bytes: int, limits: Limits):
        self._given = max_bytes, limits
        self._idle = _Idle()
        weakref.finalize(self, _end_elsewhere, self._idle)

    def read(self, batches: Sequence[Batch]) -> Generator[Outcome, None, None]:
        """Files as they come, in any order, None for those that are gone and whenever none has come for a second.

        The files of a batch go to one reader.
        """
        count = min(os.cpu_count() or 1, MOST, len(batches))
        run = _Run(self._idle, self._given)
        threads = [threading.Thread(target=run.work, name="reader", daemon=True) for _ in range(count)]
        threads.append(threading.Thread(target=run.watch, name="reader-watch", daemon=True))
        whole = False
        try:
            for thread in threads:
                thread.start()
            following = iter(batches)
            for batch in islice(following, AHEAD * count):
                run.tasks.put(batch)
            for _ in batches:
                while not (found := run.next()):
                    yield None
                for batch in islice(following, 1):
                    run.tasks.put(batch)
                yield from found
            whole = True
        finally:
            run.end(count)
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            if whole:
                self._idle.end_soon()
            else:
                self._idle.end()


class _Run:
    """Files on their way through readers, each of which has a thread that asks it."""

    def __init__(self, idle: "_Idle", given: tuple[int, Limits]):
        self.tasks: SimpleQueue[Batch | None] = SimpleQueue()
        self._done: SimpleQueue[list[Outcome] | BaseException] = SimpleQueue()
        self._idle, self._given = idle, given
        self._lock = threading.Lock()
        self._busy: set[Reader] = set()
        self._over = threading.Event()

    def next(self) -> list[Outcome]:
        """The next batch that is done, empty if there is none within a second."""
        try:
            found = self._done.get(timeout=1)  # Windows lets nobody interrupt a longer wait
        except Empty:
            return []
        if isinstance(found, BaseException):
            raise found
        return found

    def end(self, threads: int) -> None:
        """Let the threads go; what is still being read is not wanted any more."""
        with self._lock:
            self._over.set()
            for reader in self._busy:
                reader.kill()
        for _ in range(threads):
            self.tasks.put(None)

    def watch(self) -> None:
        """A thread: looks after the readers."""
        while not self._over.wait(WATCH_SECONDS):
            with self._lock:
                for reader in self._busy:
                    reader.watch()

    def work(self) -> None:
        """A thread: takes batches and asks its reader."""
        while (batch := self.tasks.get()) is not None and not self._over.is_set():
            try:
                self._done.put(self._read(batch))
            except BaseException as error:  # who waits for the batch must hear of it
                self._done.put(error)

    def _read(self, batch: Batch) -> list[Outcome]:
        found: list[Outcome] = []
        signatures = [_signature(path) for _, path in batch]
        died = -1
        while (at := len(found)) < len(batch) and not self._over.is_set():
            try:
                self._ask(batch[at:], found)
            except OSError:
                found += [Problem(file, _NOT_STARTED, passing=True) for file, _ in batch[at:]]
            except Broken as error:
                at, reason = len(found), str(error)
                if reason == DIED and died < at:  # what it read before may be to blame
                    died = at
                else:
                    found.append(Problem(batch[at][0], reason, *signatures[at]))
        return found

    def _ask(self, batch: Batch, found: list[Outcome]) -> None:
        with self._lock:
            if self._over.is_set():
                return
            reader = self._idle.take() or Reader(*self._given)
            self._busy.add(reader)
        healthy = False
        try:
            reader.read(batch, found)
            # What one file has left in memory must not count against the next ones.
            healthy = reader.memory() < self._given[1].megabytes * 1_000_000 / 2
        finally:
            with self._lock:
                self._busy.discard(reader)
            if healthy:
                self._idle.put(reader)
            else:
                reader.end()


class _Idle:
    """Readers with nothing to read, for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: list[Reader] = []
        self._timer: threading.Timer | None = None

    def take(self) -> Reader | None:
        """One of them, if there is one."""
        with self._lock:
            self._stay()
            while self._readers:
                reader = self._readers.pop()
                if reader.alive:
                    return reader
                reader.end()
        return None

    def put(self, reader: Reader) -> None:
        """Keep one until `end` or `end_soon`."""
        with self._lock:
            self._readers.append(reader)

    def end_soon(self) -> None:
        """End them all, unless one is taken before."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(IDLE_SECONDS, self.end)
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        """End them all now."""
        with self._lock:
            self._stay()
            while self._readers:
                self._readers.pop().end()

    def _stay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _end_elsewhere(idle: _Idle) -> None:
    """End them in a thread: whoever lets a pool go, perhaps an event loop, must not wait for processes to die."""
    with suppress(RuntimeError):  # the interpreter ends, and they with their pipes
        _thread.start_new_thread(idle.end, ())


def _signature(path: Path) -> Signature:
    try:
        return signature(path)
    except OSError:
        return NEVER
