"""The figures against values worked out by hand and plain counting."""

from math import log2

import pytest

from app.evaluation.retrieval_eval import mrr, ndcg, ranking, recall


def test_ndcg_divides_a_relevance_by_the_logarithm_of_its_rank() -> None:
    found, judged = ["x", "a", "y", "b"], {"a": 1.0, "b": 1.0}

    assert ndcg(found, judged, 10) == pytest.approx((1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)))


def test_ndcg_knows_grades_without_raising_them_to_a_power() -> None:
    found, judged = ["a", "b"], {"a": 1.0, "b": 3.0}

    assert ndcg(found, judged, 10) == pytest.approx((1 + 3 / log2(3)) / (3 + 1 / log2(3)))


def test_the_best_order_has_an_ndcg_of_1_however_much_is_relevant() -> None:
    judged = {str(number): 20.0 - number for number in range(20)}

    assert ndcg(list(judged), judged, 10) == 1


def test_what_lies_below_the_depth_does_not_count() -> None:
    found, judged = ["x", "y", "a", "b"], {"a": 1.0, "c": 1.0}

    assert ndcg(found, judged, 2) == recall(found, judged, 2) == mrr(found, judged, 2) == 0
    assert recall(found, judged, 3) == 0.5
    assert mrr(found, judged, 3) == pytest.approx(1 / 3)


def test_the_four_figures_of_a_search_that_found_nothing_are_0() -> None:
    assert ranking([], {"a": 1.0}) == {"ndcg@10": 0, "recall@10": 0, "recall@100": 0, "mrr@10": 0}


def test_recall_looks_a_hundred_deep_where_the_others_look_ten() -> None:
    found = [str(number) for number in range(150)]

    assert ranking(found, {"10": 1.0, "99": 1.0, "100": 1.0, "3": 1.0}) == {
        "ndcg@10": pytest.approx((1 / log2(5)) / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5))),
        "recall@10": 0.25,
        "recall@100": 0.75,
        "mrr@10": 0.25,
    }
