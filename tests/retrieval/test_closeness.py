"""Closeness says how many words of the question stand in one sentence, and how often they follow each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval.closeness import FOLLOWING, K1, KINDRED, SENTENCE, B, closeness
from app.retrieval.postings import BREAK, Builder, Postings
from app.retrieval.scoring import Scorer, Term

pytestmark = pytest.mark.usefixtures("loops")

VOCABULARY = "aa bb cc dd ee".split()
TEXT = st.lists(st.sampled_from([*VOCABULARY, "zz", "\n"]), max_size=14).map(" ".join)
SHARES = st.dictionaries(st.sampled_from([*VOCABULARY, "unseen"]), st.sampled_from([0.05, 0.1, 0.3, 1.0]), max_size=3)


@st.composite
def questions(draw: st.DrawFn) -> list[Term]:
    places = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    return [
        Term(str(at), draw(st.floats(0.1, 3)), tuple(draw(SHARES).items()), place) for at, place in enumerate(places)
    ]


def scorer_of(texts: list[str]) -> Scorer:
    builder = Builder()
    for text in texts:
        builder.add(text, "", "he")
    postings = Postings(builder.arrays())
    return Scorer(postings, float(postings.lengths.mean()))


def added(texts: list[str], terms: list[Term]) -> list[float]:
    scorer = scorer_of(texts)
    members = scorer.members(terms)
    if not len(members.weights):
        return [0.0] * len(texts)
    return closeness(scorer, members, np.arange(len(texts))).tolist()


def naive(texts: list[str], terms: list[Term]) -> list[float]:
    """The same in plain Python."""
    scorer = scorer_of(texts)
    postings = scorer.postings
    meaning: dict[str, tuple[float, Term]] = {}
    for term in terms:
        for text, share in term.counting:
            alike = min(1.0, KINDRED * share)
            if text not in meaning or alike >= meaning[text][0]:
                meaning[text] = alike, term
    sentences, pairs, least = [], [], {}
    for number in range(len(texts)):
        first, last = postings.begins[number : number + 2]
        best: float = 0.0
        sentence: dict[str, float] = {}
        found: list[tuple[int, float, Term]] = []
        for at, token in enumerate(postings.tokens[first:last].tolist()):
            if token == BREAK:
                sentence = {}
            elif (text := postings.terms[token]) in meaning:
                alike, term = meaning[text]
                found.append((at, alike, term))
                sentence[term.text] = max(sentence.get(term.text, 0.0), alike * term.weight)
                best = max(best, sum(sentence.values()))
        follows: dict[int, float] = {}
        for one, (at, alike, term) in enumerate(found):
            for other_at, other_alike, other in found[one + 1 : one + 3]:
                if other_at - at <= 2 and other.place == term.place + 1:
                    follows[term.place] = follows.get(term.place, 0.0) + alike * other_alike
                    least[term.place] = max(least.get(term.place, 0.0), min(term.weight, other.weight))
        sentences.append(best)
        pairs.append(follows)
    scores = []
    for number, (best, follows) in enumerate(zip(sentences, pairs, strict=True)):
        length = K1 * (1 - B + B * int(postings.lengths[number]) / scorer.mean_length)
        near = sum(least[place] * count * (K1 + 1) / (count + length) for place, count in follows.items())
        scores.append(SENTENCE * best + FOLLOWING * near)
    return scores


@given(st.lists(TEXT, min_size=1, max_size=5), questions())
def test_it_is_what_its_definition_says(texts: list[str], terms: list[Term]) -> None:
    assert added(texts, terms) == pytest.approx(naive(texts, terms), abs=1e-9)


def test_the_same_arrays_may_be_used_again() -> None:
    scorer = scorer_of(["aa bb", "cc"])
    members = scorer.members([Term("aa", 1.0, (("aa", 1.0),)), Term("bb", 1.0, (("bb", 1.0),), 1)])
    first = closeness(scorer, members, np.arange(2)).tolist()
    other = scorer.members([Term("cc", 1.0, (("cc", 1.0),))])
    assert closeness(scorer, other, np.arange(2)).tolist() == [0.0, SENTENCE]
    assert closeness(scorer, members, np.arange(2)).tolist() == first
    assert closeness(scorer, members, np.array([1])).tolist() == [0.0]


TWO = [Term("aa", 1.0, (("aa", 1.0),), 0), Term("bb", 1.0, (("bb", 1.0),), 1)]


def test_words_in_one_sentence_count_more_than_in_two() -> None:
    together, apart = added(["aa zz zz zz bb\nzz", "aa zz zz zz\nbb zz"], TWO)
    assert (together, apart) == pytest.approx((2 * SENTENCE, SENTENCE))


def test_words_that_follow_each_other_count_more_than_words_that_do_not() -> None:
    following, near, far, backwards = added(["aa bb zz zz", "aa zz bb zz", "aa zz zz bb", "bb aa zz zz"], TWO)
    assert following == near > far == backwards


def test_saying_a_word_twice_in_a_sentence_does_not_help() -> None:
    once, twice = added(["aa zz", "aa aa"], TWO)
    assert once == twice == pytest.approx(SENTENCE)


def test_a_kindred_word_counts_less() -> None:
    own, kindred = added(["aa", "cc"], [Term("aa", 2.0, (("aa", 1.0), ("cc", 0.1)))])
    assert own == pytest.approx(2 * SENTENCE)
    assert kindred == pytest.approx(2 * SENTENCE * KINDRED * 0.1)
