"""PDF, one page for each of its pages; it reads the text layer and knows no letter shapes."""

import logging
from io import BytesIO

from app.documents.pages import Page, Place
from app.documents.readers.text import clean
from app.errors import UnreadableFile


def read(data: bytes) -> list[Page]:
    """All pages, also the blank ones, so that their numbers stay right."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it describes every oddity of a file it can still read
    encrypted = False
    texts: list[str] = []
    try:
        reader = PdfReader(BytesIO(data))
        encrypted = reader.is_encrypted and not reader.decrypt("")
        if not encrypted:
            texts.extend(clean(page.extract_text()) for page in reader.pages)
    except DependencyError:  # a cipher that is not installed
        encrypted = True
    except Exception as error:  # damaged files raise anything, from KeyError to RecursionError
        where = f"its page {len(texts) + 1}" if texts else "it"
        raise UnreadableFile(
            f"{where} cannot be read ({type(error).__name__}); it may be damaged, export it as PDF again"
        ) from None
    if not encrypted and not texts:
        raise UnreadableFile("it has no pages; export it as PDF again")
    if encrypted:
        raise UnreadableFile("it is encrypted; save it without a password")
    if not any(map(str.strip, texts)):
        pages = "its only page holds no text" if len(texts) == 1 else f"none of its {len(texts)} pages holds text"
        raise UnreadableFile(f"{pages}; it may be a scan, which needs text recognition first")
    return [Page(text, Place("page", f"page {n}", n)) for n, text in enumerate(texts, 1)]
