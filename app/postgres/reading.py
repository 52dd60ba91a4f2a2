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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from app.documents.passages import Passage
from app.errors import IndexAway
from app.postgres.connection import Connection
from app.retrieval.index import Index, Match, best
from app.retrieval.scoring import Array, QueryTerm, Ranked, Scorer
from app.retrieval.segment import Builder, DocumentSegment, Entry, Postings
from app.retrieval.snapshot import NOTHING, Snapshot, cut, read_snapshot

if TYPE_CHECKING:
    from app.retrieval.segment import Arrays

CACHED_BYTES = 128_000_000
"""Size of the postings, tokens and texts that a process keeps; a question needs up to a few MB."""

CACHED_DOCUMENTS = 64
"""Documents whose places are kept as objects."""

CANDIDATES = 400
"""Passages that the extension names. It weighs variants otherwise, and each segment reranks fifty: at 200,000
passages 96.1 % of the ten best places are equal with 200 named, 99.3 % with 400 and with 800, which take longer."""

REPEATED = 5
"""How often an own term is in the query of the extension, where a variant, which counts a fifth or less, is once."""

AT_ONCE = 20_000
"""Rows that are asked for together; of tokens they take some 10 MB."""

KEPT = 8
"""Questions whose candidates are kept."""

_PLAIN = re.compile("[a-wyz][a-z]*")

_POSTINGS = """select segment, term, passages, kinds from postings
    join unnest(?::bigint[], ?::text[]) as asked(s, t) on segment = s and term = t"""
_TOKENS = """select segment, passage, tokens from tokens
    join unnest(?::bigint[], ?::int[]) as asked(s, p) on segment = s and passage = p"""
_TEXTS = """select texts.document, text, coalesce(json_agg(json_build_array(start, stop, place) order by number)
    filter (where number is not null), '[]')::text from texts left join passages on passages.document = texts.document
    where texts.document = any(?) group by texts.document, text"""
_CANDIDATES = """select segment, passage from tokens order by terms <@> to_bm25query(?, 'tokens_bm25') limit ?"""

Row = tuple[Any, ...]


class Reader:
    """Reads the tables of an index, and keeps the rows that were asked for last; any thread may use it."""

    def __init__(self, fetch: Callable[[str, Row], list[Row]]):
        self.fetch = fetch
        """Returns the rows of a query with values; raises IndexAway."""
        self._kept: OrderedDict[Row, Row] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._document = lru_cache(CACHED_DOCUMENTS)(self._parse)

    def rows(self, query: str, keys: Sequence[Row]) -> list[Row]:
        """Return what follows each key in its row; rows that are not kept are fetched all at once."""
        with self._lock:
            found = {key: self._kept[query, *key] for key in keys if (query, *key) in self._kept}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        for at in range(0, len(missing), AT_ONCE):
            columns = [list(column) for column in zip(*missing[at : at + AT_ONCE], strict=True)]
            for row in self.fetch(query, tuple(columns)):
                found[row[: len(columns)]] = row[len(columns) :]
        if len(found) < len(set(keys)):  # they were replaced since the snapshot was taken
            raise IndexAway("The index was changed while it was read. Ask again.")
        with self._lock:
            for key, row in found.items():
                self._size += sum(map(len, row)) - sum(map(len, self._kept.pop((query, *key), ())))
                self._kept[query, *key] = row
            while self._size > CACHED_BYTES and len(self._kept) > len(found):
                self._size -= sum(map(len, self._kept.popitem(last=False)[1]))
        return [found[key] for key in keys]

    def text(self, entry: Entry) -> str:
        """Return the text of a document."""
        return str(self._document(entry.id)[0])

    def passage(self, entry: Entry, number: int) -> Passage:
        """Return a passage of a document by its number there."""
        text, places = self._document(entry.id)
        return cut(entry, text, *places[number])

    def postings(self, segment: int, arrays: "Arrays") -> Postings:
        """Make the postings of a segment, whose lists and tokens are fetched when they are needed."""
        return RemotePostings(arrays, segment, self)

    def _parse(self, document: int) -> tuple[str, list[Any]]:
        ((text, places),) = self.rows(_TEXTS, [(document,)])
        return text, json.loads(places)


class RemotePostings(Postings):
    """The postings of a segment, of which the lists and the tokens are in PostgreSQL."""

    flat = False

    def __init__(self, arrays: "Arrays", segment: int, reader: Reader):
        self.arrays, self.starts, self.lengths = arrays, arrays["starts"], arrays["lengths"]
        self.frequency, self.length = arrays["frequency"], arrays["length"]
        self._segment, self._reader = segment, reader

    def of(self, number: int) -> tuple[Array, Array]:
        ((passages, kinds),) = self._reader.rows(_POSTINGS, [(self._segment, self.terms[number])])
        small = len(kinds) < len(passages)
        return np.frombuffer(passages, np.int32), np.frombuffer(kinds, np.uint16 if small else np.int32)

    def counts(self, alive: Array | None) -> Array:
        counts = np.diff(self.starts)
        if alive is None:
            return counts
        few = 2 * int(alive.sum()) < len(alive)  # either those that count or the others are asked for
        tokens = [np.unique(each) for each in self.tokens_of(np.flatnonzero(alive if few else ~alive).tolist())]
        held = np.bincount(np.concatenate([np.zeros(0, np.int64), *tokens]) + 1, minlength=len(counts) + 1)[1:]
        return held if few else counts - held

    def tokens_of(self, passages: Sequence[int]) -> list[Array]:
        rows = self._reader.rows(_TOKENS, [(self._segment, passage) for passage in passages])
        return [np.frombuffer(tokens, np.int32) for (tokens,) in rows]


class PostgresIndex(Index):
    """Searches segments in PostgreSQL, and others in memory beside them."""

    elsewhere = True

    def __init__(self, segments: Sequence[tuple[DocumentSegment, Array | None]], reader: Reader, extension: bool):
        super().__init__(segments)
        self._remote = {number: segment for number, (segment, _) in enumerate(segments) if segment.key}
        self._reader, self._extension = reader, extension
        self._alone = lru_cache(CANDIDATES)(lambda segment, passage: self._few(segment, np.array([passage]))[0])
        self._named = lru_cache(KEPT)(self._name)

    def passages(self, matches: Sequence[Match]) -> list[Passage]:
        remote = [(self._remote[match.segment], match) for match in matches if match.segment in self._remote]
        ids = [segment.indexed[segment.documents[match.passage]].id for segment, match in remote]
        self._reader.rows(_TEXTS, [(number,) for number in ids])
        return super().passages(matches)

    def top_k(self, terms: Sequence[QueryTerm], k: int, *, reranked: bool = True) -> list[Match]:
        if not self._extension:
            self._ask(text for term in terms for text, _ in term.variants)
        return super().top_k(terms, k, reranked=reranked)

    def _count(self, *terms: str) -> int:
        self._ask(terms if len(terms) > 1 else ())
        return super()._count(*terms)

    def _ask(self, terms: Iterable[str]) -> None:
        """Fetch the postings of terms in all segments at once."""
        every = dict.fromkeys(terms)
        known = [(segment.key, segment.postings.numbers) for segment in self._remote.values()]
        self._reader.rows(_POSTINGS, [(key, term) for key, numbers in known for term in every if term in numbers])

    def _ranked(self, number: int, terms: Sequence[QueryTerm], k: int, reranked: bool) -> Ranked:
        if not self._extension or number not in self._remote:
            return super()._ranked(number, terms, k, reranked)
        passages = self._named(tuple(terms), max(CANDIDATES, 2 * k)).get(self._remote[number].key, [])
        alive = self._segments[number][1]
        at = np.array(sorted(it for it in passages if alive is None or alive[it]), np.int64)
        if not len(at):
            return at, np.zeros(0)
        scorer, places = self._few(number, at)
        owners = np.zeros(places[-1] + 1, np.int64)
        owners[places] = self._remote[number].documents[at]
        found, scores = best(scorer, owners, terms, k, reranked)
        return at[np.searchsorted(places, found)], scores

    def _name(self, terms: tuple[QueryTerm, ...], most: int) -> dict[int, list[int]]:
        """Return the passages of each segment that the extension finds best."""
        words = Counter[str]()
        for text, share in (variant for term in terms if term.finds for variant in term.variants):
            words[spelled(text)] = max(words[spelled(text)], round(REPEATED * share), 1)
        named: dict[int, list[int]] = {}
        for key, passage in self._reader.fetch(_CANDIDATES, (" ".join(words.elements()), most)) if words else ():
            named.setdefault(key, []).append(passage)
        return named

    def _scorer(self, match: Match) -> tuple[Scorer, int]:
        alone = self._extension and match.segment in self._remote  # else the postings have just been asked for
        return (self._alone(*match[1:]), 0) if alone else super()._scorer(match)

    def _few(self, number: int, passages: Array) -> tuple[Scorer, Array]:
        """Return a scorer of some passages of a segment, given in ascending order, and their numbers there.

        An empty passage stands between two that are no neighbours, which a rank depends on.
        """
        postings = self._segments[number][0].postings
        places = np.arange(len(passages)) + np.cumsum(np.diff(passages, prepend=passages[:1]) > 1)
        tokens = [np.zeros(0, np.int32)] * (int(places[-1]) + 1)
        for place, each in zip(places.tolist(), postings.tokens_of(passages.tolist()), strict=True):
            tokens[place] = each
        builder = Builder()
        builder.add_tokens(postings.terms, tokens)
        return Scorer(Postings(builder.arrays()), self._mean_length), places


def read(db: Connection, reader: Reader, known: Snapshot, limits: str) -> Snapshot:
    """Return the snapshot in force, the known one if nothing has changed; raises errors of psycopg."""
    try:
        with db.transaction():
            found = read_snapshot(db, known, limits, reader, reader.postings)
            if found is known:
                return known
            extension = db.execute("select to_regclass('tokens_bm25')").fetchone() != (None,)
    except psycopg.errors.UndefinedTable:
        return NOTHING
    living = len(found.documents)

    def ranked(snapshot: Snapshot) -> Index:
        whole = sum(len(segment.entries) for segment in snapshot.segments if segment.key) == living
        segments = [(segment, segment.alive) for segment in snapshot.segments]
        return PostgresIndex(segments, reader, extension and whole)  # of a folder all that match are ranked

    return replace(found, ranked=ranked)


def spelled(term: str) -> str:
    """Return how a term is written for the extension, whose parser takes only plain words as they are."""
    return term if _PLAIN.fullmatch(term) else f"x{term.encode().hex()}"
