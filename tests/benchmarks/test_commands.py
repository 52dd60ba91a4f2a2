"""Where the benchmarks are not, `escalator bench` explains where they are."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli import evaluation_commands
from app.cli.evaluation_commands import add_benchmarks
from app.cli.terminal import Commands
from tests.evaluation.conftest import Write
from tests.support.terminal import escalator


@pytest.mark.parametrize(
    "arguments",
    [["bench", "retrieval", "--passages", "10"], ["bench", "corpus", "--quick"], ["bench"], ["citations", "folder"]],
)
def test_outside_a_clone_a_benchmark_ends_with_the_way_to_get_it(arguments: list[str], tmp_path: Path) -> None:
    cli = typer.Typer(cls=Commands)
    add_benchmarks(cli, cli, tmp_path)

    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 2
    assert "folder “benchmarks” of the repository" in result.stderr
    assert 'pip install -e ".[bench]"' in result.stderr


@pytest.mark.parametrize("arguments", [["retrieval", "--typos"], ["retrieval", "--changed-subject"]])
def test_outside_a_clone_an_evaluation_of_the_product_itself_ends_with_the_way_to_get_it(
    arguments: list[str], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_commands, "ROOT", tmp_path)

    result = escalator("eval", *arguments, write())

    assert result.exit_code == 2
    assert "folder “benchmarks” of the repository" in result.stderr
