"""Where the benchmarks are not, `escalator bench` explains where they are."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli.evaluation_commands import add_bench


@pytest.mark.parametrize("arguments", [["retrieval", "--passages", "10"], ["corpus", "--quick"], ["chat"], []])
def test_outside_a_clone_a_benchmark_ends_with_the_way_to_get_it(arguments: list[str], tmp_path: Path) -> None:
    cli = typer.Typer()
    add_bench(cli, tmp_path)
    cli.command("other")(print)

    result = CliRunner().invoke(cli, ["bench", *arguments])

    assert result.exit_code == 2
    assert "folder “benchmarks” of the repository" in result.stderr
    assert 'pip install -e ".[bench]"' in result.stderr
