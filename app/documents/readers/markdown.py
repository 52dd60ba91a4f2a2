"""Markdown, one page for each section under a heading."""

import re
from collections.abc import Iterator
from itertools import pairwise

from app.documents.passages import LINE_LABEL, Page, Place
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

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
