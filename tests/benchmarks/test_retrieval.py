"""`escalator bench retrieval`: every engine in its own process, all on the same text and questions."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from benchmarks import generated
from benchmarks import retrieval as benchmark
from benchmarks.engines import ENGINES, Query, escalator_bm25, missing
from tests.evaluation.conftest import Write


def dies(texts: Sequence[str], language: str, folder: Path) -> Query:
    """Ends as one does that has no memory left."""
    if len(texts) > benchmark.WARM_UP:
        os._exit(1)
    return escalator_bm25(texts, language, folder)


def bench(*arguments: object) -> "tuple[int, str, str]":
    result = CliRunner().invoke(cli, ["bench", "retrieval", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.long
def test_rows_hold_the_figures_of_every_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["escalator", "escalator_bm25", "rank_bm25"]
    monkeypatch.setattr(benchmark, "ENGINES", {name: ENGINES[name] for name in names} | {"absent": escalator_bm25})
    monkeypatch.setattr(benchmark, "missing", lambda name: ["no_such_package"] if name == "absent" else [])

    code, out, err = bench("--passages", "50,300", "--json")

    assert code == 0, err
    assert "absent is left out: install no_such_package" in err
    first, second = json.loads(out)["rows"]
    assert (first["passages"], second["passages"]) == (50, 300)
    for key in ("p50_ms", "p95_ms", "build_s", "rss_mb"):
        assert list(second[key]) == names
        assert all(value > 0 for value in second[key].values())
    assert set(second) == {"passages", "p50_ms", "p95_ms", "build_s", "rss_mb", "peak_mb", "open_ms"}
    assert second["open_ms"] > 0


@pytest.mark.slow
@pytest.mark.long
def test_text_can_be_a_collections_own(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.setattr(benchmark, "ENGINES", {name: ENGINES[name] for name in ("escalator", "escalator_bm25")})

    code, out, err = bench("--passages", "8", "--collection", write())

    assert code == 0, err
    assert "8 passages, 10 hits" in out
    assert "escalator_bm25" in out


@pytest.mark.slow
@pytest.mark.long
def test_an_engine_that_dies_ends_the_benchmark_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ENGINES", {"escalator": ENGINES["escalator"], "dies": dies})

    code, _, err = bench("--passages", benchmark.WARM_UP + 1)

    assert code == 1
    assert "dies ended early, perhaps for lack of memory" in err


@pytest.mark.parametrize("passages", ["", "many", "0", "10,", "-5"])
def test_numbers_of_passages_that_are_none_are_refused(passages: str) -> None:
    code, _, err = bench(f"--passages={passages}")

    assert code == 2
    assert "give whole numbers above 0" in err


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_finds_the_passage_that_a_question_is_from(name: str, tmp_path: Path) -> None:
    if missing(name):
        pytest.skip(f"{missing(name)} are not installed")
    texts = generated.passages(200)
    reference, engine = escalator_bm25(texts, "en", tmp_path), ENGINES[name](texts, "en", tmp_path)
    questions = generated.questions(texts, 30, "en")

    assert sum(engine(question)[0] == reference(question)[0] for question in questions) > 20
