"""Code that runs as in a notebook: inside an event loop, with `await` outside of functions."""

import ast
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster


async def run(cells: Iterable[str]) -> list[object]:
    """Run cells in one namespace; return what each shows at its end."""
    names: dict[str, Any] = {}
    shown: list[object] = []
    for number, cell in enumerate(cells):
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        for part in (tree, last and ast.Expression(last.value)):
            mode = "eval" if part is not tree else "exec"
            code = part and compile(part, f"cell {number}", mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            value = eval(code, names) if code else None
            value = await value if inspect.isawaitable(value) else value
        shown.append(value)
    return shown


@pytest.fixture
def notebook(
    models: Path,
    runtime: str,
    use: Callable[[Path], None],
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    _nothing_blocks: BlockBuster,
) -> Path:
    """A working folder with a corpus and models; code may block the loop of a notebook, which waits for it."""
    use(models)
    monkeypatch.chdir(corpus.parent)
    _nothing_blocks.deactivate()
    return corpus.parent
