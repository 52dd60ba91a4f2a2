"""A pool of processes that read files: each asked, watched, and killed when a file costs too much."""

import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

from app import processes
from app.documents import reader_process
from app.documents.document import NEVER, Limits, Outcome, Problem, Signature, signature
from app.documents.reader_process import OUT_OF_MEMORY, READY
from app.translation import mark

WORKER = "app.documents.reader_process"

MAX_TEXT = 200_000_000
"""Bytes of the text of one file; or 20 times the size of the largest file, if that is less."""

START_SECONDS = 30
IDLE_SECONDS = 10.0
WATCH_SECONDS = 0.05

TOO_SLOW = mark("it took longer than {seconds} s to read and was given up; split it, or raise ESCALATOR_READ_SECONDS")
TOO_LARGE = mark("reading it took more than {size} MB of memory and was given up; split it, or raise ESCALATOR_READ_MB")
DIED = mark("reading it ended the reader; it may be damaged, export it again")
TOO_LONG = mark("it holds more than {size} MB of text and was given up; split it")

Batch = Sequence[tuple[str, Path]]


class Broken(Exception):
    """The process has ended; the message is the reason to give for the file that it was reading."""


class Reader:
    """One process, and the limits of what a file may cost."""

    def __init__(self, max_bytes: int, limits: Limits):
        self._limits = limits
        self._max_text = min(20 * max_bytes, MAX_TEXT)
        self._fault = ""
        self._ready = False
        self._idle = True
        self._deadline = time.monotonic() + IDLE_SECONDS
        self._stop = threading.Event()
        arguments = (max_bytes, limits.seconds, limits.megabytes)
        self._process = processes.start(WORKER, *map(str, arguments), environment=environment(limits))
        threading.Thread(target=self.watch, name="reader-watch", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process can be asked to read."""
        return not self._fault and self._process.poll() is None

    @property
    def bloated(self) -> bool:
        """Whether earlier files left so much in memory that it would count against the next one."""
        return processes.memory(self._process) > self._limits.megabytes * 1_000_000 / 2

    def read(self, batch: Batch, outcomes: list[Outcome], stop: threading.Event) -> None:
        """Read files until `stop` is set, and append the outcome of each.

        Raises Broken, and OSError if the process did not start.
        """
        requests, answers, seconds = self._process.stdin, self._process.stdout, self._limits.seconds
        assert requests is not None
        assert answers is not None
        self._stop = stop
        self._deadline = time.monotonic() + (seconds if self._ready else max(seconds, START_SECONDS))
        self._idle = False
        try:
            if not self._ready and answers.read(len(READY)) != READY:
                raise OSError
            self._ready = True
            with suppress(OSError):  # the process has ended, as reading its answer shows
                requests.write(b"".join(json.dumps((file, str(path))).encode() + b"\n" for file, path in batch))
                requests.flush()
            for file, _ in batch:
                self._deadline = time.monotonic() + seconds
                outcomes.append(reader_process.receive(answers, file, self._max_text))
        except reader_process.Oversize:
            raise Broken(TOO_LONG.format(size=f"{self._max_text / 1_000_000:.0f}")) from None
        except (EOFError, ValueError):
            processes.kill(self._process)
            large = TOO_LARGE.format(size=self._limits.megabytes)
            died = large if self._process.wait() == OUT_OF_MEMORY else DIED
            raise Broken(self._fault or died) from None
        finally:
            self._deadline = time.monotonic() + IDLE_SECONDS
            self._idle = True

    def watch(self) -> None:
        """Kill the process when its file costs too much or is not wanted, and end it when it is idle for long.

        Runs in a thread.
        """
        while not self._fault and self._process.poll() is None:
            time.sleep(WATCH_SECONDS)
            idle, late = self._idle, time.monotonic() > self._deadline  # in this order: `read` sets the deadline first
            if idle and late:
                self.end()  # what is asked at this moment is asked again of another one
            elif idle:
                continue
            elif late:
                self._fault = TOO_SLOW.format(seconds=self._limits.seconds)
            elif processes.memory(self._process) > self._limits.megabytes * 1_000_000:
                self._fault = TOO_LARGE.format(size=self._limits.megabytes)
            elif self._stop.is_set():
                self._fault = mark("reading it was stopped")
        if self._fault:
            processes.kill(self._process)

    def end(self) -> None:
        """Kill the process and close its pipes; only the thread that asks it may, or any while it is idle."""
        processes.kill(self._process)
        with suppress(OSError), self._process:  # requests that were not sent are lost
            pass


def environment(limits: Limits) -> dict[str, str]:
    """Return the environment of a process that parses files: no secrets, and one thread for each library.

    All cores are busy already, and each thread of a library reserves memory.
    """
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return processes.environment(processes.SECRETS, ESCALATOR_READ_SECONDS=str(limits.seconds), **threads)


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
            with self._lock:
                while stop.is_set() and self._idle:
                    self._idle.pop().end()

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
