"""Rich text (.rtf) by striprtf, one page for each section under a heading; it passes through HTML."""

import re
from collections.abc import Iterator
from html import escape

from app.documents.passages import Page
from app.documents.readers import html
from app.errors import UnreadableFile

_LEVEL, _CELL, _ROW, _WITHIN = 0xE000, "\ue010", "\ue011", "\ue012"
"""Marks in the source, of characters that no alphabet has: striprtf keeps them, but tells no headings from text."""

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
    """The sections in their order; notes and text boxes follow the paragraph that they hang on."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFile("it is no rich text although its name ends in .rtf; save it again")
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError:
        remedy = 'run pip install -e ".[formats]", then escalator index --rebuild'
        raise UnreadableFile(f"reading it takes another package: {remedy}") from None
    while found := _BINARY.search(data):
        data = data[: found.start()] + data[found.end() + int(found[1]) :]
    source = _HIGH.sub(lambda byte: b"\\'%02x" % ord(byte[0]), _PICTURE.sub(b"", data)).decode("ascii")
    source = _headings_marked(_asides_moved(source))
    source = _DELETED.sub(r"\\*", _TABLE.sub(lambda mark: _TABLE_MARKS[mark[1]], source))
    source = source.replace(r"{\field{", r"{\field {")  # striprtf looks for links in a time that grows with its square
    try:
        text = rtf_to_text(source, errors="replace").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except Exception as error:  # damaged files raise anything
        raise UnreadableFile(f"it cannot be read ({type(error).__name__}); it may be damaged, save it again") from None
    return html.read_body("".join(_html(text)))


def _headings_marked(source: str) -> str:
    """The source with a mark in each paragraph that is a heading by itself or by its style."""
    levels = {("outlinelevel", str(level)): level for level in range(9)}
    for style, outline, heading in _STYLE.findall(source):
        levels["s", style] = int(outline) if outline else int(heading) - 1

    def marked(word: re.Match[str]) -> str:
        level = levels.get((word[1], word[2]))
        return word[0] if level is None else f"{word[0].strip()} {chr(_LEVEL + level)}"

    return _OUTLINE.sub(marked, source)


def _asides_moved(source: str) -> str:
    """The source with each note and text box behind the end of the paragraph around it."""
    at = 0
    while found := _ASIDE.search(source, at):
        depth, end = 0, len(source)
        for brace in _BRACE.finditer(source, found.start()):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                end = brace.end()
                break
        at, after = found.start(), _END.search(source, end)
        behind = after.end() if after else end
        source = f"{source[:at]}{source[end:behind]}{{\\pard {source[found.end() : end]}\\par {source[behind:]}"
    return source


def _html(text: str) -> Iterator[str]:
    rows: list[str] = []
    row = ""
    for line in text.split("\n"):
        if row or _CELL in line or _WITHIN in line:
            row += f" {line}"
            if _ROW in line:
                tag = "td" if rows else "th"
                cells = row.replace(_WITHIN, "").partition(_ROW)[0].split(_CELL)[:-1]
                rows.append(f"<tr>{''.join(f'<{tag}>{_words(cell)}' for cell in cells)}")
                row = ""
            continue
        if rows and line.strip():
            yield f"<table>{''.join(rows)}</table>"
            rows = []
        if words := _words(line):
            level = next((ord(mark) - _LEVEL + 1 for mark in line if _LEVEL <= ord(mark) < _LEVEL + 9), 0)
            tag = f"h{min(level, 6)}" if level else "p"
            yield f"<{tag}>{words}</{tag}>"
    yield f"<table>{''.join(rows)}</table>" if rows else ""
    yield f"<p>{words}" if (words := _words(row)) else ""


def _words(text: str) -> str:
    return escape(_BULLET.sub("- ", " ".join(_MARKS.sub(" ", text).split())))
