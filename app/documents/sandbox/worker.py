"""The process that reads files for another: `python -m app.documents.sandbox.worker MAX_BYTES SECONDS MEGABYTES`.

It answers one request a line from its standard input, and ends with it. Whatever a file does to it, nothing is lost:
its parent watches it, kills it and starts another. It knows nothing of the corpus but the paths it is given.
"""

import faulthandler
import json
import os
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from app import processes
from app.documents import language
from app.documents.document import NO_MEMORY, Problem
from app.documents.ingest import read_file
from app.documents.sandbox import protocol

READY = b"\n"
"""Sent before the first answer."""

OUT_OF_MEMORY = 77
"""The exit code after a file for which the memory did not suffice."""

GRACE_SECONDS = 5
"""After the time limit, when this process ends itself because nobody has killed it."""


def main() -> None:
    """Answer requests until standard input ends."""
    max_bytes, seconds, megabytes = map(int, sys.argv[1:])
    requests, answers = processes.pipes()
    waiting: SimpleQueue[list[str]] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    language.detect("Loading the languages takes long and must not count against the first file.")
    processes.limit_memory(megabytes)
    answers.write(READY)
    answers.flush()
    armed = 0.0
    while True:
        if waiting.empty():
            faulthandler.cancel_dump_traceback_later()
            armed = 0.0
        file, path = waiting.get()
        if time.monotonic() > armed + 1:
            # Its thread needs no interpreter, which some parsers never release: nobody may be left to kill this one.
            faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True)
            armed = time.monotonic()
        try:
            outcome = read_file(file, Path(path), max_bytes)
            if isinstance(outcome, Problem) and outcome.reason == NO_MEMORY:
                raise MemoryError
            protocol.send(answers, outcome)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _listen(requests: BinaryIO, waiting: "SimpleQueue[list[str]]") -> None:
    """Queue requests; end the process when the parent has gone, even in the middle of a file."""
    for line in requests:
        waiting.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
