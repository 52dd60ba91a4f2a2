"""A file that was read, a file that was not, and what reading one may cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.documents.passages import Passage


@dataclass(frozen=True, slots=True)
class Document:
    """One file that was read; `file` is its path in the corpus with forward slashes, `size` in bytes.

    `silent` are the numbers of pages that have no text: blank ones, pictures, or scans that nobody has recognized.
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
    """One file that was left out, and why, as a clause to stand after its name.

    Size and time are those of the file if only a change of it can help, else there is another try next time. With a
    reason that is `passing`, say that another program holds the file, what was read of it before still stands.
    """

    file: str
    reason: str
    size: int = -1
    modified_ns: int = -1
    passing: bool = False


Outcome = Document | Problem | None
"""What became of a file; None if it is gone."""

Signature = tuple[int, int]
"""Size and time of change: what tells that a file has to be read again."""

NEVER: Signature = (-1, -1)
"""The signature of no file."""


class Known(Protocol):
    """A file as it was when it was read."""

    @property
    def size(self) -> int:
        """Bytes, or -1."""

    @property
    def modified_ns(self) -> int:
        """Time of change, or -1."""


def signature(path: Path) -> Signature:
    """That of a file as it is now; raises OSError."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may need to read one file: seconds, and megabytes of memory."""

    seconds: int = 30
    megabytes: int = 1000
