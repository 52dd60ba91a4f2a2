"""The answers of a reader process: a head in JSON and the text of the document, preceded by the lengths of both.

The receiver trusts nothing, because a file may have taken over the other process: no length is accepted that would
take much memory, and every value is checked.
"""

import json
import struct
from typing import IO, Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from app.documents import language
from app.documents.document import Document, Outcome, Problem
from app.documents.passages import Passage, Place, PlaceKind

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
        rows = [
            (p.start, p.end, p.place.kind, p.place.label, p.place.number, p.place.heading) for p in outcome.passages
        ]
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
