"""What stands around a passage adds to its score."""

import random

import numpy as np
import pytest

from app.retrieval import kernel
from app.retrieval.index import Index
from app.retrieval.rerank import DEPTH, DOCUMENT, NEIGHBOUR, context
from app.retrieval.search import search
from app.retrieval.segment import Segment
from tests.support.corpora import passage


def added(passages: list[int], scores: list[float], documents: list[int]) -> list[float]:
    return context(np.array(passages), np.array(scores), np.array(documents)).tolist()


def test_a_passage_moves_up_towards_the_best_of_its_document() -> None:
    assert added([0, 2, 3], [4.0, 1.0, 3.0], [0, 0, 0, 1]) == pytest.approx([0.0, 3 * DOCUMENT, 0.0])


def test_the_better_neighbour_lends_too() -> None:
    expected = [4 * DOCUMENT + 2 * NEIGHBOUR, 3 * DOCUMENT + 5 * NEIGHBOUR, 2 * NEIGHBOUR]
    assert added([0, 1, 2], [1.0, 2.0, 5.0], [0, 0, 0]) == pytest.approx(expected)


def test_passages_of_two_documents_are_no_neighbours() -> None:
    assert added([0, 1], [1.0, 2.0], [0, 1]) == [0.0, 0.0]


def test_passages_with_another_between_them_are_no_neighbours() -> None:
    assert added([3, 5], [1.0, 2.0], [0] * 6) == pytest.approx([DOCUMENT, 0.0])


def test_a_passage_alone_has_nothing_around_it() -> None:
    assert added([7], [3.0], [4] * 8) == [0.0]


@pytest.mark.usefixtures("loops")
def test_of_two_equal_passages_the_one_in_the_better_document_comes_first() -> None:
    texts = ["cat", "dog", "cat", "cat cat cat"]
    index = Index.of([passage(text) for text in texts], [0, 0, 1, 1])
    found = search(index, "cat", k=4).hits
    assert [hit.passage.text for hit in found] == ["cat cat cat", "cat", "cat"]
    assert found[1].score > found[2].score


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("k", [1, 3, DEPTH - 1, DEPTH, DEPTH + 1, 400, 1000])
def test_the_first_few_are_those_of_a_longer_list(k: int) -> None:
    index = Index.of([passage(f"cat {'dog ' * (number % 50)}") for number in range(450)], [n // 9 for n in range(450)])
    terms = index.terms([(word, 1.0) for word in index.words("cat dog")])
    assert len(index.best(terms, k)) == min(k, 450)
    if k <= DEPTH:
        assert index.best(terms, k) == index.best(terms, DEPTH)[:k]


@pytest.mark.parametrize("seed", range(8))
def test_compiled_loops_rank_as_numpy_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel.load():
        pytest.skip("numba is not installed")
    chance = random.Random(seed)
    words = [f"{root}{end}" for root in ("library", "garden", "castle", "river") for end in ("", "card", "s", "house")]
    texts = ["\n".join(" ".join(chance.choices(words, k=chance.randint(1, 7))) for _ in range(3)) for _ in range(300)]
    segment = Segment.of([passage(text) for text in texts], [number // 7 for number in range(300)])
    alive = None if seed % 2 else np.array([chance.random() < 0.8 for _ in texts])
    for _ in range(20):
        question = " ".join(chance.choices([*words, "libraryx", "unseen"], k=chance.randint(1, 6)))
        found = []
        for loops in (None, kernel.loops(0)):
            with monkeypatch.context() as patch:
                patch.setattr(kernel, "loops", lambda _, loops=loops: loops)
                index = Index([(segment, alive)])
                terms = index.terms([(word, 1.0) for word in index.words(question)])
                best = index.best(terms, chance.choice([1, 10, 70]) if loops is None else max(1, len(found[0])))
                found.append([score for score, *_ in best])
        assert found[1] == pytest.approx(found[0], abs=1e-9)
