"""The index in PostgreSQL beside the local one: whether both rank alike, how long a question takes, what it needs."""

import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from app.answering.turn import Stopwatch
from app.documents.document import Document
from app.errors import InputError
from app.evaluation.datasets import Collection
from app.postgres.writing import PostgresStore
from app.retrieval.index import Index
from app.retrieval.search import SearchResult, search
from app.retrieval.snapshot import NOTHING, Snapshot
from app.retrieval.store import INDEX_VERSION, IndexStore, LocalIndex
from app.settings import load
from benchmarks import generated
from benchmarks.engines import documents
from benchmarks.measuring import Tell

TOP = 10
PART = 50_000
"""Passages after which a change is put in force, as a large folder is indexed in parts."""


def bench_postgres(passages: int, questions: int, collection: Collection | None, tell: Tell) -> dict[str, Any]:
    """Index the same passages here and in the PostgreSQL of ESCALATOR_INDEX, and ask both; raises InputError.

    server      what it is, how it ranks, and the megabytes of its tables
    index_s     seconds to put all passages in, for each; open_s: until another process can search
    agreement   share of the local index's ten best places that have the same passage there; asked: the questions
    overlap     share of the local index's ten best passages that are among the ten best there, in any order
    ms          p50 and p95 of a question, for each; again: of the same questions once more
    found_ms    from the commit of a changed document until another process finds it
    """
    if (address := load().index) is None:
        raise InputError(
            "Set ESCALATOR_INDEX to the address of a PostgreSQL server; what is measured is removed again."
        )
    texts = generated.passages(passages) if collection is None else [each.text for each in collection.passages]
    language = "en" if collection is None else collection.passages[0].language
    if collection is None:
        asked = [" ".join(terms) for terms in generated.questions(texts, questions, language)]
    else:
        asked = [query.text for query in collection.queries[:questions]]
    every = [*documents(texts, language)]
    where, name = address.get_secret_value(), f"bench{secrets.token_hex(4)}"
    shared, other = PostgresStore(where, name, ""), PostgresStore(where, name, "")
    with tempfile.TemporaryDirectory(prefix="escalator-", ignore_cleanup_errors=True) as home:
        local = LocalIndex(Path(home))
        result: dict[str, Any] = {"passages": len(texts), "index_s": {}, "ms": {}, "again": {}}
        try:
            for kind, store in (("local", local), ("postgres", shared)):
                tell(f"{len(texts)} passages: indexing, {kind}")
                result["index_s"][kind] = _put(store, every)
            clock = Stopwatch()
            theirs = other.current().index
            theirs.top_k(theirs.terms(theirs.words(asked[0])), TOP)
            result["open_s"] = round(clock.ms / 1000, 2)
            ours = local.current().index
            tell(f"{len(asked)} questions")
            found = {}
            for kind, index in (("local", ours), ("postgres", theirs)):
                found[kind], result["ms"][kind] = _ask(index, asked)
                _, result["again"][kind] = _ask(index, asked)
            result |= _agreement(found["local"], found["postgres"])
            result["found_ms"] = _found(shared, other)
            result["server"] = other.described()
        finally:
            with psycopg.connect(where.split(",postgres")[0], autocommit=True) as db:
                db.execute(f"drop schema if exists escalator_{name}_{INDEX_VERSION} cascade")
    return result


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    yield f"{result['server']}; {result['passages']} passages"
    yield "equal places {agreement:.2%} of {places} in {asked} questions, equal firsts {first:.2%}".format_map(result)
    yield "overlap of the ten best {overlap:.2%}".format_map(result)
    for name in ("local", "postgres"):
        once, again = result["ms"][name], result["again"][name]
        figures = f"p50 {once['p50']} ms, p95 {once['p95']} ms, again {again['p50']} and {again['p95']} ms"
        yield f"{name:9} indexed in {result['index_s'][name]} s; a question: {figures}"
    yield f"opened in {result['open_s']} s; a change is found by another process after {result['found_ms']} ms"


def _put(store: IndexStore, every: Sequence[Document]) -> float:
    clock, snapshot, waiting = Stopwatch(), NOTHING, 0
    with store.writing() as writer:
        assert writer is not None
        for document in every:
            writer.put(document)
            waiting += len(document.passages)
            if waiting >= PART:
                snapshot, waiting = writer.commit(snapshot), 0
        writer.settle(writer.commit(snapshot))
    return round(clock.ms / 1000, 1)


def _ask(index: Index, questions: Sequence[str]) -> tuple[list[SearchResult], dict[str, float]]:
    found, took = [], []
    for question in questions:
        clock = Stopwatch()
        found.append(search(index, question, (), TOP))
        took.append(clock.ms)
    took.sort()
    return found, {"p50": round(took[len(took) // 2], 2), "p95": round(took[int(0.95 * len(took))], 2)}


def _agreement(ours: Sequence[SearchResult], theirs: Sequence[SearchResult]) -> dict[str, Any]:
    equal = places = first = common = 0
    for one, two in zip(ours, theirs, strict=True):
        here, there = ([(hit.passage.file, hit.passage.start) for hit in result.hits] for result in (one, two))
        places += max(len(here), len(there))
        equal += sum(left == right for left, right in zip(here, there, strict=False))
        common += len({*here} & {*there})
        first += here[:1] == there[:1]
    shares = {"agreement": equal / max(1, places), "overlap": common / max(1, places), "first": first / len(ours)}
    return {"asked": len(ours), "places": places, **shares}


def _found(shared: PostgresStore, other: PostgresStore) -> float:
    """Return the milliseconds from a commit until the other process finds what is new."""
    (document,) = documents(["The quetzalcoatlus lands."], "en")
    with shared.writing() as writer:
        assert writer is not None
        writer.put(document)
        writer.commit(NOTHING)
        started = time.perf_counter()
        while not _finds(other.current()):
            pass
        return round(1000 * (time.perf_counter() - started), 1)


def _finds(snapshot: Snapshot) -> bool:
    return bool(search(snapshot.index, "quetzalcoatlus", (), 1).hits)
