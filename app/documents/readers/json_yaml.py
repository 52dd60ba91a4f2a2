"""JSON and YAML: the lines of the file, or for a file without lines one line for each value, with its path."""

import json
from collections.abc import Iterator
from contextlib import suppress

from app.documents.passages import Page
from app.documents.readers import text
from app.documents.readers.sections import Sections

_BRACKETS = ("[", "{", "]", "}")
_CLOSING = "]}"
_LONG_LINE = 400
"""Characters of the mean line above which a file is not meant to be read."""

_NO_JSON = (ValueError, RecursionError)
"""Raised by JSON that is damaged or nested too deeply, and by other formats."""

_NESTED = (dict, list)
_MAX_PATH = 120
_MAX_SECTIONS = 50


def read(data: bytes) -> list[Page]:
    """Return pages that begin at the outermost keys or records, as many of them as fit into a passage."""
    (page,) = text.read(data)
    lines = page.text.split("\n")
    if len(page.text) > _LONG_LINE * len(lines):
        with suppress(*_NO_JSON):
            return _flat(json.loads(page.text))
    inner = [line for line in lines if line.strip() and line.rstrip() not in _BRACKETS]
    outermost = min(map(_indentation, inner), default=0)
    starts = [
        number
        for number, line in enumerate(lines)
        if number and line.strip() and _indentation(line) == outermost and line.strip()[0] not in _CLOSING
    ]
    return text.grouped(lines, starts)


def read_lines(data: bytes) -> list[Page]:
    """Return pages of lines with one record each, shown with its keys as a row."""
    (page,) = text.read(data)
    lines = [_row(line) for line in page.text.split("\n")]
    return text.grouped(lines, range(1, len(lines)))


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _row(line: str) -> str:
    with suppress(*_NO_JSON):
        if isinstance(value := json.loads(line), _NESTED):
            return text.clean(_record(value))
    return line


def _record(value: object, *first: str) -> str:
    return " ".join(f"| {' | '.join([*first, *_values(value)])} |".split())


def _flat(value: object) -> list[Page]:
    """Return a section for each of the outermost keys, if they are few; plain values come first."""
    sections = Sections()
    parts: dict[str, object] = {}
    if isinstance(value, dict) and len(value) <= _MAX_SECTIONS:
        parts = {key: item for key, item in value.items() if isinstance(item, _NESTED)}
        value = {key: item for key, item in value.items() if key not in parts}
    for line in _lines(value):
        sections.line(line)
    for key, part in parts.items():
        sections.heading(1, key[:_MAX_PATH] or "no name")
        for line in _lines(part):
            sections.line(line)
    return [page for page in sections.pages() if page.text]


def _lines(value: object) -> Iterator[str]:
    """Yield a row for each record of a list or of a large mapping, and a line for each other value."""
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield _record(item, str(number)) if isinstance(item, _NESTED) else _word(item)
    elif isinstance(value, dict) and len(value) > _MAX_SECTIONS:
        yield from (_record(item, key[:_MAX_PATH]) for key, item in value.items())
    else:
        yield from _values(value)


def _values(value: object, path: str = "") -> Iterator[str]:
    """Yield `path: value` for each part of a value."""
    path = path[-_MAX_PATH:]
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, _NESTED) for item in value):
        for number, item in enumerate(value):
            yield from _values(item, f"{path}[{number}]")
    else:
        word = ", ".join(map(_word, value)) if isinstance(value, list) else _word(value)
        yield f"{path}: {word}" if path else word


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
