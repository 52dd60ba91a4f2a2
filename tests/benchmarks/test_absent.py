"""Where the benchmarks are not, `escalator bench` explains where they are."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import settings
from app.cli.commands import cli


@pytest.mark.parametrize("name", ["retrieval", "corpus", "chat"])
def test_outside_a_clone_a_benchmark_ends_with_the_way_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ROOT", tmp_path)

    result = CliRunner().invoke(cli, ["bench", name])

    assert result.exit_code == 2
    assert "folder “benchmarks” of the repository" in result.stderr
    assert 'pip install -e ".[bench]"' in result.stderr
