"""BM25, the ranking function of lexical search: a drop-in for `rank_bm25.BM25Okapi` that is safe on small corpora.

The score of a document D for a query is a sum over the query's terms t:

    idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |D| / avgdl))

tf      how often t stands in D. The fraction grows with tf, but never beyond k1 + 1: the tenth mention adds little.
|D|     the length of D, avgdl the mean length. Long documents hold more words by chance; b says how much that counts.
idf(t)  how rare t is. With df of N documents holding t, Robertson and Sparck Jones weigh it

            log((N - df + 0.5) / (df + 0.5))                    idf="okapi"

        which is negative for a term in more than half of the documents, and 0 for one of two. rank_bm25 replaces
        negative values by `epsilon` times the mean of all, which is itself negative or 0 for one or two documents: the
        only document of a folder would never be found. Lucene adds 1 inside the logarithm, which keeps it positive:

            log(1 + (N - df + 0.5) / (df + 0.5))                idf="lucene", the default

Sources: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.3; Lucene's
BM25Similarity, which leaves out the factor k1 + 1, the same for every document, and is otherwise equal to this.
"""

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

Scores = npt.NDArray[np.float64]


class BM25(BM25Okapi):  # type: ignore[misc]  # rank_bm25 has no types
    """Ranks documents, each a list of terms; `k1` is 1.2 by default, as in Lucene, with idf="okapi" the parent's 1.5.

    With idf="okapi" every score is the parent's, bit for bit. In both cases a query visits only the documents that hold
    one of its terms, by an inverted index, and documents with equal scores stay in their order.
    """

    def __init__(
        self,
        corpus: Iterable[Any],
        tokenizer: Callable[[Any], list[str]] | None = None,
        k1: float | None = None,
        b: float = 0.75,
        epsilon: float = 0.25,
        *,
        idf: Literal["lucene", "okapi"] = "lucene",
    ):
        self.idf_kind = idf
        if k1 is None:
            k1 = 1.2 if idf == "lucene" else 1.5
        super().__init__(list(corpus), tokenizer, k1, b, epsilon)
        self._lengths = np.array(self.doc_len, dtype=np.int64)
        self._postings = self._invert()

    def _tokenize_corpus(self, corpus: list[Any]) -> list[list[str]]:
        """In this process: the parent's pool of processes costs more than it saves, and takes no lambda."""
        assert self.tokenizer is not None
        return [self.tokenizer(document) for document in corpus]

    def _initialize(self, corpus: list[list[str]]) -> dict[str, int]:
        return super()._initialize(corpus) if corpus else {}

    def _calc_idf(self, nd: dict[str, int]) -> None:
        """`nd` maps each term to the number of documents that hold it."""
        if not nd:
            self.average_idf = 0.0
        elif self.idf_kind == "okapi":
            super()._calc_idf(nd)
        else:
            self.idf = {t: math.log(1 + (self.corpus_size - df + 0.5) / (df + 0.5)) for t, df in nd.items()}
            self.average_idf = sum(self.idf.values()) / len(self.idf)

    def _invert(self) -> dict[str, tuple["array[int]", "array[int]"]]:
        """For each term the documents that hold it, ascending, and how often each does."""
        postings: dict[str, tuple[array[int], array[int]]] = {}
        for number, frequencies in enumerate(self.doc_freqs):
            for term, frequency in frequencies.items():
                if term not in postings:
                    postings[term] = array("q"), array("q")
                documents, counts = postings[term]
                documents.append(number)
                counts.append(frequency)
        return postings

    def term_scores(self, term: str) -> tuple[npt.NDArray[np.int64], Scores]:
        """The documents that hold the term, ascending, and what it adds to the score of each."""
        documents, counts = self._postings.get(term, (array("q"), array("q")))
        found, tf = np.frombuffer(documents, dtype=np.int64), np.frombuffer(counts, dtype=np.int64)
        if not len(found):
            return found, np.zeros(0)
        length = 1 - self.b + self.b * self._lengths[found] / self.avgdl
        return found, self.idf[term] * (tf * (self.k1 + 1) / (tf + self.k1 * length))

    def get_scores(self, query: Iterable[str]) -> Scores:
        """The score of every document, in their order; 0 where no term of the query occurs."""
        scores = np.zeros(self.corpus_size)
        for term in query:
            documents, added = self.term_scores(term)
            scores[documents] += added
        return scores

    def get_batch_scores(self, query: Iterable[str], doc_ids: Sequence[int]) -> list[float]:
        """The scores of some documents."""
        return self.get_scores(query)[np.array(doc_ids, dtype=np.int64)].tolist()  # type: ignore[no-any-return]

    def get_top_n(self, query: Iterable[str], documents: Sequence[Any], n: int = 5) -> list[Any]:
        """The `n` best of `documents`, which are those of the corpus in its order."""
        assert self.corpus_size == len(documents), "The documents given don't match the index corpus!"
        best = np.argsort(-self.get_scores(query), kind="stable")[:n]
        return [documents[number] for number in best]
