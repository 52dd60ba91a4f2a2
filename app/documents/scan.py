"""The listing of a folder: which files are to be read, and which are not and why. It opens none of them."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from app.documents.document import NEVER, Problem, Signature
from app.errors import CorpusError
from app.files import extended

_IGNORED_STARTS = (".", "~$")
_IGNORED_ENDS = ("~", ".swp", ".swo", ".tmp", ".part", ".partial", ".crdownload", ".download")
_IGNORED = ("thumbs.db", "desktop.ini")

_LEADS_OUT = "it is a link to a place outside the corpus; copy the file into the folder"
_LEADS_NOWHERE = "it is a link to something that is not there; delete it, or copy the file into the folder"
_BAD_NAME = "its name holds bytes that are no text; rename it"
_NO_FILE = "it is not an ordinary file; copy what it holds into one"
_CLOSED = "the folder cannot be listed; allow this program to read it"

_IN_CLOUD = 0x1000 | 0x40000 | 0x400000
"""Attributes of a file that Windows fetches when it is opened: offline, recall on open, recall on data access."""

_DATALESS = 0x40000000
"""The flag of a file that macOS fetches when it is opened."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in the folder; `away` if its contents are only in a cloud."""

    path: str
    signature: Signature
    away: bool = False


def scan(corpus: Path) -> Iterator[tuple[str, Listed | Problem]]:
    """Yield every file to be read, or its problem, by its name in the corpus; each file once, links last.

    Raises CorpusError.
    """
    if not corpus.is_dir():
        state = "is not a folder" if corpus.exists() else "does not exist"
        raise CorpusError(f"The corpus folder {corpus} {state}. Create it, or set CORPUS_DIR.")
    root = extended(os.path.realpath(corpus))
    seen: set[str] = set()
    links: list[tuple[str, str]] = []
    folders = [("", root)]
    while folders or links:
        if not folders:
            file, path = links.pop()
            target = _target(path)
            if target is None or not Path(target).is_relative_to(root):
                yield file, Problem(file, _LEADS_NOWHERE if target is None else _LEADS_OUT)
            elif os.path.isdir(target):  # noqa: PTH112 - a string from realpath
                folders.append((file, target))
            elif target not in seen:
                seen.add(target)
                yield file, _listed(file, target)
            continue
        prefix, folder = folders.pop()
        if folder in seen:
            continue
        seen.add(folder)
        try:
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if wanted(entry.name)), key=attrgetter("name"))
        except OSError:
            if not prefix:
                remedy = "Allow this program to read it, or set CORPUS_DIR."
                raise CorpusError(f"The corpus folder {corpus} cannot be listed. {remedy}") from None
            yield prefix, Problem(prefix, _CLOSED)
            continue
        for entry in reversed(entries):
            file = f"{prefix}/{entry.name}" if prefix else entry.name
            readable = file.encode("utf-8", "replace").decode()
            if readable != file:
                yield readable, Problem(readable, _BAD_NAME)
            elif _is_link(entry):
                links.append((file, entry.path))
            elif entry.is_dir():
                folders.append((file, entry.path))
            else:
                seen.add(entry.path)
                yield file, _listed(file, entry.path)


def wanted(name: str) -> bool:
    """Whether a name is a document's, and not one that systems, editors and browsers give to their own files."""
    lower = name.lower()
    autosaved = lower.startswith("#") and lower.endswith("#")
    return not (autosaved or lower.startswith(_IGNORED_STARTS) or lower.endswith(_IGNORED_ENDS) or lower in _IGNORED)


def _listed(file: str, path: str) -> Listed | Problem:
    """List a file, unless opening it could wait for ever, as with a pipe or a device."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for thousands of files at every question
    except OSError:
        return Listed(path, NEVER)  # reading it names the reason
    if not stat.S_ISREG(status.st_mode):
        return Problem(file, _NO_FILE)
    away = getattr(status, "st_file_attributes", 0) & _IN_CLOUD or getattr(status, "st_flags", 0) & _DATALESS
    return Listed(path, (status.st_size, status.st_mtime_ns), bool(away))


def _is_link(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a link or, on Windows, a junction."""
    if entry.is_symlink():
        return True
    may_be_junction = os.name == "nt" and entry.is_dir()
    return may_be_junction and os.path.normcase(os.path.realpath(entry.path)) != os.path.normcase(entry.path)


def _target(path: str) -> str | None:
    """Resolve a link; None if it leads nowhere."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        return None
