"""The corpus: a folder of files, of which those are read that are new or have changed."""

import logging
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from app.documents import language, readers
from app.documents.pages import joined
from app.documents.passages import Passage, split
from app.errors import CorpusError, UnreadableFile

logger = logging.getLogger(__name__)

_IGNORED_STARTS = (".", "~$")
_IGNORED_ENDS = ("~", ".swp", ".swo", ".tmp", ".part", ".partial", ".crdownload", ".download")
_IGNORED = ("thumbs.db", "desktop.ini")

_LEADS_OUT = "it is a link to a place outside the corpus; copy the file into the folder"
_LEADS_NOWHERE = "it is a link to something that is not there; delete it, or copy the file into the folder"
_BAD_NAME = "its name holds bytes that are no text; rename it"
_NO_FILE = "it is not an ordinary file; copy what it holds into one"
_CLOSED = "the folder cannot be listed; allow this program to read it"


@dataclass(frozen=True, slots=True)
class Document:
    """One file that was read; `file` is its path in the corpus with forward slashes, `size` in bytes."""

    file: str
    title: str
    text: str
    language: str
    pages: int
    passages: tuple[Passage, ...]
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that was left out, and why, as a clause to stand after its name.

    Size and time are those of the file if only a change of it can help, else there is another try next time.
    """

    file: str
    reason: str
    size: int = -1
    modified_ns: int = -1


Signature = tuple[int, int]
"""Size and time of change: what tells that a file has to be read again."""

NEVER: Signature = (-1, -1)
"""The signature of no file."""


class Known(Protocol):
    """A file as it was when it was read."""

    @property
    def size(self) -> int:
        """Bytes, or -1."""
        ...

    @property
    def modified_ns(self) -> int:
        """Time of change, or -1."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as it stands in its folder."""

    path: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be read because it is new or has changed, and which known files are gone."""

    changed: tuple[tuple[str, Path | Problem], ...]
    gone: frozenset[str]


class Folder:
    """Lists and reads the documents of a folder; `max_bytes` is the size above which a file is left out."""

    def __init__(self, path: Path, max_bytes: int):
        self.path = path
        self.max_bytes = max_bytes

    def compare(self, known: Mapping[str, "Known"]) -> Difference:
        """How the folder differs from what is known of its files; raises CorpusError."""
        changed: list[tuple[str, Path | Problem]] = []
        present = set()
        for file, found in sorted(self._scan(), key=lambda item: (item[0], isinstance(item[1], Problem))):
            if file in present:  # another name that cannot be shown is shown like this one
                continue
            present.add(file)
            before = known.get(file)
            if isinstance(found, Problem):
                if before != found:
                    changed.append((file, found))
            elif before is None or not NEVER != (before.size, before.modified_ns) == found.signature:
                changed.append((file, Path(found.path)))
        return Difference(tuple(changed), frozenset(known.keys() - present))

    def read(self, file: str, path: Path | Problem) -> Document | Problem | None:
        """What `compare` found, read; None if it is gone meanwhile."""
        if isinstance(path, Problem):
            return path
        try:
            signature = _signature(path)
            document = self._document(file, path, signature)
            # A file that changes while it is read is read again next time.
            return document if signature == _signature(path) else replace(document, size=-1, modified_ns=-1)
        except FileNotFoundError:
            return None
        except UnreadableFile as error:
            passing = isinstance(error.__cause__, OSError)  # it may help to wait
            return Problem(file, str(error), *(NEVER if passing else signature))
        except OSError as error:
            return Problem(file, f"it cannot be read ({error.strerror or type(error).__name__}); try again")
        except Exception as error:  # one bad file must not stop the others, and parsers raise anything
            logger.warning("reading %s failed: %s", file, type(error).__name__)
            reason = f"it cannot be read ({type(error).__name__}); save it again, or in another format"
            return Problem(file, reason, *signature)

    def _document(self, file: str, path: Path, signature: Signature) -> Document:
        pages = readers.read(path, self.max_bytes)
        text = joined(pages)
        title = readers.title(path, pages)
        code = language.detect(text)
        passages = tuple(split(pages, file, title, code))
        return Document(file, title, text, code, len(pages), passages, *signature)

    def _scan(self) -> Iterator[tuple[str, Listed | Problem]]:
        """Every file to be read by its name in the corpus, or the problem with it; each file once, links last."""
        if not self.path.is_dir():
            state = "is not a folder" if self.path.exists() else "does not exist"
            raise CorpusError(f"The corpus folder {self.path} {state}. Create it, or set CORPUS_DIR.")
        root = os.path.realpath(self.path)
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
                    wanted = (entry for entry in listed if _wanted(entry.name))
                    entries = sorted(wanted, key=attrgetter("name"), reverse=True)
            except OSError:
                if not prefix:
                    raise CorpusError(
                        f"The corpus folder {self.path} cannot be listed. Allow this program to read it, "
                        "or set CORPUS_DIR."
                    ) from None
                yield prefix, Problem(prefix, _CLOSED)
                continue
            for entry in entries:
                file = f"{prefix}/{entry.name}" if prefix else entry.name
                if not _is_text(entry.name):
                    yield _readable(file), Problem(_readable(file), _BAD_NAME)
                elif _leads_elsewhere(entry):
                    links.append((file, entry.path))
                elif entry.is_dir():
                    folders.append((file, entry.path))
                else:
                    seen.add(entry.path)
                    yield file, _ordinary(file, entry.path)


def _wanted(name: str) -> bool:
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
    return Listed(path, (status.st_size, status.st_mtime_ns))


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


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _readable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
