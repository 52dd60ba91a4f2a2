"""Rich text (.rtf) by striprtf, one page for each section under a heading."""

import re
from collections.abc import Iterator

from app.documents.passages import Page
from app.documents.readers.sections import Block, paged
from app.documents.readers.tables import Row
from app.errors import UnreadableFile

_LEVEL, _CELL, _ROW, _WITHIN = 0xE000, "\ue010", "\ue011", "\ue012"
"""Private characters that mark headings and tables in the source: striprtf keeps them, but not the structure itself."""

_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")
_PICTURE = re.compile(rb"[0-9a-fA-F\r\n]{256,}")
_HIGH = re.compile(rb"[\x80-\xff]")
_STYLE = re.compile(r"\{\\s(\d+)[^{}]*?(?:\\outlinelevel([0-8])|heading ([1-9]);)", re.IGNORECASE)
_OUTLINE = re.compile(r"\\(outlinelevel|s)(\d+) ?")
_MARKS = re.compile("[\ue000-\ue012]")
_BULLET = re.compile(r"^[\uf000-\uf0ff•·◦▪]\s*")
_TABLE = re.compile(r"\\(?:nest)?(cell|row|intbl)(?![a-z]) ?")
_TABLE_MARKS = {"cell": _CELL, "row": _ROW + r"\par ", "intbl": r"\intbl " + _WITHIN}
_DELETED = re.compile(r"\\deleted(?![0-9a-z])")
_ASIDE = re.compile(r"\{(?:\\\*)?\\(?:footnote|shptxt)(?![a-z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_END = re.compile(r"\\par(?![a-z])")


def read(data: bytes) -> list[Page]:
    """Return the sections in order; notes and text boxes follow the paragraph they belong to."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFile("it is no rich text although its name ends in .rtf; save it again")
    from striprtf.striprtf import rtf_to_text

    while match := _BINARY.search(data):
        data = data[: match.start()] + data[match.end() + int(match[1]) :]
    source = _HIGH.sub(lambda byte: b"\\'%02x" % ord(byte[0]), _PICTURE.sub(b"", data)).decode("ascii")
    source = _mark_headings(_move_asides(source))
    source = _DELETED.sub(r"\\*", _TABLE.sub(lambda mark: _TABLE_MARKS[mark[1]], source))
    source = source.replace(r"{\field{", r"{\field {")  # in striprtf's search for links, quadratic time otherwise
    text = rtf_to_text(source, errors="replace").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return paged(_blocks(text))


def _mark_headings(source: str) -> str:
    """Mark each paragraph that is a heading by itself or by its style."""
    marks = {("outlinelevel", str(level)): chr(_LEVEL + level) for level in range(9)}
    for style, outline, heading in _STYLE.findall(source):
        marks["s", style] = chr(_LEVEL + (int(outline) if outline else int(heading) - 1))
    return _OUTLINE.sub(lambda word: f"{word[0].strip()} {marks.get((word[1], word[2]), '')}", source)


def _move_asides(source: str) -> str:
    """Move each note and text box behind the end of the paragraph around it."""
    at = 0
    while match := _ASIDE.search(source, at):
        depth, end = 0, len(source)
        for brace in _BRACE.finditer(source, match.start()):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                end = brace.end()
                break
        at, after = match.start(), _END.search(source, end)
        behind = after.end() if after else end
        source = f"{source[:at]}{source[end:behind]}{{\\pard {source[match.end() : end]}\\par {source[behind:]}"
    return source


def _blocks(text: str) -> Iterator[Block | list[Row]]:
    rows: list[Row] = []
    row = ""
    for line in text.split("\n"):
        if row or _CELL in line or _WITHIN in line:
            row += f" {line}"
            if _ROW in line:
                cells = row.partition(_ROW)[0].split(_CELL)[:-1]
                rows.append((len(rows) + 1, {column: _words(cell) for column, cell in enumerate(cells, 1)}))
                row = ""
        elif words := _words(line):
            yield rows
            rows = []
            yield Block(next((ord(mark) - _LEVEL + 1 for mark in line if _LEVEL <= ord(mark) < _LEVEL + 9), 0), words)
    yield rows
    if words := _words(row):
        yield Block(0, words)


def _words(text: str) -> str:
    return _BULLET.sub("- ", " ".join(_MARKS.sub(" ", text).split()))
