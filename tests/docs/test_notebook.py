"""The notebook runs from its first cell to its last on scripted models, without Jupyter; it is kept without outputs."""

import asyncio
import json
from pathlib import Path

import pytest

from app.settings import ROOT
from tests.support.notebook import notebook, run

__all__ = ["notebook"]

NOTEBOOK = ROOT / "notebooks" / "model_compare.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.mark.slow
def test_the_notebook_runs_and_takes_its_report_home(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = asyncio.run(run("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"))

    tables = [value._repr_markdown_() for value in shown if hasattr(value, "_repr_markdown_")]
    assert "| Small (phi-4-mini) |" in tables[0]
    assert "## Tokens per second" in tables[0]
    assert all(name in tables[1] for name in ("| Auto", "| Refine", "| Random", "## Quality and price"))
    printed = capsys.readouterr().out
    assert "phi-4-mini               first_token_ms" in printed
    assert "too few to tell a difference from noise" in printed
    page = (notebook / "comparison.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "Which port did older guides use for Foundry Local?" in page


def test_the_notebook_is_kept_without_outputs_and_traces_of_a_machine() -> None:
    for cell in CELLS:
        assert set(cell) == {"cell_type", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        assert (cell.get("outputs", []), cell.get("execution_count"), cell["metadata"]) == ([], None, {})
