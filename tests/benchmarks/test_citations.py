"""`escalator eval citations`: what it makes of a collection, and what people marked in answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.evaluation import datasets
from benchmarks import citations
from tests.evaluation.conftest import CORPUS, Write

FERRY = "The ferry leaves the old harbour of Bergen at 9:30 every morning."


def printed(*arguments: object) -> Any:
    result = CliRunner().invoke(cli, ["eval", "citations", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_sentences_of_passages_are_told_from_what_was_made_of_them(write: Write) -> None:
    found = printed(write(), "--passages", 2)

    assert found["verbatim"] == {"sentences": 3, "marked": 0.0, "covers": 1.0, "same": 1.0}
    assert found["one name exchanged"]["marked"] == 1.0
    assert found["from elsewhere"]["covers"] == 0.0


def test_names_and_numbers_stay_where_they_are_to_be_kept(write: Write) -> None:
    for probe in citations.probes(datasets.read_collection(write()), 3, seed=1):
        if probe.number and "kept" in probe.kind and "old harbour" in probe.evidence[probe.number - 1].text:
            assert "Bergen" in probe.text


def test_a_collection_in_another_language_tells_names(write: Write, tmp_path: Path) -> None:
    german = [{**CORPUS[0], "text": "Die Fähre verlässt den alten Hafen von Bergen um halb zehn."}, *CORPUS[1:]]
    english = datasets.read_collection(write())

    made = citations.probes(datasets.read_collection(write(corpus=german)), 4, 0, beside=english)

    [exchanged] = [probe.text for probe in made if probe.kind == "one name exchanged" and "Hafen" in probe.text]
    assert "Bergen" not in exchanged
    assert "Fähre" in exchanged


def test_support_is_held_against_what_people_marked(tmp_path: Path) -> None:
    rows = [
        {"answer": answer, "context": [FERRY], "lang": "en", "qid": f"{number}", "halluc_spans": spans}
        for number in range(20)
        for answer, spans in ((FERRY, []), ("Penguins of Antarctica raise 12 young.", [[0, 8]]))
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    assert printed(file)["all"] == {"sentences": 40, "bad": 20, "auroc": 1.0, "auroc_95": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": 7, "halluc_spans": []}, "is no answer"),
        ({"answer": "Yes.", "context": [], "lang": "en", "qid": "1", "halluc_spans": []}, "No language"),
    ],
)
def test_a_file_that_tells_nothing_is_refused(tmp_path: Path, row: Any, said: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps(row), encoding="utf-8")

    result = CliRunner().invoke(cli, ["eval", "citations", str(file)])

    assert result.exit_code != 0
    assert said in " ".join(result.stderr.split())
