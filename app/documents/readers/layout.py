"""The visible text of HTML elements as lines: paragraphs, lists, tables and code, under their headings."""

import re
from typing import TYPE_CHECKING

from app.documents.readers.sections import Sections

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_INLINE = frozenset(
    "a abbr b bdi bdo big cite code data del dfn em font i img ins kbd label mark math q ruby s samp small span strike "
    "strong sub sup time tt u var wbr -text -comment !-- !doctype".split()
)
_TIGHT = frozenset("br li dt dd tr thead tbody".split())
_LISTS = frozenset(("ul", "ol", "menu"))
_NO_DATA = "table, h1, h2, h3, h4, h5, h6, pre"  # stand in tables that only arrange a page

_MAX_INDENT = 8
_HEADING = re.compile(r"h[1-6]$")


def plain(text: str) -> str:
    """A text on one line, without the places where a word may be broken."""
    return " ".join(text.replace("\xad", "").replace("\u200b", "").split())


def _holds_data(table: "LexborNode") -> bool:
    return all(part.css_first(_NO_DATA) is None for part in table.iter())


class Layout:
    """Takes nodes as they begin and end; blocks part lines, the text of a heading or a cell stays on one."""

    def __init__(self, sections: Sections) -> None:
        self._parts: list[str] = []
        self._sections = sections
        self._lists: list[int] = []
        self._mark = ""
        self._within = ""
        self._rows: list[list[str]] = []
        self._heads = 0

    def begin(self, node: "LexborNode") -> None:
        """Takes a node before what is in it."""
        tag = node.tag or ""
        if tag == "-text":
            self._parts.append(node.text_content or "")
        if tag in _INLINE:
            return
        if self._within:
            self._begin_within(tag)
            return
        self._flush()
        if tag in _LISTS:
            self._lists.append(0)
        elif tag == "li" and self._lists:
            self._lists[-1] += 1
            ordered = node.parent is not None and node.parent.tag == "ol"
            self._mark = f"{self._lists[-1]}. " if ordered else "- "
        elif tag == "pre" or _HEADING.match(tag) or (tag == "table" and _holds_data(node)):
            self._within, self._rows, self._heads = tag, [], 0
        self._part(tag)

    def _begin_within(self, tag: str) -> None:
        if tag == "tr":
            self._rows.append([])
        if tag in ("tr", "td", "th"):
            self._parts.clear()
            self._heads += tag == "th" and len(self._rows) == 1
        else:
            self._parts.append("\n" if self._within == "pre" else " ")

    def end(self, node: "LexborNode") -> None:
        """Takes a node after what is in it."""
        tag = node.tag or ""
        if tag in _INLINE:
            return
        if tag == self._within:
            self._end_within(tag)
        elif self._within:
            if tag in ("td", "th") and self._rows:
                self._rows[-1].append(plain("".join(self._parts)))
                self._parts.clear()
            elif tag == "caption":
                self._flush()
        else:
            self._flush()
            if tag in _LISTS and self._lists:
                self._lists.pop()
            self._part(tag)

    def _end_within(self, tag: str) -> None:
        self._within = ""
        if tag == "table":
            self._sections.table(self._rows, header=bool(self._rows) and self._heads == len(self._rows[0]))
            self._parts.clear()
        elif tag == "pre":
            code = "".join(self._parts).replace("\xa0", " ").strip("\n").rstrip()
            self._parts.clear()
            if code:
                self._sections.line(f"```\n{code}\n```")
            self._sections.gap()
        else:
            text = plain("".join(self._parts))
            self._parts.clear()
            if text:
                self._sections.heading(int(tag[1]), text)

    def _part(self, tag: str) -> None:
        if tag not in _TIGHT and not (self._lists and tag != "pre"):
            self._sections.gap()

    def _flush(self) -> None:
        text = plain("".join(self._parts))
        self._parts.clear()
        if text:
            depth = max(0, min(len(self._lists), _MAX_INDENT) - 1)
            self._sections.line("  " * depth + (self._mark or ("  " if self._lists else "")) + text)
            self._mark = ""
