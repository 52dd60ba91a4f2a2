"""Changes of an index in PostgreSQL: one process writes, which an advisory lock decides.

A change is one transaction, and what it replaces is deleted in it: a question that still needs that is asked again.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from app.errors import IndexAway
from app.postgres.connection import READ_SECONDS, WRITE_SECONDS, Connection, Server
from app.postgres.reading import AT_ONCE, Reader, read, spelled
from app.retrieval.segment import BREAK, Entry, Postings
from app.retrieval.snapshot import NOTHING, Snapshot, load
from app.retrieval.store import INDEX_VERSION, TABLES, Writer

if TYPE_CHECKING:
    from app.retrieval.segment import Arrays

SCHEMA = Path(__file__).with_name("schema.sql")
"""Makes what PostgreSQL has beside the tables of every index."""

LISTS = ("passages", "kinds", "tokens", "begins")
"""The arrays of a segment that are kept in pieces."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that PostgreSQL does not take."""

_POSTINGS = "insert into postings select * from unnest(%b::bigint[], %b::text[], %b::bytea[], %b::bytea[])"
_TOKENS = "insert into tokens select * from unnest(%b::bigint[], %b::integer[], %b::bytea[], %b::text[])"
_BM25 = "create index tokens_bm25 on tokens using bm25(terms) with (text_config = 'simple', k1 = 1.2, b = 0.75)"


T = TypeVar("T")


class PostgresWriter(Writer):
    """Changes the index; the methods raise errors of psycopg."""

    _db: Connection
    erase = (*Writer.erase, "delete from postings where segment = ?", "delete from tokens where segment = ?")
    extension = False
    """Whether the extension pg_textsearch indexes the terms."""

    def storable(self, text: str) -> str:
        return _NO_TEXT.sub("\ufffd", text)

    def keep(self, segment: int, arrays: "Arrays") -> None:
        super().keep(segment, {name: array for name, array in arrays.items() if name not in LISTS})
        passages, kinds, terms = arrays["passages"], arrays["kinds"], Postings(arrays).terms
        lists = zip(terms, pairwise(arrays["starts"].tolist()), strict=True)
        rows = ((segment, term, passages[at:to].tobytes(), kinds[at:to].tobytes()) for term, (at, to) in lists)
        self._insert(_POSTINGS, rows)
        every = [arrays["tokens"][first:last] for first, last in pairwise(arrays["begins"].tolist())]
        names = [spelled(term) for term in terms] if self.extension else []
        texts = (" ".join(names[it] for it in each.tolist() if it != BREAK) if names else None for each in every)
        tokens = ((segment, at, each.tobytes(), text) for at, (each, text) in enumerate(zip(every, texts, strict=True)))
        self._insert(_TOKENS, tokens)

    def load(self, segment: int) -> tuple[Postings, Sequence[Entry]]:
        reader = Reader(lambda *query: self._db.execute(*query).fetchall())  # which sees what is not yet in force
        return load(self._db, segment, reader.postings)

    def _insert(self, query: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Insert rows, many at a time."""
        while part := list(islice(rows, AT_ONCE)):
            self._db.execute(query, [list(column) for column in zip(*part, strict=True)])


class PostgresStore:
    """The index of a corpus in PostgreSQL, in a schema of its own; raises IndexAway.

    While the corpus `follows` its folder it keeps the right to write. A process that has written reads from the server
    that takes writes, since a replica may be late.
    """

    def __init__(self, address: str, corpus: str, limits: str):
        schema = f"escalator_{corpus}_{INDEX_VERSION}"
        self._primary, self._nearest = Server(address, schema, writes=True), Server(address, schema)
        self.reader = Reader(lambda *query: self._read(lambda db: db.execute(*query).fetchall()))
        self.limits, self.follows = limits, False
        self._anew, self._wrote = False, False
        self._writing: Connection | None = None

    def current(self, known: Snapshot = NOTHING) -> Snapshot:
        """Return the snapshot in force, the known one if nothing has changed."""
        if self._anew:
            return NOTHING
        work = partial(read, reader=self.reader, known=known, limits=self.limits)
        if self._writing is not None:
            try:
                return work(self._writing)
            except psycopg.OperationalError:  # the server was restarted, and somebody else may write now
                self._release()
        return self._read(work)

    @contextmanager
    def writing(self, seconds: float = -1) -> Iterator[PostgresWriter | None]:
        """Wait at most so long for the right to change the index; None if another process keeps it.

        With no time to wait it is None also if the server that takes writes is away.
        """
        try:
            with self._primary.checked():
                self._writing = self._writing or self._locked(seconds)
        except IndexAway:
            if seconds:
                raise
        if (db := self._writing) is None:
            self._anew = False
            yield None
            return
        self._wrote = True
        try:
            with self._primary.checked():
                db.seconds = WRITE_SECONDS
                self._make(db)
                writer = PostgresWriter(db, self.limits, self.current)
                writer.extension = db.execute("select to_regclass('tokens_bm25')").fetchone() != (None,)
                yield writer
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
        """Describe the server and the index."""
        about = """select split_part(version(), ' ', 2), to_regclass('tokens_bm25') is null, pg_is_in_recovery(),
            (select sum(pg_total_relation_size(oid)) from pg_class where relnamespace = to_regnamespace(?)
             and relkind = 'r')"""
        ((version, plain, replica, size),) = self.reader.fetch(about, (self._nearest.schema,))
        grade = f"{'plain SQL' if plain else 'pg_textsearch'}{', read from a replica' if replica else ''}"
        return f"PostgreSQL {version} at {self._nearest.name}, {grade}, {float(size or 0) / 1e6:.0f} MB"

    def _read(self, work: Callable[[Connection], T]) -> T:
        """Read from the server that takes writes, if this process has written and it answers, else from the nearest."""
        if self._wrote:
            with suppress(IndexAway):
                return self._primary.read(work)
        return self._nearest.read(work)

    def _locked(self, seconds: float) -> Connection | None:
        """Connect and get the right to write; None if another process keeps it."""
        db = self._primary.connect(changes=True)
        most = max(1, round(1000 * seconds)) if seconds >= 0 else 0  # for which PostgreSQL waits for ever
        try:
            db.execute(f"set local lock_timeout = {most}")
            db.execute("select pg_advisory_lock(hashtext(?))", (self._primary.schema,))
        except psycopg.errors.LockNotAvailable:
            db.close()
            return None
        db.commit()
        return db

    def _make(self, db: Connection) -> None:
        """Make the tables, if they are not there or are to be made anew."""
        schema = self._primary.schema
        if self._anew:
            db.execute(f"drop schema if exists {schema} cascade")
        if db.execute("select to_regnamespace(?)", (schema,)).fetchone() == (None,):
            tables = TABLES.read_text(encoding="utf-8").replace("without rowid", "")
            db.execute(f"create schema {schema}; create domain {schema}.blob as bytea; {tables}")
            db.execute(SCHEMA.read_text(encoding="utf-8"))
            if db.execute("select 1 from pg_extension where extname = 'pg_textsearch'").fetchone():
                db.execute(_BM25)
        db.commit()
        self._anew = False

    def _release(self) -> None:
        """Give the right to write to another process."""
        if self._writing is not None:
            self._writing.close()
        self._writing = None
