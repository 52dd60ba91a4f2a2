"""What a reader process answers: a head in JSON and the text as it is, with the lengths of both in front.

Who reads it trusts none of it, for the file may have taken the other process over: no length is allowed that would
take much memory, and every value is checked.
"""

import json
import struct
from dataclasses import replace
from typing import IO, Any, get_args

from app.documents import language
from app.documents.document import Document, Outcome, Problem
from app.documents.pages import Kind, Place
from app.documents.passages import Passage

MAX_HEAD = 32_000_000
"""Bytes; about half a million passages, and at most half a gigabyte while they are checked."""

MAX_REASON = 1000

_LENGTHS = struct.Struct("!II")
_KINDS = get_args(Kind)


class Oversize(ValueError):
    """More text than is allowed."""


def send(stream: IO[bytes], found: Outcome) -> None:
    """Write what was found in one file; the name of the file is known to who asked."""
    text = ""
    head: list[Any] = []
    if isinstance(found, Problem):
        head = [found.reason, found.size, found.modified_ns, found.passing]
    elif found is not None:
        text = found.text
        # The text of a passage is told by where it stands.
        passages = [(p.start, p.end, p.place.kind, p.place.label, p.place.number) for p in found.passages]
        head = [found.title, found.language, found.pages, found.size, found.modified_ns, passages, found.silent]
    first, second = json.dumps(head, separators=(",", ":")).encode(), text.encode()
    stream.write(_LENGTHS.pack(len(first), len(second)) + first + second)
    stream.flush()


def receive(stream: IO[bytes], file: str, max_text: int) -> Outcome:
    """The same, read; raises EOFError, and ValueError for what no reader sends (Oversize if it is too much)."""
    first, second = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if first > MAX_HEAD or second > max_text:
        raise Oversize
    head, text = _exactly(stream, first), _exactly(stream, second).decode()
    try:
        match json.loads(head):
            case []:
                return None
            case [reason, size, time, bool(passing)]:
                return Problem(file, _text(reason)[:MAX_REASON], _whole(size, -1), _whole(time, None), passing)
            case [title, code, pages, size, time, list(passages), list(silent)]:
                found = _document(file, text, (_text(title), _text(code)), _whole(pages), passages, (size, time))
                return replace(found, silent=tuple(map(_whole, silent)))
    except RecursionError:
        pass
    raise ValueError


def _document(
    file: str, text: str, names: tuple[str, str], pages: int, rows: list[Any], signature: tuple[Any, Any]
) -> Document:
    title, code = names
    if code not in language.SNOWBALL and code not in language.UNSTEMMED:
        raise ValueError
    passages, last = [], 0
    for row in rows:
        if type(row) is not list:
            raise ValueError
        start, end, kind, label, number = row
        if kind not in _KINDS or not last <= _whole(start) <= _whole(end) <= len(text):
            raise ValueError
        place = Place(kind, _text(label), _whole(number))
        passages.append(Passage(file, start, end, text[start:end], place, title, code))
        last = start
    size, time = signature
    return Document(file, title, text, code, pages, tuple(passages), _whole(size, -1), _whole(time, None))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _whole(value: Any, least: int | None = 0) -> int:
    if type(value) is not int or abs(value) >= 1 << 63 or (least is not None and value < least):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    value.encode()  # half a character could not be kept in the index
    return value
