"""The index of a corpus on the disk: an SQLite database of documents, passages, postings and unreadable files.

A change is one transaction. A snapshot keeps a read transaction open, so that it goes on seeing the index as it was,
whatever is written later; readers never wait. One process at a time writes, which a file lock decides. Databases are
numbered, and the last one counts: a damaged one is superseded, since Windows removes no file that somebody has open.
"""

import json
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.documents.document import NEVER, Document, Problem, Signature
from app.documents.passages import Passage, Place
from app.documents.privacy import ANY, private_rule
from app.errors import DamagedIndex
from app.retrieval.segment import DocumentSegment, Entry, Postings

if TYPE_CHECKING:
    from app.retrieval.index import Index
    from app.retrieval.segment import Arrays

INDEX_VERSION = 9
"""The version of the tables and of what a term is; an index of another version is made anew.

To be raised also when more formats can be read, since an index lists the files that could not be.
"""

_CACHED = 16
"""Texts of documents that a snapshot keeps decoded."""

_DERIVED = 8
"""Snapshots with further documents, or of some folders, that a snapshot keeps."""

_SEGMENTS = "select segment from documents group by segment order by min(id)"
_ARRAYS = "select name, type, checksum, data from arrays where segment = ?"
_DOCUMENTS = """select id, file, title, language, pages, passages, size, modified_ns, digest, silent, private
    from documents where segment = ? order by id"""
_PASSAGE = "select start, stop, place from passages where document = ? and number = ?"
_PROBLEMS = "select file, reason, size, modified_ns, passing, limits from problems order by file"

ODD = KeyError, TypeError, ValueError
"""Errors where something is missing from the database, or of another kind than it should be."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The corpus at one time: its segments, the files that could not be read, and when it changed last (Unix time).

    Snapshots of one index have the same `mark` if nothing was changed between them.
    """

    segments: tuple[DocumentSegment, ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    mark: str = ""
    changed: float = 0.0
    reader: "Reader | None" = None
    ranked: "Callable[[Snapshot], Index] | None" = None
    """What makes the index, if another process than this one keeps postings."""
    _derived: dict[tuple[Document | str, ...], "Snapshot"] = field(default_factory=dict, init=False)

    @cached_property
    def documents(self) -> Mapping[str, Entry]:
        """Every document by its file, in the order of the names."""
        living = (entry for segment in self.segments for entry in segment.entries.values())
        return {entry.file: entry for entry in sorted(living, key=lambda entry: entry.file)}

    @cached_property
    def index(self) -> "Index":
        """The passages, searchable."""
        if self.ranked is not None:
            return self.ranked(self)
        from app.retrieval.index import Index  # which imports numpy

        return Index([(segment, segment.alive) for segment in self.segments])

    def plus(self, documents: tuple[Document, ...]) -> "Snapshot":
        """Return the snapshot with further documents, which are kept in memory alone."""
        added = partial(DocumentSegment.in_memory, documents)
        return self._derive(documents, lambda: replace(self, segments=(*self.segments, added())))

    def within(self, scope: tuple[str, ...]) -> "Snapshot":
        """Return what is in some folders, named with a slash at the end, or is one of some files; all if none is named.

        Its index ranks as if there were nothing else: a word that is frequent elsewhere can be rare in a folder, and no
        word of other folders is taken for known or suggested.
        """

        def inside(file: str) -> bool:
            return any(file == each or (each.endswith("/") and file.startswith(each)) for each in scope)

        return self._derive(scope, lambda: self._limited(inside))

    def public(self, patterns: str) -> "Snapshot":
        """Return what no rule makes private, of which the patterns of the settings are one."""

        def inside(file: str) -> bool:
            return not private_rule(file, file in self.documents and self.documents[file].private, patterns)

        return self._derive((ANY, patterns), lambda: self._limited(inside))

    def _limited(self, inside: Callable[[str], bool]) -> "Snapshot":
        segments = (segment.within(inside) for segment in self.segments)
        problems = {file: problem for file, problem in self.problems.items() if inside(file)}
        return replace(self, segments=tuple(each for each in segments if each.entries), problems=problems)

    def _derive(self, key: tuple[Document | str, ...], make: Callable[[], "Snapshot"]) -> "Snapshot":
        if key and key not in self._derived:
            if len(self._derived) >= _DERIVED:
                self._derived.clear()
            self._derived[key] = make()
        return self._derived[key] if key else self

    def text(self, file: str) -> str:
        """Return the text of a document as it was read, empty if there is none of that name."""
        for segment in self.segments:
            if entry := segment.entries.get(file):
                return segment.text(entry)
        return ""

    def around(self, file: str, start: int, end: int, most: int) -> Passage:
        """Return up to `most` characters of a document, with a stretch in their middle, at the place where that is."""
        text, passages = self.text(file), self.passages(file)
        first = max(0, min(start, len(text)) - max(0, most - (end - start)) // 2)
        last = min(len(text), first + most)
        at = next((it for it in passages if it.end > start), passages[-1])
        return replace(at, start=first, end=last, text=text[first:last])

    def passages(self, file: str) -> list[Passage]:
        """Return the passages of a document in their order, none if there is none of that name."""
        for segment in self.segments:
            if entry := segment.entries.get(file):
                return [segment.passage_of(entry, number) for number in range(entry.passages)]
        return []


NOTHING = Snapshot()
"""The snapshot of a corpus without documents."""


class Store:
    """Opens the index in a folder; the methods may block, and raise OSError and DamagedIndex.

    `limits` says under which limits files are read: those left out under other ones count as never tried.
    """

    def __init__(self, folder: Path, limits: str = ""):
        self.folder = folder
        self.limits = limits
        self._first = 1
        """The number of the first database that is not known to be damaged."""

    @property
    def path(self) -> Path:
        """The database in force, or the one that the next change will make."""
        return self.folder / f"{max([self._first, *self._numbers])}.db"

    def current(self, known: Snapshot = NOTHING) -> Snapshot:
        """Return the snapshot in force: the known one if nothing has changed, NOTHING if there is no index."""
        return self._load(path, known) if (path := self.path).exists() else NOTHING

    def supersede(self, path: Path) -> None:
        """Begin anew: the next change goes into a new database instead of this one."""
        self._first = max(self._first, int(path.stem) + 1)

    def tidy(self) -> None:
        """Remove superseded databases."""
        for number in sorted(self._numbers)[:-1]:
            for path in sorted(self.folder.glob(f"{number}.db*"), reverse=True):  # the database after its log
                with suppress(OSError):  # open in another process, on Windows; there is a next time
                    path.unlink()

    @property
    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.db") if path.stem.isdecimal()]

    @contextmanager
    def checked(self, path: Path, *kinds: type[Exception]) -> Iterator[None]:
        """Raise OSError for what the system refuses.

        For other errors of SQLite, and of these kinds, supersede the database and raise DamagedIndex.
        """
        caught: tuple[type[Exception], ...] = (sqlite3.Error, *kinds)
        try:
            yield
        except caught as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the details
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:  # which is a missing table
                raise OSError(str(error)) from error
            self.supersede(path)
            raise DamagedIndex(path) from error

    def _load(self, path: Path, known: Snapshot) -> Snapshot:
        checked = partial(self.checked, path, *ODD)
        with checked():
            reader = Reader(connect(path), checked)
            db = reader.db
            db.execute("begin")
            (version,) = db.execute("pragma user_version").fetchone()
            if version != INDEX_VERSION:
                if version:
                    raise ValueError("another version")
                return NOTHING  # another process is about to make it
            found = read_snapshot(db, known, self.limits, reader)
            return found if found is known else replace(found, reader=reader)


class Reader:
    """Reads texts as they were when it was made, by a transaction of its own; any thread may use it."""

    def __init__(self, db: sqlite3.Connection, checked: Callable[[], AbstractContextManager[None]]):
        self.db, self._checked = db, checked
        self._lock = threading.RLock()
        query = "select text from texts where document = ?"
        self._text = lru_cache(_CACHED)(lambda number: str(db.execute(query, (number,)).fetchone()[0]))
        weakref.finalize(self, db.close)

    def text(self, entry: Entry) -> str:
        """Return the text of a document."""
        with self._lock, self._checked():
            return self._text(entry.id)

    def passage(self, entry: Entry, number: int) -> Passage:
        """Return a passage of a document by its number there."""
        with self._lock, self._checked():
            return cut(entry, self.text(entry), *self.db.execute(_PASSAGE, (entry.id, number)).fetchone())

    def renew(self) -> None:
        """Read from the end of the log, so that what is before can be overwritten; the content must be the same."""
        with self._lock:
            self.db.execute("rollback")
            self.db.execute("begin")
            self.db.execute("select mark from state").fetchone()


def cut(entry: Entry, text: str, start: int, stop: int, place: str) -> Passage:
    """Return a passage of a document, of which the place is written as JSON."""
    return Passage(entry.file, start, stop, text[start:stop], Place(*json.loads(place)), entry.title, entry.language)


Make = Callable[[int, "Arrays"], Postings]
"""Makes the postings of a segment, by its key and its arrays."""


class Texts(Protocol):
    """Fetches what is too much to be kept of each document."""

    def text(self, entry: Entry) -> str: ...
    def passage(self, entry: Entry, number: int) -> Passage: ...


def flat(_segment: int, arrays: "Arrays") -> Postings:
    """Make postings that are all in memory."""
    return Postings(arrays)


def load(db: Any, segment: int, make: Make = flat) -> tuple[Postings, Sequence[Entry]]:
    """Load what never changes of a segment; raises errors of the database and `ODD` ones if it is damaged."""
    import numpy as np

    arrays = {}
    for name, kind, checksum, data in db.execute(_ARRAYS, (segment,)):
        if zlib.crc32(data) != checksum:
            raise ValueError(f"{name} is damaged")
        arrays[name] = np.frombuffer(data, kind)
    postings = make(segment, arrays)
    entries = []
    for *columns, silent, private in db.execute(_DOCUMENTS, (segment,)):
        entries.append(Entry(*(*columns, tuple(json.loads(silent)), bool(private))))
    if sum(entry.passages for entry in entries) != len(postings.lengths):
        raise ValueError("documents are missing")
    return postings, entries


def read_snapshot(db: Any, known: Snapshot, limits: str, reader: Texts, make: Make = flat) -> Snapshot:
    """Return the snapshot in force, the known one if nothing has changed; the reader fetches its texts."""
    mark, changed = db.execute("select mark, changed from state").fetchone()
    if mark == known.mark:
        return known
    loaded = {segment.key: (segment.postings, segment.indexed) for segment in known.segments}
    gone = frozenset(number for (number,) in db.execute("select id from documents where gone"))
    segments = tuple(
        DocumentSegment(key, *(loaded.get(key) or load(db, key, make)), reader.text, reader.passage, gone)
        for (key,) in db.execute(_SEGMENTS).fetchall()
    )
    problems = {}
    for file, reason, size, modified_ns, passing, under in db.execute(_PROBLEMS):
        tried: Signature = (size, modified_ns) if under == limits else NEVER
        problems[file] = Problem(file, reason, *tried, bool(passing))
    return Snapshot(segments, problems, mark, changed)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database, an empty one if there is none; any thread may use it, one at a time."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.text_factory = partial(str, encoding="utf-8", errors="surrogatepass")  # documents may hold half a surrogate pair
    return db
