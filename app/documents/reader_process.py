"""The process that reads files for another: `python -m app.documents.reader_process MAX_BYTES SECONDS MEGABYTES`.

It answers one request a line from its standard input, and ends with it. Whatever a file does to it, nothing is lost:
its parent watches it, kills it and starts another. It knows nothing of the corpus but the paths it is given.

An answer is a head in JSON and the text of the document, preceded by the lengths of both. The receiver trusts nothing,
because a file may have taken over the other process: no length is accepted that would take much memory, and every value
is checked.
"""

import faulthandler
import json
import os
import struct
import sys
import threading
import time
from dataclasses import astuple
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Annotated, Any, BinaryIO

from pydantic import ConfigDict, Field, TypeAdapter

from app import processes
from app.documents import language
from app.documents.document import NO_MEMORY, Document, Outcome, Problem
from app.documents.passages import Passage, Place, PlaceKind
from app.documents.readers import read_file

MAX_HEAD = 32_000_000
"""Bytes; about half a million passages, and at most half a gigabyte while they are checked."""

MAX_REASON = 1000

_LENGTHS = struct.Struct("!II")

_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
_Size = Annotated[int, Field(ge=-1, lt=1 << 63)]
_Time = Annotated[int, Field(gt=-(1 << 63), lt=1 << 63)]

_Gone = tuple[()]
_Failed = tuple[str, _Size, _Time, bool]
"""The fields of a Problem without its file."""

_Row = tuple[_Count, _Count, PlaceKind, str, _Count, str]
"""A passage: start, end, and the fields of its place."""

_Read = tuple[str, str, _Count, _Size, _Time, list[_Row], list[_Count]]
"""Title, language, pages, size, time, passages and silent pages."""

_HEAD: TypeAdapter[Any] = TypeAdapter(_Gone | _Failed | _Read, config=ConfigDict(strict=True))


class Oversize(ValueError):
    """The answer holds more text than is allowed."""


def send(stream: IO[bytes], outcome: Outcome) -> None:
    """Write the outcome of one file; the receiver knows its name."""
    text = ""
    head: list[Any] = []
    if isinstance(outcome, Problem):
        head = [outcome.reason, outcome.size, outcome.modified_ns, outcome.temporary]
    elif outcome is not None:
        text = outcome.text
        # Start and end of a passage imply its text.
        rows = [(passage.start, passage.end, *astuple(passage.place)) for passage in outcome.passages]
        size, time = outcome.size, outcome.modified_ns
        head = [outcome.title, outcome.language, outcome.pages, size, time, rows, outcome.silent]
    first, second = json.dumps(head, separators=(",", ":")).encode(), text.encode()
    stream.write(_LENGTHS.pack(len(first), len(second)) + first + second)
    stream.flush()


def receive(stream: IO[bytes], file: str, max_text: int) -> Outcome:
    """Read the outcome of one file; raises EOFError, ValueError for an invalid answer, Oversize for a long one."""
    first, second = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if first > MAX_HEAD or second > max_text:
        raise Oversize
    head, text = _exactly(stream, first), _exactly(stream, second).decode()
    match _HEAD.validate_json(head):
        case reason, size, time, temporary:
            return Problem(file, reason[:MAX_REASON], size, time, temporary)
        case title, code, pages, size, time, rows, silent:
            passages = _passages(file, text, title, code, rows)
            return Document(file, title, text, code, pages, passages, size, time, tuple(silent))
    return None


def _passages(file: str, text: str, title: str, code: str, rows: list[_Row]) -> tuple[Passage, ...]:
    if code not in language.SNOWBALL and code not in language.UNSTEMMED:
        raise ValueError("unknown language")
    passages, last = [], 0
    for start, end, kind, label, number, heading in rows:
        if not last <= start <= end <= len(text):
            raise ValueError("not in the text")
        place = Place(kind, label, number, heading)
        passages.append(Passage(file, start, end, text[start:end], place, title, code))
        last = start
    return tuple(passages)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


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
            send(answers, outcome)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _listen(requests: BinaryIO, waiting: "SimpleQueue[list[str]]") -> None:
    """Queue requests; end the process when the parent has gone, even in the middle of a file."""
    for line in requests:
        waiting.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
