"""A pool of reader processes, and the batches of files on their way through them."""

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

MAX_PROCESSES = 4

AHEAD = 2
"""Batches handed out for each process, including the one it is reading."""

IDLE_SECONDS = 10.0
WATCH_SECONDS = 0.05

_NOT_STARTED = "no process could be started to read it; close other programs, and try again"


class Pool:
    """Starts processes when there are files to read, and ends them after a while without any."""

    def __init__(self, max_bytes: int, limits: Limits):
        self._idle = _Idle(max_bytes, limits)
        weakref.finalize(self, _end_in_a_thread, self._idle)

    def read(self, batches: Sequence[Batch]) -> Generator[Outcome, None, None]:
        """Yield outcomes in any order, None for a file that is gone and whenever none has come for a second.

        One process reads all files of a batch.
        """
        count = min(os.cpu_count() or 1, MAX_PROCESSES, len(batches))
        run = _Run(self._idle)
        threads = [threading.Thread(target=run.work, name="reader", daemon=True) for _ in range(count)]
        threads.append(threading.Thread(target=run.watch, name="reader-watch", daemon=True))
        complete = False
        try:
            for thread in threads:
                thread.start()
            following = iter(batches)
            for batch in islice(following, AHEAD * count):
                run.tasks.put(batch)
            for _ in batches:
                while not (outcomes := run.next()):
                    yield None
                for batch in islice(following, 1):
                    run.tasks.put(batch)
                yield from outcomes
            complete = True
        finally:
            run.end(count)
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            if complete:
                self._idle.end_soon()
            else:
                self._idle.end()


class _Run:
    """One call of `Pool.read`: a thread for each process asks it, and one more watches them all."""

    def __init__(self, idle: "_Idle"):
        self.tasks: SimpleQueue[Batch | None] = SimpleQueue()
        self._results: SimpleQueue[list[Outcome] | BaseException] = SimpleQueue()
        self._idle = idle
        self._lock = threading.Lock()
        self._busy: set[Reader] = set()
        self._over = threading.Event()

    def next(self) -> list[Outcome]:
        """Wait for the outcomes of the next batch, for a second at most."""
        try:
            result = self._results.get(timeout=1)  # on Windows nothing interrupts a longer wait
        except Empty:
            return []
        if isinstance(result, BaseException):
            raise result
        return result

    def end(self, threads: int) -> None:
        """Stop the threads; what is still being read is dropped."""
        with self._lock:
            self._over.set()
            for reader in self._busy:
                reader.kill()
        for _ in range(threads):
            self.tasks.put(None)

    def watch(self) -> None:
        """Watch the busy processes; runs in a thread."""
        while not self._over.wait(WATCH_SECONDS):
            with self._lock:
                for reader in self._busy:
                    reader.watch()

    def work(self) -> None:
        """Have batches read; runs in a thread."""
        while (batch := self.tasks.get()) is not None and not self._over.is_set():
            try:
                self._results.put(self._read(batch))
            except BaseException as error:  # `next` raises it
                self._results.put(error)

    def _read(self, batch: Batch) -> list[Outcome]:
        outcomes: list[Outcome] = []
        signatures = [_signature(path) for _, path in batch]
        died = -1
        while (at := len(outcomes)) < len(batch) and not self._over.is_set():
            try:
                self._ask(batch[at:], outcomes)
            except OSError:
                outcomes += [Problem(file, _NOT_STARTED, passing=True) for file, _ in batch[at:]]
            except Broken as error:
                at, reason = len(outcomes), str(error)
                if reason == DIED and died < at:  # an earlier file may have done the damage: try this one again
                    died = at
                else:
                    outcomes.append(Problem(batch[at][0], reason, *signatures[at]))
        return outcomes

    def _ask(self, batch: Batch, outcomes: list[Outcome]) -> None:
        with self._lock:
            if self._over.is_set():
                return
            reader = self._idle.take()
            self._busy.add(reader)
        healthy = False
        try:
            reader.read(batch, outcomes)
            healthy = not reader.bloated
        finally:
            with self._lock:
                self._busy.discard(reader)
            if healthy:
                self._idle.put(reader)
            else:
                reader.end()


class _Idle:
    """Processes with nothing to read."""

    def __init__(self, max_bytes: int, limits: Limits) -> None:
        self._arguments = max_bytes, limits
        self._lock = threading.Lock()
        self._readers: list[Reader] = []
        self._timer: threading.Timer | None = None

    def take(self) -> Reader:
        """Take an idle process, or start one; raises OSError."""
        with self._lock:
            self._cancel()
            while self._readers:
                reader = self._readers.pop()
                if reader.alive:
                    return reader
                reader.end()
        return Reader(*self._arguments)

    def put(self, reader: Reader) -> None:
        """Keep a process until `end` or `end_soon`."""
        with self._lock:
            self._readers.append(reader)

    def end_soon(self) -> None:
        """End all of them after a while, unless one is taken before."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(IDLE_SECONDS, self.end)
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        """End all of them now."""
        with self._lock:
            self._cancel()
            while self._readers:
                self._readers.pop().end()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _end_in_a_thread(idle: _Idle) -> None:
    """End idle processes without blocking: the owner that lets a pool go may be an event loop."""
    with suppress(RuntimeError):  # at the end of the interpreter, where they end with their pipes
        _thread.start_new_thread(idle.end, ())


def _signature(path: Path) -> Signature:
    try:
        return signature(path)
    except OSError:
        return NEVER
