"""HTML, one page for each section under a heading: what a browser shows before any script has run; and books (.epub).

A book's chapters are HTML, and are read in their order.
"""

import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from html import unescape
from urllib.parse import unquote

from app.documents.passages import Page, Place
from app.documents.readers.ooxml import Package
from app.documents.readers.sections import BEGINNING, Sections
from app.documents.readers.tables import Row, repeated
from app.documents.readers.text import decode
from app.errors import UnreadableFile

_NOT_SHOWN = (
    "html :is(head, script, style, noscript, template, iframe, noframes, object, button, select, datalist, textarea, "
    "svg :is(defs, symbol, title, desc, metadata, switch > :not(:first-child)), [hidden], [aria-hidden=true], "
    "[style]:is([style*='display:none' i], [style*='display: none' i], "
    "[style*='visibility:hidden' i], [style*='visibility: hidden' i], "
    "[style*='font-size:0' i]:not([style*='font-size:0.' i]), "
    "[style*='font-size: 0' i]:not([style*='font-size: 0.' i]), "
    "[style$='opacity:0' i], [style*='opacity:0;' i], [style$='opacity: 0' i], [style*='opacity: 0;' i]))"
)
_NO_DATA = "table:is(:has(table, h1, h2, h3, h4, h5, h6, pre), :not(:has(tr > * + *)))"
"""Tables that are used for layout only."""

_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
_SINGLE_BYTES = re.compile(r"windows|cp\d|iso|latin|koi8|mac|shift|x-sjis|sjis|euc|gb|big5|ks_c|tis", re.IGNORECASE)
_LATIN_1 = re.compile(r"iso[-_]?8859-1$|latin-?1$", re.IGNORECASE)
_SELF_CLOSED = re.compile(r"<(script|style|title|iframe|textarea|div|span|a|p|td|th|li)\b([^<>]*)/>", re.IGNORECASE)

_INLINE = re.compile(
    r"<!--.*?-->|</tspan>|<tspan(?![^>]*\s(?:x|y|dy)=)[^>]*>|</?(?:a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|"
    r"em|font|i|img|ins|kbd|label|mark|math|q|ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr)(?:\s[^>]*)?>",
    re.DOTALL,
)
_BLOCK = re.compile(r"<(table|pre|h[1-6])(?=[\s>])[^>]*>(.*?)</\1>|<(/?)([a-z][^\s>]*)[^>]*>", re.DOTALL)
_CAPTION = re.compile(r"<caption(?=[\s>])[^>]*>(.*?)</caption>", re.DOTALL)
_ROW = re.compile(r"<tr(?=[\s>])[^>]*>")
_CELL = re.compile(r"<t[dh](?=[\s>])([^>]*)>(.*?)</t[dh]>", re.DOTALL)
_SPAN = re.compile(r"(row|col)span=.(\d{1,4})")
_IN_CELL = re.compile(r"<(?!/?t[rdh][\s>])[^>]*>")
_TAG = re.compile(r"<(/?)[^>]*>")

_TIGHT = frozenset("br li dt dd tr thead tbody text tspan".split())
_LISTS = frozenset(("ul", "ol", "menu"))
_MAX_INDENT = 8


def read(data: bytes) -> list[Page]:
    """Return the sections in order; the title is above the first."""
    from selectolax.lexbor import LexborHTMLParser

    source = _decoded(data)
    if source.lstrip().startswith("<?xml"):
        source = _SELF_CLOSED.sub(r"<\1\2></\1>", source)
    tree = LexborHTMLParser(source)
    sections = Sections()
    titles = (node.text() for name in ("head title", "h1") for node in tree.css(name))
    title = next((words for text in titles if (words := " ".join(_unbroken(text).split()))), "")
    if title:
        sections.heading(0, title)
    for node in reversed(tree.css(_NOT_SHOWN)):  # inner nodes first: they are freed with the outer ones
        node.decompose()
    for table in tree.css(_NO_DATA):
        table.unwrap()
    if tree.body is not None:
        _add(tree.body.html or "", sections)
    pages = sections.pages()
    if sum(len(page.text.split()) for page in pages) <= len(title.split()):
        raise UnreadableFile("it shows no text; if a script fills it, open it in a browser and save the complete page")
    return pages


def title(pages: list[Page]) -> str | None:
    """Return the title of the page, else its first heading."""
    return None if pages[0].place.label == BEGINNING else pages[0].text.partition("\n")[0]


def _decoded(data: bytes) -> str:
    """Decode as UTF-8 if possible, whatever is declared: browsers save pages so and keep the old declaration."""
    declared = _CHARSET.search(data[:4096])
    name = declared[1].decode("ascii", "replace") if declared else ""
    if _SINGLE_BYTES.match(name) and b"\0" not in data:
        with suppress(UnicodeDecodeError):
            if b"\x1b" not in data:  # which switches alphabets in ISO 2022
                return data.decode("utf-8")
        with suppress(LookupError):
            return data.decode("cp1252" if _LATIN_1.match(name) else name, "replace")
    return decode(data)


def _unbroken(text: str) -> str:
    """Remove the marks where a word may be hyphenated or broken."""
    return text.replace("\xad", "").replace("\u200b", "")


def _add(html: str, sections: Sections) -> None:
    """Add an element as a parser serializes it: all tags are closed, and no attribute holds a bracket."""
    lists: list[tuple[str, int]] = []
    mark = ""
    parts = iter(_BLOCK.split(_INLINE.sub("", _unbroken(html)))[1:])
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
    """Add a table, code, or a heading, which contains no other of them."""
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
    """Yield the rows; the text of a cell that reaches over several rows is repeated in each."""
    above: dict[int, tuple[int, str]] = {}  # the last row and the text of such a cell, by column
    for number, row in enumerate(_ROW.split(_IN_CELL.sub(" ", table))[1:], 1):
        above = {column: cell for column, cell in above.items() if cell[0] >= number}
        cells = {column: text for column, (_, text) in above.items()}
        column = 1
        for attributes, cell in _CELL.findall(row):
            while column in above:
                column += 1
            cells[column] = unescape(cell)
            span = dict(_SPAN.findall(attributes))
            right = column + int(span.get("col", "1"))
            if "row" in span:
                last, text = number + int(span["row"]) - 1, repeated(cells[column])
                above |= {each: (last, text if each == column else "") for each in range(column, right)}
            column = right
        yield number, cells


def _words(html: str) -> str:
    return " ".join(unescape(html).split())


_WORDS = ("title", "creator", "publisher")
_CHAPTER_TITLE = re.compile(rb"<title>\s*([^<]*?)\s*</title>")
"""The title of a chapter; it is dropped where it repeats the title of the book or the name of the file."""

_RIGHTS = "META-INF/encryption.xml"


def read_epub(data: bytes) -> list[Page]:
    """Return title and author, then the sections; a chapter without a heading continues the last section."""
    first, *pages = _pages(Package(data, ".epub"))
    if not pages:
        raise UnreadableFile("none of its chapters shows text; pictures of pages need text recognition first")
    return [first] * bool(first.text) + pages


def _pages(parts: Package) -> Iterator[Page]:
    book = next(parts.tree("META-INF/container.xml").iter("rootfile")).get("full-path", "")
    root = parts.tree(book)
    words = (" ".join((item.text or "").split()) for name in _WORDS for item in root.iterfind(f"metadata/{name}"))
    lines = [line for line in words if line]
    title, number = lines[0] if lines else BEGINNING, 1
    label = title
    yield Page("\n".join(lines), Place("heading", label, number))
    rights = parts.tree(_RIGHTS).iter("CipherReference") if _RIGHTS in parts else ()
    locked = {item.get("URI") for item in rights}
    items = {item.get("id"): item for item in root.iterfind("manifest/item")}
    chapters = [items[part.get("idref")] for part in root.iterfind("spine/itemref") if part.get("idref") in items]
    hrefs = [item.get("href", "") for item in chapters if "nav" not in item.get("properties", "").split()]
    for href in dict.fromkeys(hrefs):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(book), unquote(href)))
        if name in locked:
            raise UnreadableFile("it is protected against copying; only the program it was bought for opens it")
        with suppress(UnreadableFile):  # a picture of the cover, or a chapter that is missing
            source = parts.part(name) if name in parts else b""
            found, vain = _CHAPTER_TITLE.search(source), (title, posixpath.basename(name))
            if found and found[1].decode("utf-8", "replace") in vain:
                source = source.replace(found[0], b"", 1)
            for page in read(source):
                if page.place.label not in (BEGINNING, title):
                    label, number = page.place.label, number + 1
                yield replace(page, place=Place("heading", label, number))
