"""Where the folders of a clone are not, a command that needs one explains where it is."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli import terminal
from app.cli.terminal import Commands, add_clone_command
from tests.evaluation.conftest import Write, write
from tests.support.terminal import escalator

__all__ = ["write"]


@pytest.mark.parametrize(
    ("arguments", "folder", "extra"),
    [
        (["bench", "retrieval", "--passages", "10"], "benchmarks", "bench"),
        (["bench", "corpus", "--quick"], "benchmarks", "bench"),
        (["bench"], "benchmarks", "bench"),
        (["citations", "folder"], "benchmarks", "bench"),
        (["refusals", "folder"], "benchmarks", "bench"),
        (["make", "KIT", "--models", "tiny"], "workshop", "kit"),
    ],
)
def test_outside_a_clone_a_command_ends_with_the_way_to_get_it(
    arguments: list[str], folder: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "ROOT", tmp_path)
    cli = typer.Typer(cls=Commands)
    (tmp_path / folder).mkdir()  # another package of this name, or what is left of ours
    for name, module in (
        ("bench", "benchmarks"),
        ("citations", "benchmarks"),
        ("refusals", "benchmarks"),
        ("make", "workshop"),
    ):
        add_clone_command(cli, name, f"{module}.commands")

    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 2
    assert f"folder “{folder}” of the repository" in result.stderr
    assert f'pip install -e ".[{extra}]"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["eval", "retrieval", "--typos"], "benchmarks"),
        (["eval", "retrieval", "--changed-subject"], "benchmarks"),
        (["eval", "retrieval", "--against", "before.jsonl"], "benchmarks"),
        (["kit", "check"], "workshop"),
    ],
)
def test_outside_a_clone_an_option_that_needs_one_ends_with_the_way_to_get_it(
    arguments: list[str], folder: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "ROOT", tmp_path)
    given = [write()] if "eval" in arguments else []

    result = escalator(*arguments, *given)

    assert result.exit_code == 2
    assert f"folder “{folder}” of the repository" in result.stderr
