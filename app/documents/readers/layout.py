"""The text of HTML elements as lines: paragraphs, lists, tables and code, under their headings."""

import re
from html import unescape

from app.documents.readers.sections import Sections

_INLINE = re.compile(
    r"<!--.*?-->|</?(?:a|abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|math|q|ruby|s|samp|"
    r'small|span|strike|strong|sub|sup|time|tt|u|var|wbr)(?:\s[^">]*(?:"[^"]*"[^">]*)*)?>',
    re.DOTALL,
)
_BLOCK = re.compile(r'<(/?)([a-z][^\s>]*)[^">]*(?:"[^"]*"[^">]*)*>')
_TIGHT = frozenset("br li dt dd tr thead tbody".split())
_LISTS = frozenset(("ul", "ol", "menu"))
_WITHIN = frozenset("table pre h1 h2 h3 h4 h5 h6".split())

_MAX_INDENT = 8


def plain(text: str) -> str:
    """A text on one line, without the places where a word may be broken."""
    return " ".join(text.replace("\xad", "").replace("\u200b", "").split())


class Layout:
    """Takes elements as they begin and end; blocks part lines, the text of a heading or a cell stays on one."""

    def __init__(self, sections: Sections) -> None:
        self._parts: list[str] = []
        self._sections = sections
        self._lists: list[tuple[str, int]] = []
        self._mark = ""
        self._within = ""
        self._rows: list[list[str]] = []

    def add(self, html: str) -> None:
        """Takes HTML as a parser writes it, in which all is closed and quoted."""
        parts = iter(_BLOCK.split(_INLINE.sub("", html)))
        self._parts.append(next(parts))
        for slash, tag, text in zip(parts, parts, parts, strict=True):
            if slash:
                self._end(tag)
            else:
                self._begin(tag)
            if self._within or not text.isspace():
                self._parts.append(text)
        self._flush()

    def _begin(self, tag: str) -> None:
        if self._within:
            if tag == "tr":
                self._rows.append([])
            if tag in ("tr", "td", "th"):
                self._parts.clear()
            else:
                self._parts.append("\n" if self._within == "pre" else " ")
            return
        self._flush()
        if tag in _LISTS:
            self._lists.append((tag, 0))
        elif tag == "li" and self._lists:
            kind, number = self._lists[-1]
            self._lists[-1] = kind, number + 1
            self._mark = f"{number + 1}. " if kind == "ol" else "- "
        elif tag in _WITHIN:
            self._within, self._rows = tag, []
        self._part(tag)

    def _end(self, tag: str) -> None:
        if tag == self._within:
            self._end_within(tag)
        elif not self._within:
            self._flush()
            if tag in _LISTS and self._lists:
                self._lists.pop()
            self._part(tag)
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(self._taken())
        elif tag == "caption":
            self._flush()

    def _end_within(self, tag: str) -> None:
        self._within = ""
        if tag == "table":
            self._parts.clear()
            self._sections.table((number, dict(enumerate(row, 1))) for number, row in enumerate(self._rows, 1))
        elif tag == "pre":
            code = unescape("".join(self._parts)).replace("\xa0", " ").strip("\n").rstrip()
            self._parts.clear()
            if code:
                self._sections.line(f"```\n{code}\n```")
            self._sections.gap()
        elif text := self._taken():
            self._sections.heading(int(tag[1]), text)

    def _part(self, tag: str) -> None:
        if tag not in _TIGHT and not (self._lists and tag != "pre"):
            self._sections.gap()

    def _taken(self) -> str:
        text = plain(unescape("".join(self._parts)))
        self._parts.clear()
        return text

    def _flush(self) -> None:
        if self._parts and (text := self._taken()):
            depth = max(0, min(len(self._lists), _MAX_INDENT) - 1)
            self._sections.line("  " * depth + (self._mark or ("  " if self._lists else "")) + text)
            self._mark = ""
