"""`escalator eval retrieval`: what it measures, writes and compares."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import cli
from app.evaluation.retrieval_eval import RANKING
from tests.evaluation.conftest import QUERIES, Write

KEYS = {*RANKING, "queries", "index_s", "query_ms_p50", "query_ms_p95", "rss_mb"}


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["eval", "retrieval", *map(str, arguments)])


def measured(*arguments: object) -> dict[str, Any]:
    result = evaluate(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def rows(file: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_figures_have_the_documented_keys(write: Write) -> None:
    found = measured(write())

    assert set(found) == KEYS
    assert found["queries"] == 3
    assert found["mrr@10"] == pytest.approx(2 / 3, abs=1e-4)  # "And the price?" finds nothing by itself
    assert found["rss_mb"] > 10
    assert 0 < found["query_ms_p50"] <= found["query_ms_p95"]


def test_the_conversation_finds_what_a_question_alone_does_not(write: Write) -> None:
    assert measured(write(), "--history")["mrr@10"] == 1


def test_a_run_holds_every_question_with_its_hits(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"

    found = measured(write(), "--history", "--run", file)

    first, second, third = rows(file)
    assert set(first) == {"id", "text", *RANKING, "hits", "took_ms"}
    assert [row["text"] for row in (first, second, third)] == [query["text"] for query in QUERIES]
    assert second["hits"][0]["id"] == "tickets"
    scores = [hit["score"] for hit in first["hits"]]
    assert scores == sorted(scores, reverse=True)
    for name in RANKING:
        assert found[name] == pytest.approx(sum(row[name] for row in rows(file)) / 3, abs=1e-4)


@pytest.mark.slow
def test_a_run_is_compared_with_an_earlier_one_of_the_same_questions(write: Write, tmp_path: Path) -> None:
    folder, file = write(), tmp_path / "run.jsonl"
    measured(folder, "--run", file)

    found = measured(folder, "--history", "--against", file)["against"]

    assert (found["ndcg@10"]["wins"], found["ndcg@10"]["losses"], found["ndcg@10"]["ties"]) == (1, 0, 2)
    assert found["changed"] == [{"id": "q2", "text": "And the price?", "before": 0.0, "after": 1.0}]
    shown = evaluate(folder, "--history", "--against", file)
    assert "+0.3333" in shown.stdout
    assert "1 better, 0 worse" in shown.stdout


def test_a_run_of_other_questions_is_refused(write: Write, tmp_path: Path) -> None:
    folder, file = write(), tmp_path / "run.jsonl"
    measured(folder, "--run", file)
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")

    result = evaluate(folder, "--against", file)

    assert result.exit_code == 2
    assert "2 ids are in both, of 3 here and 2 there" in result.stderr
    file.write_text("", encoding="utf-8")
    assert "0 ids are in both" in evaluate(folder, "--against", file).stderr


@pytest.mark.parametrize("text", ["nonsense\n", "[]\n", '{"id": "q1"}\n'])
def test_what_is_no_run_is_refused_before_anything_is_measured(write: Write, tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(text, encoding="utf-8")

    result = evaluate(write(), "--against", file)

    assert result.exit_code == 2
    assert f"Line 1 of {file} is no row of a run" in result.stderr
    assert "Measuring" not in result.stderr


def test_a_person_reads_figures_on_stdout_and_remarks_on_stderr(write: Write) -> None:
    result = evaluate(write(qrels="q1\tbergen\t1\nq1\tlost\t1\n"))

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "ndcg@10    1.0000"
    assert "2 of 3 questions have no relevant passage" in result.stderr


def test_a_folder_that_holds_no_collection_ends_with_a_sentence(tmp_path: Path) -> None:
    result = evaluate(tmp_path)

    assert result.exit_code == 2
    assert "has no corpus.jsonl and no corpus.jsonl.gz" in result.stderr


def test_typing_errors_are_in_what_is_asked_and_others_for_another_seed(write: Write, tmp_path: Path) -> None:
    folder, file = write(queries=[{"id": "q3", "text": "cinnamon"}]), tmp_path / "run.jsonl"

    asked = set()
    for seed in range(4):
        measured(folder, "--typos", "--seed", seed, "--run", file)
        asked |= {row["text"] for row in rows(file)}

    assert len(asked) > 1
    assert "cinnamon" not in asked


def test_a_changed_subject_is_asked_after_a_conversation_and_finds_no_less(write: Write, tmp_path: Path) -> None:
    corpus = [{"id": f"{at}", "text": f"The ferry Number{at} has the captain Name{at}."} for at in range(40)]
    queries = [{"id": f"q{at}", "text": f"Who is the captain of Number{at}?"} for at in range(40)]
    folder = write(corpus, queries, "".join(f"q{at}\t{at}\t1\n" for at in range(40)))

    alone, changed = measured(folder), measured(folder, "--changed-subject")

    assert alone["mrr@10"] == changed["mrr@10"] == 1
    assert alone["queries"] == changed["queries"] == 40


def test_a_collection_about_one_subject_cannot_change_it(write: Write) -> None:
    result = evaluate(write(), "--changed-subject")

    assert result.exit_code == 2
    assert "is about one subject" in result.stderr
