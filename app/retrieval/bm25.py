"""BM25, the ranking function of lexical search: its formula, and rank_bm25's class with a sounder idf.

The score of a document D for a query is a sum over the query's terms t:

    idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |D| / avgdl))

tf      how often t occurs in D. The fraction grows with tf, but stays below k1 + 1: the tenth mention adds little.
|D|     the length of D, avgdl the mean length. Long documents contain more words by chance; b says how much that
        counts.
idf(t)  how rare t is. If df of N documents contain t, Robertson and Sparck Jones weigh it

            log((N - df + 0.5) / (df + 0.5))

        which is negative for a term in more than half of the documents, and 0 for one of two. rank_bm25 replaces
        negative values by a share of the mean of all, which is itself negative or 0 for one or two documents: the only
        document of a folder would never be found. Lucene adds 1 inside the logarithm, which keeps it positive:

            log(1 + (N - df + 0.5) / (df + 0.5))

The index ranks by `idf` and `saturation` of this module; `BM25` ranks by them alone, for comparison.

Sources: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.3; Lucene's
BM25Similarity, which omits the constant factor k1 + 1 and is otherwise equal to this.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rank_bm25 import BM25Okapi

K1 = 1.2
B = 0.75
"""Lucene's values; on seven collections others are as good or worse (docs/retrieval-evaluation.md)."""


def idf(documents: int, df: int) -> float:
    """Return the rarity of a term that `df` of the documents contain, by Lucene's formula."""
    return math.log(1 + (documents - df + 0.5) / (df + 0.5))


def saturation(tf: Any, length: Any, mean_length: float, k1: float = K1, b: float = B) -> Any:
    """Return what `tf` occurrences in a document of this length count; numbers, or arrays of equal shape."""
    return tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean_length))


class BM25(BM25Okapi):  # type: ignore[misc]  # rank_bm25 has no types
    """The ranking of documents, each a list of terms, by rank_bm25's class with Lucene's idf and parameters.

    Unlike the parent it takes an empty corpus, and documents without terms.
    """

    avgdl: float

    def __init__(self, corpus: Sequence[Sequence[str]], k1: float = K1, b: float = B):
        super().__init__(corpus, k1=k1, b=b)

    def _initialize(self, corpus: Sequence[Sequence[str]]) -> dict[str, int]:
        df: dict[str, int] = super()._initialize(corpus) if corpus else {}
        self.avgdl = self.avgdl or 1.0
        return df

    def _calc_idf(self, nd: Mapping[str, int]) -> None:
        """Set the rarity of each term; `nd` maps it to the number of documents that contain it."""
        self.idf = {term: idf(self.corpus_size, df) for term, df in nd.items()}
