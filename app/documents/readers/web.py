"""HTML, one page for each section under a heading: what a browser shows before it runs anything."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.documents.pages import Page
from app.documents.readers import layout
from app.documents.readers.sections import BEGINNING, Sections
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_SKIPPED = frozenset("head script style noscript template svg iframe object button select datalist textarea".split())
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MAX_DEPTH = 5_000
_MAX_ATTRIBUTES = 2_000

_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
_SINGLE_BYTES = re.compile(r"windows|cp\d|iso|latin|koi8|mac|shift|x-sjis|sjis|euc|gb|big5|ks_c|tis", re.IGNORECASE)
_LATIN_1 = re.compile(r"iso[-_]?8859-1$|latin-?1$", re.IGNORECASE)
_SELF_CLOSED = re.compile(r"<(script|style|title|iframe|textarea|div|span|a|p|td|th|li)\b([^<>]*)/>", re.IGNORECASE)
_NESTING = re.compile(
    r"<(/?)(?!(?:p|li|t[dhr]|dt|dd|option|br|hr|img|input|link|meta|col|wbr|source|area)\b)[a-z]", re.I
)
_LONG_TAG = re.compile(r"<[a-z](?:[^<>\"']|\"[^\"]*\"|'[^']*'){4000,}", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def read(data: bytes) -> list[Page]:
    """The sections in their order; the title stands above the first."""
    from selectolax.lexbor import LexborHTMLParser

    source = clean(_decoded(data))
    if source.lstrip().startswith("<?xml"):
        source = _SELF_CLOSED.sub(r"<\1\2></\1>", source)
    _check(source)
    tree = LexborHTMLParser(source)
    sections = Sections()
    titles = (node.text() for name in ("head title", "h1") for node in tree.css(name))
    title = next((words for text in titles if (words := layout.plain(text))), "")
    if title:
        sections.heading(0, title)
    if tree.body is not None:
        lines = layout.Layout(sections)
        for node, begins in _shown(tree.body):
            (lines.begin if begins else lines.end)(node)
    pages = sections.pages()
    if sum(len(page.text.split()) for page in pages) <= len(title.split()):
        raise UnreadableFile("it shows no text; if a script fills it, open it in a browser and save the complete page")
    return pages


def title(pages: list[Page]) -> str | None:
    """The title of the page, else its first heading."""
    return None if pages[0].place.label == BEGINNING else pages[0].text.partition("\n")[0]


def _decoded(data: bytes) -> str:
    """What is UTF-8 is read as such, whatever it says: browsers save pages in it and leave the old word standing."""
    declared = _CHARSET.search(data[:4096])
    name = declared[1].decode("ascii", "replace") if declared else ""
    if _SINGLE_BYTES.match(name) and b"\0" not in data:
        try:
            if b"\x1b" not in data:  # with which ISO 2022 changes its alphabets
                return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        try:
            return data.decode("cp1252" if _LATIN_1.match(name) else name, "replace")
        except LookupError:
            pass
    return decode(data)


def _check(source: str) -> None:
    """Refuses what takes a parser a time that grows with its square."""
    depth = 0
    for tag in _NESTING.finditer(source):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > _MAX_DEPTH:
            raise UnreadableFile("its elements are nested too deeply; save it from a browser again, or as text")
    for tag in _LONG_TAG.finditer(source):
        if len(_QUOTED.sub(" ", tag[0]).replace("/", " ").split()) > _MAX_ATTRIBUTES:
            raise UnreadableFile("it has an element with too many attributes; save it from a browser again, or as text")


def _shown(root: "LexborNode") -> Iterator[tuple["LexborNode", bool]]:
    """Each visible node when it begins and, but for texts, when it ends; nesting may be deeper than the stack."""
    node: LexborNode | None = root
    depth = 0
    while node is not None:
        if node.is_text_node:
            yield node, True
        elif (node.tag or "") not in _SKIPPED and not _hidden(node):
            yield node, True
            if node.child is not None:
                node, depth = node.child, depth + 1
                continue
            yield node, False
        while depth and node is not None and node.next is None:
            node, depth = node.parent, depth - 1
            if node is not None:
                yield node, False
        node = node.next if depth and node is not None else None


def _hidden(node: "LexborNode") -> bool:
    if not node.is_element_node:
        return False
    attributes = node.attributes
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN.search(attributes.get("style") or "") is not None
    )
