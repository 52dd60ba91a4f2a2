"""What lies in a folder: which files are to be read, and which not and why; it opens none of them."""

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
_IN_CLOUD = 0x1000 | 0x40000 | 0x400000
"""Attributes of a file that Windows fetches when it is opened: offline, recall on open, recall on data access."""

_DATALESS = 0x40000000
"""The flag of a file that macOS fetches."""

_CLOSED = "the folder cannot be listed; allow this program to read it"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as it stands in its folder, or `away` in a cloud."""

    path: str
    signature: Signature
    away: bool = False


def scan(corpus: Path) -> Iterator[tuple[str, Listed | Problem]]:
    """Every file to be read by its name in the corpus, or the problem with it; each file once, links last.

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
                yield file, _ordinary(file, target)
            continue
        prefix, folder = folders.pop()
        if folder in seen:
            continue
        seen.add(folder)
        try:
            with os.scandir(folder) as listed:
                shown = filter(lambda entry: wanted(entry.name), listed)
                entries = sorted(shown, key=attrgetter("name"), reverse=True)
        except OSError:
            if not prefix:
                remedy = "Allow this program to read it, or set CORPUS_DIR."
                raise CorpusError(f"The corpus folder {corpus} cannot be listed. {remedy}") from None
            yield prefix, Problem(prefix, _CLOSED)
            continue
        for entry in entries:
            file = f"{prefix}/{entry.name}" if prefix else entry.name
            readable = file.encode("utf-8", "replace").decode()
            if readable != file:
                yield readable, Problem(readable, _BAD_NAME)
            elif _leads_elsewhere(entry):
                links.append((file, entry.path))
            elif entry.is_dir():
                folders.append((file, entry.path))
            else:
                seen.add(entry.path)
                yield file, _ordinary(file, entry.path)


def wanted(name: str) -> bool:
    """Whether a name is not one that systems, editors and browsers give to files of their own."""
    lower = name.lower()
    autosaved = lower.startswith("#") and lower.endswith("#")
    return not (autosaved or lower.startswith(_IGNORED_STARTS) or lower.endswith(_IGNORED_ENDS) or lower in _IGNORED)


def _ordinary(file: str, path: str) -> Listed | Problem:
    """The file, unless opening it could wait for ever (a pipe, a device)."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of thousands of files, at every question
    except OSError:
        return Listed(path, NEVER)  # reading says what is wrong
    if not stat.S_ISREG(status.st_mode):
        return Problem(file, _NO_FILE)
    away = getattr(status, "st_file_attributes", 0) & _IN_CLOUD or getattr(status, "st_flags", 0) & _DATALESS
    return Listed(path, (status.st_size, status.st_mtime_ns), bool(away))


def _leads_elsewhere(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a link or, on Windows, a junction."""
    if entry.is_symlink():
        return True
    junctions = os.name == "nt" and entry.is_dir()
    return junctions and os.path.normcase(os.path.realpath(entry.path)) != os.path.normcase(entry.path)


def _target(path: str) -> str | None:
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        return None
