"""Answers with labels from public data sets, and drafts made of questions with answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import InputError
from benchmarks.judged import read
from tests.evaluation.conftest import Write

BEGIN = """model_name\tdata_source\tknowledge\tmessage\tresponse\tbegin_label
t5\twow\tThe ferry leaves at "nine.\tWhen?\tIt leaves at nine\tFully attributable
t5\twow\tThe ferry leaves at nine.\tWhen?\tPenguins swim\tNot fully attributable
t5\twow\tThe ferry leaves at nine.\tWhen?\tNice!\tGeneric
"""


def claim(text: str, support: str, *evidence: str) -> dict[str, Any]:
    return {"claim_string": text, "support": support, "evidence": list(evidence)}


PASSAGE = "[1] https://ferries.example The ferry leaves the old harbour at nine."


def expert(folder: Path, *claims: dict[str, Any]) -> list[dict[str, Any]]:
    file = folder / "data" / "r2.jsonl"
    file.parent.mkdir(exist_ok=True)
    answer = {"answer_string": "It leaves at nine.", "claims": claims}
    line = json.dumps({"question": "When?", "answers": {"gpt4": answer}}) + "\n"
    file.write_text(line + "not json\n" + line, encoding="utf-8")  # an answer may be in two files
    return read(folder)


def test_begin_has_responses_with_one_passage_and_generic_ones_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "wow").mkdir()
    (tmp_path / "wow" / "begin_dev_wow.tsv").write_text(BEGIN, encoding="utf-8")
    rows = read(tmp_path)

    assert [(row["set"], row["answer"], row["label"]) for row in rows] == [
        ("begin wow", "It leaves at nine", "good"),
        ("begin wow", "Penguins swim", "hallucinated"),
    ]
    assert rows[0]["context"] == ['The ferry leaves at "nine.']
    assert len({row["id"] for row in rows}) == 2


def test_an_answer_of_expertqa_is_good_if_all_its_claims_are_supported(tmp_path: Path) -> None:
    rows = expert(tmp_path, claim("At nine.", "Complete", PASSAGE), claim("Daily.", "Complete", PASSAGE))

    assert [(row["set"], row["label"]) for row in rows] == [
        ("expertqa answers", "good"),
        ("expertqa claims", "good"),
        ("expertqa claims", "good"),
    ]
    assert rows[0]["context"] == ["The ferry leaves the old harbour at nine."]


def test_an_answer_of_expertqa_is_bad_if_half_of_its_claims_are_not_supported(tmp_path: Path) -> None:
    rows = expert(tmp_path, claim("At nine.", "Complete", PASSAGE), claim("Daily.", "Missing", "[2] https://x.example"))

    assert [(row["set"], row["label"]) for row in rows] == [
        ("expertqa answers", "hallucinated"),
        ("expertqa claims", "good"),
    ]


def test_answers_of_which_most_claims_are_supported_are_neither(tmp_path: Path) -> None:
    supported = [claim(f"At {n}.", "Complete", PASSAGE) for n in range(3)]
    rows = expert(tmp_path, *supported, claim("Daily.", "Incomplete", PASSAGE))

    assert [row["set"] for row in rows] == ["expertqa claims"] * 4
    assert rows[-1]["label"] == "hallucinated"


def test_questions_with_answers_make_right_drafts_and_drafts_from_elsewhere(write: Write) -> None:
    corpus = [
        {"id": "p1", "text": "The ferry leaves the old harbour at nine."},
        {"id": "p2", "text": "The bus waits behind the station until noon."},
    ]
    queries = [
        {"id": "q1", "text": "When does the ferry leave?", "answers": ["at nine"]},
        {"id": "q2", "text": "Where does the bus wait?", "answers": ["behind the station"]},
        {
            "id": "q3",
            "text": "Until when does the bus wait?",
            "answers": ["until noon, behind the station, like all buses"],
        },
    ]
    folder = write(corpus, queries, "q1\tp1\t1\nq2\tp2\t1\nq3\tp2\t1\n")
    rows = read(folder)
    short = [row for row in rows if row["set"] == "ferries short"]

    assert [row["answer"] for row in rows if row["set"] == "ferries gold"] == [each["answers"][0] for each in queries]
    assert {(row["qid"], row["answer"], row["label"]) for row in short} == {
        ("q1", "at nine", "good"),
        ("q1", "behind the station", "hallucinated"),
        ("q2", "behind the station", "good"),
        ("q2", "at nine", "hallucinated"),
    }
    assert all(row["answer"] in row["context"][0] for row in short if row["label"] == "good")
    assert {row["set"] for row in rows} == {"ferries gold", "ferries short", "ferries short packed"}


def test_a_folder_without_answers_is_told_in_a_sentence(write: Write) -> None:
    queries = [{"id": "q1", "text": "When?"}]
    folder = write([{"id": "p1", "text": "At nine."}], queries, "q1\tp1\t1\n")

    with pytest.raises(InputError, match="answers"):
        read(folder)
