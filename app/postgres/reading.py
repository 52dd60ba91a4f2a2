"""The index in PostgreSQL as a question sees it: what is small is in memory, posting lists and texts are asked for.

The ranking is that of the local index, since it is done by the same code from the same postings. A question takes a few
round trips: the postings of its terms and of their variants at once, the tokens of the passages that are reranked, and
the texts of the best. With the extension pg_textsearch its BM25 index names the passages that are ranked, and no
postings are sent.
"""

import json
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import psycopg

from app.documents.document import NEVER, Problem, Signature
from app.documents.passages import Passage, Place
from app.errors import IndexAway
from app.postgres.connection import Connection
from app.retrieval.index import Index, Match, best
from app.retrieval.kernel import Array, Ranked
from app.retrieval.postings import Builder, Postings
from app.retrieval.scoring import QueryTerm, Scorer
from app.retrieval.segment import DocumentSegment, Entry, Segment
from app.retrieval.store import NOTHING, Snapshot

CACHED_BYTES = 64_000_000
"""Size of the postings, and again of the texts and tokens, that a process keeps; a question needs up to a few MB."""

CANDIDATES = 200
"""Passages that the extension names for a question; four times what is reranked, because its idf differs."""

REPEATED = 5
"""How often an own term is in the query of the extension, where a variant, which counts a fifth or less, is once."""

AT_ONCE = 20_000
"""Passages whose tokens are asked for together: some 10 MB."""

KEPT = 8
"""Questions whose candidates are kept."""

_PLAIN = re.compile("[a-wyz][a-z]*")

_DOCUMENTS = "select id, file, title, language, pages, passages, size, modified_ns, digest, silent from documents"
_POSTINGS = """select segment, term, passages, kinds from postings
    join unnest(%s::bigint[], %s::text[]) as asked(s, t) on segment = s and term = t"""
_TOKENS = """select segment, passage, tokens from tokens
    join unnest(%s::bigint[], %s::int[]) as asked(s, p) on segment = s and passage = p"""
_TEXTS = """select id, text, (select json_agg(json_build_array(start, stop, place) order by number) from passages
    where document = id)::text from documents where id = any(%s) and not gone"""
_CANDIDATES = """select document, number from passages where terms is not null
    order by terms <@> to_bm25query(%s, 'passages_bm25') limit %s"""
_BM25 = "select to_regclass('passages_bm25') is not null"

Read = Callable[[Callable[[Connection], Any]], Any]
"""Does some reading on a connection."""

K = TypeVar("K")
V = TypeVar("V")


class Cache:
    """Values that were asked for last, up to a size in bytes."""

    def __init__(self, most: int = CACHED_BYTES):
        self._most, self._size = most, 0
        self._values: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, keys: Sequence[K], fetch: Callable[[list[K]], Iterable[tuple[K, V, int]]]) -> list[V]:
        """Return the values of some keys; those that are missing are fetched, each with its size, all at once."""
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
        if missing := [key for key in dict.fromkeys(keys) if key not in found]:
            found |= {key: (value, size) for key, value, size in fetch(missing)}
        if len(found) < len(set(keys)):  # they were replaced since this snapshot was taken
            raise IndexAway("The index was changed while it was read. Ask again.")
        with self._lock:
            for key, (value, size) in found.items():
                self._size += size - self._values.pop(key, (None, 0))[1]
                self._values[key] = value, size
            while self._size > self._most and len(self._values) > len(found):
                self._size -= self._values.popitem(last=False)[1][1]
        return [found[key][0] for key in keys]


class Reader:
    """Reads the tables of an index; any thread may use it."""

    def __init__(self, read: Read):
        self.read = read
        self._postings, self._texts = Cache(), Cache()

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raises IndexAway."""
        rows: list[tuple[Any, ...]] = self.read(lambda db: db.execute(query, values).fetchall())
        return rows

    def postings(self, keys: Sequence[tuple[int, str]]) -> list[tuple[Array, Array]]:
        """Return the passages of terms of segments, and the kinds of their postings."""

        def fetched(missing: list[tuple[int, str]]) -> Iterable[tuple[tuple[int, str], tuple[Array, Array], int]]:
            for segment, term, passages, kinds in self.fetch(_POSTINGS, *map(list, zip(*missing, strict=True))):
                numbers = np.frombuffer(passages, np.int32)
                pairs = np.frombuffer(kinds, np.uint16 if len(kinds) < len(passages) else np.int32)
                yield (segment, term), (numbers, pairs), len(passages) + len(kinds)

        return self._postings.of(keys, fetched)

    def tokens(self, segment: int, passages: Sequence[int]) -> list[Array]:
        """Return the tokens of passages of a segment."""

        def fetched(missing: list[tuple[int, int]]) -> Iterable[tuple[tuple[int, int], Array, int]]:
            for at in range(0, len(missing), AT_ONCE):
                part = map(list, zip(*missing[at : at + AT_ONCE], strict=True))
                for key, number, tokens in self.fetch(_TOKENS, *part):
                    yield (key, number), np.frombuffer(tokens, np.int32), len(tokens)

        return self._texts.of([(segment, passage) for passage in passages], fetched)

    def documents(self, ids: Sequence[int]) -> list[tuple[str, list[Any]]]:
        """Return the texts of documents, and where their passages are."""

        def fetched(missing: list[int]) -> Iterable[tuple[int, tuple[str, list[Any]], int]]:
            for number, text, places in self.fetch(_TEXTS, missing):
                yield number, (text, json.loads(places or "[]")), len(text) + len(places or "")

        return self._texts.of(ids, fetched)

    def text(self, entry: Entry) -> str:
        """Return the text of a document."""
        return self.documents([entry.id])[0][0]

    def passage(self, entry: Entry, number: int) -> Passage:
        """Return a passage of a document by its number there."""
        ((text, places),) = self.documents([entry.id])
        start, stop, name = places[number]
        place = Place(*json.loads(name))
        return Passage(entry.file, start, stop, text[start:stop], place, entry.title, entry.language)


class RemotePostings(Postings):
    """The postings of a segment, of which the lists and the tokens are in PostgreSQL."""

    def __init__(self, arrays: Mapping[str, Array], segment: int, reader: Reader):
        self.arrays, self.starts, self.lengths = arrays, arrays["starts"], arrays["lengths"]
        self.frequency, self.length = arrays["frequency"], arrays["length"]
        self.segment, self._reader = segment, reader

    def of(self, number: int) -> tuple[Array, Array]:
        return self._reader.postings([(self.segment, self.terms[number])])[0]

    def gathered(self, numbers: Array) -> tuple[Array, Array, Array, Array]:
        lists = [self.of(number) for number in numbers.tolist()]
        passages = np.concatenate([np.zeros(0, np.int32), *(passages for passages, _ in lists)])
        kinds = np.concatenate([np.zeros(0, np.uint16), *(kinds for _, kinds in lists)])
        starts = np.cumsum([0, *(len(passages) for passages, _ in lists)])
        for each in (passages, kinds, starts):
            each.flags.writeable = False
        return passages, kinds, starts, np.arange(len(lists))

    def counts(self, alive: Array | None) -> Array:
        counts = np.diff(self.starts)
        if alive is None:
            return counts
        few = 2 * int(alive.sum()) < len(alive)  # either those that count or the others are asked for
        tokens = [np.unique(each) for each in self.tokens_of(np.flatnonzero(alive if few else ~alive).tolist())]
        held = np.bincount(np.concatenate([np.zeros(0, np.int64), *tokens]) + 1, minlength=len(counts) + 1)[1:]
        return held if few else counts - held

    def tokens_of(self, passages: Sequence[int]) -> list[Array]:
        return self._reader.tokens(self.segment, passages)


class PostgresIndex(Index):
    """Searches segments in PostgreSQL, and others in memory beside them."""

    elsewhere = True

    def __init__(self, segments: Sequence[tuple[Segment, Array | None]], reader: Reader, extension: bool):
        super().__init__(segments)
        self._reader, self._extension = reader, extension
        self._alone = lru_cache(CANDIDATES)(lambda segment, passage: self._few(segment, np.array([passage]))[0])
        self._named = lru_cache(KEPT)(self._name)

    def passages(self, matches: Sequence[Match]) -> list[Passage]:
        remote = [(self._remote[match.segment], match) for match in matches if match.segment in self._remote]
        self._reader.documents([segment.indexed[segment.documents[match.passage]].id for segment, match in remote])
        return super().passages(matches)

    def top_k(self, terms: Sequence[QueryTerm], k: int, *, reranked: bool = True) -> list[Match]:
        if not self._extension:
            self._ask(text for term in terms for text, _ in term.variants)
        return super().top_k(terms, k, reranked=reranked)

    @cached_property
    def _remote(self) -> dict[int, DocumentSegment]:
        """The segments in PostgreSQL, by their numbers."""
        numbered = enumerate(segment for segment, _ in self._segments)
        return {at: each for at, each in numbered if isinstance(each, DocumentSegment) and each.key}

    def _count(self, *terms: str) -> int:
        self._ask(terms if len(terms) > 1 else ())
        return super()._count(*terms)

    def _ask(self, terms: Iterable[str]) -> None:
        """Fetch the postings of terms in all segments at once."""
        every = dict.fromkeys(terms)
        segments = [(segment.key, segment.postings.numbers) for segment in self._remote.values()]
        self._reader.postings([(key, term) for key, numbers in segments for term in every if term in numbers])

    def _ranked(self, number: int, terms: Sequence[QueryTerm], k: int, reranked: bool) -> Ranked:
        if not self._extension or number not in self._remote:
            return super()._ranked(number, terms, k, reranked)
        passages = self._named(tuple(terms), max(CANDIDATES, 2 * k)).get(number)
        if passages is None:
            return np.zeros(0, np.int64), np.zeros(0)
        scorer, at = self._few(number, passages)
        owners = np.zeros(at[-1] + 1, np.int64)
        owners[at] = self._remote[number].documents[passages]
        found, scores = best(scorer, owners, terms, k, reranked)
        return passages[np.searchsorted(at, found)], scores

    def _name(self, terms: tuple[QueryTerm, ...], most: int) -> dict[int, Array]:
        """Return the passages of each segment that the extension finds best."""
        words = Counter[str]()
        for text, share in (variant for term in terms if term.finds for variant in term.variants):
            words[spelled(text)] = max(words[spelled(text)], round(REPEATED * share), 1)
        firsts: dict[int, tuple[int, int]] = {}
        for number, segment in self._remote.items():
            before = np.cumsum([0, *(entry.passages for entry in segment.indexed)]).tolist()
            firsts |= {entry.id: (number, at) for entry, at in zip(segment.indexed, before, strict=False)}
        named: dict[int, list[int]] = {}
        for document, passage in self._reader.fetch(_CANDIDATES, " ".join(words.elements()), most) if words else ():
            number, first = firsts.get(document, (-1, 0))  # a document may be newer than this snapshot
            named.setdefault(number, []).append(first + passage)
        return {number: np.array(sorted(passages)) for number, passages in named.items()}

    def _scorer(self, match: Match) -> tuple[Scorer, int]:
        return (self._alone(*match[1:]), 0) if match.segment in self._remote else super()._scorer(match)

    def _few(self, number: int, passages: Array) -> tuple[Scorer, Array]:
        """Return a scorer of some passages of a segment, given in ascending order, and their numbers there.

        An empty passage stands between two that are no neighbours, which a rank depends on.
        """
        postings = self._segments[number][0].postings
        at = np.arange(len(passages)) + np.cumsum(np.diff(passages, prepend=passages[:1]) > 1)
        tokens, sizes = postings.tokens_of(passages.tolist()), np.zeros(at[-1] + 1, np.int64)
        sizes[at] = [len(each) for each in tokens]
        builder = Builder()
        builder.add_tokens(postings.terms, np.concatenate(tokens), sizes)
        return Scorer(Postings(builder.arrays()), self._mean_length), at


@dataclass(frozen=True, eq=False)
class PostgresSnapshot(Snapshot):
    """A corpus in PostgreSQL at one time; `living` is the number of its documents, and `extension` whether it ranks."""

    source: Reader | None = None
    living: int = 0
    extension: bool = False

    @cached_property
    def index(self) -> Index:
        segments = [(segment, segment.alive) for segment in self.segments]
        if self.source is None:
            return Index(segments)
        whole = sum(len(segment.entries) for segment in self.segments if segment.key) == self.living
        return PostgresIndex(segments, self.source, self.extension and whole)  # of a folder all that match are ranked


def load(db: Connection, reader: Reader, known: Snapshot, limits: str) -> Snapshot:
    """Load the snapshot in force, the known one if nothing has changed; raises errors of psycopg."""
    try:
        if db.execute("select mark from state").fetchone() == (known.mark,):
            return known
    except psycopg.errors.UndefinedTable:
        db.rollback()
        return NOTHING
    if db.autocommit:
        db.execute("begin isolation level repeatable read read only")
    ((mark, changed),) = db.execute("select mark, changed from state").fetchall()
    loaded = {it.key: (it.postings, it.indexed) for it in known.segments if isinstance(it.postings, RemotePostings)}
    gone = {number for (number,) in db.execute("select id from documents where gone")}
    order = "select segment from documents group by segment order by min(id)"
    segments = tuple(
        DocumentSegment(key, *(loaded.get(key) or load_segment(db, reader, key)), reader.text, reader.passage, gone)
        for (key,) in db.execute(order).fetchall()
    )
    problems = {}
    for file, reason, size, modified_ns, passing, under in db.execute("select * from problems order by file"):
        tried: Signature = (size, modified_ns) if under == limits else NEVER
        problems[file] = Problem(file, reason, *tried, passing)
    ((extension,),) = db.execute(_BM25).fetchall()
    db.rollback()
    living = sum(len(segment.entries) for segment in segments)
    return PostgresSnapshot(segments, problems, mark, changed, None, reader, living, extension)


def load_segment(db: Connection, reader: Reader, key: int) -> tuple[RemotePostings, list[Entry]]:
    """Load what is kept in memory of a segment."""
    arrays = {
        name: np.frombuffer(data, kind)
        for name, kind, data in db.execute("select name, type, data from arrays where segment = %s", (key,))
    }
    rows = db.execute(f"{_DOCUMENTS} where segment = %s order by id", (key,)).fetchall()
    entries = [Entry(*(*row[:-1], tuple(json.loads(row[-1])))) for row in rows]
    return RemotePostings(arrays, key, reader), entries


def spelled(term: str) -> str:
    """Return how a term is written for the extension, whose parser takes only plain words as they are."""
    return term if _PLAIN.fullmatch(term) else f"x{term.encode().hex()}"
