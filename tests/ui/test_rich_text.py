"""Text for reading: headings, lists, tables and styles, in which a mark falls on exactly the cited words."""

import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.rich_text import blocks

PIECES = (
    "word ", "Ärger ", "**bold** ", "*lean* ", "`co_de` ", "__strong__ ", "~~gone~~ ", "[text](http://evil.example/x) ",
    "![alt](http://evil.example/y.png) ", "snake_case ", "2 * 3 ", "\\* ", "<b>tag</b> ", "\n", "\n\n", "# ", "- ",
    "1. ",
    "> ", "| a | b\\| c |\n", "|---|---|\n", "```\n", "---\n", "***",
    "  \n", "    ", "[", "](", "**", "_",
)  # fmt: skip


def parts(found: list[dict[str, Any]]) -> list[list[Any]]:
    """All parts in their order."""
    cells = [[block.get("parts", []), *(cell for row in block.get("rows", []) for cell in row)] for block in found]
    return [part for each in cells for cell in each for part in cell]


def shown(found: list[dict[str, Any]], state: int = 0) -> str:
    return "".join(text for text, cited, _ in parts(found) if cited >= state)


ADDRESS = re.compile(r"http://[^)]*")


def letters(text: str) -> list[str]:
    return re.findall(r"[^\W_]", text)


def within(some: Iterable[str], text: Iterable[str]) -> bool:
    """Whether characters are among those of a text, in their order."""
    rest = iter(text)
    return all(each in rest for each in some)


def test_markdown_is_shown_as_headings_lists_tables_and_styles() -> None:
    text = (
        "# One\n\nA **b** *i* `c` ~~s~~\nsoft\n\n- item\n  goes on\n2. two\n\n| h |\n|---|\n| **x** |\n\n> quoted\n\n"
    )
    text += "---\n"

    found = blocks(text, [], inline=True)

    assert [block["kind"] for block in found] == [
        "heading", "text", "item", "number", "table", "quote", "rule"
    ]  # fmt: skip
    assert found[0] == {"kind": "heading", "level": 1, "parts": [["One", 0, ""]]}
    assert found[1]["parts"] == [
        ["A ", 0, ""], ["b", 0, "b"], [" ", 0, ""], ["i", 0, "i"], [" ", 0, ""], ["c", 0, "c"], [" ", 0, ""],
        ["s", 0, "s"], [" soft", 0, ""],
    ]  # fmt: skip
    assert found[2]["parts"] == [["item goes on", 0, ""]]
    assert found[3]["parts"] == [["2. two", 0, ""]]
    assert (found[4]["head"], found[4]["rows"]) == (True, [[[["h", 0, ""]]], [[["x", 0, "b"]]]])


def test_text_of_other_formats_keeps_its_lines_and_its_stars() -> None:
    found = blocks("# Handbook\n\n2 * 3 * 4 and __init__\nsecond line", [], inline=False)

    assert [(block["kind"], shown([block])) for block in found] == [
        ("heading", "Handbook"), ("text", "2 * 3 * 4 and __init__\nsecond line")
    ]  # fmt: skip


def test_a_heading_that_is_not_marked_is_known_by_its_name() -> None:
    found = blocks("Opening hours\n\nFrom nine.", [], inline=False, heads=frozenset(["Opening hours"]))

    assert [block["kind"] for block in found] == ["heading", "text"]


def test_code_and_settings_at_the_top_are_shown_as_they_are() -> None:
    found = blocks("---\ntitle: x\n---\n```py\na = **2**\n# no heading\n```\n", [], inline=True)

    assert [(block["kind"], shown([block])) for block in found] == [
        ("code", "title: x"), ("code", "a = **2**\n# no heading")
    ]  # fmt: skip


def test_no_address_and_no_html_comes_out() -> None:
    found = blocks("[go](http://evil.example) ![pic](https://evil.example/x.png) <img src=x>", [], inline=True)

    assert shown(found) == "go pic <img src=x>"  # as text


def test_the_mark_crosses_styles_and_begins_once() -> None:
    text = "It **opens at** seven."
    start = text.index("opens")

    found = blocks(text, [(start, len(text))], inline=True)

    assert parts(found) == [["It ", 0, ""], ["opens at", 2, "b"], [" seven.", 1, ""]]


@pytest.mark.slow
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map("".join), st.data(), st.booleans())
def test_what_is_marked_are_exactly_the_words_of_the_spans(text: str, data: st.DataObject, inline: bool) -> None:
    at = data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6, unique=True).map(sorted))
    spans = list(zip(at[::2], at[1::2], strict=False))

    marked, plain = blocks(text, spans, inline=inline), blocks(text, [], inline=inline)

    assert shown(marked) == shown(plain)  # a mark changes nothing else
    ends = [shown(blocks(text, [(0, end)], inline=inline), 1) if end else "" for span in spans for end in span]
    assert shown(marked, 1) == "".join(
        after.removeprefix(before) for before, after in zip(ends[::2], ends[1::2], strict=True)
    )
    for start, end in spans:
        inside = shown(blocks(text, [(start, end)], inline=inline), 1)
        assert within(letters(inside), text[start:end])
        without_addresses = ADDRESS.sub(lambda found: " " * len(found[0]), text)[start:end]
        assert within(letters(without_addresses), inside)


@pytest.mark.parametrize(
    "text", ["**a " * 20_000, "[a](" * 20_000, "`" * 60_000, "_a " * 20_000, "|" * 60_000, "\\" * 60_000]
)
def test_a_text_of_opening_marks_alone_takes_no_time(text: str) -> None:
    started = time.monotonic()

    assert blocks(text, [], inline=True)

    assert time.monotonic() - started < 10
