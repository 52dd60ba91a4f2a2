"""Changes of the index of a corpus: what was read is put in, what is gone is taken out, and segments are merged."""

import json
import logging
import secrets
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from filelock import FileLock, Timeout

from app.documents.document import Document, Problem
from app.documents.passages import Place
from app.retrieval.postings import Builder
from app.retrieval.segment import Entry, add, arrays
from app.retrieval.store import FORMAT, Snapshot, Store, connect, gone, translated

logger = logging.getLogger(__name__)

FEW = 8
"""Segments up to which nothing is merged; a change merges only from twice as many on."""

WORDS = 1 << 24
"""Words after which a segment is closed; bounds the memory of a build at about half a gigabyte."""

_SCHEMA = f"""
begin;
create table documents(id integer primary key, segment integer, file text, title text, language text, pages integer,
    passages integer, size integer, modified_ns integer, silent text, digest text, gone integer default 0);
create unique index current_documents on documents(file) where not gone;
create index documents_by_segment on documents(segment, gone);
create table texts(document integer primary key, text text);
create table passages(document integer, number integer, start integer, stop integer, kind text, label text,
    place integer, heading text, primary key(document, number)) without rowid;
create table arrays(segment integer, name text, type text, checksum integer, data blob, primary key(segment, name));
create table problems(file text primary key, reason text, size integer, modified_ns integer, passing integer,
    limits text);
create table state(mark text, changed real);
insert into state values('', 0);
pragma user_version = {FORMAT};
commit;
"""

_INSERT = """
insert into documents(segment, file, title, language, pages, passages, size, modified_ns, silent, digest)
values(?, ?, cast(? as text), ?, ?, ?, ?, ?, ?, ?)
"""
_SIZES = """
select segment,
    (select length(data) / 4 from arrays where segment = documents.segment and name = 'tokens') * avg(not gone),
    avg(not gone)
from documents group by segment order by min(id)
"""


@contextmanager
def writing(store: Store, seconds: float = -1) -> Iterator["Writer | None"]:
    """Wait at most so long for the right to change an index; None if another process keeps it.

    Raises OSError and DamagedIndex.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.folder / "write.lock")
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield None
        return
    try:
        with translated(store.path), closing(_made(store.path)) as db:
            yield Writer(store, db)
    finally:
        lock.release()


class Writer:
    """Changes the index of a store; there is one at a time."""

    def __init__(self, store: Store, db: sqlite3.Connection):
        self._store, self._db = store, db
        self._builder, self._segment = Builder(), 0

    def change(self, results: Iterable[Document | Problem], gone: Iterable[str]) -> Snapshot:
        """Put in what was read, which replaces what the index has of these files, and take out what is gone.

        A file that could not be read for a passing reason keeps what was read of it before, beside its problem.
        Raises OSError and DamagedIndex; the index is then as it was.
        """
        with self._db as db:
            db.execute("begin immediate")
            self._begin_segment()
            for file in gone:
                self._remove(file)
            for result in results:
                self._put(result)
            self._end_segment()
            self._compact(2 * FEW)
            db.execute("update state set mark = ?, changed = ?", (secrets.token_hex(8), time.time()))
        return self._store.current()

    def settle(self, known: Snapshot) -> Snapshot:
        """Merge segments if there are too many, give free space back to the system, and shorten the log."""
        with self._db as db:
            db.execute("begin immediate")
            if self._compact(FEW):
                db.execute("update state set mark = ?", (secrets.token_hex(8),))
        db.execute("pragma incremental_vacuum").fetchall()
        snapshot = self._store.current(known)
        if snapshot.reader is not None:
            snapshot.reader.renew()  # else the log is copied only as far as it reads
            db.execute("pragma wal_checkpoint(passive)").fetchall()
            snapshot.reader.renew()  # and now the log is not read any more, so that the next change can overwrite it
        return snapshot

    def _put(self, result: Document | Problem) -> None:
        if isinstance(result, Problem):
            if not result.passing:
                self._remove(result.file)
            values = result.file, _utf8(result.reason), result.size, result.modified_ns, result.passing
            insert = "insert or replace into problems values(?, cast(? as text), ?, ?, ?, ?)"
            self._db.execute(insert, (*values, self._store.limits))
            return
        self._remove(result.file)
        entry = Entry.of(result)
        row = self._db.execute(
            _INSERT,
            (
                *(self._segment, entry.file, _utf8(entry.title), entry.language, entry.pages, entry.passages),
                *(entry.size, entry.modified_ns, json.dumps(entry.silent), entry.digest),
            ),
        )
        document = row.lastrowid
        self._db.execute("insert into texts values(?, cast(? as text))", (document, _utf8(result.text)))
        self._db.executemany(
            "insert into passages values(?, ?, ?, ?, ?, cast(? as text), ?, cast(? as text))",
            (
                (document, number, each.start, each.end, *_columns(each.place))
                for number, each in enumerate(result.passages)
            ),
        )
        add(self._builder, result)
        if len(self._builder) >= WORDS:
            self._end_segment()
            self._begin_segment()

    def _remove(self, file: str) -> None:
        """Take out what there is of a file; its postings stay until the segment is made anew."""
        self._db.execute("delete from problems where file = ?", (file,))
        current = "select id from documents where file = ? and not gone"
        for (document,) in self._db.execute(current, (file,)).fetchall():
            self._db.execute("update documents set gone = 1 where id = ?", (document,))
            self._db.execute("delete from texts where document = ?", (document,))
            self._db.execute("delete from passages where document = ?", (document,))

    def _begin_segment(self) -> None:
        self._builder, self._segment = Builder(), secrets.randbits(62)

    def _end_segment(self) -> None:
        """Write the postings of the documents that the segment has been given, if there are any."""
        if not self._db.execute("select 1 from documents where segment = ?", (self._segment,)).fetchone():
            return
        for name, array in arrays(self._builder).items():
            data = array.tobytes()
            row = self._segment, name, array.dtype.str, zlib.crc32(data), data
            self._db.execute("insert into arrays values(?, ?, ?, ?, ?)", row)

    def _compact(self, most: int) -> bool:
        """Make segments anew of which more than half is gone, and merge some if there are more than `most`."""
        wasted = [segment for segment, _, living in self._sizes() if living < 0.5]
        for segment in wasted:
            self._join([segment])
        sizes = [(segment, words) for segment, words, _ in self._sizes()]
        merged = _mergeable(sizes) if len(sizes) > most else []
        if merged:
            self._join(merged)
        return bool(wasted or merged)

    def _sizes(self) -> list[tuple[int, float, float]]:
        """For each segment, in the order of the documents: words still needed, and the part of the documents."""
        return self._db.execute(_SIZES).fetchall()

    def _join(self, segments: Sequence[int]) -> None:
        """Make one segment of the living documents of some that follow each other."""
        self._begin_segment()
        for key in segments:
            block = self._store.block(self._db, key)
            self._builder.add_postings(block.postings, block.alive(gone(self._db, key)))
            self._db.execute("delete from arrays where segment = ?", (key,))
            self._db.execute("delete from documents where segment = ? and gone", (key,))
            self._db.execute("update documents set segment = ? where segment = ?", (self._segment, key))
        self._end_segment()


def _made(path: Path) -> sqlite3.Connection:
    """Open a database to write to, and make it if need be."""
    there = path.exists()
    db = connect(path, "rwc")
    db.execute("pragma synchronous = normal")  # a power cut may cost the last change, which the files still hold
    db.execute("pragma secure_delete = on")
    if not db.execute("pragma user_version").fetchone()[0]:
        if there:
            logger.warning("the index in %s is damaged and made anew", path)
        db.execute("pragma page_size = 16384")  # half as long to read arrays from as with 4096
        db.execute("pragma auto_vacuum = incremental")
        db.execute("pragma journal_mode = wal")
        db.executescript(_SCHEMA)
    return db


def _mergeable(sizes: Sequence[tuple[int, float]]) -> list[int]:
    """Choose segments to merge by their words.

    So many of the last become one that each of the others is twice what follows it: every document is then copied
    once for each doubling of the corpus.
    """
    for first, (_, size) in enumerate(sizes[:-1]):
        rest = sum(words for _, words in sizes[first + 1 :])
        if size < 2 * rest and size + rest <= WORDS:
            return [segment for segment, _ in sizes[first:]]
    for (one, size), (two, following) in pairwise(sizes):  # parts of a corpus of more than WORDS
        if size + following <= WORDS:
            return [one, two]
    return []


def _columns(place: Place) -> tuple[str, bytes, int, bytes]:
    return place.kind, _utf8(place.label), place.number, _utf8(place.heading)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
