"""The corpus folder: which files it has, which are new, changed or gone, and who reads them. It knows no format."""

import filecmp
import os
import shutil
import stat
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from operator import attrgetter
from pathlib import Path

from app import files
from app.documents import readers
from app.documents.document import NEVER, Known, Limits, Outcome, Problem, Signature
from app.documents.reader_pool import shared_pool
from app.errors import CorpusError
from app.settings import Settings
from app.translation import mark

HERE_SECONDS = 0.5
"""How long plain text is read in this process before others are started, which takes about as long."""

MANY = 64
"""Files of plain text for which it pays to start other processes."""

BATCH = 32
"""Files of plain text that are sent to a process together."""

MAX_STEM, MAX_SUFFIX = 200, 30
"""Bytes of the name of a file in UTF-8; systems allow 255 in all, and a number may be added."""

_AWAY = mark("it is in the cloud only and nothing is fetched unasked; have it kept on this device")

_IGNORED_STARTS = (".", "~$")
_IGNORED_ENDS = ("~", ".swp", ".swo", ".tmp", ".part", ".partial", ".crdownload", ".download")
_IGNORED = ("thumbs.db", "desktop.ini")

_LEADS_OUT = mark("it is a link to a place outside the corpus; copy the file into the folder")
_LEADS_NOWHERE = mark("it is a link to something that is not there; delete it, or copy the file into the folder")
_BAD_NAME = mark("its name holds bytes that are no text; rename it")
_NO_FILE = mark("it is not an ordinary file; copy what it holds into one")
_CLOSED = mark("the folder cannot be listed; allow this program to read it")

_IN_CLOUD = 0x1000 | 0x40000 | 0x400000
"""Attributes of a file that Windows fetches when it is opened: offline, recall on open, recall on data access."""

_DATALESS = 0x40000000
"""The flag of a file that macOS fetches when it is opened."""


Listed = tuple[str, Signature, str | Problem]
"""The name of a file in the corpus, its signature, and its path or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """New and changed files, each with its path or its problem, and the known files that are gone."""

    changed: tuple[tuple[str, Path | Problem], ...]
    gone: frozenset[str]


class Folder:
    """Lists and reads the documents of a folder; a file of more than `max_bytes` is left out."""

    def __init__(self, path: Path, max_bytes: int, limits: Limits = Limits()):  # noqa: B008 - it is frozen
        self.path = path
        self.max_bytes = max_bytes
        self.limits = limits
        self._pool = shared_pool(max_bytes, limits)

    @classmethod
    def of(cls, settings: Settings) -> "Folder":
        """Create the folder that the settings name."""
        limits = Limits(settings.read_seconds, settings.read_mb)
        return cls(settings.corpus, settings.max_file_mb * 1_000_000, limits)

    def identity(self) -> tuple[int, int] | None:
        """Return what distinguishes the folder from a later one at its path, None if there is none."""
        with suppress(OSError):
            status = self.path.stat()
            return status.st_dev, status.st_ino
        return None

    def compare(self, known: Mapping[str, Known]) -> Difference:
        """Compare the folder with its known files, by name; raises CorpusError."""
        changed: list[tuple[str, Path | Problem]] = []
        present = set()
        listing = sorted(scan(self.path), key=lambda listed: (listed[0], isinstance(listed[2], Problem)))
        for file, signature, path in listing:
            if file in present:  # two names that cannot be shown may be shown alike
                continue
            present.add(file)
            before = known.get(file)
            if before and NEVER != (before.size, before.modified_ns) == signature:
                continue
            entry = path if isinstance(path, Problem) else Path(path)
            if before != entry:
                changed.append((file, entry))
        return Difference(tuple(changed), frozenset(known.keys() - present))

    def read(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Outcome, None, None]:
        """Read the files that `compare` returned, in any order; yields None while no result is ready.

        Formats that are not trusted are read by the pool, in processes that a file may harm. Trusted ones are read
        here, because few of them are read before a process has started; if many are left after HERE_SECONDS, the pool
        reads the rest.
        """
        yield from (entry for _, entry in changed if isinstance(entry, Problem))
        paths = [(file, entry) for file, entry in changed if not isinstance(entry, Problem)]
        here = [item for item in paths if readers.trusted(item[1])]
        end = time.monotonic() + HERE_SECONDS
        while here and (len(here) < MANY or time.monotonic() < end):
            yield readers.read_file(*here.pop(0), self.max_bytes)
        # What is left of them goes first: it is soon read, and then searchable.
        batches = [here[at : at + BATCH] for at in range(0, len(here), BATCH)]
        batches += [[item] for item in paths if not readers.trusted(item[1])]
        if batches:
            with closing(self._pool.read(batches)) as outcomes:
                yield from outcomes

    def find(self, file: str) -> Path:
        """Return the path of a file of the folder; raises CorpusError if it is none, or lies outside through a link."""
        parts = file.split("/")
        with suppress(OSError, ValueError):  # a loop of links, a name with a zero byte
            path = self.path.joinpath(*parts)
            if all(map(wanted, parts)) and self._contains(path) and files.long(path).is_file():
                return path
        raise CorpusError("{file} is not in the folder of your documents any more, or is a link out of it.", file=file)

    def holds(self, path: Path, file: str) -> bool:
        """Whether the folder has a file of this name with the contents of the file at `path`."""
        with suppress(CorpusError, OSError):
            return filecmp.cmp(path, files.long(self.find(file)), shallow=False)
        return False

    def keep(self, path: Path, name: str, within: str = "") -> str:
        """Copy a file into the folder, or into one within it, under about this name and never over another file.

        Returns the name it was given, with the folders that it is in; raises CorpusError.
        """
        first = Path(safe(name))
        folder = self.path.joinpath(*(safe(part) for part in within.split("/") if part))
        try:
            if not self._contains(folder):
                raise CorpusError("{name} cannot be added: its folder is a link out of your documents.", name=name)
            if within:
                files.long(folder).mkdir(parents=True, exist_ok=True)
            for number in count(1):
                target = folder / (f"{first.stem} ({number}){first.suffix}" if number > 1 else first.name)
                with suppress(FileExistsError), path.open("rb") as source:
                    copy = files.long(target).open("xb")
                    try:
                        with copy:
                            shutil.copyfileobj(source, copy)
                    except BaseException:  # after `with`: Windows removes only closed files
                        files.long(target).unlink(missing_ok=True)
                        raise
                    return target.relative_to(self.path).as_posix()
        except OSError as error:
            raise CorpusError(
                "{name} cannot be copied into {folder} ({reason}). Free some space, or allow this program to write "
                "there.",
                name=name,
                folder=self.path,
                reason=error.strerror or error,
            ) from error
        raise AssertionError("numbers do not end")

    def _contains(self, path: Path) -> bool:
        """Whether a path lies in the folder when all links are followed; the end of it need not exist."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.path))


def safe(name: str) -> str:
    """Change the name of a file to one that every system accepts and the corpus does not ignore."""
    bare = files.FORBIDDEN.sub("_", name.replace("\\", "/").rpartition("/")[2]).rstrip(". ~")
    stem, dot, suffix = bare.rpartition(".") if "." in bare else (bare, "", "")
    stem = _cut(stem.strip(". ~#$"), MAX_STEM) or "document"
    whole = f"{'_' if files.is_reserved(stem) else ''}{stem}{dot}{_cut(suffix, MAX_SUFFIX)}".rstrip(".")
    return whole if wanted(whole) else f"{whole}_"


def _cut(text: str, size: int) -> str:
    """Cut a text to whole characters within `size` bytes, without an end that a system drops."""
    return text.encode()[:size].decode(errors="ignore").rstrip(". ~")


def scan(corpus: Path) -> Iterator[Listed]:
    """Yield every file of the corpus once, those that links lead to last; raises CorpusError."""
    if not corpus.is_dir():
        if corpus.exists():
            raise CorpusError(
                "The corpus folder {folder} is not a folder. Create it, or set CORPUS_DIR.", folder=corpus
            )
        raise CorpusError("The corpus folder {folder} does not exist. Create it, or set CORPUS_DIR.", folder=corpus)
    root = files.extended(os.path.realpath(corpus))
    seen: set[str] = set()
    links: list[tuple[str, str]] = []
    folders = [("", root)]
    while folders or links:
        if not folders:
            file, path = links.pop()
            target = _target(path)
            if target is None or not Path(target).is_relative_to(root):
                yield _problem(file, _LEADS_NOWHERE if target is None else _LEADS_OUT)
            elif os.path.isdir(target):  # noqa: PTH112 - a string from realpath
                folders.append((file, target))
            elif target not in seen:
                seen.add(target)
                yield _listed(file, target)
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
                raise CorpusError(
                    "The corpus folder {folder} cannot be listed. Allow this program to read it, or set CORPUS_DIR.",
                    folder=corpus,
                ) from None
            yield _problem(prefix, _CLOSED)
            continue
        for entry in reversed(entries):
            file = f"{prefix}/{entry.name}" if prefix else entry.name
            readable = file.encode("utf-8", "replace").decode()
            if readable != file:
                yield _problem(readable, _BAD_NAME)
            elif _is_link(entry):
                links.append((file, entry.path))
            elif entry.is_dir():
                folders.append((file, entry.path))
            else:
                seen.add(entry.path)
                yield _listed(file, entry.path)


def wanted(name: str) -> bool:
    """Whether a name is a document's, and not one that systems, editors and browsers give to their own files."""
    lower = name.lower()
    autosaved = lower.startswith("#") and lower.endswith("#")
    return not (autosaved or lower.startswith(_IGNORED_STARTS) or lower.endswith(_IGNORED_ENDS) or lower in _IGNORED)


def _listed(file: str, path: str) -> Listed:
    """List a file, unless opening it could wait for ever, as with a pipe or a device, or fetch it from a cloud."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for thousands of files at every question
    except OSError:
        return file, NEVER, path  # reading it names the reason
    if not stat.S_ISREG(status.st_mode):
        return _problem(file, _NO_FILE)
    away = getattr(status, "st_file_attributes", 0) & _IN_CLOUD or getattr(status, "st_flags", 0) & _DATALESS
    return file, (status.st_size, status.st_mtime_ns), Problem(file, _AWAY) if away else path


def _problem(file: str, reason: str) -> Listed:
    return file, NEVER, Problem(file, reason)


def _is_link(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a link or, on Windows, a junction."""
    if entry.is_symlink():
        return True
    may_be_junction = os.name == "nt" and entry.is_dir()
    return may_be_junction and os.path.normcase(os.path.realpath(entry.path)) != os.path.normcase(entry.path)


def _target(path: str) -> str | None:
    """Resolve a link; None if it leads nowhere."""
    with suppress(OSError):
        return os.path.realpath(path, strict=True)
    return None
