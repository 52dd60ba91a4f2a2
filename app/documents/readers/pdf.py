"""PDF, one page for each of its pages: its text layer, else what Tesseract recognizes in a picture of it."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

from app.documents.pages import Page, Place
from app.documents.readers import ocr
from app.documents.readers.text import clean
from app.documents.readers.typesetting import mended
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

_ENCRYPTED = (4, 5)
"""What PDFium answers where a password or a cipher is missing."""

_DOTS = 300
"""To the inch: what Tesseract is trained for."""

_MAX_DOTS = 25_000_000

_one_at_a_time = Lock()
"""PDFium may be used by one thread only."""


def read(data: bytes) -> list[Page]:
    """All pages, also the blank ones, so that their numbers stay right."""
    from pypdfium2 import PdfiumError

    began = time.monotonic()
    texts: list[str] = []
    try:
        with _one_at_a_time:
            texts.extend(_texts(data))
            if not all(map(str.strip, texts)) and ocr.program():
                with suppress(ocr.Failed):
                    _recognize(data, texts, began)
    except PdfiumError as error:
        if getattr(error, "err_code", None) in _ENCRYPTED:
            raise UnreadableFile("it is encrypted; save it without a password") from None
        texts = _rescued(data)
    if not texts:
        raise UnreadableFile("it has no pages; export it as PDF again")
    if not any(map(str.strip, texts)):
        pages = "its only page holds no text" if len(texts) == 1 else f"none of its {len(texts)} pages holds text"
        raise UnreadableFile(f"{pages}; it may be a scan, {ocr.wanting()}")
    return [Page(text, Place("page", f"page {n}", n)) for n, text in enumerate(mended(texts), 1)]


def _rescued(data: bytes) -> list[str]:
    """What pypdf, which is slower and joins less, makes of a file that PDFium gives up."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it describes every oddity of a file it can still read
    try:
        return [clean(page.extract_text()) for page in PdfReader(BytesIO(data)).pages]
    except Exception:  # damaged files raise anything, from KeyError to RecursionError
        raise UnreadableFile("it cannot be read; it may be damaged, export it as PDF again") from None


def _recognize(data: bytes, texts: list[str], began: float) -> None:
    """Fills in the pages that show something but hold no text, as many as there is time for."""
    from pypdfium2 import PdfDocument, PdfiumError
    from pypdfium2.raw import FPDFPage_CountObjects

    tesseract = ocr.Tesseract(began)
    with PdfDocument(data) as document:
        for number, text in enumerate(texts):
            if tesseract.tired:
                return
            if text.strip():
                continue
            with closing(document[number]) as page, suppress(PdfiumError, ocr.Failed):
                if FPDFPage_CountObjects(page):
                    texts[number] = clean(tesseract.text(_picture(page), "--dpi", str(_DOTS))).strip()


def _picture(page: "PdfPage") -> bytes:
    """The page in shades of grey, as a file in the format PGM."""
    width, height = page.get_size()
    scale = min(_DOTS / 72, math.sqrt(_MAX_DOTS / (width * height)))
    with closing(page.render(scale=scale, grayscale=True)) as bitmap:
        lines = bitmap.to_numpy()
        return f"P5 {lines.shape[1]} {lines.shape[0]} 255\n".encode() + bytes(lines.tobytes())


def _texts(data: bytes) -> Iterator[str]:
    """What stands within the edges of each page."""
    from pypdfium2 import PdfDocument

    with PdfDocument(data) as document:
        for number in range(len(document)):
            with closing(document[number]) as page, closing(page.get_textpage()) as text:
                yield clean(text.get_text_bounded())
