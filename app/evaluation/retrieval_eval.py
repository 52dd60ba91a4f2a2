"""How well the search finds what people judged to be relevant, on the way that a question of the product takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from app.answering.extractive import quotes
from app.answering.usage import Stopwatch
from app.errors import InputError
from app.evaluation import figures, rows
from app.evaluation.collections import Collection, Query
from app.evaluation.rows import Row
from app.models.tokens import BYTES_PER_TOKEN
from app.retrieval.index import Index
from app.retrieval.packing import MAX_HITS, pack_context
from app.retrieval.search import SearchResult, search
from app.settings import Settings

DEPTH = 100
"""How many hits the figures look at."""

CHANGED = 10
"""How many of the questions that changed most are named."""

BUDGETS = (256, 512, 1024)
"""Tokens of evidence."""

QUOTED = (1, 3)
"""Sentences that are quoted at most, from the evidence of the default budget."""


def indexed(collection: Collection) -> tuple[Index, Row]:
    """An index of the passages, the seconds it took and the memory of the process with it, in MB of 10^6 bytes."""
    import psutil
    import Stemmer  # noqa: F401  # what is imported once is not part of the time

    clock = Stopwatch()
    index = Index.of(collection.passages, collection.documents)
    return index, {"index_s": round(clock.ms / 1000, 3), "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1)}


def ask(index: Index, query: Query, k: int, *, history: bool = True) -> SearchResult:
    """Search as the product does: with what was said before, or with the question alone."""
    before = [(exchange.question, exchange.answer) for exchange in query.history] if history else []
    return search(index, query.text, before, k)


def judge(index: Index, queries: Iterable[Query], collection: Collection, *, history: bool) -> Iterator[Row]:
    """A row of a run for each question, asked one after the other; a first one that is not counted warms up."""
    ask(index, collection.queries[0], DEPTH, history=history)
    for query in queries:
        clock = Stopwatch()
        found, took = ask(index, query, DEPTH, history=history), clock.ms
        hits = [{"id": hit.passage.place.label, "score": hit.score} for hit in found.hits]
        worth = figures.ranking([str(hit["id"]) for hit in hits], collection.judgements[query.id])
        yield {"id": query.id, "text": query.text, **worth, "hits": hits, "took_ms": round(took, 3)}


def summary(run: Sequence[Row]) -> dict[str, Any]:
    """Means over the questions, and what they took."""
    took = sorted(row["took_ms"] for row in run)
    times = {"query_ms_p50": took[len(took) // 2], "query_ms_p95": took[int(len(took) * 0.95)]}
    return {name: round(fmean(row[name] for row in run), 4) for name in figures.RANKING} | {"queries": len(run)} | times


def earlier(file: Path) -> list[Row]:
    """The rows of a run that `--run` wrote; raises InputError."""

    def valid(row: Row) -> bool:
        return isinstance(row.get("id"), str) and all(isinstance(row.get(n), int | float) for n in figures.RANKING)

    lack = "is no row of a run. Give a file that `escalator eval retrieval --run` wrote."
    return [row for _, row in rows.read(file, valid, lack)]


def compare(new: Sequence[Row], old: Sequence[Row]) -> dict[str, Any]:
    """For each figure the difference new - old over the same questions, and the questions whose nDCG changed most.

    Raises InputError if the questions are not the same.
    """
    before = {row["id"]: row for row in old}
    pairs = [(row, before[row["id"]]) for row in new if row["id"] in before]
    if len(pairs) < len(new) or len(old) > len(new):
        raise InputError(
            f"The two runs are not of the same questions: {len(pairs)} ids are in both, of {len(new)} here and "
            f"{len(old)} there. Compare runs of one collection, made with the same options for its questions."
        )
    gained = sorted(((new["ndcg@10"] - old["ndcg@10"], new, old) for new, old in pairs), key=lambda each: -abs(each[0]))
    changed = [{"id": new["id"], "text": new.get("text"), "before": old["ndcg@10"], "after": new["ndcg@10"]}
               for gain, new, old in gained[:CHANGED] if abs(gain) > figures.TIE]  # fmt: skip
    differences = {name: figures.difference([new[name] - old[name] for new, old in pairs]) for name in figures.RANKING}
    return {**differences, "changed": changed}


def lines(result: Row) -> Iterator[str]:
    """The figures for a person, each beside its difference from another run, if there is one."""
    for name in figures.RANKING:
        beside = ""
        if found := result.get("against", {}).get(name):
            low, high = found["interval_95"]
            better = f"{found['wins']} better, {found['losses']} worse"
            beside = f"  {found['difference']:+.4f} ({low:+.4f} to {high:+.4f}, p {found['p']}; {better})"
        yield f"{name:10} {result[name]:.4f}{beside}"
    yield "{queries} questions, {query_ms_p50} ms each, {query_ms_p95} ms at most for 95 %".format_map(result)


def evidence(collection: Collection, tell: Callable[[str], None]) -> dict[str, float]:
    """How often the evidence for a prompt, and the quotes of an answer without a model, hold the answer to a question.

    Shares of the questions whose answers are known, and how many they are. An answer is held if it stands in one of the
    texts, without regard to case and kind of blanks; a token is three bytes. Raises InputError if no answer is known.
    """
    queries = [query for query in collection.queries if query.answers]
    if not queries:
        lack = "has “answers”. Give a list of texts, one of which a right answer holds."
        raise InputError(f"No question of {collection.name} {lack}")
    tell(f"{len(queries)} of {len(collection.queries)} questions have answers.")
    index = Index.of(collection.passages, collection.documents)
    text_of = {passage.file: passage.text for passage in collection.passages}.__getitem__
    held = [_held(index, query, text_of) for query in queries]
    return {**{name: round(fmean(each[name] for each in held), 4) for name in held[0]}, "queries": len(queries)}


def _held(index: Index, query: Query, text_of: Callable[[str], str]) -> dict[str, bool]:
    """Which evidence and which quotes hold an answer."""
    found = ask(index, query, MAX_HITS)
    default = int(Settings.model_fields["evidence_tokens"].default)
    chosen = pack_context(found, default, tokens, text_of)
    texts = {
        f"evidence@{budget}": [item.text for item in pack_context(found, budget, tokens, text_of)] for budget in BUDGETS
    }
    for most in QUOTED:
        texts[f"quoted@{most}"] = [quote.text for quote in quotes(query.text, chosen, found.weights, most)]
    return {name: holds(own, query.answers) for name, own in texts.items()}


def tokens(text: str) -> int:
    """The tokens of a text, three bytes each."""
    return -(-len(text.encode("utf-8", errors="replace")) // BYTES_PER_TOKEN)


def holds(texts: Iterable[str], answers: Iterable[str]) -> bool:
    """Whether one of the answers stands in one of the texts."""
    wanted = [plain for answer in answers if (plain := _plain(answer))]
    return any(answer in text for text in map(_plain, texts) for answer in wanted)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
