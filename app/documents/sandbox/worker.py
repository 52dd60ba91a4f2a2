"""A process that reads files for another one: `python -m app.documents.sandbox.worker MAX_BYTES SECONDS MEGABYTES`.

It lives on its standard input, one request a line, and ends with it. Whatever a file does to it, nothing is lost: who
asks watches it, kills it and starts another one. It knows nothing of the corpus but the paths it is asked for.
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
from app.documents.document import Problem
from app.documents.folder import Folder
from app.documents.sandbox import protocol

READY = b"\n"
"""What is said before the first request."""

OUT_OF_MEMORY = 77
"""The exit code after a file for which the memory did not suffice."""

GRACE_SECONDS = 5
"""After the limit of time, when this process ends itself because nobody has killed it."""


def main() -> None:
    """Answer until standard input ends."""
    max_bytes, seconds, megabytes = map(int, sys.argv[1:])
    requests, answers = _pipes()
    waiting: SimpleQueue[list[str]] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    folder = Folder(Path(), max_bytes)
    language.detect("What takes long to load is no fault of a file.")
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
            # Its thread needs no interpreter, which some parsers do not let go of: nobody may be there to kill this.
            faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True)
            armed = time.monotonic()
        try:
            found = folder.read(file, Path(path))
            if isinstance(found, Problem) and f"({MemoryError.__name__})" in found.reason:  # readers name what they met
                raise MemoryError
            protocol.send(answers, found)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers, out of reach of parsers that print or ask."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return pipes


def _listen(requests: BinaryIO, waiting: "SimpleQueue[list[str]]") -> None:
    """Ends the process when nobody is there to ask any more, also in the middle of a file."""
    for line in requests:
        waiting.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
