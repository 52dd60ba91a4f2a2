"""What the documents show can be typed, opened and found: command lines, links, variables, the program's own words."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer

import tasks
from app.cli.commands import cli
from app.settings import ROOT, Settings, names_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROJECT = [ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
TRAINER = ROOT / "docs" / "trainer.md"


def named(page: Path) -> Any:
    name = page.relative_to(ROOT).as_posix()
    return pytest.param(page, id=name)


EVERY_PAGE = pytest.mark.parametrize("page", map(named, PAGES))


def command_lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines that begin with `escalator`, and whether one stands in a block, where it is whole."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S):
        yield from ((line.strip(), True) for line in block.splitlines() if line.strip().startswith("escalator "))
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    yield from ((line, False) for line in re.findall(r"`(escalator [^`]+)`", rest))


def exit_code(line: str, *, whole: bool) -> int:
    """What the program would end with if it did nothing but parse the line; a mere mention may lack arguments."""
    command: Any = typer.main.get_command(cli)
    disarm(command)
    words = [word for word in shlex.split(line.replace("\\", "/"), comments=True)[1:] if word != "…"]
    with pytest.raises(SystemExit) as ended:
        command.main(words if whole else [*words, "--help"], prog_name="escalator")
    return int(ended.value.code or 0)


def variants(line: str) -> Iterator[str]:
    """A line for each choice of what may stand in square brackets."""
    parts = enumerate(re.split(r"\[([^]]*)\]", line))  # every second one stood in brackets
    return map("".join, product(*(part.split("|") if number % 2 else [part] for number, part in parts)))


def disarm(command: Any) -> None:
    for inner in getattr(command, "commands", {}).values():
        disarm(inner)
    if not hasattr(command, "commands"):
        command.callback = lambda **given: None


@EVERY_PAGE
def test_every_command_line_of_a_page_is_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\|", "|")

    for line, whole in command_lines(text):
        for variant in variants(line):
            assert exit_code(variant, whole=whole) == 0, variant


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("escalator fly", False),
        ("escalator bench fly", False),
        ("escalator ask --fly", False),
        ("escalator search ferry -k many", True),
        ("escalator index ferry", True),
        ("escalator search", True),
    ],
)
def test_a_line_that_is_not_understood_is_noticed(line: str, whole: bool) -> None:
    assert exit_code(line, whole=whole) == 2


def test_command_lines_are_found_in_blocks_and_in_sentences() -> None:
    text = "Use `escalator a`.\n\n```sh\nescalator b  # why\nother c\n```\n\nOr `escalator d …`, not `x escalator e`.\n"

    assert list(command_lines(text)) == [("escalator b  # why", True), ("escalator a", False), ("escalator d …", False)]


@pytest.mark.parametrize("page", map(named, [*PAGES, *PROJECT]))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], target


@pytest.mark.parametrize("page", map(named, [ROOT / "README.md", *PROJECT[:1]]))
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    names = re.findall(r"`([\w./-]+\.(?:py|jsx))`", page.read_text(encoding="utf-8"))
    modules = "".join(f"/{path.relative_to(ROOT).as_posix()}\n" for path in project_files())

    assert len(names) >= 1
    assert [name for name in names if f"/{name}\n" not in modules] == []


def test_the_map_names_every_module_of_the_way_from_a_file_to_an_answer() -> None:
    rooms = [ROOT / "app" / name for name in (".", "answering", "retrieval", "documents", "models", "ui")]
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

    assert [path.name for room in rooms for path in room.glob("*.py") if f"{path.name}`" not in text] == []


def project_files() -> Iterator[Path]:
    for folder in ("app", "benchmarks", "workshop", "public", "tests", "docs"):
        yield from (ROOT / folder).rglob("*.*")


def test_every_task_that_is_named_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in [*PAGES, *PROJECT, ROOT / ".ci" / "run"])

    assert set(re.findall(r"tasks\.py ([a-z-]+)", text)) >= {"test", "test-all", "lint", "fix"}
    assert set(re.findall(r"tasks\.py ([a-z-]+)", text)) <= tasks.TASKS.keys()


@pytest.mark.parametrize("task", ["", "fly"])
def test_a_task_that_does_not_exist_is_answered_with_the_list(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(task) == 2
    assert "test-all  every test" in capsys.readouterr().err


def test_a_task_ends_with_the_code_of_the_command_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "fly", [["platform"], ["platform"]])

    assert tasks.main("fly", "-v") == 0
    monkeypatch.setitem(tasks.TASKS, "fly", [["pytest", "--no-such-option"], ["platform"]])
    assert tasks.main("fly") == 4


def said_by_the_program() -> str:
    """All texts of the program, with … for what is put into them."""
    found = []
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"\{\w+\}", "…", node.value))
    return "\n\n".join(re.sub(r"\s+", " ", text) for text in found)


@pytest.mark.slow
def test_the_trainers_page_quotes_what_the_program_really_says() -> None:
    tables = TRAINER.read_text(encoding="utf-8").partition("## When something fails")[2]
    quotes = re.findall(r"“(.+?)”", re.search(r"^\| On screen.*?^## ", tables, re.M | re.S)[0])  # type: ignore[index]

    said = said_by_the_program()

    assert len(quotes) >= 15
    assert [quote for quote in quotes if not re.search(re.escape(quote).replace("…", "[^\n]+?"), said)] == []


NEW = {f"{role}_{what}" for role in ("SLM", "LLM") for what in ("ENDPOINT", "API_KEY")}
"""Variables that the course does not have."""


def test_the_trainers_page_maps_every_variable_to_a_setting_that_exists() -> None:
    table = TRAINER.read_text(encoding="utf-8").partition("### Variables")[2]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    ours = {name for field in Settings.model_fields for name in names_of(field)}

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[2])} <= ours
    older = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert {name for name in ours if not name.startswith(("ESCALATOR_", "CORPUS_")) and name not in NEW} <= older
