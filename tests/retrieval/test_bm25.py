"""The BM25 drop-in: the parent's numbers on request, sound ones by default, and no corpus too small."""

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


@given(CORPUS, QUERY, K1, B, B)
def test_okapi_gives_the_parents_numbers_bit_for_bit(
    corpus: list[list[str]], query: list[str], k1: float, b: float, epsilon: float
) -> None:
    parent = BM25Okapi(corpus, k1=k1, b=b, epsilon=epsilon)
    ours = BM25(corpus, k1=k1, b=b, epsilon=epsilon, idf="okapi")
    assert ours.idf == parent.idf
    assert ours.average_idf == parent.average_idf
    expected = parent.get_scores(query)
    assert ours.get_scores(query).tobytes() == expected.tobytes()
    some = list(range(0, len(corpus), 2))
    assert ours.get_batch_scores(query, some) == expected[some].tolist()


def test_okapi_has_the_parents_defaults() -> None:
    parent, ours = BM25Okapi([["a"], ["b"], ["c"]]), BM25([["a"], ["b"], ["c"]], idf="okapi")
    assert (ours.k1, ours.b, ours.epsilon) == (parent.k1, parent.b, parent.epsilon)


@given(CORPUS, QUERY)
def test_by_default_the_score_is_the_formula(corpus: list[list[str]], query: list[str]) -> None:
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
def test_by_default_a_score_is_positive_exactly_where_a_term_occurs(corpus: list[list[str]], query: list[str]) -> None:
    scores = BM25(corpus).get_scores(query)
    assert (scores > 0).tolist() == [bool(set(query) & set(document)) for document in corpus]


@pytest.mark.parametrize("idf", ["lucene", "okapi"])
@pytest.mark.parametrize("corpus", [[], [[]], [[], []]])
def test_empty_corpora_are_searched_like_any_other(corpus: list[list[str]], idf: str) -> None:
    bm25 = BM25(corpus, idf=idf)  # type: ignore[arg-type]
    assert bm25.get_scores(["a"]).tolist() == [0.0] * len(corpus)
    assert bm25.get_top_n(["a"], corpus) == corpus
    assert bm25.get_batch_scores(["a"], []) == []


def test_the_only_document_is_found() -> None:
    assert BM25([["a", "b"]]).get_scores(["a"])[0] > 0
    assert BM25Okapi([["a", "b"]]).get_scores(["a"])[0] < 0


def test_equal_scores_stay_in_the_order_of_the_documents() -> None:
    corpus = [["x"], *([["a"]] * 20), ["x"]]
    assert BM25(corpus).get_top_n(["a"], list(range(22)), n=22) == [*range(1, 21), 0, 21]


def test_a_tokenizer_may_be_a_lambda() -> None:
    bm25 = BM25(["A b", "c"], lambda text: text.lower().split())
    assert bm25.get_top_n(["a"], ["first", "second"], n=1) == ["first"]


def test_the_documents_must_be_those_of_the_corpus() -> None:
    with pytest.raises(AssertionError, match="don't match"):
        BM25([["a"]]).get_top_n(["a"], [])
