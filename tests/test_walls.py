"""The walls of the house: who may import whom, how events are consumed, how large it may grow, what a start costs."""

import ast
import io
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import ROOT

MODULES = sorted((ROOT / "app").rglob("*.py"))
FACES = {"main", "ui", "cli", "evaluation", "kit", "doctor"}
BELOW = {
    "settings": {"errors"},
    "errors": set(),
    "state": set(),
    "humanize": set(),
    "files": set(),
    "processes": {"settings"},
    "documents": set(),
    "retrieval": {"documents"},
    "models": set(),
    "answering": {"retrieval", "models", "documents"},
}
"""What stands below each room; `settings`, `errors`, `state`, `files`, `humanize` and `processes` stand below all."""

HEAVY = {
    *("openai", "pypdfium2", "py3langid", "tiktoken", "foundry_local_sdk", "charset_normalizer", "rank_bm25", "numpy"),
    "selectolax",
}


def room(module: str) -> str | None:
    """The room of a module `app.room.…`."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "app" and rest else None


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def code_lines(path: Path) -> int:
    """Lines of code, without blank ones, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped]
    found = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(found)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_point_downwards(path: Path) -> None:
    here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert here is not None
    modules = set(imported(path))
    rooms = {found for module in modules if (found := room(module)) is not None} - {here}

    if here in FACES:
        assert "main" not in rooms
        assert here == "main" or "ui" not in rooms
    elif here != "__init__":
        assert rooms <= BELOW[here] | {"settings", "errors", "state", "files", "humanize", "processes"}
        assert not [module for module in modules if module.split(".")[0] == "chainlit"]


def unclosed(tree: ast.AST, closing: frozenset[str] = frozenset()) -> Iterator[int]:
    """The lines with an `async for` over what is not closed when the loop is left; `closing` are names that are.

    A loop over an async generator that ends in `break` or an exception leaves the generator, and a model's stream in
    it, open until it is collected.
    """
    if isinstance(tree, ast.AsyncWith):
        for item in tree.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "aclosing":
                closing |= {node.id for node in (item.optional_vars, *call.args) if isinstance(node, ast.Name)}
            elif isinstance(call, ast.Name) and item.optional_vars is None:  # what is streamed closes itself
                closing |= {call.id}
    loops = isinstance(tree, ast.AsyncFor) or (isinstance(tree, ast.comprehension) and tree.is_async)
    if loops and not (isinstance(tree.iter, ast.Name) and tree.iter.id in closing):
        yield tree.iter.lineno
    for child in ast.iter_child_nodes(tree):
        yield from unclosed(child, closing)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_stream_of_events_is_closed_where_its_loop_is_left(path: Path) -> None:
    assert list(unclosed(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("async for x in f(): pass", [2]),
        ("s = f()\n async for x in s: pass", [3]),
        ("y = [x async for x in f()]", [2]),
        ("async with other(f()) as s:\n  async for x in s: pass", [3]),
        ("async with aclosing(f()) as s:\n  pass\n async for x in s: pass", [4]),
        ("async with aclosing(f()) as s:\n  async for x in g(s): pass", [3]),
        ("async with aclosing(f()) as s:\n  async for x in s: pass", []),
        ("async with timeout(1), aclosing(f()) as s:\n  y = [x async for x in s]", []),
        ("s = f()\n async with aclosing(s):\n  async for x in s: pass", []),
        ("s = await f()\n async with s:\n  async for x in s: pass", []),
    ],
)
def test_the_rule_about_streams_sees_what_it_should(code: str, found: list[int]) -> None:
    assert list(unclosed(ast.parse(f"async def main():\n {code}"))) == found


def test_the_house_stays_small_enough_to_be_read() -> None:
    sizes = {named(path): lines(path) for path in MODULES}

    assert sizes["app/main.py"] < 150
    assert {name: size for name, size in sizes.items() if size > 350} == {}
    assert sum(map(code_lines, MODULES)) <= 13_700
    assert sizes["app/retrieval/bm25.py"] < 150


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    for path in MODULES:
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert doc or not lines(path), f"{named(path)} has no docstring"


@pytest.mark.parametrize(
    "module", ["app.cli.commands", "app.cli.json_output", "app.answering.assistant", "app.ui.conversation"]
)
def test_importing_a_face_imports_nothing_heavy(module: str, tmp_path: Path) -> None:
    heavy = HEAVY - ({"numpy", "charset_normalizer"} if module.startswith("app.ui") else set())  # Chainlit's own
    script = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == []
