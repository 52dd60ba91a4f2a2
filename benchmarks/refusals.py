"""How many questions are refused without asking a model: by small corpora, and by one on other subjects."""

from collections import defaultdict
from collections.abc import Callable
from statistics import fmean

from app.evaluation.datasets import Collection, Query
from app.evaluation.retrieval_eval import ask
from app.retrieval.index import Index
from app.retrieval.packing import is_answerable
from app.translation import count

SIZES = (1, 2, 5, 20, 240)
"""Passages of the corpora that should refuse none of their own questions."""


def refusals(collection: Collection, corpus: Index, tell: Callable[[str], None]) -> dict[str, float]:
    """Compute how many questions find too little for models to be asked: in small corpora, and in another corpus.

    Returns for each size the share of the questions that are refused by a corpus of so many neighbouring passages with
    a relevant one among them, and "elsewhere", the share that `corpus` refuses; it should know nothing about them.
    """
    at = {passage.place.label: number for number, passage in enumerate(collection.passages)}
    shares = {}
    for size in SIZES:
        tell(f"Asking corpora of {count(size, 'passage')}")
        asked: defaultdict[int, list[Query]] = defaultdict(list)
        for query in collection.queries:
            asked[min(map(at.__getitem__, collection.judgements[query.id])) // size].append(query)
        refused = []
        for number, queries in asked.items():
            own = slice(number * size, (number + 1) * size)
            index = Index.of(collection.passages[own], collection.documents[own])
            refused += [not is_answerable(index, ask(index, query, 1)) for query in queries]
        shares[str(size)] = round(fmean(refused), 4)
    elsewhere = [not is_answerable(corpus, ask(corpus, query, 1, history=False)) for query in collection.queries]
    return shares | {"elsewhere": round(fmean(elsewhere), 4), "queries": len(elsewhere)}
