"""Changes of the index of a corpus: what was read is put in, what is gone is taken out, and segments are merged."""

import json
import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from app.documents.document import Document, Problem
from app.retrieval.segment import Builder, Entry, Postings, add, arrays
from app.retrieval.store import INDEX_VERSION, NOTHING, ODD, Snapshot, Store, connect, load

if TYPE_CHECKING:
    from app.retrieval.segment import Arrays

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


class LocalIndex(Store):
    """The index in a folder of this machine, as a corpus needs it."""

    @contextmanager
    def writing(self, seconds: float = -1) -> Iterator["LocalWriter | None"]:
        """Wait at most so long for the right to change the index; None if another process keeps it.

        What has not been committed at the end is dropped. Raises OSError and DamagedIndex.
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
        self.supersede(self.path)


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
        rows = []
        for number, passage in enumerate(result.passages):
            place = passage.place
            columns = json.dumps([place.kind, place.label, place.number, place.heading])
            rows.append((document, number, passage.start, passage.end, columns))
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
        while segments := mergeable(self._db.execute(_SIZES).fetchall(), most):
            self._join(segments)

    def _join(self, segments: Sequence[int]) -> None:
        """Make one segment of the remaining documents of some that follow each other."""
        import numpy as np

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

    def __init__(self, store: Store, path: Path, db: sqlite3.Connection):
        super().__init__(db, store.limits, store.current)
        self._checked = partial(store.checked, path, *ODD)

    def settle(self, known: Snapshot) -> Snapshot:
        """Merge segments if there are too many, give free space back to the system, and shorten the log."""
        snapshot = super().settle(known)
        self._db.execute("pragma incremental_vacuum").fetchall()
        if snapshot.reader is not None:
            snapshot.reader.renew()  # else the log is copied only as far as it reads
            self._db.execute("pragma wal_checkpoint(passive)").fetchall()
            snapshot.reader.renew()  # and now the log is not read any more, so that the next change can overwrite it
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
