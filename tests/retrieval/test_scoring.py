"""The scores of the index are those of BM25, and its best passages are those with the best scores."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.documents.passages import Passage
from app.retrieval.analysis import QueryWord, terms
from app.retrieval.bm25 import BM25, saturation
from app.retrieval.index import Index, Match
from app.retrieval.scoring import QueryTerm, Scorer, largest
from app.retrieval.search import search
from app.retrieval.segment import Builder, Postings, above
from app.retrieval.snapshot import NOTHING
from app.retrieval.store import LocalIndex
from tests.support.corpora import document, passage

WORD = st.sampled_from("aa bb cc dd ee ff gg hh".split())
TEXT = st.lists(WORD, max_size=12).map(" ".join)
TEXTS = st.lists(TEXT, max_size=12)
QUERY = st.lists(WORD | st.just("unseen"), max_size=6, unique=True)
ALL = 1_000_000

pytestmark = pytest.mark.usefixtures("both_kernels")


def plain(index: Index, query: Sequence[str], k: int = ALL) -> list[Match]:
    return index.top_k(exact(index, dict.fromkeys(query, 1.0)), k, reranked=False)


def exact(index: Index, weights: Mapping[str, float]) -> list[QueryTerm]:
    """Return the terms of one-word queries with these weights, without variants."""
    return index.terms((), exact=[QueryWord(text, (text,), weight=weight) for text, weight in weights.items()])


def expected(passages: Sequence[Passage], query: Sequence[str]) -> list[float]:
    """Return the scores by the reference implementation."""
    corpus = [[*terms(p.text, p.language), *dict.fromkeys(terms(above(p), p.language))] for p in passages]
    return BM25(corpus).get_scores(query).tolist()


@given(TEXTS, QUERY)
def test_plain_scores_are_those_of_bm25(texts: list[str], query: list[str]) -> None:
    passages = [passage(text) for text in texts]
    found = plain(Index.of(passages), query)
    scores = expected(passages, query)
    assert {number: score for score, _, number in found} == pytest.approx(
        {number: score for number, score in enumerate(scores) if score}, abs=1e-9
    )
    assert found == sorted(found, key=lambda hit: (-hit[0], hit[2]))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.dictionaries(st.sampled_from("uvwxyz"), st.none() | TEXTS, min_size=1), max_size=6), QUERY)
def test_plain_scores_are_those_of_bm25_after_changes_of_the_corpus(
    tmp_path_factory: pytest.TempPathFactory, changes: list[dict[str, list[str] | None]], query: list[str]
) -> None:
    store = LocalIndex(tmp_path_factory.mktemp("index"))
    kept: dict[str, Sequence[Passage]] = {}
    for change in changes:
        documents = [document(file, texts) for file, texts in change.items() if texts is not None]
        with store.writing() as writer:
            assert writer is not None
            for file, texts in change.items():
                writer.put(document(file, texts)) if texts is not None else writer.remove(file)
            writer.commit(NOTHING)
        kept |= dict.fromkeys(change, ()) | {each.file: each.passages for each in documents}
    passages = [passage for those in kept.values() for passage in those]
    snapshot = store.current()
    found = {}
    for score, at, number in plain(snapshot.index, query):
        hit = snapshot.segments[at].passage(number)
        found[hit.file, hit.start] = score
    scores = expected(passages, query)
    assert found == pytest.approx({(p.file, p.start): s for p, s in zip(passages, scores, strict=True) if s}, abs=1e-9)


@pytest.mark.parametrize(
    ("texts", "best"),
    [
        ([], []),
        (["cat"], [0]),
        (["dog"], []),
        (["dog", "cat"], [1]),
        (["cat", "cat"], [0, 1]),
        (["cat dog dog dog", "cat"], [1, 0]),
        (["dog", "cat bird", "cat cat"], [2, 1]),
        (["cat", "cat", "cat"], [0, 1, 2]),
        (["", "", "cat"], [2]),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_smallest_corpora_rank_as_one_expects(texts: list[str], best: list[int], whole: bool) -> None:
    index = Index.of([passage(text) for text in texts])
    found = index.top_k(exact(index, {"cat": 1.0}), 10, reranked=not whole)
    assert [number for *_, number in found] == best
    assert all(score > 0 for score, *_ in found)


def test_equal_passages_are_found_in_their_order() -> None:
    index = Index.of([passage("cat") for _ in range(5000)])
    for k in (1, 7, 1249, 1251, 4999, 6000):
        assert [number for *_, number in plain(index, ["cat"], k)] == list(range(min(k, 5000)))


@pytest.mark.parametrize("seed", range(4))
def test_the_best_few_are_the_first_of_all(seed: int) -> None:
    """Passages that cannot be among the best are left out early, but no others."""
    chance = random.Random(seed)
    words = [f"w{number}" for number in range(12)]
    weights = [1 / (1 + number) for number in range(12)]
    index = Index.of([passage(" ".join(chance.choices(words, weights, k=chance.randint(0, 6)))) for _ in range(6000)])
    for _ in range(10):
        query = chance.sample(words, chance.randint(1, 5))
        everything = plain(index, query)
        for k in (1, 2, 10, 200, 2500):
            assert plain(index, query, k) == everything[:k]


@given(st.lists(st.integers(0, 4).map(float), max_size=60), st.integers(1, 20))
def test_the_largest_values_are_taken_and_the_first_of_equal_ones(scores: list[float], k: int) -> None:
    passages, best = largest(np.arange(len(scores)), np.array(scores), k)
    order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[:k]
    assert passages.tolist() == order
    assert best.tolist() == [scores[at] for at in order]


def test_a_word_of_greater_weight_counts_more() -> None:
    index = Index.of([passage("cat"), passage("dog")])
    for weights, first in (({"cat": 1.0, "dog": 0.3}, 0), ({"cat": 0.3, "dog": 1.0}, 1)):
        (_, _, number), _ = index.top_k(exact(index, weights), 2, reranked=False)
        assert number == first


@pytest.mark.parametrize("k", [0, 1])
def test_as_many_as_were_asked_for_are_found(k: int) -> None:
    index = Index.of([passage("cat") for _ in range(3)])
    assert len(search(index, "cat", k=k).hits) == k


@pytest.mark.usefixtures("both_kernels")
def test_a_term_that_weighs_nothing_finds_nothing_and_harms_nothing() -> None:
    index = Index.of([passage("cat"), passage("cat dog"), passage("dog")])
    terms = [
        term._replace(weight=weight) for weight in (0.0, 1e-300) for term in exact(index, {"cat": 1.0, "dog": 1.0})
    ]

    assert index.top_k(terms, 3) == index.top_k(terms, 3, reranked=False) == []
    assert [number for *_, number in index.top_k([*terms, *exact(index, {"dog": 1.0})], 3, reranked=False)] == [2, 1]


@pytest.mark.usefixtures("both_kernels")
def test_a_very_long_conversation_is_searched_by_its_end() -> None:
    index = Index.of([passage(f"cat number {number}") for number in range(9)])
    history = [("which cat?", "the cat")] * 900

    assert search(index, "number 5?", history).hits[0].passage.text == "cat number 5"


SHARES = st.dictionaries(WORD | st.just("unseen"), st.sampled_from([0.05, 0.2, 1.0]), min_size=1, max_size=4)


@pytest.mark.slow
@given(TEXTS, st.lists(SHARES, min_size=1, max_size=4), st.sets(st.integers(0, 11)))
def test_variants_are_added_up_before_they_are_weighed(
    texts: list[str], variants: list[dict[str, float]], deleted: set[int]
) -> None:
    builder = Builder()
    for text in texts:
        builder.add(text, "", "he")
    postings = Postings(builder.arrays())
    alive = np.array([number not in deleted for number in range(len(texts))], bool) if deleted else None
    scorer = Scorer(postings, 4.0, alive)
    query = [QueryTerm(str(at), 1.5 + at, tuple(each.items())) for at, each in enumerate(variants)]
    passages, scores = scorer.top_k(query, 20)
    expected = {}
    for number, text in enumerate(texts):
        counts = Counter(text.split())
        frequencies = [sum(counts[word] * share for word, share in each.items()) for each in variants]
        added = [saturation(tf, int(postings.lengths[number]), 4.0) for tf in frequencies]
        parts = [term.weight * each for term, each in zip(query, added, strict=True)]
        assert [scorer.score(term, np.array([number]))[0] for term in query] == pytest.approx(parts, abs=1e-9)
        if any(parts) and number not in deleted:
            expected[number] = sum(parts)
    assert dict(zip(passages.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected, abs=1e-9)
