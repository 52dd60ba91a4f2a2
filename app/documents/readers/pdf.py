"""PDF, one page for each of its pages; it reads the text layer and knows no letter shapes."""

import logging
from collections.abc import Iterator
from io import BytesIO
from threading import Lock

from app.documents.pages import Page, Place
from app.documents.readers.print import mended
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_ENCRYPTED = (4, 5)
"""What PDFium answers where a password or a cipher is missing."""

_one_at_a_time = Lock()
"""PDFium may be used by one thread only."""


def read(data: bytes) -> list[Page]:
    """All pages, also the blank ones, so that their numbers stay right."""
    from pypdfium2 import PdfiumError

    texts: list[str] = []
    try:
        with _one_at_a_time:
            texts.extend(_texts(data))
    except PdfiumError as error:
        if getattr(error, "err_code", None) in _ENCRYPTED:
            raise UnreadableFile("it is encrypted; save it without a password") from None
        texts = _rescued(data)
    if not texts:
        raise UnreadableFile("it has no pages; export it as PDF again")
    if not any(map(str.strip, texts)):
        pages = "its only page holds no text" if len(texts) == 1 else f"none of its {len(texts)} pages holds text"
        raise UnreadableFile(f"{pages}; it may be a scan, which needs text recognition first")
    return [Page(text, Place("page", f"page {n}", n)) for n, text in enumerate(mended(texts), 1)]


def _rescued(data: bytes) -> list[str]:
    """What pypdf, which is slower and joins less, makes of a file that PDFium gives up."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it describes every oddity of a file it can still read
    try:
        return [clean(page.extract_text()) for page in PdfReader(BytesIO(data)).pages]
    except Exception:  # damaged files raise anything, from KeyError to RecursionError
        raise UnreadableFile("it cannot be read; it may be damaged, export it as PDF again") from None


def _texts(data: bytes) -> Iterator[str]:
    """What stands within the edges of each page."""
    from pypdfium2 import PdfDocument

    with PdfDocument(data) as document:
        for number in range(len(document)):
            page = document[number]
            text = page.get_textpage()
            try:
                yield clean(text.get_text_bounded())
            finally:
                text.close()
                page.close()
