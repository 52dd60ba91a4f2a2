"""The BM25 that extends rank_bm25's: the formula with Lucene's idf, and no corpus too small."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from app.retrieval.bm25 import BM25

TERM = st.sampled_from("abcdefgh")
CORPUS = st.lists(st.lists(TERM, max_size=12), min_size=1, max_size=12).filter(any)
QUERY = st.lists(TERM | st.just("unseen"), max_size=6)
K1 = st.floats(0.01, 3)  # the parent divides 0 by 0 where k1 is 0, and for an empty document where b is 1
B = st.floats(0, 0.99)


@given(CORPUS, QUERY, K1, B)
def test_all_but_the_idf_is_the_parents_bit_for_bit(
    corpus: list[list[str]], query: list[str], k1: float, b: float
) -> None:
    parent, ours = BM25Okapi(corpus, k1=k1, b=b), BM25(corpus, k1=k1, b=b)
    assert ours.idf.keys() == parent.idf.keys()
    parent.idf = ours.idf
    expected = parent.get_scores(query)
    assert ours.get_scores(query).tobytes() == expected.tobytes()
    some = list(range(0, len(corpus), 2))
    assert ours.get_batch_scores(query, some) == expected[some].tolist()


@given(CORPUS, QUERY)
def test_the_score_is_the_formula(corpus: list[list[str]], query: list[str]) -> None:
    average = sum(map(len, corpus)) / len(corpus)
    expected = []
    for document in corpus:
        score = 0.0
        for term in query:
            df, tf = sum(term in other for other in corpus), document.count(term)
            idf = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
            score += idf * tf * 2.2 / (tf + 1.2 * (1 - 0.75 + 0.75 * len(document) / average))
        expected.append(score)
    assert BM25(corpus).get_scores(query) == pytest.approx(expected)


@given(CORPUS, QUERY)
def test_a_score_is_positive_exactly_where_a_term_occurs(corpus: list[list[str]], query: list[str]) -> None:
    scores = BM25(corpus).get_scores(query)
    assert (scores > 0).tolist() == [bool(set(query) & set(document)) for document in corpus]


@pytest.mark.parametrize("corpus", [[], [[]], [[], []]])
def test_empty_corpora_are_searched_like_any_other(corpus: list[list[str]]) -> None:
    bm25 = BM25(corpus)
    assert bm25.get_scores(["a"]).tolist() == [0.0] * len(corpus)
    assert bm25.get_top_n(["a"], corpus) == corpus
    assert bm25.get_batch_scores(["a"], []) == []


def test_the_only_document_is_found() -> None:
    assert BM25([["a", "b"]]).get_scores(["a"])[0] > 0
    assert BM25Okapi([["a", "b"]]).get_scores(["a"])[0] < 0
