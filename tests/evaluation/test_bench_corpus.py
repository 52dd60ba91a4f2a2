"""`escalator bench corpus`: formats beside bare libraries, indexing, and how soon a change is found."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.documents import readers
from app.errors import EscalatorError
from app.evaluation import bench_corpus as benchmark
from app.evaluation import formats
from app.evaluation.formats import SAMPLES, Sample
from app.retrieval.search import Found, search
from app.retrieval.snapshot import NOTHING

WORDS = {
    ".csv": "Fruit", ".docx": "painted", ".epub": "painted", ".html": "painted", ".ipynb": "Tide", ".json": "Fruit",
    ".mbox": "closed", ".md": "Chromium", ".odt": "painted", ".pdf": "engineers", ".pptx": "left", ".rtf": "Schrank",
    ".txt": "Chromium", ".xlsx": "Fruit",
}  # fmt: skip


def bench(*arguments: str) -> "tuple[int, str, str]":
    result = CliRunner().invoke(cli, ["bench", "corpus", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even less than the option brings."""
    monkeypatch.setattr(benchmark, "QUICK", benchmark.Size(20, (10,), 0.0, large=False))
    monkeypatch.setattr(benchmark, "DROPPED_BYTES", 10_000)
    monkeypatch.setattr(formats, "SAMPLES", [sample for sample in SAMPLES if sample.suffix in (".html", ".xlsx")])


@pytest.mark.usefixtures("small")
def test_the_figures_are_there_under_the_keys_that_are_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    real = formats.find_spec
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "openpyxl" else real(name))

    code, out, err = bench("--quick", "--json")

    assert code == 0, err
    assert ".xlsx is not compared with openpyxl, which is not installed." in err
    result = json.loads(out)
    assert list(result) == ["formats", "index", "open_ms", "look_ms", "change_ms", "drop_s"]
    assert [(row["format"], row["kind"], row["library"]) for row in result["formats"]][:2] == [
        (".xlsx", "decoder", "python-calamine"), (".html", "decoder", "selectolax")
    ]  # fmt: skip
    for row in result["formats"]:
        assert set(row) == {"format", "kind", "library", "compared", "bytes", "escalator_ms", "bare_ms", "ratio"}
        assert row["ratio"] > 0
    index = result["index"]
    assert set(index) == {"files", "mb", "passages", "seconds", "files_per_s", "peak_mb"}
    assert index["files"] == 20
    assert index["passages"] >= 60
    assert {way: list(acts) for way, acts in result["change_ms"].items()} == {
        way: ["add", "edit", "rename", "delete"] for way in ("search", "sync")
    }
    (drop,) = result["drop_s"]
    assert list(drop) == ["passages", "search", "sync", "watched"]
    assert drop["passages"] >= 10
    for figure in (result["open_ms"], result["look_ms"], *result["change_ms"]["sync"].values(), drop["watched"]):
        assert 0 < figure["median"] <= figure["worst"]


@pytest.mark.usefixtures("small")
def test_without_the_files_of_the_tests_the_formats_are_left_out_of_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(formats, "FILES", tmp_path / "none")

    code, out, err = bench("--quick")

    assert code == 0, err
    assert "The formats are left out" in err
    assert "20 files, " in out
    assert re.search(r"rename, sync, ms +[\d.]+ worst [\d.]+", out)
    assert re.search(r"drop into \d+, watched, s +[\d.]+ worst [\d.]+", out)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.suffix)
def test_a_file_made_larger_holds_its_text_as_often_for_us_and_for_each_library(sample: Sample) -> None:
    word = WORDS[sample.suffix]

    def ours(times: int) -> int:
        return sum(page.text.count(word) for page in readers.SUFFIXES[sample.suffix].read(sample.data(times)))

    assert ours(1) > 0
    lost = 0.05 if sample.suffix == ".pdf" else 0  # what comes again at the edge of pages is taken for a running head
    assert 5 * ours(1) * (1 - lost) <= ours(5) <= 5 * ours(1)
    for bare in [bare for bare in sample.bare if not bare.missing]:
        once, often = (str(bare.read(sample.data(times))).count(word) for times in (1, 5))
        assert once > 0
        assert often == 5 * once


def test_what_is_never_found_ends_the_benchmark_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "PATIENCE_SECONDS", 0.05)

    def nothing(question: str) -> Found:
        return search(NOTHING.index, question)

    assert benchmark._found(nothing, "tomato", set()) > 0
    with pytest.raises(EscalatorError, match="was not searchable"):
        benchmark._found(nothing, "tomato", {"a.md"})
