"""`escalator eval escalation`: what it reads, what it prints, and how bad input is told."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.answering import escalation, features
from app.answering.escalation import DOUBTFUL, PER_CLAIM
from app.answering.features import GRAM, STRETCH
from app.cli.commands import cli
from benchmarks import leave_out

FERRY = (
    "The ferry leaves the old harbour of Bergen at 9:30 every morning, and tickets are sold on board for 120 kroner."
)
GOOD = "The ferry leaves the old harbour of Bergen at 9:30 every morning."
BAD = "Penguins raise their young on windswept islands near Antarctica, far beyond any shipping lane."


def row(number: int, name: str, answer: str, label: str, **given: Any) -> dict[str, Any]:
    base = {"id": f"{name}-{number}", "qid": f"q{number}", "set": name, "question": "When does it leave?"}
    return base | {"answer": answer, "label": label, "context": [FERRY]} | given


ROWS = [
    *(row(n, "ferries", GOOD, "good") for n in range(8)),
    row(8, "ferries", BAD, "hallucinated"),
    row(9, "ferries", BAD, "incorrect"),
    *(row(n, "closed", GOOD, "good", context=[]) for n in range(4)),
    row(4, "closed", "I do not know.", "refusal", context=[]),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in ROWS), encoding="utf-8")
    return file


def run(*arguments: str | Path) -> Any:
    result = CliRunner().invoke(cli, ["eval", "escalation", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_sets_with_and_without_evidence_have_their_own_means(data: Path) -> None:
    found = run(data)

    for group in ("evidence", "answer_only", "all"):
        assert found["macro"][group]["auroc"] == 1.0
        assert found["macro"][group]["recall@20"] == 1.0
        assert found["macro"][group]["auroc_95"] == [1.0, 1.0]
    assert found["sets"]["ferries"]["rows"] == 10
    assert found["sets"]["ferries"]["codes"] == {"stands": {"good": 8}, "unsupported": {"bad": 2}}
    assert found["sets"]["ferries"]["flagged"] == {"good": 0.0, "bad": 1.0}
    assert found["sets"]["closed"]["codes"] == {"abstained": {"bad": 1}, "stands": {"good": 4}}


def test_a_row_without_passages_in_a_set_with_evidence_means_that_nothing_was_found(data: Path) -> None:
    with data.open("a", encoding="utf-8") as file:
        for each in (
            row(20, "ferries", "I do not know.", "good", context=[]),
            row(21, "ferries", GOOD, "good", context=[]),
        ):
            file.write(json.dumps(each) + "\n")

    assert run(data)["sets"]["ferries"]["codes"]["stands"] == {"good": 10}


def test_several_sources_are_read_together(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(row(1, "boats", GOOD, "good")), encoding="utf-8")

    assert set(run(data, other)["sets"]) == {"boats", "closed", "ferries"}


@pytest.mark.slow
@pytest.mark.long
def test_each_set_is_also_judged_by_constants_chosen_without_it(data: Path, tmp_path: Path) -> None:
    more = tmp_path / "boats.jsonl"
    rows = [each | {"set": "boats", "id": f"boats-{each['id']}"} for each in ROWS[:10]]
    more.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    before = (GRAM, STRETCH, PER_CLAIM, DOUBTFUL)
    found = run(data, more, "--leave-out")

    assert set(found["left_out"]["sets"]) == {"boats", "closed", "ferries"}
    assert found["left_out"]["macro"]["evidence"]["auroc"] == 1.0
    assert before == (features.GRAM, features.STRETCH, escalation.PER_CLAIM, escalation.DOUBTFUL)


def test_a_score_by_the_constants_as_they_are_is_that_of_the_decision(data: Path, monkeypatch: Any) -> None:
    for name, grid in (("MEASURING", leave_out.MEASURING), ("WEIGHING", leave_out.WEIGHING)):
        module = features if name == "MEASURING" else escalation
        monkeypatch.setattr(leave_out, name, {each: (getattr(module, each),) for each in grid})
    found = run(data, "--leave-out")

    for name, figures in found["left_out"]["sets"].items():
        assert figures.items() <= found["sets"][name].items()


@pytest.mark.slow
@pytest.mark.long
def test_a_zipped_file_gives_the_same(data: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "answers.jsonl.gz"
    zipped.write_bytes(gzip.compress(data.read_bytes()))

    assert run(zipped) == run(data)


def test_the_scores_of_all_rows_are_written(data: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    run(data, "--scores", scores)
    written = {each["id"]: each["score"] for each in map(json.loads, scores.read_text(encoding="utf-8").splitlines())}

    assert list(written) == [each["id"] for each in ROWS]
    assert written["ferries-8"] > written["ferries-0"]


def test_rows_whose_evidence_lacks_the_page_they_are_judged_by_do_not_count(tmp_path: Path) -> None:
    rows = [
        row(1, "mushroom", GOOD, "good", gold_page_retrieved=True),
        row(2, "mushroom", BAD, "hallucinated", gold_page_retrieved=True),
        row(3, "mushroom", GOOD, "hallucinated", gold_page_retrieved=False),
        row(4, "mushroom", GOOD, "hallucinated"),
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    assert run(file)["sets"]["mushroom"]["rows"] == 2


def test_a_set_of_good_answers_only_has_no_figures(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps(row(1, "ferries", GOOD, "good")), encoding="utf-8")
    found = run(file)

    assert "auroc" not in found["sets"]["ferries"]
    assert found["macro"]["evidence"] == {"auroc": None, "recall@20": None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rows"),
        (b'{"id": "a"}\n', "Line 1"),
        (b"not json\n", "Line 1"),
        (b"\xff\xfe\x00", "could not be read"),
        (json.dumps(ROWS[0] | {"context": "text"}).encode(), "context"),
    ],
)
def test_a_file_of_another_kind_is_told_in_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(content)
    result = CliRunner().invoke(cli, ["eval", "escalation", str(file)])

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_file_and_a_broken_archive_are_told_too(tmp_path: Path) -> None:
    broken = tmp_path / "answers.jsonl.gz"
    broken.write_bytes(gzip.compress(b"{}" * 1_000)[:20])

    for file in (tmp_path / "none.jsonl", broken):
        result = CliRunner().invoke(cli, ["eval", "escalation", str(file)])
        assert result.exit_code == 2
        assert "could not be read" in result.stderr


def test_without_json_a_person_reads_a_line_for_each_set(data: Path) -> None:
    result = CliRunner().invoke(cli, ["eval", "escalation", str(data)])

    assert result.exit_code == 0
    assert "ferries" in result.stdout
    assert "mean evidence" in result.stdout
