"""The index of a corpus on the disk, an SQLite database, and how an index is changed, wherever it is kept.

A change is one transaction. A snapshot keeps a read transaction open, so that it goes on seeing the index as it was;
readers never wait. One process at a time writes, which a file lock decides. Databases are numbered, and the last one
counts: a damaged one is superseded, since Windows removes no file that somebody has open.
"""

import json
import secrets
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import astuple, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from app.documents.document import Document, Problem
from app.documents.passages import Passage
from app.errors import DamagedIndex
from app.retrieval.segment import Builder, Entry, Postings, add, arrays
from app.retrieval.snapshot import NOTHING, Snapshot, cut, load, read_snapshot

if TYPE_CHECKING:
    from app.retrieval.segment import Arrays

INDEX_VERSION = 9
"""The version of the tables and of what a term is; an index of another version is made anew.

To be raised also when more formats can be read, since an index lists the files that could not be.
"""

_CACHED = 16
"""Texts of documents that a snapshot keeps decoded."""

_PASSAGE = "select start, stop, place from passages where document = ? and number = ?"

ODD = sqlite3.Error, KeyError, TypeError, ValueError
"""Errors of SQLite, and where something is missing from the database, or of another kind than it should be."""

FEW = 8
"""Segments up to which nothing is merged; a change merges only from twice as many on."""

PASSAGES = 1 << 17
"""Passages after which a segment is closed; bounds the memory of a build at about half a gigabyte."""

TABLES = Path(__file__).with_name("tables.sql")
"""Makes the tables of an index."""

_DOCUMENT = """insert into documents(segment, file, title, language, pages, passages, size, modified_ns, digest, silent,
    private, gone) values(?, ?, cast(? as text), ?, ?, ?, ?, ?, ?, ?, ?, false) returning id"""
_SIZES = """select segment, sum(case when gone then 0 else passages end), avg(case when gone then 0.0 else 1.0 end)
    from documents group by segment order by min(id)"""


class IndexStore(Protocol):
    """What a corpus needs of its index, wherever that is kept: on this disk, or in PostgreSQL.

    `current` returns the snapshot in force, which is the known one if nothing has changed. `writing` gives the right to
    change the index to one process at a time; None if another one has it for longer than some seconds. `forget` has the
    next change begin anew, and `tidy` removes what nothing uses any more.
    """

    def current(self, known: Snapshot = NOTHING) -> Snapshot: ...
    def writing(self, seconds: float = -1) -> AbstractContextManager["Writer | None"]: ...
    def forget(self) -> None: ...
    def tidy(self) -> None: ...


class LocalIndex:
    """The index in a folder of this machine; the methods may block, and raise OSError and DamagedIndex.

    `limits` says under which limits files are read: those left out under other ones count as never tried.
    """

    def __init__(self, folder: Path, limits: str = ""):
        self.folder, self.limits = folder, limits
        self._first = 1
        """The number of the first database that is not known to be damaged."""

    @property
    def path(self) -> Path:
        """The database in force, or the one that the next change will make."""
        return self.folder / f"{max([self._first, *self._numbers])}.db"

    def current(self, known: Snapshot = NOTHING) -> Snapshot:
        """Return the snapshot in force: the known one if nothing has changed, NOTHING if there is no index."""
        if not (path := self.path).exists():
            return NOTHING
        checked = partial(self.checked, path, ODD)
        with checked():
            reader = Reader(connect(path), checked)
            reader.db.execute("begin")
            (version,) = reader.db.execute("pragma user_version").fetchone()
            if not version:  # another process is about to make it
                return NOTHING
            if version != INDEX_VERSION:
                raise ValueError("another version")
            found = read_snapshot(reader.db, known, self.limits, reader)
            return found if found is known else replace(found, renew=reader.renew)

    @contextmanager
    def writing(self, seconds: float = -1) -> Iterator["LocalWriter | None"]:
        """Wait at most so long for the right to change the index; None if another process keeps it.

        What has not been committed at the end is dropped.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            acquired = FileLock(self.folder / "write.lock").acquire(timeout=seconds)
        except Timeout:
            yield None
            return
        path = self.path
        with acquired, self.checked(path), closing(_made(path)) as db:
            yield LocalWriter(self, path, db)

    def forget(self) -> None:
        """Begin anew with the next change."""
        self._supersede(self.path)

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
    def checked(self, path: Path, caught: tuple[type[Exception], ...] = (sqlite3.Error,)) -> Iterator[None]:
        """Raise OSError for what the system refuses.

        For what else is caught, supersede the database and raise DamagedIndex.
        """
        try:
            yield
        except caught as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the details
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:  # which is a missing table
                raise OSError(str(error)) from error
            self._supersede(path)
            raise DamagedIndex(path) from error

    def _supersede(self, path: Path) -> None:
        """Have the next change go into a new database instead of this one."""
        self._first = max(self._first, int(path.stem) + 1)


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


def connect(path: Path) -> sqlite3.Connection:
    """Open a database, an empty one if there is none; any thread may use it, one at a time."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.text_factory = partial(str, encoding="utf-8", errors="surrogatepass")  # documents may hold half a surrogate pair
    return db


class Writer:
    """Changes the index of a store in transactions, by what SQLite and PostgreSQL both understand.

    There is one at a time. If a method raises an error, the index is as it was after the last commit.
    """

    erase: Sequence[str] = ("delete from arrays where segment = ?",)
    """What deletes all that is kept of a segment but its documents."""

    def __init__(self, db: Any, limits: str, current: Callable[[Snapshot], Snapshot]):
        self._db, self._limits, self._current = db, limits, current
        self._builder, self._segment = Builder(), secrets.randbits(62)

    def put(self, result: Document | Problem) -> None:
        """Put in what was read, which replaces what the index has of the file.

        A file that could not be read for a temporary reason keeps what was read of it before, beside its problem.
        """
        if isinstance(result, Problem):
            if result.temporary:
                self._db.execute("delete from problems where file = ?", (result.file,))
            else:
                self.remove(result.file)
            insert = "insert into problems values(?, cast(? as text), ?, ?, ?, ?)"
            signature = result.size, result.modified_ns
            problem = result.file, self.storable(result.reason), *signature, result.temporary, self._limits
            self._db.execute(insert, problem)
            return
        self.remove(result.file)
        entry = Entry.of(0, result)
        counts = entry.pages, entry.passages, entry.size, entry.modified_ns, entry.digest, json.dumps(entry.silent)
        values = self._segment, entry.file, self.storable(entry.title), entry.language, *counts, entry.private
        ((document,),) = self._db.execute(_DOCUMENT, values).fetchall()
        self._db.execute("insert into texts values(?, cast(? as text))", (document, self.storable(result.text)))
        passages = enumerate(result.passages)
        rows = [(document, at, it.start, it.end, json.dumps(astuple(it.place))) for at, it in passages]
        self._db.executemany("insert into passages values(?, ?, ?, ?, ?)", rows)
        if len(add(self._builder, result.passages)) >= PASSAGES:
            self._write_segment()

    def remove(self, file: str) -> None:
        """Take out what there is of a file; its postings stay until the segment is made anew."""
        self._db.execute("delete from problems where file = ?", (file,))
        gone = "update documents set gone = true where file = ? and not gone returning id"
        for number in self._db.execute(gone, (file,)).fetchall():
            self._db.execute("delete from texts where document = ?", number)
            self._db.execute("delete from passages where document = ?", number)

    def commit(self, known: Snapshot) -> Snapshot:
        """Put the changes so far in force, if there are any, and return the snapshot that has them."""
        self._write_segment()
        if self._db.in_transaction:
            self._compact(2 * FEW)
            self._db.execute("update state set mark = ?, changed = ?", (secrets.token_hex(8), time.time()))
            self._db.commit()
        return self._current(known)

    def settle(self, known: Snapshot) -> Snapshot:
        """Merge segments if there are too many."""
        self._compact(FEW)
        self._db.commit()
        return self._current(known)

    def storable(self, text: str) -> str | bytes:
        """Return what is stored of a text."""
        return text.encode("utf-8", "surrogatepass")

    def keep(self, segment: int, arrays: "Arrays") -> None:
        """Store what never changes of a segment."""
        for name, array in arrays.items():
            data = array.tobytes()
            row = segment, name, array.dtype.str, zlib.crc32(data), data
            self._db.execute("insert into arrays values(?, ?, ?, ?, ?)", row)

    def load(self, segment: int) -> tuple[Postings, Sequence[Entry]]:
        """Load what never changes of a segment."""
        return load(self._db, segment)

    def _write_segment(self) -> None:
        """Write the postings of the documents that have been put into the segment, if there are any; begin another."""
        if self._db.execute("select 1 from documents where segment = ?", (self._segment,)).fetchone():
            self.keep(self._segment, arrays(self._builder))
        self._builder, self._segment = Builder(), secrets.randbits(62)

    def _compact(self, most: int) -> None:
        """Make segments anew of which more than half is gone, and merge some if there are more than `most`."""
        import numpy as np

        while segments := mergeable(self._db.execute(_SIZES).fetchall(), most):
            for key in segments:
                postings, entries = self.load(key)
                living = "select id from documents where segment = ? and not gone"
                ids = {number for (number,) in self._db.execute(living, (key,))}
                keep = np.repeat([entry.id in ids for entry in entries], [entry.passages for entry in entries])
                self._builder.add_tokens(postings.terms, postings.tokens_of(np.flatnonzero(keep).tolist()))
                for query in self.erase:
                    self._db.execute(query, (key,))
                self._db.execute("delete from documents where segment = ? and gone", (key,))
                self._db.execute("update documents set segment = ? where segment = ?", (self._segment, key))
            self._write_segment()
            self._db.execute("update state set mark = ?", (secrets.token_hex(8),))


class LocalWriter(Writer):
    """Changes the index in a folder; the methods raise OSError and DamagedIndex."""

    def __init__(self, store: LocalIndex, path: Path, db: sqlite3.Connection):
        super().__init__(db, store.limits, store.current)
        self._checked = partial(store.checked, path, ODD)

    def settle(self, known: Snapshot) -> Snapshot:
        """Merge segments if there are too many, give free space back to the system, and shorten the log."""
        snapshot = super().settle(known)
        self._db.execute("pragma incremental_vacuum").fetchall()
        if snapshot.renew is not None:
            snapshot.renew()  # else the log is copied only as far as it reads
            self._db.execute("pragma wal_checkpoint(passive)").fetchall()
            snapshot.renew()  # and now the log is not read any more, so that the next change can overwrite it
        return snapshot

    def load(self, segment: int) -> tuple[Postings, Sequence[Entry]]:
        with self._checked():
            return super().load(segment)


def _made(path: Path) -> sqlite3.Connection:
    """Open a database to write to, and make it if need be."""
    db = connect(path)
    db.execute("pragma synchronous = normal")  # a power cut may cost the last change, which the files still hold
    db.execute("pragma secure_delete = on")
    if not db.execute("pragma user_version").fetchone()[0]:
        db.execute("pragma page_size = 16384")  # half as long to read arrays from as with 4096
        db.execute("pragma auto_vacuum = incremental")
        db.execute("pragma journal_mode = wal")
        tables = TABLES.read_text(encoding="utf-8")
        db.executescript(f"begin; {tables} pragma user_version = {INDEX_VERSION}; commit;")
    db.isolation_level = "IMMEDIATE"
    return db


def mergeable(sizes: Sequence[tuple[int, float, float]], most: int) -> list[int]:
    """Choose segments to make anew as one, by their passages and the part of their documents that remain.

    This is one of which more than half is gone. If there are more than `most`, so many of the last become one that each
    of the others is twice what follows it: every document is then copied once for each doubling of the corpus, and
    there are more than `most` only after more doublings than that, or in a corpus of many times PASSAGES.
    """
    for segment, _, remaining in sizes:
        if remaining < 0.5:
            return [segment]
    if len(sizes) > most:
        for first, (_, passages, _) in enumerate(sizes[:-1]):
            rest = sum(passages for _, passages, _ in sizes[first + 1 :])
            if passages < 2 * rest and passages + rest <= PASSAGES:
                return [segment for segment, *_ in sizes[first:]]
    return []
