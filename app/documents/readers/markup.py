"""AsciiDoc (.adoc) and Org (.org) as text, one page for each section under a heading."""

import re
from collections.abc import Callable
from functools import partial

from app.documents.passages import Page
from app.documents.readers.sections import Sections
from app.documents.readers.tables import Row
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

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


def _row(table: re.Match[str]) -> str:
    """Write a table of AsciiDoc, whose cells may be on lines of their own, with a line for each row."""
    cells = [" ".join(cell.split()) for cell in _CELL.split(table["cells"])[1:]]
    stated = _COLUMNS.search(table["settings"] or "")
    each = re.findall(r"(?:(\d+)\*)?[^,;]+", stated[1]) if stated else ()
    columns = sum(int(times or 1) for times in each) or len(_CELL.findall(table["cells"].lstrip().partition("\n")[0]))
    return "\n".join(f"|{' | '.join(cells[at : at + columns])}|" for at in range(0, len(cells), max(1, columns)))


def _read(pattern: re.Pattern[str], data: bytes) -> list[Page]:
    """Return the sections in order, with all marks but those of headings, which are as in Markdown."""
    sections = Sections(marked=True)
    block = ""
    rows: list[Row] = []
    for line in _DRAWER.sub("", _TABLE.sub(_row, clean(decode(data)))).split("\n"):
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


Reader = Callable[[bytes], list[Page]]

read_adoc: Reader = partial(_read, _ADOC)
read_org: Reader = partial(_read, _ORG)
