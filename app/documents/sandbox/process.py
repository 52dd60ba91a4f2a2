"""One process that reads files, and what it may take for a file: it is watched, and killed when it takes more."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app import processes
from app.documents.document import Limits, Outcome
from app.documents.sandbox import protocol
from app.documents.sandbox.worker import OUT_OF_MEMORY, READY

WORKER = "app.documents.sandbox.worker"

MAX_TEXT = 200_000_000
"""Bytes of the text of one file; or 20 times the size of the largest file, if that is less."""

START_SECONDS = 30

DIED = "reading it ended the reader; it may be damaged, export it again"

Batch = Sequence[tuple[str, Path]]


class Broken(Exception):
    """A reader is no more; the message is what to say of the file that it was reading."""


class Reader:
    """One process, and what it may take for a file."""

    def __init__(self, max_bytes: int, limits: Limits):
        self._limits = limits
        self._max_text = min(20 * max_bytes, MAX_TEXT)
        self._fault = ""
        self._ready = False
        self._since: float | None = time.monotonic()
        self._process = processes.start(
            WORKER, str(max_bytes), str(limits.seconds), str(limits.megabytes), environment=environment(limits)
        )

    @property
    def alive(self) -> bool:
        """Whether there is reason to ask it."""
        return not self._fault and self._process.poll() is None

    def read(self, batch: Batch, found: list[Outcome]) -> None:
        """Read files, and add each to `found` when it is there; raises Broken, and OSError if it did not start."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        self._since = time.monotonic()
        try:
            if not self._ready and answers.read(len(READY)) != READY:
                raise OSError
            self._ready = True
            with suppress(OSError):  # it is dead, which reading shows
                requests.write(b"".join(json.dumps((file, str(path))).encode() + b"\n" for file, path in batch))
                requests.flush()
            for file, _ in batch:
                self._since = time.monotonic()
                found.append(protocol.receive(answers, file, self._max_text))
        except protocol.Oversize:
            size = self._max_text / 1_000_000
            raise Broken(f"it holds more than {size:.0f} MB of text and was given up; split it") from None
        except (EOFError, ValueError):
            raise Broken(self._fault or self._last_words()) from None
        finally:
            self._since = None

    def watch(self) -> None:
        """Kill it if its file takes too long or too much memory."""
        since, limits = self._since, self._limits
        if since is None or self._fault:
            return
        seconds = limits.seconds if self._ready else max(limits.seconds, START_SECONDS)
        if time.monotonic() - since > seconds:
            too_long = f"it took longer than {limits.seconds} s to read and was given up"
            self._fault = f"{too_long}; split it, or raise ESCALATOR_READ_SECONDS"
        elif self.memory() > limits.megabytes * 1_000_000:
            self._fault = self._too_much()
        if self._fault:
            self.kill()

    def memory(self) -> int:
        """Return the bytes of memory that the process has in use, 0 if it has ended."""
        return processes.memory(self._process)

    def kill(self) -> None:
        """Kill the process and its children; any thread may."""
        processes.kill(self._process)

    def end(self) -> None:
        """Kill the process and close its pipes; only the thread that asks it may."""
        self.kill()
        with suppress(OSError), self._process:  # requests that were not sent are lost
            pass

    def _last_words(self) -> str:
        self.kill()
        return self._too_much() if self._process.wait() == OUT_OF_MEMORY else DIED

    def _too_much(self) -> str:
        too_much = f"reading it took more than {self._limits.megabytes} MB of memory and was given up"
        return f"{too_much}; split it, or raise ESCALATOR_READ_MB"


def environment(limits: Limits) -> dict[str, str]:
    """Return the environment of a process that parses files: without secrets, and with one thread for each library.

    All cores are busy already, and each thread of a library reserves memory.
    """
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return processes.environment(processes.SECRETS, ESCALATOR_READ_SECONDS=str(limits.seconds), **threads)
