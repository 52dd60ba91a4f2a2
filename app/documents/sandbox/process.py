"""One process that reads files, as its parent sees it: asked, watched, and killed when a file costs too much."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app import processes
from app.documents.document import Limits, Outcome
from app.documents.sandbox import protocol
from app.documents.sandbox.worker import OUT_OF_MEMORY, READY
from app.translation import mark

WORKER = "app.documents.sandbox.worker"

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
                outcomes.append(protocol.receive(answers, file, self._max_text))
        except protocol.Oversize:
            raise Broken(TOO_LONG.format(size=f"{self._max_text / 1_000_000:.0f}")) from None
        except (EOFError, ValueError):
            raise Broken(self._fault or self._exit_reason()) from None
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
            self.kill()

    def kill(self) -> None:
        """Kill the process and its children; any thread may."""
        processes.kill(self._process)

    def end(self) -> None:
        """Kill the process and close its pipes; only the thread that asks it may, or any while it is idle."""
        self.kill()
        with suppress(OSError), self._process:  # requests that were not sent are lost
            pass

    def _exit_reason(self) -> str:
        self.kill()
        out_of_memory = self._process.wait() == OUT_OF_MEMORY
        return TOO_LARGE.format(size=self._limits.megabytes) if out_of_memory else DIED


def environment(limits: Limits) -> dict[str, str]:
    """Return the environment of a process that parses files: no secrets, and one thread for each library.

    All cores are busy already, and each thread of a library reserves memory.
    """
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return processes.environment(processes.SECRETS, ESCALATOR_READ_SECONDS=str(limits.seconds), **threads)
