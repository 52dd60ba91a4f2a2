"""Word documents (.docx), one page for each section under a heading; headings and tables are written as in Markdown."""

from collections.abc import Iterator

from app.documents.pages import Page, Place
from app.documents.readers import package
from app.documents.readers.paragraphs import Document
from app.documents.readers.tables import groups
from app.errors import UnreadableFile


def read(data: bytes) -> list[Page]:
    """The sections in their order; a table of several groups of rows has a page for each of them."""
    with package.opened(data, ".docx") as parts:
        pages = list(_pages(Document(parts)))
    if not pages:
        raise UnreadableFile("it holds no text; if it shows pictures of pages, they need text recognition first")
    return pages


def _pages(document: Document) -> Iterator[Page]:
    place = Place("heading", "beginning", 1)
    texts: list[str] = []
    above = 0  # the level of the heading that nothing but headings stands above
    for block in document.blocks(document.body):
        if isinstance(block, list):
            tables = [group.text for group in groups(block)]
            above = 0 if tables else above
            if len(tables) < 2:
                texts += tables
                continue
            yield from _page(texts, place)
            texts = []
            yield from (Page(table, place) for table in tables)
        elif block[0]:
            level, text = block
            if not above or above >= level:
                yield from _page(texts, place)
                texts = []
            above = level
            label = " ".join(text.split())
            place = Place("heading", label, place.number + (place.label != "beginning"))
            texts.append("#" * min(level, 6) + f" {label}")
        else:
            texts.append(block[1])
            above = 0
    yield from _page(texts, place)


def _page(texts: list[str], place: Place) -> Iterator[Page]:
    if texts:
        yield Page("\n\n".join(texts), place)
