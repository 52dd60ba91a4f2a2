"""Books (.epub), one page for each section under a heading, in reading order; each chapter is read as HTML."""

import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import unquote

from app.documents.passages import Page, Place
from app.documents.readers import html
from app.documents.readers.ooxml import Package
from app.documents.readers.sections import BEGINNING
from app.errors import UnreadableFile

_WORDS = ("title", "creator", "publisher")
_TITLE = re.compile(rb"<title>\s*([^<]*?)\s*</title>")
"""The title of a chapter; it is dropped where it repeats the title of the book or the name of the file."""

_RIGHTS = "META-INF/encryption.xml"


def read(data: bytes) -> list[Page]:
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
            found, vain = _TITLE.search(source), (title, posixpath.basename(name))
            if found and found[1].decode("utf-8", "replace") in vain:
                source = source.replace(found[0], b"", 1)
            for page in html.read(source):
                if page.place.label not in (BEGINNING, title):
                    label, number = page.place.label, number + 1
                yield replace(page, place=Place("heading", label, number))
