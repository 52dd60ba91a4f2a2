"""AsciiDoc (.adoc) and Org (.org) as text, one page for each section under a heading."""

import re
from collections.abc import Callable
from functools import partial

from app.documents.passages import Page
from app.documents.readers.sections import Sections
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

_ADOC = re.compile(r"(?P<marks>={1,6}|#{1,6})[ \t]+(?P<text>\S.*)")
_ORG = re.compile(
    r"(?P<marks>\*+)[ \t]+(?:(?:TODO|DONE)[ \t]+)?(?P<text>\S.*?)(?:[ \t]+:[\w@:]+:)?[ \t]*$"
    r"|#\+title:[ \t]*(?P<title>\S.*)",
    re.IGNORECASE,
)
_BLOCK = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,})[ \t]*$|#\+(?:begin|end)_", re.IGNORECASE)
"""The first or the last line of a block, in which no line is a heading."""


def _read(pattern: re.Pattern[str], data: bytes) -> list[Page]:
    """Return the sections in order, with all marks but those of headings, which are as in Markdown."""
    sections = Sections(marked=True)
    block = ""
    for line in clean(decode(data)).split("\n"):
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
    if not (pages := sections.pages()):
        raise UnreadableFile("it is empty")
    return pages


Reader = Callable[[bytes], list[Page]]

read_adoc: Reader = partial(_read, _ADOC)
read_org: Reader = partial(_read, _ORG)
