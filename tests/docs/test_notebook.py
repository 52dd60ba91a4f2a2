"""The notebook runs from its first cell to its last on scripted models, without Jupyter; it is kept without outputs."""

import ast
import asyncio
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from app.settings import ROOT

NOTEBOOK = ROOT / "notebooks" / "model_compare.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


async def run(cells: list[dict[str, Any]]) -> list[object]:
    """Run cells in one namespace and one event loop, as a notebook does; return what each shows at its end."""
    names: dict[str, Any] = {}
    shown: list[object] = []
    for number, cell in enumerate(cells):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        body = compile(tree, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(body, names)
        if inspect.isawaitable(result):
            await result
        value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None
        shown.append(value)
    return shown


@pytest.fixture
def folder(
    models: Path,
    runtime: str,
    use: Callable[[Path], None],
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    _nothing_blocks: BlockBuster,
) -> Path:
    """A working folder with documents and models; cells may block the loop of a notebook, which waits for them."""
    use(models)
    monkeypatch.chdir(corpus.parent)
    _nothing_blocks.deactivate()
    return corpus.parent


@pytest.mark.slow
def test_the_notebook_runs_and_takes_its_report_home(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = asyncio.run(run([cell for cell in CELLS if cell["cell_type"] == "code"]))

    tables = [value._repr_markdown_() for value in shown if hasattr(value, "_repr_markdown_")]
    assert "| Small (phi-4-mini) |" in tables[0]
    assert "## Tokens per second" in tables[0]
    assert all(name in tables[1] for name in ("| Auto", "| Refine", "| Random", "## Quality and price"))
    printed = capsys.readouterr().out
    assert "phi-4-mini               first_token_ms" in printed
    assert "too few to tell a difference from noise" in printed
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "Which port did older guides use for Foundry Local?" in page


def test_the_notebook_is_kept_without_outputs_and_traces_of_a_machine() -> None:
    for cell in CELLS:
        assert set(cell) == {"cell_type", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        assert (cell.get("outputs", []), cell.get("execution_count"), cell["metadata"]) == ([], None, {})
