"""The text of HTML elements as lines: paragraphs, lists, tables and code, under their headings."""

import re
from collections.abc import Iterator
from html import unescape

from app.documents.readers.sections import Sections
from app.documents.readers.tables import Row

_INLINE = re.compile(
    r"<!--.*?-->|</?(?:a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|math|q|ruby|"
    r"s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr)(?:\s[^>]*)?>",
    re.DOTALL,
)
_BLOCK = re.compile(r"<(table|pre|h[1-6])(?=[\s>])[^>]*>(.*?)</\1>|<(/?)([a-z][^\s>]*)[^>]*>", re.DOTALL)
_CAPTION = re.compile(r"<caption(?=[\s>])[^>]*>(.*?)</caption>", re.DOTALL)
_ROW = re.compile(r"<tr(?=[\s>])[^>]*>")
_CELL = re.compile(r"<t[dh](?=[\s>])[^>]*>(.*?)</t[dh]>", re.DOTALL)
_IN_CELL = re.compile(r"<(?!/?t[rdh][\s>])[^>]*>")
_TAG = re.compile(r"<(/?)[^>]*>")

_TIGHT = frozenset("br li dt dd tr thead tbody".split())
_LISTS = frozenset(("ul", "ol", "menu"))
_MAX_INDENT = 8


def unbroken(text: str) -> str:
    """A text without the places where a word may be broken."""
    return text.replace("\xad", "").replace("\u200b", "")


def add(html: str, sections: Sections) -> None:
    """Adds an element as a parser writes it: all is closed, and no attribute holds a bracket."""
    lists: list[tuple[str, int]] = []
    mark = ""
    parts = iter(_BLOCK.split(_INLINE.sub("", unbroken(html)))[1:])
    for whole, inner, slash, tag, text in zip(*[parts] * 5, strict=True):
        if whole:
            sections.gap()
            _add_whole(whole, inner, sections)
        elif tag in _LISTS:
            if not slash:
                lists.append((tag, 0))
            elif lists:
                lists.pop()
        elif tag == "li" and lists and not slash:
            kind, number = lists[-1]
            lists[-1] = kind, number + 1
            mark = f"{number + 1}. " if kind == "ol" else "- "
        if not lists and tag not in _TIGHT:
            sections.gap()
        if words := _words(text):
            if lists:
                words = "  " * (min(len(lists), _MAX_INDENT) - 1) + (mark or "  ") + words
                mark = ""
            sections.line(words)


def _add_whole(tag: str, html: str, sections: Sections) -> None:
    """A table, code, or a heading, which holds no other."""
    if tag == "table":
        for caption in _CAPTION.findall(html):
            sections.line(_words(_TAG.sub(" ", caption)))
        sections.table(_rows(html))
    elif tag != "pre":
        if text := _words(_TAG.sub(" ", html)):
            sections.heading(int(tag[1]), text)
    elif code := unescape(_TAG.sub(lambda tag: "" if tag[1] else "\n", html)).replace("\xa0", " ").strip("\n").rstrip():
        sections.line(f"```\n{code}\n```")
        sections.gap()


def _rows(table: str) -> Iterator[Row]:
    for number, row in enumerate(_ROW.split(_IN_CELL.sub(" ", table))[1:], 1):
        yield number, {column: unescape(cell) for column, cell in enumerate(_CELL.findall(row), 1) if cell}


def _words(html: str) -> str:
    return " ".join(unescape(html).split())
