"""The corpus: a folder of files, of which those are read that are new or have changed."""

import logging
import os
import stat
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from app.documents import language, readers
from app.documents.document import NEVER, Document, Known, Limits, Problem, Signature, signature
from app.documents.pages import joined
from app.documents.passages import split
from app.errors import CorpusError, UnreadableFile

if TYPE_CHECKING:
    from app.documents.pool import Pool
    from app.settings import Settings

logger = logging.getLogger(__name__)

HERE_SECONDS = 0.5
"""Spent on reading plain text before other processes are asked: about what it takes to start one."""

MANY = 64
"""Files of plain text for which it pays to start other processes."""

BATCH = 32
"""Files of plain text that are sent to a process together."""

_IGNORED_STARTS = (".", "~$")
_IGNORED_ENDS = ("~", ".swp", ".swo", ".tmp", ".part", ".partial", ".crdownload", ".download")
_IGNORED = ("thumbs.db", "desktop.ini")

_LEADS_OUT = "it is a link to a place outside the corpus; copy the file into the folder"
_LEADS_NOWHERE = "it is a link to something that is not there; delete it, or copy the file into the folder"
_BAD_NAME = "its name holds bytes that are no text; rename it"
_NO_FILE = "it is not an ordinary file; copy what it holds into one"
_CLOSED = "the folder cannot be listed; allow this program to read it"


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

    def __init__(self, path: Path, max_bytes: int, limits: Limits = Limits()):  # noqa: B008 - it is frozen
        self.path = path
        self.max_bytes = max_bytes
        self.limits = limits

    @classmethod
    def of(cls, settings: "Settings") -> "Folder":
        """The one that the settings name."""
        limits = Limits(settings.read_seconds, settings.read_mb)
        return cls(settings.corpus, settings.max_file_bytes, limits)

    def compare(self, known: Mapping[str, Known]) -> Difference:
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
            found = signature(path)
            document = self._document(file, path, found)
            # A file that changes while it is read is read again next time.
            return document if found == signature(path) else replace(document, size=-1, modified_ns=-1)
        except FileNotFoundError:
            return None
        except UnreadableFile as error:
            passing = isinstance(error.__cause__, OSError)  # it may help to wait
            return Problem(file, str(error), *(NEVER if passing else found))
        except OSError as error:
            return Problem(file, f"it cannot be read ({error.strerror or type(error).__name__}); try again")
        except Exception as error:  # one bad file must not stop the others, and parsers raise anything
            logger.warning("reading %s failed: %s", file, type(error).__name__)
            reason = f"it cannot be read ({type(error).__name__}); save it again, or in another format"
            return Problem(file, reason, *found)

    def read_all(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Document | Problem, None, None]:
        """All that `compare` found, in any order: what must be parsed by other processes, which it may take down.

        Plain text is read here, for that is done before another process has started; only if there is so much of it
        that this takes a while, the rest of it is read by other processes too, on all cores.
        """
        apart: list[list[tuple[str, Path]]] = []
        here: deque[tuple[str, Path | Problem]] = deque()
        for file, path in changed:
            if isinstance(path, Problem) or readers.trusted(path):
                here.append((file, path))
            else:
                apart.append([(file, path)])
        spent = 0.0
        while here and (spent < HERE_SECONDS or len(here) < MANY):
            begun = time.monotonic()
            found = self.read(*here.popleft())
            spent += time.monotonic() - begun
            if found is not None:
                yield found
        while here:
            batch = [here.popleft() for _ in range(min(BATCH, len(here)))]
            yield from (path for _, path in batch if isinstance(path, Problem))
            apart.append([(file, path) for file, path in batch if not isinstance(path, Problem)])
        if apart:
            with closing(self._pool.read(apart)) as results:
                yield from results

    @cached_property
    def _pool(self) -> "Pool":
        from app.documents.pool import Pool

        return Pool(self.max_bytes, self.limits)

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
