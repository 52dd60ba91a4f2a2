"""`escalator eval refusals`: questions that find too little."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from app.cli.commands import cli
from tests.evaluation.test_evidence import folder

__all__ = ["folder"]


def test_refusals_are_counted_in_corpora_of_a_few_passages_and_in_another_corpus(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    collection = folder(ferry=["nine"], club=["Mondays"], bus=["harbour"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "tea.md").write_text("Tea is brewed with boiling water.", encoding="utf-8")

    result = CliRunner().invoke(cli, ["eval", "refusals", str(collection), "--corpus", str(other), "--json"])

    assert json.loads(result.stdout) == {
        **dict.fromkeys(["1", "2", "5", "20", "240"], 0.0),
        "elsewhere": 1.0,
        "queries": 3,
    }
