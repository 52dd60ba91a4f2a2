"""Markdown, AsciiDoc (.adoc), Org (.org) and notebooks (.ipynb), one page for each section under a heading."""

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from app.documents.passages import AIM_WORDS, LINE_LABEL, Page, Place, measure
from app.documents.readers.sections import Sections
from app.documents.readers.tables import Row
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile
from app.translation import mark

_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(?:={2,}|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|]|\d+[.)]\s|$)| {4}|\t")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_TRAILING = re.compile(r"(?<=[ \t])#+$")
_DEEPEST = 6

Heading = tuple[int, int, str]
"""The index of a line, the level, and the text."""


def read(data: bytes) -> list[Page]:
    """Return the sections in order; the line break before each heading separates the pages.

    A heading directly above a deeper one joins its section.
    """
    text = clean(decode(data))
    if not text.strip():
        raise UnreadableFile("it is empty")
    lines = text.split("\n")
    headings = list(_headings(lines))
    sections = [] if headings and headings[0][0] == 0 else [(0, Place("line", LINE_LABEL.format(number=1), 1))]
    above, below = _DEEPEST, 0  # the level of the last heading, and the index of the line below it
    for number, level, label in headings:
        joins = level > above and not any(map(str.strip, lines[below:number]))
        first = sections.pop()[0] if joins else number
        sections.append((first, Place("heading", label, number + 1)))
        above, below = level, number + (1 if _ATX.match(lines[number]) else 2)
    ends = [*(first for first, _ in sections[1:]), len(lines)]
    return [Page("\n".join(lines[first:end]), place) for (first, place), end in zip(sections, ends, strict=True)]


def title(pages: list[Page]) -> str | None:
    """Return the first heading of level 1."""
    headings = (heading for page in pages for heading in _headings(page.text.split("\n")))
    return next((label for _, level, label in headings if level == 1), None)


def _headings(lines: list[str]) -> Iterator[Heading]:
    fence = ""
    first = _front_matter(lines)
    for number, (line, below) in enumerate(pairwise([*lines[first:], ""]), first):
        mark = _FENCE.match(line)
        level, text = 0, ""
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif atx := _ATX.match(line):
            level, text = len(atx[1]), _TRAILING.sub("", line[atx.end() :].rstrip())
        elif _UNDERLINE.match(below) and _stands_alone(lines, number, first):
            level, text = 1 if "=" in below else 2, line
        if text and (label := _plain(text)):
            yield number, level, label


def _stands_alone(lines: list[str], number: int, first: int) -> bool:
    """Whether a line is a paragraph by itself, so that an underline makes it a heading."""
    before = lines[number - 1] if number > first else ""
    return not _NO_PARAGRAPH.match(lines[number]) and (not before.strip() or _ATX.match(before) is not None)


def _front_matter(lines: list[str]) -> int:
    """Return the index of the first line after the front matter, a block of settings at the top of the file."""
    if lines[0].rstrip() != "---":
        return 0
    return next((number + 1 for number, line in enumerate(lines) if number and line.rstrip() in ("---", "...")), 0)


def _plain(text: str) -> str:
    """Remove the markup of a heading."""
    text = _LINK.sub(r"\1", text)
    return " ".join(text.replace("`", "").replace("**", "").replace("__", "").strip(" \t*").split())


_ADOC = re.compile(r"(?P<marks>={1,6}|#{1,6})[ \t]+(?P<text>\S.*)")
_ORG = re.compile(
    r"(?P<marks>\*+)[ \t]+(?:(?:TODO|DONE)[ \t]+)?(?:\[#\w\][ \t]+)?(?P<text>\S.*?)(?:[ \t]+:[\w@:]+:)?[ \t]*$"
    r"|#\+title:[ \t]*(?P<title>\S.*)",
    re.IGNORECASE,
)
_BLOCK = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,})[ \t]*$|#\+(?:begin|end)_", re.IGNORECASE)
"""The first or the last line of a block, in which no line is a heading."""

_DRAWER = re.compile(r"^[ \t]*:[\w-]+:[ \t]*\n(?:.*\n)*?[ \t]*:END:[ \t]*\n", re.MULTILINE | re.IGNORECASE)
"""Settings of a heading in Org, which are folded away."""

_ROW = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"\s*\|-[-+|]*$")
_TABLE = re.compile(
    r"^(?:\[(?P<settings>[^\n]*)\]\n)?\|===[ \t]*\n(?P<cells>.*?)\n\|===[ \t]*$", re.MULTILINE | re.DOTALL
)
_COLUMNS = re.compile(r"\bcols=[\"']?([^\"'\]]*)")
_CELL = re.compile(r"(?:^|(?<=\s))(?:[\d.]+[+*])?[<^>.]*[adehlmsv]?(?<!\\)\|", re.MULTILINE)


def _table_rows(table: re.Match[str]) -> str:
    """Write a table of AsciiDoc, whose cells may be on lines of their own, with a line for each row."""
    cells = [" ".join(cell.split()) for cell in _CELL.split(table["cells"])[1:]]
    stated = _COLUMNS.search(table["settings"] or "")
    each = re.findall(r"(?:(\d+)\*)?[^,;]+", stated[1]) if stated else ()
    columns = sum(int(times or 1) for times in each) or len(_CELL.findall(table["cells"].lstrip().partition("\n")[0]))
    return "\n".join(f"|{' | '.join(cells[at : at + columns])}|" for at in range(0, len(cells), max(1, columns)))


def _read_marked(pattern: re.Pattern[str], data: bytes) -> list[Page]:
    """Return the sections in order, with all marks but those of headings, which are as in Markdown."""
    sections = Sections(marked=True)
    block = ""
    rows: list[Row] = []
    for line in _DRAWER.sub("", _TABLE.sub(_table_rows, clean(decode(data)))).split("\n"):
        if not block and _ROW.match(line):
            if not _RULE.match(line):
                rows.append((len(rows) + 1, dict(enumerate(line.strip().strip("|").split("|"), 1))))
            continue
        sections.table(rows)
        rows = []
        if edge := _BLOCK.match(line):
            mark = edge[1] or "#"
            block = mark if not block else "" if block == mark else block
        if not block and (heading := pattern.match(line)):
            words = heading["text"] or heading["title"]
            sections.heading(len(heading["marks"] or "") or 1, " ".join(words.split()))
        elif line.strip():
            sections.line(line.rstrip())
        else:
            sections.gap()
    sections.table(rows)
    if not (pages := sections.pages()):
        raise UnreadableFile("it is empty")
    return pages


read_adoc = partial(_read_marked, _ADOC)
read_org = partial(_read_marked, _ORG)


_OUTPUT_LINES = 20
_OUTPUT_COLUMNS = 200
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(r"<[^<>\n]*>\s*$")
"""The representation of a Python object without a text form, such as a picture."""

_HEADING = re.compile(r"\s{0,3}#{1,6}\s")


def read_notebook(data: bytes) -> list[Page]:
    """Return Markdown as it is, code fenced, and the first lines of its output; pictures are left out."""
    try:
        notebook = json.loads(decode(data))
    except (ValueError, RecursionError):
        raise UnreadableFile("it is not a whole notebook; open it in Jupyter and save it again") from None
    together: list[dict[int, str]] = []
    words = 0
    for number, text in enumerate(map(_text, _cells(notebook)), 1):
        if text:
            words += (own := measure(text))
            if not together or words > AIM_WORDS or _HEADING.match(text):
                together.append({})
                words = own
            together[-1][number] = text
    if not together:
        raise UnreadableFile("it has no cells with text; open it in Jupyter and save it again")
    return list(map(_page, together))


def _page(texts: dict[int, str]) -> Page:
    first, last = min(texts), max(texts)
    label = mark("cell {number}") if first == last else mark("cells {number} to {last}")
    return Page("\n\n".join(texts.values()), Place("cell", label.format(number=first, last=last), first))


def _cells(notebook: object) -> Iterator[dict[str, object]]:
    """Yield the cells, which are in worksheets before format 4."""
    for part in (notebook, *_dicts(notebook, "worksheets")):
        yield from _dicts(part, "cells")


def _text(cell: dict[str, object]) -> str:
    source = _joined(cell.get("source", cell.get("input"))).strip("\n").rstrip()
    kind, level = cell.get("cell_type"), cell.get("level")
    if kind != "code":
        mark = "#" * min(max(level, 1), 6) + " " if kind == "heading" and isinstance(level, int) else ""
        return mark + source if source.strip() else ""
    parts = [f"```\n{source}\n```"] if source.strip() else []
    printed = "\n".join(filter(None, map(_printed, _dicts(cell, "outputs")))).split("\n")
    shown = [line if len(line) <= _OUTPUT_COLUMNS else line[:_OUTPUT_COLUMNS] + "…" for line in printed[:_OUTPUT_LINES]]
    shown += ["…"] * (len(printed) > _OUTPUT_LINES)
    if any(shown):
        parts.append("\n".join(["Output:", "```", *shown, "```"]))
    return "\n\n".join(parts)


def _printed(output: dict[str, object]) -> str:
    """Return the text of an output, in format 4 or older."""
    if output.get("output_type") in ("error", "pyerr"):
        return clean(f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}")
    data = output.get("data")
    text = _joined(data.get("text/plain") if isinstance(data, dict) else output.get("text"))
    return "" if _OBJECT.match(text) else _COLOUR.sub("", text).strip("\n").rstrip()


def _dicts(value: object, key: str) -> list[dict[str, object]]:
    """Return the objects in a list that another object has under some key."""
    items = value.get(key) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _joined(value: object) -> str:
    """Join a text, which notebooks may store as a list of lines."""
    parts = value if isinstance(value, list) else [value]
    return clean("".join([part for part in parts if isinstance(part, str)]))
