"""The index of a corpus on the disk: an SQLite database of documents, passages, postings and unreadable files.

A change is one transaction. A snapshot keeps a read transaction open, so that it goes on seeing the index as it was,
whatever is written later; readers never wait. One process at a time writes, which a file lock decides. Databases are
numbered, and the last one counts: a damaged one is superseded, since Windows removes no file that somebody has open.
"""

import json
import logging
import os
import shutil
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from app.documents.document import Document, Problem
from app.documents.passages import Passage, Place
from app.errors import DamagedIndex
from app.retrieval.postings import Postings
from app.retrieval.segment import Block, Entry, Stored

if TYPE_CHECKING:
    from app.retrieval.index import Index

logger = logging.getLogger(__name__)

FORMAT = 5
"""The version of the tables and of what a term is; an index of another version is made anew."""

_CACHED = 16
"""Texts of documents that a snapshot keeps decoded."""

_EXTENDED = 8
"""Sets of further documents for which a snapshot keeps the extended snapshot."""

_SEGMENTS = "select segment from documents group by segment order by min(id)"
_ARRAYS = "select name, type, checksum, data from arrays where segment = ?"
_ENTRIES = """
select file, title, language, pages, passages, size, modified_ns, silent, digest, id
from documents where segment = ? order by id
"""
_PASSAGE = "select start, stop, kind, label, place, heading from passages where document = ? and number = ?"
_PROBLEMS = """
select file, reason, case limits when ?1 then size else -1 end, case limits when ?1 then modified_ns else -1 end,
    passing
from problems order by file
"""

_REFUSED = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS,
}  # fmt: skip
"""Errors of the system; any other error says that the database does not hold what it should."""


_ODD = KeyError, TypeError, ValueError
"""Errors where something is missing from the database, or of another kind than it should be."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The corpus at one time: its segments, the files that could not be read, and when it changed last (Unix time).

    Snapshots of one index have the same `mark` if nothing was changed between them.
    """

    segments: tuple[Stored, ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    mark: str = ""
    changed: float = 0.0
    reader: "Reader | None" = None

    @cached_property
    def documents(self) -> Mapping[str, Entry]:
        """Every document by its file, in the order of the names."""
        living = (entry for segment in self.segments for entry in segment.entries.values())
        return {entry.file: entry for entry in sorted(living, key=lambda entry: entry.file)}

    @cached_property
    def index(self) -> "Index":
        """The passages, searchable."""
        from app.retrieval.index import Index  # which imports numpy

        return Index([(segment, segment.alive) for segment in self.segments])

    def plus(self, documents: Sequence[Document]) -> "Snapshot":
        """Return the snapshot with further documents, which are kept in memory alone."""
        if not documents:
            return self
        key = tuple(documents)
        if key not in self._extended:
            if len(self._extended) >= _EXTENDED:
                self._extended.clear()
            self._extended[key] = replace(self, segments=(*self.segments, Stored.in_memory(documents)))
        return self._extended[key]

    def text(self, file: str) -> str:
        """Return the text of a document as it was read, empty if there is none of that name."""
        for segment in self.segments:
            if entry := segment.entries.get(file):
                return segment.texts.text(entry)
        return ""

    def passages(self, file: str) -> list[Passage]:
        """Return the passages of a document in their order, none if there is none of that name."""
        for segment in self.segments:
            if entry := segment.entries.get(file):
                return [segment.texts.passage(entry, number) for number in range(entry.passages)]
        return []

    @cached_property
    def _extended(self) -> dict[tuple[Document, ...], "Snapshot"]:
        return {}


NOTHING = Snapshot()
"""The snapshot of a corpus without documents."""


class Store:
    """Opens and changes the index in a folder; the methods may block, and raise OSError and DamagedIndex.

    `limits` says under which limits files are read: those left out under other ones count as never tried.
    """

    def __init__(self, folder: Path, limits: str = ""):
        self.folder = folder
        self.limits = limits
        self._blocks: dict[int, Block] = {}
        self._superseded = 0

    def current(self, known: Snapshot = NOTHING) -> Snapshot:
        """Return the snapshot in force: the known one if nothing has changed, NOTHING if there is no index."""
        if known.reader is not None and known.reader.damaged:
            raise DamagedIndex(self.path)
        while True:
            path = self.path
            try:
                return self._load(path, known) if path.exists() else NOTHING
            except OSError:
                if path == self.path:  # else another process has superseded it meanwhile
                    raise

    def forget(self) -> None:
        """Begin anew: the next change goes into a new database."""
        self._superseded = self._number
        self._blocks.clear()

    def tidy(self) -> None:
        """Remove superseded databases, and the indexes of earlier versions of the program beside this one."""
        for path in self.folder.glob("*.db*"):
            if (number := path.name.partition(".")[0]).isdecimal() and int(number) < self._number:
                with suppress(OSError):  # open in another process, on Windows; there is a next time
                    path.unlink()
        for path in self.folder.parent.glob("*/manifest.json"):
            shutil.rmtree(path.parent, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The database in force, or the one that the next change will make."""
        return self.folder / f"{max(self._number, self._superseded + 1)}.db"

    @property
    def _number(self) -> int:
        return max((int(path.stem) for path in self.folder.glob("*.db") if path.stem.isdecimal()), default=1)

    def _load(self, path: Path, known: Snapshot) -> Snapshot:
        with translated(path, *_ODD):
            db = connect(path)
            db.execute("begin")
            version, mark, changed = db.execute("pragma user_version").fetchone()[0], "", 0.0
            if version == FORMAT:
                mark, changed = db.execute("select mark, changed from state").fetchone()
            elif version:  # without one another process is about to make it
                raise DamagedIndex(path)
            if mark == known.mark:
                db.close()
                return known
            reader = Reader(db, path)
            blocks = [self.block(db, segment) for (segment,) in db.execute(_SEGMENTS).fetchall()]
            self._blocks = {block.key: block for block in blocks}
            segments = tuple(Stored(block, reader, gone(db, block.key)) for block in blocks)
            problems = [Problem(*row) for row in db.execute(_PROBLEMS, (self.limits,))]
            by_file = {problem.file: problem for problem in problems}
            return Snapshot(segments, by_file, mark, changed, reader)

    def block(self, db: sqlite3.Connection, key: int) -> Block:
        """Return the part of a segment that never changes, loaded once."""
        if key in self._blocks:
            return self._blocks[key]
        import numpy as np

        with translated(self.path, *_ODD):
            loaded = {}
            for name, kind, checksum, data in db.execute(_ARRAYS, (key,)):
                if zlib.crc32(data) != checksum:
                    raise DamagedIndex(self.path)
                loaded[name] = np.frombuffer(data, kind)
            rows = db.execute(_ENTRIES, (key,))
            entries = tuple(Entry(*row[:7], *(tuple(json.loads(row[7])), *row[8:])) for row in rows)
            block = self._blocks[key] = Block(key, Postings(loaded), entries)
            if block.starts[-1] != len(block.postings.lengths):
                raise DamagedIndex(self.path)
        return block


class Reader:
    """Reads texts as they were when it was made, by a transaction of its own; any thread may use it."""

    def __init__(self, db: sqlite3.Connection, path: Path):
        self._db, self._path = db, path
        self._lock = threading.RLock()
        self._text = lru_cache(_CACHED)(partial(_read_text, db))  # no method, which would keep the connection open
        self.damaged = False
        """Whether something could not be read, so that the index has to be made anew."""
        weakref.finalize(self, db.close)

    def text(self, entry: Entry) -> str:
        """Return the text of a document."""
        with self._checked():
            return self._text(entry.id)

    def passage(self, entry: Entry, number: int) -> Passage:
        """Return a passage of a document by its number there."""
        with self._checked():
            start, stop, *place = self._db.execute(_PASSAGE, (entry.id, number)).fetchone()
            text = self.text(entry)[start:stop]
            return Passage(entry.file, start, stop, text, Place(*place), entry.title, entry.language)

    def renew(self) -> None:
        """Read from the end of the log, so that what is before can be overwritten; the content must be the same."""
        with self._lock:
            self._db.execute("rollback")
            self._db.execute("begin")
            self._db.execute("select mark from state").fetchone()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Have the database to oneself, and remember that it is damaged if that comes out."""
        try:
            with self._lock, translated(self._path, *_ODD):
                yield
        except DamagedIndex:
            self.damaged = True
            raise


def _read_text(db: sqlite3.Connection, document: int) -> str:
    (text,) = db.execute("select text from texts where document = ?", (document,)).fetchone()
    return str(text)


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open a database, which is made only in mode "rwc"; any thread may use it, one at a time."""
    name = quote(os.fsencode(path.as_posix()), safe="/:")
    uri = f"file://{'' if name.startswith('/') else '/'}{name}?mode={mode}"  # as_uri makes a host of a Windows share
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    db.text_factory = partial(str, encoding="utf-8", errors="surrogatepass")  # documents may hold half a surrogate pair
    return db


@contextmanager
def translated(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Raise OSError for what the system refuses, and DamagedIndex for other errors of SQLite and of these kinds."""
    caught: tuple[type[Exception], ...] = (sqlite3.Error, *kinds)
    try:
        yield
    except caught as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _REFUSED:
            raise OSError(str(error)) from error
        raise DamagedIndex(path) from error


def gone(db: sqlite3.Connection, segment: int) -> frozenset[int]:
    """Return the ids of the documents of a segment that are gone."""
    return frozenset(
        document for (document,) in db.execute("select id from documents where segment = ? and gone", (segment,))
    )
