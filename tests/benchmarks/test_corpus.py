"""`escalator bench corpus`: indexing, and how soon a change is found."""

import json
import re

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.errors import EscalatorError
from app.retrieval.search import SearchResult, search
from app.retrieval.snapshot import NOTHING
from benchmarks import corpus as benchmark


def bench(*arguments: str) -> "tuple[int, str, str]":
    result = CliRunner().invoke(cli, ["bench", "corpus", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make --quick even smaller."""
    monkeypatch.setattr(benchmark, "QUICK", benchmark.Size(20, (10,)))
    monkeypatch.setattr(benchmark, "DROPPED_BYTES", 10_000)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_the_figures_are_reported_under_their_documented_keys() -> None:
    code, out, err = bench("--quick", "--json")

    assert code == 0, err
    result = json.loads(out)
    assert list(result) == ["index", "open_ms", "look_ms", "change_ms", "drop_s"]
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


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_the_figures_are_printed_as_a_table() -> None:
    code, out, err = bench("--quick")

    assert code == 0, err
    assert "20 files, " in out
    assert re.search(r"rename, sync, ms +[\d.]+ worst [\d.]+", out)
    assert re.search(r"drop into \d+, watched, s +[\d.]+ worst [\d.]+", out)


def test_a_change_that_is_never_found_ends_the_benchmark_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "PATIENCE_SECONDS", 0.05)

    def nothing(question: str) -> SearchResult:
        return search(NOTHING.index, question)

    assert benchmark._searchable(nothing, "tomato", set()) > 0
    with pytest.raises(EscalatorError, match="was not searchable"):
        benchmark._searchable(nothing, "tomato", {"a.md"})
