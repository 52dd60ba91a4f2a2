"""A document and a problem with a file, what reading one may cost, the ids of documents, and which of them are private.

Nothing that rests on a private document leaves this machine.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote, unquote

from app.documents.passages import Passage
from app.errors import InputError
from app.translation import _, mark

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


FOLDER = "private"
"""The name of folders whose documents are private."""

ANY = "*"
"""Stands for every document: another program's text may say what any of them says."""

RULE = "\n"
"""Begins a rule among the grounds of an answer, which no file's name does: it holds on where its document is gone."""

_FRONT = re.compile(r"\A\s*(-{3}|\+{3})[ \t]*$(.*?)(?:^(?:\1|\.\.\.)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_DECLARED = re.compile(r"^[\"']?private[\"']?\s*[:=]\s*[\"']?(?:true|yes|on|1)\b", re.IGNORECASE | re.MULTILINE)


_DROPPED = re.compile(r" \(dropped(?: \d+)?\)\Z")


def dropped(name: str, number: int = 1) -> str:
    """Name the document of a file that was dropped into a conversation; `number` tells those of one name apart."""
    return f"{name} (dropped{f' {number}' if number > 1 else ''})"


class Declared(Protocol):
    """What is known of a document."""

    @property
    def private(self) -> bool: ...


def declared_private(text: str) -> bool:
    """Whether a document says so itself, by `private: true` in the block of settings at its top."""
    front = _FRONT.match(text)
    return front is not None and _DECLARED.search(front[2]) is not None


def private_rule(file: str, declared: bool, patterns: str) -> str | None:
    """Return a sentence about the rule that makes a document private, None if none does."""
    path = PurePosixPath(_plain(_DROPPED.sub("", file)))
    if FOLDER in path.parts[:-1]:
        return _("{file} is in the folder {folder}.", file=file, folder=FOLDER)
    if declared:
        return _("{file} begins with {mark}.", file=file, mark="private: true")
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        wanted = _plain(pattern).removeprefix("./").strip("/").replace("**/", "*")
        places = [path, *path.parents][:-1]  # a folder holds what is in it
        names = [it.name for it in places] if "/" not in wanted else []
        if any(fnmatchcase(it, wanted) for it in (*map(str, places), *names)):
            return _("{file} matches {pattern} of ESCALATOR_PRIVATE.", file=file, pattern=pattern)
    return None


def kept_here(grounds: Iterable[str], documents: Mapping[str, Declared], patterns: str) -> str:
    """Return the rule that keeps on this machine what rests on some grounds, as documents are now; empty if none does.

    Grounds are names of documents, ANY, and rules that applied before. Where a document is gone, one of its name that
    is elsewhere now counts as the same.
    """
    held = ""
    for ground in dict.fromkeys(grounds):
        if ground.startswith(RULE):
            held = held or ground.removeprefix(RULE)
            continue
        last = f"/{ground}".rpartition("/")[2]
        known = ground in documents
        files = [ground] if known else [it for it in documents if ground == ANY or it.rpartition("/")[2] == last]
        for file in [*files, *([] if known or ground == ANY else [ground])]:
            declared = file in documents and documents[file].private
            if rule := private_rule(file, declared, patterns):
                return rule
    return held


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
