"""Jupyter notebooks (.ipynb), one page for neighbouring cells under one heading that fit into a passage together."""

import json
import re
from collections.abc import Iterator

from app.documents.passages import AIM_WORDS, Page, Place, measure
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile
from app.translation import mark

_OUTPUT_LINES = 20
_OUTPUT_COLUMNS = 200
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(r"<[^<>\n]*>\s*$")
"""The representation of a Python object without a text form, such as a picture."""

_HEADING = re.compile(r"\s{0,3}#{1,6}\s")


def read(data: bytes) -> list[Page]:
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
