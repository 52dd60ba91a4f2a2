"""A pool of reader processes, and the batches of files on their way through them."""

import os
import threading
from collections.abc import Generator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

from app.documents.document import NEVER, Limits, Outcome, Problem, Signature, signature
from app.documents.sandbox.process import DIED, Batch, Broken, Reader
from app.translation import mark

MAX_PROCESSES = 4

AHEAD = 2
"""Batches handed out for each process, including the one it is reading."""

_NOT_STARTED = mark("no process could be started to read it; close other programs, and try again")

Tasks = SimpleQueue[Batch | None]
Results = SimpleQueue[list[Outcome] | BaseException]


class Pool:
    """Starts processes when there are files to read, and lends those that are idle again."""

    def __init__(self, max_bytes: int, limits: Limits):
        self._arguments = max_bytes, limits
        self._lock = threading.Lock()
        self._idle: list[Reader] = []

    def read(self, batches: Sequence[Batch]) -> Generator[Outcome, None, None]:
        """Yield outcomes in any order, None for a file that is gone and whenever none has come for a second.

        One process reads all files of a batch, and a thread asks it.
        """
        count = min(os.cpu_count() or 1, MAX_PROCESSES, len(batches))
        tasks, results, stop = Tasks(), Results(), threading.Event()
        threads: list[threading.Thread] = []
        following = iter(batches)
        try:
            for _ in range(count):
                thread = threading.Thread(target=self._work, args=(tasks, results, stop), name="reader", daemon=True)
                thread.start()
                threads.append(thread)
            for batch in islice(following, AHEAD * count):
                tasks.put(batch)
            for _ in batches:
                while (outcomes := _next(results)) is None:
                    yield None
                for batch in islice(following, 1):
                    tasks.put(batch)
                yield from outcomes
        except BaseException:
            stop.set()
            raise
        finally:
            for _ in threads:
                tasks.put(None)
            for thread in threads:
                thread.join()
            if stop.is_set():
                self._end_idle()

    def _work(self, tasks: Tasks, results: Results, stop: threading.Event) -> None:
        """Have batches read; runs in a thread."""
        for batch in iter(tasks.get, None):
            try:
                results.put(self._read(batch, stop))
            except BaseException as error:  # `_next` raises it
                results.put(error)

    def _read(self, batch: Batch, stop: threading.Event) -> list[Outcome]:
        outcomes: list[Outcome] = []
        signatures = [_signature(path) for _, path in batch]
        died = -1
        while (at := len(outcomes)) < len(batch) and not stop.is_set():
            try:
                self._ask(batch[at:], outcomes, stop)
            except OSError:
                outcomes += [Problem(file, _NOT_STARTED, temporary=True) for file, _ in batch[at:]]
            except Broken as error:
                at, reason = len(outcomes), str(error)
                if reason == DIED and died < at:  # an earlier file may have done the damage: try this one again
                    died = at
                else:
                    outcomes.append(Problem(batch[at][0], reason, *signatures[at]))
        return outcomes

    def _ask(self, batch: Batch, outcomes: list[Outcome], stop: threading.Event) -> None:
        reader, healthy = self._take(), False
        try:
            reader.read(batch, outcomes, stop)
            healthy = not reader.bloated
        finally:
            if healthy:
                with self._lock:
                    self._idle.append(reader)
            else:
                reader.end()

    def _take(self) -> Reader:
        """Take an idle process, or start one; raises OSError."""
        with self._lock:
            while self._idle:
                reader = self._idle.pop()
                if reader.alive:
                    return reader
                reader.end()
        return Reader(*self._arguments)

    def _end_idle(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().end()


@cache
def shared_pool(max_bytes: int, limits: Limits) -> Pool:
    """Return the pool of all folders that are read within these limits: to start a process takes a second."""
    return Pool(max_bytes, limits)


def _next(results: Results) -> list[Outcome] | None:
    """Wait for the outcomes of the next batch, for a second at most."""
    try:
        result = results.get(timeout=1)  # on Windows nothing interrupts a longer wait
    except Empty:
        return None
    if isinstance(result, BaseException):
        raise result
    return result


def _signature(path: Path) -> Signature:
    try:
        return signature(path)
    except OSError:
        return NEVER
