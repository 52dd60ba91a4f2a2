"""BM25, the ranking function of lexical search: its formula, and a drop-in for `rank_bm25.BM25Okapi`.

The score of a document D for a query is a sum over the query's terms t:

    idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |D| / avgdl))

tf      how often t occurs in D. The fraction grows with tf, but stays below k1 + 1: the tenth mention adds little.
|D|     the length of D, avgdl the mean length. Long documents contain more words by chance; b says how much that
        counts.
idf(t)  how rare t is. If df of N documents contain t, Robertson and Sparck Jones weigh it

            log((N - df + 0.5) / (df + 0.5))                    idf="okapi"

        which is negative for a term in more than half of the documents, and 0 for one of two. rank_bm25 replaces
        negative values by `epsilon` times the mean of all, which is itself negative or 0 for one or two documents: the
        only document of a folder would never be found. Lucene adds 1 inside the logarithm, which keeps it positive:

            log(1 + (N - df + 0.5) / (df + 0.5))                idf="lucene", the default

The index ranks by `idf` and `saturation` of this module; `BM25` ranks by them alone, for comparison.

Sources: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.3; Lucene's
BM25Similarity, which omits the constant factor k1 + 1 and is otherwise equal to this.
"""

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

K1 = 1.2
B = 0.75
"""Lucene's values; on seven collections others are as good or worse (docs/retrieval-evaluation.md)."""

IdfKind = Literal["lucene", "okapi"]
Scores = npt.NDArray[np.float64]


def idf(documents: int, df: int) -> float:
    """Return the rarity of a term that `df` of the documents contain, by Lucene's formula."""
    return math.log(1 + (documents - df + 0.5) / (df + 0.5))


def saturation(tf: Any, length: Any, mean_length: float, k1: float = K1, b: float = B) -> Any:
    """Return what `tf` occurrences in a document of this length count; numbers, or arrays of equal shape."""
    return tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean_length))


class BM25(BM25Okapi):  # type: ignore[misc]  # rank_bm25 has no types
    """The ranking of documents, each a list of terms; `k1` is 1.2 by default, with idf="okapi" the parent's 1.5.

    With idf="okapi" every score equals the parent's, bit for bit. With both, a query visits only the documents that
    contain one of its terms, by an inverted index, and documents with equal scores keep their order.
    """

    def __init__(
        self,
        corpus: Iterable[Any],
        tokenizer: Callable[[Any], list[str]] | None = None,
        k1: float | None = None,
        b: float = B,
        epsilon: float = 0.25,
        *,
        idf: IdfKind = "lucene",
    ):
        self.idf_kind = idf
        if k1 is None:
            k1 = K1 if idf == "lucene" else 1.5
        super().__init__(list(corpus), tokenizer, k1, b, epsilon)
        self._lengths = np.array(self.doc_len, dtype=np.int64)
        self._postings = self._invert()

    def _tokenize_corpus(self, corpus: list[Any]) -> list[list[str]]:
        """Tokenize in this process: the parent's pool of processes costs more than it saves, and takes no lambda."""
        assert self.tokenizer is not None
        return [self.tokenizer(document) for document in corpus]

    def _initialize(self, corpus: list[list[str]]) -> dict[str, int]:
        return super()._initialize(corpus) if corpus else {}

    def _calc_idf(self, nd: dict[str, int]) -> None:
        """Set the rarity of each term; `nd` maps it to the number of documents that contain it."""
        if not nd:
            self.average_idf = 0.0
        elif self.idf_kind == "okapi":
            super()._calc_idf(nd)
        else:
            self.idf = {term: idf(self.corpus_size, df) for term, df in nd.items()}
            self.average_idf = sum(self.idf.values()) / len(self.idf)

    def _invert(self) -> dict[str, tuple["array[int]", "array[int]"]]:
        """Return for each term the documents that contain it, ascending, and how often each does."""
        postings: dict[str, tuple[array[int], array[int]]] = {}
        for number, frequencies in enumerate(self.doc_freqs):
            for term, frequency in frequencies.items():
                documents, counts = postings.setdefault(term, (array("q"), array("q")))
                documents.append(number)
                counts.append(frequency)
        return postings

    def term_scores(self, term: str) -> tuple[npt.NDArray[np.int64], Scores]:
        """Return the documents that contain a term, ascending, and what the term adds to the score of each."""
        if term not in self._postings:
            return np.zeros(0, np.int64), np.zeros(0)
        documents, tf = (np.frombuffer(numbers, dtype=np.int64) for numbers in self._postings[term])
        return documents, self.idf[term] * saturation(tf, self._lengths[documents], self.avgdl, self.k1, self.b)

    def get_scores(self, query: Iterable[str]) -> Scores:
        """Return the score of every document, 0 where no term of the query occurs."""
        scores = np.zeros(self.corpus_size)
        for term in query:
            documents, added = self.term_scores(term)
            scores[documents] += added
        return scores

    def get_batch_scores(self, query: Iterable[str], doc_ids: Sequence[int]) -> list[float]:
        """Return the scores of some documents."""
        return self.get_scores(query)[np.array(doc_ids, dtype=np.int64)].tolist()  # type: ignore[no-any-return]

    def get_top_n(self, query: Iterable[str], documents: Sequence[Any], n: int = 5) -> list[Any]:
        """Return the `n` best of `documents`, which are those of the corpus in its order."""
        assert self.corpus_size == len(documents), "The documents given don't match the index corpus!"
        return [documents[number] for number in np.argsort(-self.get_scores(query), kind="stable")[:n]]
