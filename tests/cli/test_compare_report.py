"""`escalator compare --from`: a report of a run that was kept, its changes, and files that are no runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.evaluation.plan import Plan
from app.evaluation.results import as_json
from app.evaluation.run_file import begun
from app.evaluation.summary import document
from app.settings import load
from tests.evaluation.test_report import LARGE, PAIR, RUN
from tests.support.terminal import escalator


@pytest.fixture
def run(tmp_path: Path) -> Path:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(document(RUN), ensure_ascii=False), encoding="utf-8")
    return file


def test_a_kept_run_is_shown_and_reported_without_asking_a_model(run: Path, tmp_path: Path) -> None:
    page, text = tmp_path / "report.html", tmp_path / "report.md"

    assert escalator("compare", "--from", run, "--report", page).exit_code == 0
    result = escalator("compare", "--from", run, "--report", text)

    assert result.exit_code == 0
    assert "auto" in result.output
    assert "<svg" in page.read_text(encoding="utf-8")
    assert "| Auto (phi-4-mini → gpt-oss-20b) | 80% (70% to 85%) |" in text.read_text(encoding="utf-8")


def test_what_has_changed_is_printed_and_in_json_and_in_the_report(run: Path, tmp_path: Path) -> None:
    old, report = tmp_path / "old.json", tmp_path / "report.md"
    before = replace(LARGE, models=("qwen2.5-7b",))
    old.write_text(json.dumps(as_json(replace(RUN, contenders=(before,)))), encoding="utf-16")

    result = escalator("compare", "--from", run, "--against", old, "--report", report)
    printed = json.loads(escalator("compare", "--from", run, "--against", old, "--json").stdout)

    said = ["Large was qwen2.5-7b before.", "There is no difference beyond noise."]
    assert "\n".join(["Since old.json:", *said]) in result.output
    assert printed["changes"] == said
    assert "\n".join(["## What has changed", "", *(f"- {line}" for line in said)]) in report.read_text(encoding="utf-8")


def test_a_run_that_was_kept_answer_by_answer_is_reported_with_what_is_missing(tmp_path: Path) -> None:
    file = begun(load(), Plan(RUN.questions, 2, PAIR, retrieval=(True,)), tmp_path / "run.jsonl")
    assert file is not None
    for kind, records in (("model", RUN.models), ("answer", RUN.answers[:2])):
        for record in records:
            file.append(kind, record)

    result = escalator("compare", "--from", file.path, "--report", tmp_path / "report.md")

    assert result.exit_code == 1
    assert "Interrupted: 2 of 4 answers are missing." in result.output
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| Large (gpt-oss-20b) | 100% |" in text
    assert "- Interrupted: 2 of 4 answers are missing." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "report.pdf"], "must end with .html or .md"),
        (["--against", "nothing.json"], "nothing.json could not be read"),
        (["--from", "nothing.json"], "nothing.json could not be read"),
        (["--from", "{run}", "--rounds", "3"], "--from takes a run as it is"),
        (["--from", "{run}", "What is RAG?"], "--from takes a run as it is"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_model_is_asked(run: Path, options: list[str], message: str) -> None:
    result = escalator("compare", *(option.format(run=run) for option in options))

    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"began": 1}', '{"models": []}', "no JSON"])
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    result = escalator("compare", "--from", tmp_path / "run.json")

    assert result.exit_code == 2
    assert "escalator compare" in " ".join(result.output.split())
