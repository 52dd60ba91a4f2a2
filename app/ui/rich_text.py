"""Text of a document as a person reads it: blocks of marked, styled parts, from the Markdown that readers write.

Every visible character is one of the text, so a mark falls on exactly the cited words. Nothing of it is HTML, and no
address of a link or a picture gets into the page.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

from app.documents.passages import Span

HIDDEN, BOLD, ITALIC, CODE, STRUCK, BREAK = (1 << bit for bit in range(6))
"""What a character is, as bits; `BREAK` is the end of a line that stays one."""

_LINE = re.compile(r"^.*$", re.MULTILINE)
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_CLOSING = re.compile(r"(?<![ \t])[ \t]++(?:#++[ \t]*+)?$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ROW = re.compile(r"\s*\|.*\|\s*$")
_DELIMITER = re.compile(r"\s*\|(?:\s*:?-+:?\s*\|)+\s*$")
_BULLET = re.compile(r"(\s*)[-*+•][ \t]+(?=\S)")
_NUMBER = re.compile(r"(\s*)(?=\d{1,9}[.)][ \t]+\S)")
_QUOTE = re.compile(r" {0,3}(?:>[ ]?)+")
_PIPE = re.compile(r"(?<!\\)\|")

_MAX_SETTINGS = 50
"""Lines of settings at the top of a file."""

_SPAN = r"(?=\S).{1,400}?(?<=[^\s\\])"
"""What stands between two marks: limited, because a text of opening marks alone would take for ever."""

_STYLES = {"bold": (BOLD, 2), "strong": (BOLD, 2), "struck": (STRUCK, 2), "star": (ITALIC, 1), "line": (ITALIC, 1)}
"""By the name of a group of `_INLINE`: the style, and the length of its marks."""

_INLINE = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>(?<!`)`{1,8}(?!`))(?P<code>.{1,400}?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<link>!?\[(?P<label>[^\[\]]{0,400}+)\]\([^()\s]{0,400}+(?:\([^()\s]{0,400}+\)[^()\s]{0,400}+){0,4}+"
    r"(?:[ \t]{1,9}+\"[^\"]{0,400}+\")?\))"
    rf"|(?P<bold>\*\*{_SPAN}\*\*)|(?P<strong>(?<!\w)__{_SPAN}__(?!\w))|(?P<struck>~~{_SPAN}~~)"
    rf"|(?P<star>\*{_SPAN}\*)|(?P<line>(?<!\w)_{_SPAN}_(?!\w))",
    re.DOTALL,
)


def blocks(
    text: str, spans: Sequence[Span], *, inline: bool, heads: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Divide a text into blocks for the viewer.

    Each has a `kind` (heading, text, item, number, quote, code, table, rule), a `level`, and `parts`, or `rows` of
    cells of parts. A part is a text, its state (0 is not cited, 1 is, 2 is and begins a span), and the names of its
    styles. With `inline`, marks within lines are Markdown's, and a line break is a blank. A line that is one of `heads`
    is a heading.
    """
    return _Text(text, spans, inline, heads).blocks()


class _Text:
    def __init__(self, text: str, spans: Sequence[Span], inline: bool, heads: frozenset[str]) -> None:
        self._text = text
        self._inline = inline
        self._heads = heads
        self._looks = bytearray(len(text))
        self._cited = bytearray(len(text))
        begins = [0] * len(text)
        for start, end in spans:
            self._cited[start:end] = b"\1" * len(text[start:end])
            begins[start] = 1
        self._span = list(accumulate(begins))
        """By character, how many spans have begun."""
        self._begun = 0

    def blocks(self) -> list[dict[str, Any]]:
        """Divide the text."""
        found: list[tuple[str, int, list[Span]]] = []  # a kind, a level, and lines; those of a table are rows
        fence, open_, lines = "", False, [line.span() for line in _LINE.finditer(self._text)]
        if self._inline and (settings := self._front_matter(lines)):
            found, lines = [("code", 0, lines[1 : settings - 1])], lines[settings:]
        for start, end in lines:
            line = self._text[start:end]
            kind, level, at, fence_before = "text", 0, start, fence
            mark = _FENCE.match(line)
            if mark and (not fence or (mark[1].startswith(fence) and not line.strip().strip(fence[0]))):
                fence, open_ = ("" if fence else mark[1]), False
                if fence:
                    found.append(("code", 0, []))
                continue
            if fence_before:
                found[-1][2].append((start, end))
                continue
            if not line.strip():
                open_ = False
                continue
            if self._inline and open_ and found[-1][0] == "text" and _UNDERLINE.match(line):
                found[-1] = ("heading", 1 if "=" in line else 2, found[-1][2])
                open_ = False
                continue
            if heading := _HEADING.match(line):
                kind, level, at = "heading", len(heading[1]), start + heading.end()
                if closing := _CLOSING.search(self._text, at, end):
                    end = closing.start()
            elif line.strip() in self._heads and not open_:
                kind, level = "heading", 2
            elif _RULE.match(line):
                kind = "rule"
            elif _ROW.match(line):
                kind = "table"
            elif item := _BULLET.match(line) or _NUMBER.match(line):
                kind, at = ("item" if _BULLET.match(line) else "number"), start + item.end()
                level = len(item[1].expandtabs()) // 2
            elif quote := _QUOTE.match(line):
                kind, at = "quote", start + quote.end()
            elif self._inline:
                at = start + len(line) - len(line.lstrip())
            goes_on = open_ and (kind == found[-1][0] if kind in ("table", "quote", "text") else False)
            if open_ and kind == "text" and found[-1][0] in ("item", "number", "quote"):
                goes_on = self._inline or line[:1].isspace()  # the next line of an item
                at = start + len(line) - len(line.lstrip()) if goes_on else at
            if goes_on:
                found[-1][2].append((at, end))
            else:
                found.append((kind, level, [(at, end)]))
            open_ = kind not in ("heading", "rule")
        return [self._block(*each) for each in found]

    def _front_matter(self, lines: list[Span]) -> int:
        """Count the lines of the settings at the top of a file of Markdown."""
        texts = [self._text[start:end].rstrip() for start, end in lines[:_MAX_SETTINGS]]
        return 1 + texts.index("---", 1) if texts[0] == "---" and "---" in texts[1:] else 0

    def _block(self, kind: str, level: int, lines: list[Span]) -> dict[str, Any]:
        if kind == "table":
            rows = [line for line in lines if not _DELIMITER.match(self._text[slice(*line)])]
            return {"kind": kind, "head": len(rows) < len(lines), "rows": [self._cells(*row) for row in rows]}
        if kind == "rule":
            return {"kind": kind}
        return {"kind": kind, "level": level, "parts": self._parts(lines, plain=kind == "code")}

    def _cells(self, start: int, end: int) -> list[list[list[Any]]]:
        """Return the cells of a row `| a | b |`, each as parts."""
        bars = [bar.start() for bar in _PIPE.finditer(self._text, start, end)]
        for at in range(start, end):  # without Markdown within lines only this is escaped
            if self._text.startswith("\\|", at):
                self._looks[at] |= HIDDEN
        return [self._parts([self._stripped(bar + 1, after)]) for bar, after in pairwise(bars)]

    def _stripped(self, start: int, end: int) -> Span:
        text = self._text[start:end]
        start += len(text) - len(text.lstrip())
        return start, start + len(text.strip())

    def _parts(self, lines: list[Span], *, plain: bool = False) -> list[list[Any]]:
        """Return what is visible of lines, in parts that look alike and are cited alike."""
        if not lines:
            return []
        first, last = lines[0][0], lines[-1][1]
        for (_, end), (start, _) in pairwise(lines):  # what is before each line is its mark
            self._looks[end + 1 : start] = bytes([HIDDEN]) * (start - end - 1)
            hard = plain or not self._inline or self._text.endswith(("  ", "\\"), first, end)
            self._looks[end] |= BREAK * hard
            if hard and self._inline and self._text.endswith("\\", first, end):
                self._looks[end - 1] |= HIDDEN
        if self._inline and not plain:
            self._style(first, last)
        shown = [at for at in range(first, last) if not self._looks[at] & HIDDEN]
        parts: list[list[Any]] = []
        for (looks, cited, span), run in groupby(shown, lambda at: (self._looks[at], self._cited[at], self._span[at])):
            text = "".join(self._text[at] for at in run)
            state = 1 + (span > self._begun) if cited else 0
            self._begun = max(self._begun, span) if cited else self._begun
            parts.append([text if looks & BREAK else text.replace("\n", " "), state, _names(looks)])
        return parts

    def _style(self, start: int, end: int) -> None:
        """Note the styles of a stretch, and hide their marks."""
        for found in _INLINE.finditer(self._text, start, end):
            look, width = _STYLES.get(str(found.lastgroup), (0, 0))
            within = found.start() + width, found.end() - width
            if found["escape"]:
                within = found.start() + 1, found.end()
            elif found["ticks"]:
                look, within = CODE, found.span("code")
            elif found["link"]:
                within = found.span("label")
            self._add(HIDDEN, found.start(), within[0])
            self._add(HIDDEN, within[1], found.end())
            self._add(look, *within)
            if look != CODE:
                self._style(*within)

    def _add(self, look: int, start: int, end: int) -> None:
        for at in range(start, end):
            self._looks[at] |= look


def _names(looks: int) -> str:
    """Name styles by letters: bold, italic, code, struck."""
    return "".join(name for name, look in (("b", BOLD), ("i", ITALIC), ("c", CODE), ("s", STRUCK)) if looks & look)
