"""Measuring evidence: what counts as held, and the figures of a collection."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import InputError
from app.evaluation.datasets import read_collection as read
from app.evaluation.retrieval_eval import evidence, holds, tokens


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(**answers: list[str]) -> Path:
        passages = {
            "ferry": "The ferry leaves at nine. It crosses the bay in an hour.",
            "club": "The club meets on Mondays. Members pay ten euros a year.",
            "bus": "The bus stops at the harbour. It is red.",
        }
        rows = {
            "corpus": [{"id": name, "title": "", "text": text} for name, text in passages.items()],
            "queries": [
                {"id": name, "text": f"When does the {name} go?", "answers": found} for name, found in answers.items()
            ],
        }
        for name, lines in rows.items():
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        (tmp_path / "qrels.tsv").write_text("\n".join(f"{name}\t{name}\t1" for name in answers), encoding="utf-8")
        return tmp_path

    return write


def test_an_answer_is_held_whatever_its_case_and_its_blanks() -> None:
    assert holds(["It leaves at\n Nine."], ["AT  nine"])
    assert not holds(["It leaves at", "nine."], ["at nine"])
    assert not holds(["It leaves."], ["", " "])


@pytest.mark.slow
def test_a_token_is_three_bytes() -> None:
    assert [tokens(text) for text in ("", "a", "abc", "abcd", "é文")] == [0, 1, 1, 2, 2]


def test_the_figures_are_shares_of_the_questions_that_have_answers(folder: Callable[..., Path]) -> None:
    told: list[str] = []
    result = evidence(read(folder(ferry=["at nine", "9"], club=["on Fridays"], bus=[])), told.append)

    assert result == {
        "evidence@256": 0.5,
        "evidence@512": 0.5,
        "evidence@1024": 0.5,
        "quoted@1": 0.5,
        "quoted@3": 0.5,
        "queries": 2,
    }
    assert told == ["2 of 3 questions have answers."]


def test_a_collection_without_answers_is_named(folder: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="answers"):
        evidence(read(folder(ferry=[])), print)
