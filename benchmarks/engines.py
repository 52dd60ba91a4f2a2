"""The search engines that are compared: ours, and the libraries that one would use instead.

An engine is a function that indexes texts and returns a query function, which maps a question (a list of terms) to the
numbers of the ten best texts.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from app.documents.document import Document
from app.documents.language import SNOWBALL
from app.documents.passages import SEPARATOR, Passage, Place
from app.retrieval import scoring
from app.retrieval.analysis import QueryWord, terms
from app.retrieval.index import Index
from app.retrieval.segment import Builder, Postings, Segment
from app.retrieval.snapshot import NOTHING
from app.retrieval.store import LocalIndex

TOP = 10

_PASSAGES = 10
"""Passages of each document."""

Query = Callable[[list[str]], list[int]]
Engine = Callable[[Sequence[str], str, Path], Query]
"""A function from texts, their language and an empty folder to a query function."""


def escalator(texts: Sequence[str], language: str, folder: Path, *, numba: bool = True) -> Query:
    """Build the index of the product on the disk, and search it with everything that the product ranks by."""
    with LocalIndex(folder).writing() as writer:
        assert writer is not None
        for document in documents(texts, language):
            writer.put(document)
        writer.commit(NOTHING)
    index = opened(folder)
    _compiled(numba)

    def query(words: list[str]) -> list[int]:
        found = index.top_k(index.terms(_words(words)), TOP)
        return [number for *_, number in found]

    return query


def opened(folder: Path) -> Index:
    """Open the index of the product in a folder, and load all that a first question needs."""
    index = LocalIndex(folder).current().index
    index.top_k((), TOP)
    return index


def escalator_bm25(texts: Sequence[str], language: str, _: Path, *, numba: bool = True) -> Query:
    """Build our BM25 alone, in memory, with the weights of bm25.py."""
    builder = Builder()
    for text in texts:
        builder.add(text, "", language)
    index = Index([(Segment(Postings(builder.arrays()), np.arange(len(texts))), None)])
    _compiled(numba)
    return lambda words: [at for *_, at in index.top_k(index.terms((), exact=_words(words)), TOP, reranked=False)]


def rank_bm25(texts: Sequence[str], language: str, _: Path) -> Query:
    """Build rank_bm25's Okapi over the terms of the product; it has no tokenizer of its own."""
    from rank_bm25 import BM25Okapi

    bm25: Any = BM25Okapi([terms(text, language) for text in texts])
    return lambda words: bm25.get_top_n(words, range(len(texts)), TOP)


def bm25s(texts: Sequence[str], language: str, _: Path, *, backend: str) -> Query:
    """Build bm25s as its documentation recommends: Lucene's BM25, without stop words, with Snowball stems."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer(SNOWBALL[language]) if language in SNOWBALL else None
    tokenize = partial(bm25s.tokenize, texts, stemmer=stemmer, show_progress=False)
    try:
        tokens = tokenize(stopwords=language)
    except ValueError:  # it has no stop words of this language
        tokens = tokenize(stopwords=None)
    bm25 = bm25s.BM25(method="lucene", backend=backend)
    bm25.index(tokens, show_progress=False)
    options = {"k": min(TOP, len(texts)), "n_threads": 0, "show_progress": False, "backend_selection": backend}
    return lambda words: bm25.retrieve([words], **options).documents[0].tolist()


ENGINES: dict[str, Engine] = {
    "escalator": escalator,
    "escalator_numpy": partial(escalator, numba=False),
    "escalator_bm25": escalator_bm25,
    "escalator_bm25_numpy": partial(escalator_bm25, numba=False),
    "rank_bm25": rank_bm25,
    "bm25s_numpy": partial(bm25s, backend="numpy"),
    "bm25s_numba": partial(bm25s, backend="numba"),
}


def missing(name: str) -> list[str]:
    """Return the packages that an engine needs, according to its name, and that are not installed."""
    return [part for part in name.split("_") if part in {"bm25s", "numba"} and find_spec(part) is None]


def _words(terms: Sequence[str]) -> list[QueryWord]:
    return [QueryWord(term, (term,)) for term in terms]


def _compiled(numba: bool) -> None:
    """Compile the kernel before the first question, or rule it out."""
    if numba:
        scoring.compiler().join()
    else:
        scoring.LARGE = sys.maxsize


def documents(texts: Sequence[str], language: str) -> Iterator[Document]:
    """Yield documents whose passages are the texts, ten in each."""
    for first in range(0, len(texts), _PASSAGES):
        file, own = str(first), texts[first : first + _PASSAGES]
        starts = accumulate((len(text) + len(SEPARATOR) for text in own), initial=0)
        passages = tuple(
            Passage(file, start, start + len(text), text, Place("page", f"page {number}", number), "", language)
            for number, (start, text) in enumerate(zip(starts, own, strict=False), 1)
        )
        yield Document(file, "", SEPARATOR.join(own), language, len(own), passages, 0, 0)
