"""The walls of the house: who may import whom, how events are consumed, how large it may grow, what a start costs."""

import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.settings import ROOT

MODULES = sorted((ROOT / "app").rglob("*.py"))
FACES = {"main", "ui", "cli", "web", "gateway", "mcp", "evaluation", "kit", "doctor"}
COMMON = {"settings", "errors", "export", "guard", "files", "history", "logs", "processes"}
COMMON |= {"room", "translation"}
"""Modules below all rooms."""

BELOW = {
    **{name: COMMON - {name} for name in COMMON},
    "documents": COMMON,
    "retrieval": COMMON | {"documents"},
    "models": COMMON,
    "postgres": COMMON | {"retrieval", "documents"},
    "answering": COMMON | {"retrieval", "postgres", "models", "documents"},
}
"""The rooms that each room may import."""

SIZE = ROOT / "tests" / "size.json"
"""The largest size that `app/` may have: files, lines of code, and the way of a question as test_way.py traces it.

Each figure only falls: the commit that makes the code smaller lowers it (`python tasks.py size`), and none raises it.
What a version adds for its features is listed under "versions", on top; only the last version's figures may grow.
"""

SLACK = {"lines": 100, "files": 3}
"""How far a figure may be above the truth."""

HEAVY = {
    *("openai", "pypdfium2", "py3langid", "tiktoken", "foundry_local_sdk", "charset_normalizer", "rank_bm25", "numpy"),
    *("selectolax", "psycopg"),
}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(source(path))


def dotted(path: Path) -> str:
    """Return the name of a module, such as app.room.module; that of a package is without `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """Return the room of a module app.room.…, "" for app itself."""
    return module.partition(".")[2].partition(".")[0]


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the modules and names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.slow
def test_imports_point_downwards() -> None:
    for path in MODULES:
        here = room(dotted(path))
        rooms = {room(name) for name in imported(path) if name.startswith("app.")} - {here, ""}

        if here in FACES:
            assert "main" not in rooms, named(path)
            assert here == "main" or "ui" not in rooms, named(path)
            assert here == "cli" or "cli" not in rooms, named(path)
            assert here in ("main", "cli") or "web" not in rooms, named(path)
            assert here == "web" or "gateway" not in rooms, named(path)
            assert here == "cli" or named(path) == "app/web/application.py" or "mcp" not in rooms, named(path)
            if here in ("web", "gateway", "mcp"):
                assert not [name for name in imported(path) if name.split(".")[0] == "chainlit"], named(path)
        elif here:
            assert rooms <= BELOW[here], named(path)
            assert not [name for name in imported(path) if name.split(".")[0] == "chainlit"], named(path)


def test_one_module_imports_the_package_of_the_model_context_protocol() -> None:
    importing = {named(path) for path in MODULES if any(name.split(".")[0] == "mcp" for name in imported(path))}

    assert importing == {"app/mcp/__init__.py"}


def imports(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return the modules that each module imports: app.room.name if that is a module, else app.room."""
    edges: dict[str, set[str]] = {}
    for name, path in modules.items():
        known = (each if each in modules else each.rpartition(".")[0] for each in imported(path))
        edges[name] = {each for each in known if each in modules}
    return edges


def circles(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or through others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges[start])
        while waiting:
            if (each := waiting.pop()) not in seen:
                seen.add(each)
                waiting += edges[each]
        return seen

    reach = {name: reached(name) for name in edges}
    rings = {frozenset(other for other in reach[name] if name in reach[other]) for name in edges if name in reach[name]}
    return sorted(map(set, rings), key=sorted)


@pytest.mark.slow
def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(imports({dotted(path): path for path in MODULES})) == []


@pytest.mark.parametrize(
    ("edges", "rings"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [{"a", "b"}]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"d"}}, [{"a", "b", "c"}, {"d"}]),
    ],
)
def test_the_rule_about_circles_sees_what_it_should(edges: dict[str, set[str]], rings: list[set[str]]) -> None:
    assert circles(edges) == rings


def test_no_file_name_occurs_twice() -> None:
    names = Counter(path.name for path in MODULES if path.name != "__init__.py")

    assert [name for name, count in names.items() if count > 1] == []


def unclosed(tree: ast.AST, closing: frozenset[str] = frozenset()) -> Iterator[int]:
    """Yield the lines with an `async for` over what is not closed when the loop is left; `closing` are names that are.

    A loop over an async generator that ends in `break` or an exception leaves the generator, and a model's stream in
    it, open until it is collected.
    """
    if isinstance(tree, ast.AsyncWith):
        for item in tree.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "aclosing":
                closing |= {node.id for node in (item.optional_vars, *call.args) if isinstance(node, ast.Name)}
            elif isinstance(call, ast.Name) and item.optional_vars is None:  # a stream that closes itself
                closing |= {call.id}
    loops = isinstance(tree, ast.AsyncFor) or (isinstance(tree, ast.comprehension) and tree.is_async)
    if loops and not (isinstance(tree.iter, ast.Name) and tree.iter.id in closing):
        yield tree.iter.lineno
    for child in ast.iter_child_nodes(tree):
        yield from unclosed(child, closing)


def test_every_stream_of_events_is_closed_where_its_loop_is_left() -> None:
    assert {named(path): lines for path in MODULES if (lines := list(unclosed(tree(path))))} == {}


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


def code_lines(path: Path) -> int:
    """Return the number of lines of code, without blank lines, comments and docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source(path)).readline)
    spans = [(token.start[0], token.end[0]) for token in tokens if token.type not in skipped]
    lines = {line for first, last in spans for line in range(first, last + 1)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def measured() -> dict[str, int]:
    """Measure `app/`: its files, and its lines of code."""
    return {"files": len(MODULES), "lines": sum(map(code_lines, MODULES))}


def allowance(figures: dict[str, Any]) -> Counter[str]:
    """Return the largest size of `app/`, with what versions add."""
    return sum((Counter(each) for each in figures.get("versions", {}).values()), Counter(figures["app"]))


@pytest.mark.slow
def test_the_house_stays_small_enough_to_be_read() -> None:
    lengths = {named(path): len(source(path).splitlines()) for path in MODULES}
    allowed, size = allowance(json.loads(SIZE.read_text(encoding="utf-8"))), measured()

    assert {name: length for name, length in lengths.items() if length > 350} == {}
    assert lengths["app/main.py"] < 150
    assert lengths["app/retrieval/bm25.py"] < 150
    for what in size:
        most = allowed[what]
        assert size[what] <= most, (
            f"app/ has {size[what]} {what}; make it smaller, or list a feature by python tasks.py size"
        )
        assert size[what] >= most - SLACK[what], f"app/ has but {size[what]} {what}: run python tasks.py size"


def earlier_sizes() -> Iterator[dict[str, Any]]:
    """Yield the figures of all commits, as far as there is a history."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
        return done.stdout.decode()

    for commit in git("log", "--format=%H", "--", named(SIZE)).split():
        if text := git("show", f"{commit}:{named(SIZE)}"):
            yield json.loads(text)


def raised(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether a figure is larger than before, or a version changed that is not the last."""
    parts = [(before[part], now[part]) for part in ("app", "way")]
    settled = list(now.get("versions", {}))[:-1]
    parts += [
        (before["versions"][name], now["versions"][name]) for name in settled if name in before.get("versions", {})
    ]
    return any(new[what] > old[what] for old, new in parts for what in old)


def test_no_figure_of_the_size_was_ever_raised() -> None:
    now = json.loads(SIZE.read_text(encoding="utf-8"))

    assert [before for before in earlier_sizes() if raised(before, now)] == []


@pytest.mark.parametrize(
    ("before", "now", "wrong"),
    [
        ({"app": {"lines": 9}}, {"app": {"lines": 8}}, False),
        ({"app": {"lines": 9}}, {"app": {"lines": 10}}, True),
        ({"app": {"lines": 9}}, {"app": {"lines": 9}, "versions": {"1": {"lines": 5}}}, False),
        (
            {"app": {"lines": 9}, "versions": {"1": {"lines": 5}}},
            {"app": {"lines": 9}, "versions": {"1": {"lines": 6}}},
            False,
        ),
        (
            {"app": {"lines": 9}, "versions": {"1": {"lines": 5}}},
            {"app": {"lines": 9}, "versions": {"1": {"lines": 6}, "2": {"lines": 1}}},
            True,
        ),
    ],
)
def test_the_rule_about_sizes_sees_what_it_should(before: dict[str, Any], now: dict[str, Any], wrong: bool) -> None:
    way = {"way": {}}

    assert raised(before | way, now | way) == wrong


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    for path in MODULES:
        assert ast.get_docstring(tree(path)) or not source(path), f"{named(path)} has no docstring"


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    ["app.cli.commands", "app.cli.terminal", "app.answering.pipeline", "app.ui.conversation", "app.mcp"],
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
