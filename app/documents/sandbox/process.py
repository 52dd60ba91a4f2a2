"""One process that reads files, and what it may take for a file: it is watched, and killed when it takes more."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from app.documents.document import Limits, Outcome
from app.documents.sandbox import protocol
from app.documents.sandbox.worker import OUT_OF_MEMORY, READY
from app.settings import ROOT

READER = (sys.executable, "-P", "-X", "utf8", "-m", "app.documents.sandbox.worker")

MAX_TEXT = 200_000_000
"""Bytes of the text of one file; or 20 times the size of the largest file, if that is less."""

START_SECONDS = 30

_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSW", re.IGNORECASE)
"""Names in the environment whose values no file is to get at."""

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
        given = (max_bytes, limits.seconds, limits.megabytes)
        self._process = started([*READER, *map(str, given)], limits)

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
        """Bytes, 0 if it is dead."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """End it now, and whatever it has started; any thread may."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
        self._process.kill()

    def end(self) -> None:
        """Kill it and let its pipes go; for the thread that asks it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent cannot be
                pipe.close()  # type: ignore[union-attr]

    def _last_words(self) -> str:
        self.kill()
        return self._too_much() if self._process.wait() == OUT_OF_MEMORY else DIED

    def _too_much(self) -> str:
        too_much = f"reading it took more than {self._limits.megabytes} MB of memory and was given up"
        return f"{too_much}; split it, or raise ESCALATOR_READ_MB"


def started(command: list[str], limits: Limits) -> "subprocess.Popen[bytes]":
    """A process that is asked and answers by pipes, and says nothing else."""
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own module, run by our own interpreter
        command, cwd=ROOT, env=environment(limits), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL,
        **detached(sys.platform),
    )  # fmt: skip


def detached(platform: str) -> dict[str, Any]:
    """What keeps Ctrl+C in a terminal away from readers, which would look like the fault of a file; and no window."""
    if platform == "win32":
        return {"creationflags": 0x08000000 | 0x00000200}  # CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP
    return {"start_new_session": True}


def environment(limits: Limits) -> dict[str, str]:
    # One thread each: all cores are busy already, and each thread of a library reserves memory.
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    own = {"PYTHONPATH": path, "ESCALATOR_READ_SECONDS": str(limits.seconds)}
    return {**kept, **own, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
