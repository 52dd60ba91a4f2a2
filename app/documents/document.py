"""The records of the corpus folder: a document, a problem with a file, what reading one may cost, and their ids."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from app.documents.passages import Passage
from app.errors import InputError
from app.translation import mark

NO_MEMORY = mark("reading it takes more memory than there is; split it")
"""Why a file could not be read, in the process that reads it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file that was read; `file` is its path in the corpus with forward slashes, `size` in bytes.

    `silent` are the numbers of pages without text: blank pages, pictures, or scans that were not recognized.
    """

    file: str
    title: str
    text: str
    language: str
    pages: int
    passages: tuple[Passage, ...]
    size: int
    modified_ns: int
    silent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be read, and why: `reason` is a clause that follows its name, such as "it is empty".

    `size` and `modified_ns` are the file's if only a change of the file can help; without them it is tried again at the
    next look at the folder.
    A `temporary` reason, such as another program that holds the file, keeps what was read of the file before.
    """

    file: str
    reason: str
    size: int = -1
    modified_ns: int = -1
    temporary: bool = False


Outcome = Document | Problem | None
"""The result of reading a file; None if the file is gone."""

Signature = tuple[int, int]
"""Size in bytes and time of change in nanoseconds: a file is read again when they differ."""

NEVER: Signature = (-1, -1)
"""A signature that no file has."""


class Known(Protocol):
    """The size in bytes and the time of change of a file when it was read; -1 if it is to be read again."""

    @property
    def size(self) -> int: ...

    @property
    def modified_ns(self) -> int: ...


def signature(path: Path) -> Signature:
    """Return the signature of a file as it is now; raises OSError."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Limits:
    """The cost at which reading a file is given up: seconds, and megabytes of memory."""

    seconds: int = 30
    megabytes: int = 1000


ROOT = "escalator://corpus/"
"""What precedes an id in the address of a resource."""

_STRETCH = re.compile(r"(.*)#([0-9]{1,12})-([0-9]{1,12})", re.DOTALL)


def reference(file: str, start: int = 0, end: int = 0) -> str:
    """Return the id by which other programs name a document, or a stretch of its text.

    It is the percent-encoded path of the file in the corpus, for a stretch followed by "#" and its offsets. It is
    looked up among the documents of the index and never on the disk, so that nothing else can be read by it.
    """
    return quote(file) + (f"#{start}-{end}" if end else "")


def resolve(id_or_url: str, files: Collection[str]) -> tuple[str, int, int]:
    """Return the file that an id or an address refers to, also if it was not encoded, and the offsets of the stretch.

    The offsets are 0 for a document as a whole. Raises InputError.
    """
    name = id_or_url.removeprefix(ROOT)
    match = _STRETCH.fullmatch(name)
    path, start, end = (match[1], int(match[2]), int(match[3])) if match else (name, 0, 0)
    for known in ((unquote(path), start, end), (path, start, end), (name, 0, 0)):
        if known[0] in files:
            return known
    raise InputError("There is no document {id}. Take an id from search or corpus.", id=repr(id_or_url[:200]))
