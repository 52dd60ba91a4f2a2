"""The figures of a ranking; this module does not know where it comes from."""

from collections.abc import Mapping, Sequence
from math import log2

RANKING = ("ndcg@10", "recall@10", "recall@100", "mrr@10")


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
