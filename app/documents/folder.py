"""The corpus: a folder of files, read once and again only when they change."""

import logging
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    """One file that was left out, and why, as a clause to stand after its name."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The corpus at one time, sorted by file; the generation grows with every change."""

    generation: int
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


Signature = tuple[int, int]
"""Size and time of change: what tells that a file has to be read again."""

Known = dict[str, tuple[Signature, Document | Problem]]


class Folder:
    """Keeps the documents of a folder up to date; `max_bytes` is the size above which a file is left out."""

    def __init__(self, path: Path, max_bytes: int):
        self.path = path
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._known: Known = {}
        self._snapshot = Snapshot(0, (), ())

    def sync(self) -> Snapshot:
        """The corpus as it is now, the same object as before if nothing changed; raises CorpusError."""
        with self._lock:
            known: Known = {}
            results: list[Document | Problem] = []
            for file, found in self._scan():
                result = found if isinstance(found, Problem) else self._result(file, found, known)
                if result is not None:
                    results.append(result)
            self._known = known
            results.sort(key=lambda result: result.file)
            documents = tuple(result for result in results if isinstance(result, Document))
            problems = tuple(result for result in results if isinstance(result, Problem))
            before = self._snapshot
            # Unchanged documents are the same objects, which makes this comparison cheap.
            if before.generation == 0 or before.problems != problems or before.documents != documents:
                self._snapshot = Snapshot(before.generation + 1, documents, problems)
            return self._snapshot

    def _result(self, file: str, path: Path, known: Known) -> Document | Problem | None:
        """The file as known or as read now, None if it is gone; `known` is told unless another try is due next time."""
        result: Document | Problem
        try:
            signature = _signature(path)
            if file in self._known and self._known[file][0] == signature:
                known[file] = self._known[file]
                return known[file][1]
            result = self._read(file, path, signature)
            if signature != _signature(path):
                return result
        except FileNotFoundError:
            return None
        except UnreadableFile as error:
            result = Problem(file, str(error))
            if isinstance(error.__cause__, OSError):  # may pass without a change of the file
                return result
        except OSError as error:
            return Problem(file, f"it cannot be read ({error.strerror or type(error).__name__}); try again")
        except Exception as error:  # one bad file must not stop the others, and parsers raise anything
            logger.warning("reading %s failed: %s", file, type(error).__name__)
            result = Problem(file, f"it cannot be read ({type(error).__name__}); save it again, or in another format")
        known[file] = signature, result
        return result

    def _read(self, file: str, path: Path, signature: Signature) -> Document:
        pages = readers.read(path, self.max_bytes)
        text = joined(pages)
        title = readers.title(path, pages)
        code = language.detect(text)
        passages = tuple(split(pages, file, title, code))
        return Document(file, title, text, code, len(pages), passages, *signature)

    def _scan(self) -> Iterator[tuple[str, Path | Problem]]:
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
                    yield file, _ordinary(file, Path(target))
                continue
            prefix, folder = folders.pop()
            if folder in seen:
                continue
            seen.add(folder)
            try:
                names = sorted(os.listdir(folder), reverse=True)  # noqa: PTH208 - names, not paths
            except OSError:
                if not prefix:
                    raise CorpusError(
                        f"The corpus folder {self.path} cannot be listed. Allow this program to read it, "
                        "or set CORPUS_DIR."
                    ) from None
                yield prefix, Problem(prefix, _CLOSED)
                continue
            for name in filter(_wanted, names):
                file = f"{prefix}/{name}" if prefix else name
                path = os.path.join(folder, name)  # noqa: PTH118
                if not _is_text(name):
                    yield _readable(file), Problem(_readable(file), _BAD_NAME)
                elif _leads_elsewhere(path):
                    links.append((file, path))
                elif os.path.isdir(path):  # noqa: PTH112
                    folders.append((file, path))
                else:
                    seen.add(path)
                    yield file, _ordinary(file, Path(path))


def _wanted(name: str) -> bool:
    """Whether a name is not one that systems, editors and browsers give to files of their own."""
    lower = name.lower()
    autosaved = lower.startswith("#") and lower.endswith("#")
    return not (autosaved or lower.startswith(_IGNORED_STARTS) or lower.endswith(_IGNORED_ENDS) or lower in _IGNORED)


def _ordinary(file: str, path: Path) -> Path | Problem:
    """The path, unless opening it could wait for ever (a pipe, a device)."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # reading says what is wrong
    return path if stat.S_ISREG(mode) else Problem(file, _NO_FILE)


def _leads_elsewhere(path: str) -> bool:
    """Whether a path is a link or, on Windows, a junction."""
    if os.path.islink(path):  # noqa: PTH114
        return True
    junctions = os.name == "nt" and os.path.isdir(path)  # noqa: PTH112
    return junctions and os.path.normcase(os.path.realpath(path)) != os.path.normcase(path)


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
