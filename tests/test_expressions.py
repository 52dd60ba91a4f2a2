"""No regular expression of ours takes more than linear time on long runs of a sign, as models and documents have them.

All of them are collected here; those that cannot meet such a run are named with the reason.
"""

import ast
import importlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from app.answering import lexicon
from app.answering.citations import cite
from app.answering.escalation import early_reason
from app.answering.features import breaks_off, loops, repeats, without_loop
from app.answering.sanitizer import safe
from app.documents.passages import Place, sentences
from app.models.reasoning import ReasoningFilter
from app.retrieval.packing import Evidence
from tests.support.drafts import decide

pytestmark = pytest.mark.slow

APP = Path(lexicon.__file__).parents[1]
ROOMS = "answering", "documents", "models", "retrieval", "ui"
METHODS = {"match", "fullmatch", "search", "sub", "subn", "finditer", "findall", "split"}

SHORT = {
    "answering.wrapping.LINE": "sees the last 64 characters",
    "documents.readers.html._BLOCK": "sees what a parser has written, where each tag is closed",
    "documents.readers.html._INLINE": "likewise",
    "documents.readers.html._IN_CELL": "likewise",
    "documents.readers.html._TAG": "likewise",
    "documents.readers.markdown._ORG": "matched at the beginnings of lines",
    "documents.passages._LAST_WORD": "sees 24 characters",
    "ui.server_guard.FOREIGN_LINK": "sees our own page",
}
"""Expressions that never meet a long run where they would be slow."""

RUNS = (
    *(" ", "\n", "\t", "\u00a0", "\u200b", " \n", "\r\n", "a", "A", "a ", "a\n", "a. ", "A. ", "ß", "的", "क्"),
    *("1", "0", "1.", "1 ", "1,", "1 000 ", ".", ".\n", "…", "?", "!", ",", ":", "x:", "-", "- ", "\n- ", "a-", "a'"),
    *("[1]", "[1] ", "[", "]", "[ ", " [", "[a.", "[1, ", "【1", "(", ")", "()", "![", "](", "{", "}", "{\\"),
    *(
        '"',
        "“",
        "”",
        "'",
        '"a ',
        "*",
        "**",
        "_",
        "`",
        "` ",
        "```",
        "~",
        "~~~",
        "|",
        "| ",
        "#",
        "# ",
        "=",
        "a=",
        "+",
        "/",
    ),
    *("<", "<a", "<a ", "<t>", "</t>", "<c r", "&", "&a", "\\", "a@", "www.", "http://", "> ", "From ", "CN="),
)

LENGTH, PHRASED, ANSWER = 8_000, 3_000, 6_000
"""Characters that an expression meets, one of many phrases, and those of a long answer."""


def seconds(call: Callable[[Any], object], given: str | bytes) -> float:
    """Return the processor time of a call, of which other processes take nothing."""
    start = time.thread_time()
    call(given)
    return time.thread_time() - start


def grows_too_fast(call: Callable[[Any], object], run: str, length: int, *, as_bytes: bool = False) -> bool:
    """Whether a call takes more than in proportion to the length of a run.

    Only what takes longer than 5 ms is compared with a quarter of the length: ten times the time is too much, if four
    times the length again takes ten times as long.
    """

    def given(length: int, end: str) -> str | bytes:
        text = (run * (length // len(run) + 1))[:length] + end
        return text.encode("utf-8") if as_bytes else text

    for end in ("", "!\n"):
        if min(seconds(call, given(length // 16, end)) for _ in range(2)) > 0.1:
            return True  # the whole would take minutes
        once = seconds(call, given(length, end))
        if once > 0.005 and once > 10 * seconds(call, given(length // 4, end)):  # measured better if it seems so
            quarter, whole = (min(seconds(call, given(size, end)) for _ in range(3)) for size in (length // 4, length))
            # What begins to be slow at some length is no more than that if it goes on in proportion.
            if (
                whole > 0.005
                and whole > 10 * quarter
                and (whole > 0.25 or seconds(call, given(4 * length, end)) > 10 * whole)
            ):
                return True
    return False


def expressions() -> Iterator[tuple[str, re.Pattern[Any], set[str]]]:
    """Yield every compiled expression of the rooms, with the methods that are called on it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(APP.rglob("*.py"))}
    called: defaultdict[tuple[Path, str], set[str]] = defaultdict(set)
    importing: defaultdict[tuple[str, str], set[Path]] = defaultdict(set)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    importing[node.module or "", alias.name].add(path)
            elif isinstance(node, ast.Attribute) and node.attr in METHODS:
                name = getattr(node.value, "id", None) or getattr(node.value, "attr", "")
                called[path, name].add(node.attr)
    for path, tree in trees.items():
        module = ".".join(("app", *path.relative_to(APP).with_suffix("").parts)).removesuffix(".__init__")
        if module.split(".")[1:2] == [] or module.split(".")[1] not in ROOMS:
            continue
        for name, value in vars(importlib.import_module(module)).items():
            if type(value) is re.Pattern:
                users = {path} | importing[module, name]
                yield (
                    f"{module}.{name}".removeprefix("app."),
                    value,
                    set().union(*(called[user, name] for user in users)),
                )
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                on_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
                if on_re and node.func.attr in METHODS and isinstance(node.args[0], ast.Constant):
                    name = f"{module.removeprefix('app.')} in line {node.lineno}"
                    yield name, re.compile(node.args[0].value), {node.func.attr}
    for kind in get_args(lexicon.Kind):
        yield f"phrases of the kind {kind}", lexicon._phrases(kind), {"search"}


EXPRESSIONS = {name: (pattern, methods) for name, pattern, methods in expressions()}


@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name not in SHORT])
def test_an_expression_takes_linear_time_on_any_run(name: str) -> None:
    pattern, methods = EXPRESSIONS[name]

    def find(text: Any) -> object:
        if methods and methods <= {"match", "fullmatch"}:
            return pattern.match(text), pattern.fullmatch(text) if "fullmatch" in methods else None
        return sum(1 for _ in pattern.finditer(text))

    length = PHRASED if name.startswith("phrases") else LENGTH
    as_bytes = isinstance(pattern.pattern, bytes)
    slow = [run for run in RUNS if grows_too_fast(find, run, length, as_bytes=as_bytes)]

    assert slow == []


def test_expressions_that_never_meet_a_long_run_still_exist() -> None:
    assert len(EXPRESSIONS) > 150
    assert SHORT.keys() <= EXPRESSIONS.keys()


def _streamed(text: str) -> None:
    reasoning = ReasoningFilter()
    for _ in reasoning.feed(text):
        pass


_SAYS = "The ferry leaves the old harbour at 9:30. Tickets are sold on board."
EVIDENCE = (Evidence(1, "a.md", "A", Place("line", "line 1", 1), 0, len(_SAYS), _SAYS, "en"),)

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "bare": lexicon.bare,
    "own_words": lexicon.own_words,
    "only_abstains": lexicon.only_abstains,
    "sentences": sentences,
    "breaks_off": breaks_off,
    "loops": loops,
    "repeats": repeats,
    "without_loop": without_loop,
    "early_reason": early_reason,
    "decide": lambda text: decide("What?", None, text, "stop"),
    "cite": lambda text: cite(text, EVIDENCE),
    "safe": safe,
    "reasoning": _streamed,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_judges_or_shows_an_answer_takes_linear_time_on_any_run(name: str) -> None:
    slow = [run for run in RUNS if grows_too_fast(FUNCTIONS[name], run, ANSWER)]

    assert slow == []
