"""Reranking adds the proximity of the question's words, and the context of a passage in its document."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval import scoring
from app.retrieval.index import Index
from app.retrieval.rerank import (
    DEPTH,
    DOCUMENT,
    NEIGHBOUR,
    PAIR,
    PAIR_B,
    PAIR_K1,
    SENTENCE,
    SIMILAR,
    context,
    proximity,
)  # fmt: skip
from app.retrieval.scoring import QueryTerm, Scorer
from app.retrieval.search import search
from app.retrieval.segment import BREAK, Builder, Postings, Segment
from tests.support.corpora import passage

VOCABULARY = "aa bb cc dd ee".split()
TEXT = st.lists(st.sampled_from([*VOCABULARY, "zz", "\n"]), max_size=14).map(" ".join)
SHARES = st.dictionaries(st.sampled_from([*VOCABULARY, "unseen"]), st.sampled_from([0.05, 0.1, 0.3, 1.0]), max_size=3)


@st.composite
def questions(draw: st.DrawFn) -> list[QueryTerm]:
    places = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    return [
        QueryTerm(str(at), draw(st.floats(0.1, 3)), tuple(draw(SHARES).items()), place)
        for at, place in enumerate(places)
    ]


def scorer_of(texts: list[str]) -> Scorer:
    builder = Builder()
    for text in texts:
        builder.add(text, "", "he")
    postings = Postings(builder.arrays())
    return Scorer(postings, float(postings.lengths.mean()))


def proximities(texts: list[str], terms: list[QueryTerm]) -> list[float]:
    return proximity(scorer_of(texts), terms, np.arange(len(texts))).tolist()


def naive(texts: list[str], terms: list[QueryTerm]) -> list[float]:
    """Compute proximity scores in plain Python, by their definition."""
    scorer = scorer_of(texts)
    postings = scorer.postings
    meaning: dict[str, tuple[float, QueryTerm]] = {}
    for term in terms:
        for text, share in term.variants:
            similarity = min(1.0, SIMILAR * share)
            if text not in meaning or similarity >= meaning[text][0]:
                meaning[text] = similarity, term
    sentences, pairs, least = [], [], {}
    for number in range(len(texts)):
        first, last = postings.begins[number : number + 2]
        best: float = 0.0
        sentence: dict[str, float] = {}
        found: list[tuple[int, float, QueryTerm]] = []
        for at, token in enumerate(postings.tokens[first:last].tolist()):
            if token == BREAK:
                sentence = {}
            elif (text := postings.terms[token]) in meaning:
                similarity, term = meaning[text]
                found.append((at, similarity, term))
                sentence[term.text] = max(sentence.get(term.text, 0.0), similarity * term.weight)
                best = max(best, sum(sentence.values()))
        follows: dict[int, float] = {}
        for one, (at, similarity, term) in enumerate(found):
            for other_at, other_similarity, other in found[one + 1 : one + 3]:
                if other_at - at <= 2 and other.position == term.position + 1:
                    follows[term.position] = follows.get(term.position, 0.0) + similarity * other_similarity
                    least[term.position] = max(least.get(term.position, 0.0), min(term.weight, other.weight))
        sentences.append(best)
        pairs.append(follows)
    scores = []
    for number, (best, follows) in enumerate(zip(sentences, pairs, strict=True)):
        length = PAIR_K1 * (1 - PAIR_B + PAIR_B * int(postings.lengths[number]) / scorer.mean_length)
        near = sum(least[place] * count * (PAIR_K1 + 1) / (count + length) for place, count in follows.items())
        scores.append(SENTENCE * best + PAIR * near)
    return scores


@given(st.lists(TEXT, min_size=1, max_size=5), questions())
def test_proximity_scores_follow_their_definition(texts: list[str], terms: list[QueryTerm]) -> None:
    assert proximities(texts, terms) == pytest.approx(naive(texts, terms), abs=1e-9)


def test_a_scorer_can_be_used_again() -> None:
    scorer = scorer_of(["aa bb", "cc"])
    query = [QueryTerm("aa", 1.0, (("aa", 1.0),)), QueryTerm("bb", 1.0, (("bb", 1.0),), 1)]
    first = proximity(scorer, query, np.arange(2)).tolist()
    other = [QueryTerm("cc", 1.0, (("cc", 1.0),))]
    assert proximity(scorer, other, np.arange(2)).tolist() == [0.0, SENTENCE]
    assert proximity(scorer, query, np.arange(2)).tolist() == first
    assert proximity(scorer, query, np.array([1])).tolist() == [0.0]


TWO = [QueryTerm("aa", 1.0, (("aa", 1.0),), 0), QueryTerm("bb", 1.0, (("bb", 1.0),), 1)]


def test_words_in_one_sentence_count_more_than_in_two() -> None:
    together, apart = proximities(["aa zz zz zz bb\nzz", "aa zz zz zz\nbb zz"], TWO)
    assert (together, apart) == pytest.approx((2 * SENTENCE, SENTENCE))


def test_words_that_follow_each_other_count_more_than_words_that_do_not() -> None:
    following, near, far, backwards = proximities(["aa bb zz zz", "aa zz bb zz", "aa zz zz bb", "bb aa zz zz"], TWO)
    assert following == near > far == backwards


def test_a_word_that_occurs_twice_in_a_sentence_counts_once() -> None:
    once, twice = proximities(["aa zz", "aa aa"], TWO)
    assert once == twice == pytest.approx(SENTENCE)


def test_a_similar_word_counts_less() -> None:
    own, similar = proximities(["aa", "cc"], [QueryTerm("aa", 2.0, (("aa", 1.0), ("cc", 0.1)))])
    assert own == pytest.approx(2 * SENTENCE)
    assert similar == pytest.approx(2 * SENTENCE * SIMILAR * 0.1)


def added(passages: list[int], scores: list[float], documents: list[int]) -> list[float]:
    return context(np.array(passages), np.array(scores), np.array(documents)).tolist()


def test_a_passage_moves_up_towards_the_best_of_its_document() -> None:
    assert added([0, 2, 3], [4.0, 1.0, 3.0], [0, 0, 0, 1]) == pytest.approx([0.0, 3 * DOCUMENT, 0.0])


def test_the_better_neighbour_adds_too() -> None:
    expected = [4 * DOCUMENT + 2 * NEIGHBOUR, 3 * DOCUMENT + 5 * NEIGHBOUR, 2 * NEIGHBOUR]
    assert added([0, 1, 2], [1.0, 2.0, 5.0], [0, 0, 0]) == pytest.approx(expected)


def test_passages_of_two_documents_are_no_neighbours() -> None:
    assert added([0, 1], [1.0, 2.0], [0, 1]) == [0.0, 0.0]


def test_passages_with_another_between_them_are_no_neighbours() -> None:
    assert added([3, 5], [1.0, 2.0], [0] * 6) == pytest.approx([DOCUMENT, 0.0])


def test_a_single_passage_has_no_context() -> None:
    assert added([7], [3.0], [4] * 8) == [0.0]


@pytest.mark.usefixtures("both_kernels")
def test_of_two_equal_passages_the_one_in_the_better_document_comes_first() -> None:
    texts = ["cat", "dog", "cat", "cat cat cat"]
    index = Index.of([passage(text) for text in texts], [0, 0, 1, 1])
    found = search(index, "cat", k=4).hits
    assert [hit.passage.text for hit in found] == ["cat cat cat", "cat", "cat"]
    assert found[1].score > found[2].score


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("k", [1, 3, DEPTH - 1, DEPTH, DEPTH + 1, 400, 1000])
def test_the_first_few_are_those_of_a_longer_list(k: int) -> None:
    index = Index.of([passage(f"cat {'dog ' * (number % 50)}") for number in range(450)], [n // 9 for n in range(450)])
    terms = index.terms(index.words("cat dog"))
    assert len(index.top_k(terms, k)) == min(k, 450)
    if k <= DEPTH:
        assert index.top_k(terms, k) == index.top_k(terms, DEPTH)[:k]


@pytest.mark.parametrize("seed", range(8))
def test_numba_ranks_as_numpy_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring.compiler().join()
    if scoring.compiled(0) is None:
        pytest.skip("numba is not installed")
    chance = random.Random(seed)
    words = [f"{root}{end}" for root in ("library", "garden", "castle", "river") for end in ("", "card", "s", "house")]
    texts = ["\n".join(" ".join(chance.choices(words, k=chance.randint(1, 7))) for _ in range(3)) for _ in range(300)]
    segment = Segment.of([passage(text) for text in texts], [number // 7 for number in range(300)])
    alive = None if seed % 2 else np.array([chance.random() < 0.8 for _ in texts])
    for _ in range(20):
        question = " ".join(chance.choices([*words, "libraryx", "unseen"], k=chance.randint(1, 6)))
        found = []
        for loop in (None, scoring.compiled(0)):
            with monkeypatch.context() as patch:
                patch.setattr(scoring, "compiled", lambda _, loop=loop: loop)
                index = Index([(segment, alive)])
                terms = index.terms(index.words(question))
                best = index.top_k(terms, chance.choice([1, 10, 70]) if loop is None else max(1, len(found[0])))
                found.append([score for score, *_ in best])
        assert found[1] == pytest.approx(found[0], abs=1e-9)
