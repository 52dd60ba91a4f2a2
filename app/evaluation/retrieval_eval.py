"""The evaluation of the search: how well it finds the passages that people judged relevant, as the product searches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import log2
from pathlib import Path
from statistics import fmean
from typing import Any

from app.answering.extractive import quotes
from app.answering.turn import Stopwatch
from app.errors import InputError
from app.evaluation.datasets import Collection, Query, Row, folded, write_rows
from app.models.tokens import BYTES_PER_TOKEN
from app.retrieval.index import Index
from app.retrieval.packing import MAX_HITS, pack_context
from app.retrieval.search import SearchResult, search
from app.settings import Settings

RANKING = ("ndcg@10", "recall@10", "recall@100", "mrr@10")
"""The figures of a ranking."""

DEPTH = 100
"""The number of hits that the figures take into account."""

BUDGETS = (256, 512, 1024)
"""Tokens of evidence."""

QUOTED = (1, 3)
"""The largest numbers of quoted sentences, from the evidence of the default budget."""


def evaluate(
    collection: Collection,
    *,
    history: bool = False,
    watch: Callable[[Sequence[Query]], Iterator[Query]] = iter,
    run: Path | None = None,
    compare: Callable[[Sequence[Row]], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Ask all questions, with their conversations if `history`; return the means of the figures, times and memory.

    `watch` passes the questions on, so that the caller can show the progress. `run` is a file to write a row of each
    question to; `compare` compares the rows with those of an earlier run. Raises InputError.
    """
    import psutil
    import Stemmer  # noqa: F401  # an import that happens once is not part of the time

    clock = Stopwatch()
    index = Index.of(collection.passages, collection.documents)
    seconds, memory = clock.ms / 1000, psutil.Process().memory_info().rss
    ask(index, collection.queries[0], DEPTH, history=history)  # warms up
    rows = [_row(index, query, collection, history=history) for query in watch(collection.queries)]
    took = sorted(row["took_ms"] for row in rows)
    result = {name: round(fmean(row[name] for row in rows), 4) for name in RANKING} | {"queries": len(rows)}
    result |= {"query_ms_p50": took[len(took) // 2], "query_ms_p95": took[int(len(took) * 0.95)]}
    result |= {"index_s": round(seconds, 3), "rss_mb": round(memory / 1e6, 1)}
    if run is not None:
        write_rows(run, rows)
    return result | ({"against": compare(rows)} if compare else {})


def ask(index: Index, query: Query, k: int, *, history: bool = True) -> SearchResult:
    """Search as the product does: with the conversation before the question, or with the question alone."""
    return search(index, query.text, query.history if history else (), k)


def _row(index: Index, query: Query, collection: Collection, *, history: bool) -> Row:
    """Ask one question; return its figures, hits and time."""
    clock = Stopwatch()
    result, took = ask(index, query, DEPTH, history=history), clock.ms
    hits = [{"id": hit.passage.place.label, "score": hit.score} for hit in result.hits]
    values = ranking([hit.passage.place.label for hit in result.hits], collection.judgements[query.id])
    return {"id": query.id, "text": query.text, **values, "hits": hits, "took_ms": round(took, 3)}


def ranking(ids: Sequence[str], judged: Mapping[str, float]) -> dict[str, float]:
    """Compute the four figures of a ranking of passages, best first.

    `judged` holds the relevant passages, at least one, with their relevance above 0.
    """
    values = ndcg(ids, judged, 10), recall(ids, judged, 10), recall(ids, judged, 100), mrr(ids, judged, 10)
    return dict(zip(RANKING, values, strict=True))


def ndcg(ids: Sequence[str], judged: Mapping[str, float], k: int) -> float:
    """Compute the gain of the first k passages as a share of the gain of the ideal order.

    A passage gains its relevance divided by log2(rank + 1). Source: Järvelin and Kekäläinen, "Cumulated gain-based
    evaluation of IR techniques" (2002), with the discount at every rank, as in trec_eval.
    """
    return _gain([judged.get(passage, 0.0) for passage in ids[:k]]) / _gain(sorted(judged.values())[::-1][:k])


def _gain(relevances: Sequence[float]) -> float:
    return sum(relevance / log2(rank + 1) for rank, relevance in enumerate(relevances, 1))


def recall(ids: Sequence[str], judged: Mapping[str, float], k: int) -> float:
    """Compute the share of the relevant passages that is among the first k."""
    return len(judged.keys() & set(ids[:k])) / len(judged)


def mrr(ids: Sequence[str], judged: Mapping[str, float], k: int) -> float:
    """Compute 1 / the rank of the first relevant passage, 0 if it is not among the first k."""
    return next((1 / rank for rank, passage in enumerate(ids[:k], 1) if passage in judged), 0.0)


def lines(result: Row) -> Iterator[str]:
    """Format the figures for a person, each with its difference from an earlier run, if there is one."""
    for name in RANKING:
        beside = ""
        if change := result.get("against", {}).get(name):
            low, high = change["interval_95"]
            counts = f"{change['wins']} better, {change['losses']} worse"
            beside = f"  {change['difference']:+.4f} ({low:+.4f} to {high:+.4f}, p {change['p']}; {counts})"
        yield f"{name:10} {result[name]:.4f}{beside}"
    yield "{queries} questions, {query_ms_p50} ms each, {query_ms_p95} ms at most for 95 %".format_map(result)


def evidence(collection: Collection, tell: Callable[[str], None]) -> dict[str, float]:
    """Compute how often the evidence for a prompt, and the quotes of an answer without a model, contain the answer.

    Returns shares of the questions with known answers, and the number of these questions. A text contains an answer
    regardless of case and kind of whitespace; a token is three bytes. Raises InputError if no answer is known.
    """
    queries = [query for query in collection.queries if query.answers]
    if not queries:
        remedy = "Give a list of texts, one of which a right answer contains."
        raise InputError(f"No question of {collection.name} has “answers”. {remedy}")
    tell(f"{len(queries)} of {len(collection.queries)} questions have answers.")
    index = Index.of(collection.passages, collection.documents)
    text_of = {passage.file: passage.text for passage in collection.passages}.__getitem__
    held = [_held(index, query, text_of) for query in queries]
    return {**{name: round(fmean(row[name] for row in held), 4) for name in held[0]}, "queries": len(queries)}


def _held(index: Index, query: Query, text_of: Callable[[str], str]) -> dict[str, bool]:
    """Return which budgets of evidence and which numbers of quotes contain an answer."""
    result = ask(index, query, MAX_HITS)
    default = int(Settings.model_fields["evidence_tokens"].default)
    packed = {budget: pack_context(result, budget, tokens, text_of) for budget in (*BUDGETS, default)}
    texts = {f"evidence@{budget}": [item.text for item in packed[budget]] for budget in BUDGETS}
    for most in QUOTED:
        texts[f"quoted@{most}"] = [quote.text for quote in quotes(query.text, packed[default], result.weights, most)]
    return {name: holds(own, query.answers) for name, own in texts.items()}


def tokens(text: str) -> int:
    """Return the tokens of a text, three bytes each."""
    return -(-len(text.encode("utf-8", errors="replace")) // BYTES_PER_TOKEN)


def holds(texts: Iterable[str], answers: Iterable[str]) -> bool:
    """Return whether one of the texts contains one of the answers."""
    wanted = [plain for answer in answers if (plain := folded(answer))]
    return any(answer in text for text in map(folded, texts) for answer in wanted)
