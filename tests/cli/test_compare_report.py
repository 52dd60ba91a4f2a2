"""`escalator compare --from`: a report of a run that was kept, its changes, and files that are no runs."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.evaluation.datasets import check_writable
from app.evaluation.plan import FOLDER, Plan, begun
from app.evaluation.rubric import Ratings, samples
from app.evaluation.rubric import as_json as ratings_as_json
from app.evaluation.summary import document
from app.settings import load
from tests.support.comparisons import LARGE, PAIR, RUN
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
    old.write_text(json.dumps(asdict(replace(RUN, contenders=(before,)))), encoding="utf-16")

    result = escalator("compare", "--from", run, "--against", old, "--report", report)
    printed = json.loads(escalator("compare", "--from", run, "--against", old, "--json").stdout)

    said = ["Large was qwen2.5-7b before.", "There is no difference beyond noise."]
    assert "\n".join(["Since old.json:", *said]) in result.output
    assert printed["changes"] == said
    assert "\n".join(["## What has changed", "", *(f"- {line}" for line in said)]) in report.read_text(encoding="utf-8")


def test_ratings_that_were_saved_are_added_to_the_report_of_their_run(run: Path, tmp_path: Path) -> None:
    rated, report = tmp_path / "judge.json", tmp_path / "report.md"
    values = {"coherence": 4, "factuality": 5, "brevity": 3}
    judge = Ratings("gpt", {it.id: values for it in samples(RUN)}, judge=True)
    rated.write_text(json.dumps(ratings_as_json(judge)), encoding="utf-8")

    result = escalator("compare", "--from", run, "--ratings", rated, "--report", report)

    assert result.exit_code == 0, result.stderr
    assert "| Small (gpt · Judge model) | 1 | 4.00 | 5.00 | 3.00 |" in report.read_text(encoding="utf-8")


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
        (["--report", "{run}/page.html"], "There is no folder"),
        (["--ratings", "{run}"], "Give --from and --report too."),
        (["--ratings", "{run}", "--report", "a.md", "--from", "{run}"], "has no ratings. Give a file"),
        (["--report", "nowhere/page.html"], "There is no folder nowhere for page.html. Make it, or name another file."),
        (["--report", "{folder}"], "cannot be written: Is a directory. Name another file."),
        (["--export", "ragas:medium"], "there are those of small, large."),
        (["--questions", "sample", "--export", "ragas:oracle"], "small, large, small-bare, large-bare, auto, refine."),
        (["--resume", "nothing.jsonl"], "nothing.jsonl could not be read: [Errno 2] No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_model_is_asked(run: Path, options: list[str], message: str) -> None:
    folder = run.with_name("folder.html")
    folder.mkdir()
    result = escalator("compare", *(option.format(run=run, folder=folder) for option in options))

    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_who_names_no_run_to_go_on_with_is_told_of_the_latest_one() -> None:
    none = escalator("compare", "--resume", "nothing.jsonl")
    for number in (1, 2):
        latest = load().state_dir / FOLDER / f"{number}.jsonl"
        latest.parent.mkdir(parents=True, exist_ok=True)
        latest.touch()
    some = escalator("compare", "--resume", "nothing.jsonl")

    assert f"Give a file that --run named. {latest.parent} has no run either." in " ".join(none.stderr.split())
    assert f"The latest run of the state folder is {latest}." in " ".join(some.stderr.split())


@pytest.mark.parametrize(
    "command",
    [
        ("answers", "--questions", "sample", "--junit"),
        ("answers", "--questions", "sample", "--drafts"),
        ("rubric", "{run}", "--save"),
        ("rubric", "{run}", "--page"),
        ("retrieval", "{run}", "--run"),
    ],
    ids=lambda command: " ".join(command[::2]),
)
def test_a_file_that_could_not_be_written_is_refused_before_long_work(run: Path, command: tuple[str, ...]) -> None:
    result = escalator("eval", *(each.format(run=run) for each in command), "nowhere/file")

    assert result.exit_code == 2
    assert "There is no folder nowhere for file." in result.stderr


def test_a_file_is_looked_at_without_a_trace(tmp_path: Path) -> None:
    there, new = tmp_path / "there.html", tmp_path / "new.html"
    there.write_text("old", encoding="utf-8")

    check_writable(there, new, None)

    assert there.read_text(encoding="utf-8") == "old"
    assert not new.exists()


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"began": 1}', '{"models": []}', "no JSON"])
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    result = escalator("compare", "--from", tmp_path / "run.json")

    assert result.exit_code == 2
    assert "escalator compare" in " ".join(result.output.split())
