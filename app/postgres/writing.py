"""The tables of an index in PostgreSQL, and changes of them: one process writes, which an advisory lock decides.

A segment and its tokens never change; a change adds one and marks documents as gone, all in one transaction. What is
replaced is deleted at once: a question that still needs it is told, and asked again of the next snapshot.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import psycopg
from psycopg.pq import TransactionStatus

from app.documents.document import Document, Problem
from app.errors import IndexAway
from app.postgres.connection import READ_SECONDS, WRITE_SECONDS, Connection, Server
from app.postgres.reading import Reader, load, load_segment, spelled
from app.retrieval.postings import BREAK, Builder, Postings
from app.retrieval.segment import Entry, add, arrays
from app.retrieval.store import INDEX_VERSION, NOTHING, Snapshot
from app.retrieval.writer import FEW, PASSAGES, mergeable

LISTS = ("passages", "kinds", "tokens", "begins")
"""The arrays of a segment that are kept in pieces, and not loaded as a whole."""

LOOK_SECONDS = 0.1
"""Interval at which the lock is tried again."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

_SCHEMA = """
create schema {schema};
create table state(mark text not null, changed double precision not null);
insert into state values('', 0);
create table documents(id bigint generated always as identity primary key, segment bigint not null, file text not null,
    folder text not null, title text, language text, pages integer, passages integer, size bigint, modified_ns bigint,
    digest text, silent text, text text, gone boolean not null default false);
create unique index current_documents on documents(file) where not gone;
create index documents_by_segment on documents(segment);
create table passages(document bigint references documents on delete cascade, number integer, start integer,
    stop integer, place text, terms text, primary key(document, number));
create table arrays(segment bigint, name text, type text, data bytea, primary key(segment, name));
create table postings(segment bigint, term text collate "C", passages bytea, kinds bytea, primary key(segment, term));
create table tokens(segment bigint, passage integer, tokens bytea, primary key(segment, passage));
alter table arrays alter data set storage external;
alter table postings alter passages set storage external, alter kinds set storage external;
create table problems(file text primary key, reason text, size bigint, modified_ns bigint, passing boolean,
    limits text);
"""
_BM25 = "create index passages_bm25 on passages using bm25(terms) with (text_config = 'simple', k1 = 1.2, b = 0.75)"

_DOCUMENT = """insert into documents(segment, file, folder, title, language, pages, passages, size, modified_ns, digest,
    silent, text) values(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id"""
_PROBLEM = """insert into problems values(%s, %s, %s, %s, %s, %s) on conflict(file) do update set
    (reason, size, modified_ns, passing, limits) = row(excluded.reason, excluded.size, excluded.modified_ns,
    excluded.passing, excluded.limits)"""
_ERASE = (
    "delete from arrays where segment = %s",
    "delete from postings where segment = %s",
    "delete from tokens where segment = %s",
    "delete from documents where segment = %s and gone",
)
_SIZES = """select segment, sum(case when gone then 0 else passages end)::float, avg((not gone)::int)::float
    from documents group by segment order by min(id)"""


class PostgresWriter:
    """Changes the index in transactions; raises errors of psycopg."""

    def __init__(self, db: Connection, store: "PostgresStore"):
        self._db, self._store = db, store
        self._builder, self._segment = Builder(), secrets.randbits(62)
        self._rows: list[tuple[Any, ...]] = []
        ((self._extension,),) = db.execute("select to_regclass('passages_bm25') is not null").fetchall()

    def put(self, result: Document | Problem) -> None:
        """Put in what was read, which replaces what the index has of the file.

        A file that could not be read for a temporary reason keeps what was read of it before, beside its problem.
        """
        if isinstance(result, Problem):
            if not result.temporary:
                self.remove(result.file)
            signature = result.size, result.modified_ns, result.temporary, self._store.limits
            self._db.execute(_PROBLEM, (result.file, _clean(result.reason), *signature))
            return
        self.remove(result.file)
        it, folder = Entry.of(0, result), result.file.rpartition("/")[0]
        counts = it.pages, it.passages, it.size, it.modified_ns, it.digest, json.dumps(it.silent), _clean(result.text)
        values = self._segment, it.file, folder, _clean(it.title), it.language, *counts
        ((document,),) = self._db.execute(_DOCUMENT, values).fetchall()
        add(self._builder, result.passages)
        for number, each in enumerate(result.passages):
            place = json.dumps([each.place.kind, each.place.label, each.place.number, each.place.heading])
            self._rows.append((document, number, each.start, each.end, place))
        if len(self._builder) >= PASSAGES:
            self._write_segment()

    def remove(self, file: str) -> None:
        """Take out what there is of a file; its postings stay until the segment is made anew."""
        self._db.execute("delete from problems where file = %s", (file,))
        gone = "update documents set gone = true, text = '' where file = %s and not gone returning id"
        for row in self._db.execute(gone, (file,)).fetchall():
            self._db.execute("delete from passages where document = %s", row)

    def commit(self, known: Snapshot) -> Snapshot:
        """Put the changes so far in force, if there are any, and return the snapshot that has them."""
        self._write_segment()
        if self._db.info.transaction_status != TransactionStatus.IDLE:
            self._compact(2 * FEW)
            self._db.execute("update state set mark = %s, changed = %s", (secrets.token_hex(8), time.time()))
            self._db.commit()
        return self._store.current(known)

    def settle(self, known: Snapshot) -> Snapshot:
        """Merge segments if there are too many."""
        self._compact(FEW)
        self._db.commit()
        return self._store.current(known)

    def _write_segment(self) -> None:
        """Write the postings of the documents that have been put into the segment, if there are any; begin another."""
        key = self._segment
        if self._db.execute("select 1 from documents where segment = %s limit 1", (key,)).fetchone():
            every = arrays(self._builder)
            terms = Postings(every).terms
            pieces = [every["tokens"][first:last] for first, last in pairwise(every["begins"].tolist())]
            lists = zip(terms, pairwise(every["starts"].tolist()), strict=True)
            whole = ((key, name, each.dtype.str, each.tobytes()) for name, each in every.items() if name not in LISTS)
            passages, kinds = every["passages"], every["kinds"]
            postings = ((key, term, passages[at:to].tobytes(), kinds[at:to].tobytes()) for term, (at, to) in lists)
            self._copy("arrays", "int8 text text bytea", whole)
            self._copy("postings", "int8 text bytea bytea", postings)
            self._copy("tokens", "int8 int4 bytea", ((key, at, each.tobytes()) for at, each in enumerate(pieces)))
            words: Iterable[str | None] = repeat(None)
            if self._extension:
                names = [spelled(term) for term in terms]
                words = (" ".join(names[token] for token in each.tolist() if token != BREAK) for each in pieces)
            rows = ((*row, text) for row, text in zip(self._rows, words, strict=False))
            self._copy("passages", "int8 int4 int4 int4 text text", rows)
        self._builder, self._segment, self._rows = Builder(), secrets.randbits(62), []

    def _copy(self, table: str, types: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._db.cursor() as cursor, cursor.copy(f"copy {table} from stdin (format binary)") as copy:
            copy.set_types(types.split())
            for row in rows:
                copy.write_row(row)

    def _compact(self, most: int) -> None:
        """Make segments anew of which more than half is gone, and merge some if there are more than `most`."""
        while segments := mergeable(self._db.execute(_SIZES).fetchall(), most):
            self._join(segments)

    def _join(self, segments: Sequence[int]) -> None:
        """Make one segment of the remaining documents of some that follow each other."""
        reader = Reader(lambda work: work(self._db))  # which sees what is not yet in force
        for key in segments:
            postings, entries = load_segment(self._db, reader, key)
            living = "select id from documents where segment = %s and not gone"
            ids = {number for (number,) in self._db.execute(living, (key,)).fetchall()}
            keep = np.repeat([entry.id in ids for entry in entries], [entry.passages for entry in entries])
            tokens = postings.tokens_of(np.flatnonzero(keep).tolist())
            joined = np.concatenate([np.zeros(0, np.int32), *tokens])
            self._builder.add_tokens(postings.terms, joined, np.array([len(each) for each in tokens], np.int64))
            for erase in _ERASE:
                self._db.execute(erase, (key,))
            self._db.execute("update documents set segment = %s where segment = %s", (self._segment, key))
        self._write_segment()
        self._db.execute("update state set mark = %s", (secrets.token_hex(8),))


class PostgresStore:
    """The index of a corpus in PostgreSQL, in a schema of its own; raises IndexAway.

    While the corpus `follows` its folder it keeps the right to write. The process that writes also reads from the
    server that takes writes, since a replica may be late.
    """

    def __init__(self, address: str, corpus: str, limits: str):
        schema = f"escalator_{corpus}_{INDEX_VERSION}"
        self._primary, self._nearest = Server(address, schema, writes=True), Server(address, schema)
        self.reader = Reader(self._nearest.read)
        self.limits, self.follows = limits, False
        self._latest, self._anew = NOTHING, False
        self._writing: Connection | None = None

    def current(self, known: Snapshot = NOTHING) -> Snapshot:
        """Return the snapshot in force, the one returned before if nothing has changed."""
        if self._anew:
            return NOTHING
        work = partial(load, reader=self.reader, known=self._latest, limits=self.limits)
        if self._writing is not None:
            try:
                self._latest = work(self._writing)
                return self._latest
            except psycopg.OperationalError:  # the server was restarted, and somebody else may write now
                self._release()
        self._latest = self.reader.read(work)
        return self._latest

    @contextmanager
    def writing(self, seconds: float = -1) -> Iterator[PostgresWriter | None]:
        """Wait at most so long for the right to change the index; None if another process keeps it.

        None also if the server that takes writes is away, and there is something to read.
        """
        try:
            with self._primary.checked():
                self._writing = self._writing or self._locked(seconds)
        except IndexAway:
            if not self._latest.documents:
                raise
        if (db := self._writing) is None:
            self._anew = False
            yield None
            return
        self.reader.read = self._primary.read
        try:
            with self._primary.checked():
                db.seconds = WRITE_SECONDS
                self._make(db)
                yield PostgresWriter(db, self)
                db.rollback()
                db.seconds = READ_SECONDS
        except BaseException:
            self._release()
            raise
        if not self.follows:
            self._release()

    def forget(self) -> None:
        """Begin anew with the next change, if this process may write then."""
        self._anew = True

    def tidy(self) -> None:
        """Do nothing: what is replaced is deleted at once."""

    def described(self) -> str:
        """Describe the server and the index; raises IndexAway."""
        about = """select split_part(version(), ' ', 2), to_regclass('passages_bm25') is not null, pg_is_in_recovery(),
            (select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
             where relnamespace = to_regnamespace(%s) and relkind = 'r')"""
        ((version, extension, replica, size),) = self.reader.fetch(about, self._nearest.schema)
        grade = "ranked with pg_textsearch" if extension else "plain SQL"
        role = "read from a replica, " if replica else ""
        return f"PostgreSQL {version} at {self._nearest.name}: {grade}, {role}{size / 1e6:.0f} MB"

    def _locked(self, seconds: float) -> Connection | None:
        """Connect and get the right to write; None if another process keeps it."""
        db, until = self._primary.connect(changes=True), time.monotonic() + seconds
        while db.execute("select pg_try_advisory_lock(hashtext(%s))", (self._primary.schema,)).fetchone() != (True,):
            db.rollback()
            if seconds >= 0 and until <= time.monotonic():
                db.close()
                return None
            time.sleep(LOOK_SECONDS)
        db.rollback()
        return db

    def _make(self, db: Connection) -> None:
        """Make the tables, if they are not there or are to be made anew."""
        schema = self._primary.schema
        if self._anew:
            db.execute(f"drop schema if exists {schema} cascade")
        if db.execute("select to_regnamespace(%s)", (schema,)).fetchone() == (None,):
            db.execute(_SCHEMA.replace("{schema}", schema))
            if db.execute("select 1 from pg_extension where extname = 'pg_textsearch'").fetchone():
                db.execute(_BM25)
        db.commit()
        self._anew = False

    def _release(self) -> None:
        """Give the right to write to another process."""
        if self._writing is not None:
            self._writing.close()
        self._writing = None


def _clean(text: str) -> str:
    """Return a text of the same length without what PostgreSQL does not take."""
    return _NO_TEXT.sub("\ufffd", text)
