"""HTML, one page for each section under a heading: what a browser shows before it runs anything."""

import re
from contextlib import suppress

from app.documents.pages import Page
from app.documents.readers import layout
from app.documents.readers.sections import BEGINNING, NO_TEXT, Sections
from app.documents.readers.text import decode
from app.errors import UnreadableFile

_NOT_SHOWN = (
    "html :is(head, script, style, noscript, template, svg, iframe, noframes, object, button, select, datalist, "
    "textarea, [hidden], [aria-hidden=true], [style]:is([style*='display:none' i], [style*='display: none' i], "
    "[style*='visibility:hidden' i], [style*='visibility: hidden' i], "
    "[style*='font-size:0' i]:not([style*='font-size:0.' i]), "
    "[style*='font-size: 0' i]:not([style*='font-size: 0.' i]), "
    "[style$='opacity:0' i], [style*='opacity:0;' i], [style$='opacity: 0' i], [style*='opacity: 0;' i]))"
)
_NO_DATA = "table:is(:has(table, h1, h2, h3, h4, h5, h6, pre), :not(:has(tr > * + *)))"
"""Tables that only arrange a page."""

_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
_SINGLE_BYTES = re.compile(r"windows|cp\d|iso|latin|koi8|mac|shift|x-sjis|sjis|euc|gb|big5|ks_c|tis", re.IGNORECASE)
_LATIN_1 = re.compile(r"iso[-_]?8859-1$|latin-?1$", re.IGNORECASE)
_TEXT = re.compile(r">\s*[^<\s]")
_SELF_CLOSED = re.compile(r"<(script|style|title|iframe|textarea|div|span|a|p|td|th|li)\b([^<>]*)/>", re.IGNORECASE)


def read(data: bytes) -> list[Page]:
    """The sections in their order; the title stands above the first."""
    from selectolax.lexbor import LexborHTMLParser

    source = _decoded(data)
    if source.lstrip().startswith("<?xml"):
        source = _SELF_CLOSED.sub(r"<\1\2></\1>", source)
    tree = LexborHTMLParser(source)
    sections = Sections()
    titles = (node.text() for name in ("head title", "h1") for node in tree.css(name))
    title = next((words for text in titles if (words := " ".join(layout.unbroken(text).split()))), "")
    if title:
        sections.heading(0, title)
    for node in reversed(tree.css(_NOT_SHOWN)):  # the inner ones first: what is within is freed with a node
        node.decompose()
    for table in tree.css(_NO_DATA):
        table.unwrap()
    if tree.body is not None:
        layout.add(tree.body.html or "", sections)
    pages = sections.pages()
    if sum(len(page.text.split()) for page in pages) <= len(title.split()):
        raise UnreadableFile("it shows no text; if a script fills it, open it in a browser and save the complete page")
    return pages


def made(html: str) -> list[Page]:
    """The same for what a reader of another format has written as the body of a page."""
    if not _TEXT.search(html):
        raise UnreadableFile(NO_TEXT)
    return read(f"<!DOCTYPE html><body>{html}".encode())


def title(pages: list[Page]) -> str | None:
    """The title of the page, else its first heading."""
    return None if pages[0].place.label == BEGINNING else pages[0].text.partition("\n")[0]


def _decoded(data: bytes) -> str:
    """What is UTF-8 is read as such, whatever it says: browsers save pages in it and leave the old word standing."""
    declared = _CHARSET.search(data[:4096])
    name = declared[1].decode("ascii", "replace") if declared else ""
    if _SINGLE_BYTES.match(name) and b"\0" not in data:
        with suppress(UnicodeDecodeError):
            if b"\x1b" not in data:  # with which ISO 2022 changes its alphabets
                return data.decode("utf-8")
        with suppress(LookupError):
            return data.decode("cp1252" if _LATIN_1.match(name) else name, "replace")
    return decode(data)
