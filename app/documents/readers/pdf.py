"""PDF, one page for each of its pages: text by PDFium, or by Tesseract for scans; title, labels, outline by pypdf."""

import logging
import math
import re
import string
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from app.documents.passages import PAGE_LABEL, Contents, Page, Place
from app.documents.readers import ocr, pdf_layout
from app.documents.readers.pdf_forms import entries, placed
from app.documents.readers.pdf_layout import irregular, rows
from app.documents.readers.text import clean, unprinted
from app.errors import UnreadableFile
from app.translation import mark

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

_ENCRYPTED = (4, 5)
"""The error codes of PDFium for a missing password and an unknown cipher."""

_DPI = 300
"""What Tesseract is trained for."""

_MAX_PIXELS = 25_000_000

_one_at_a_time = Lock()
"""PDFium may be used by one thread only."""

DESCRIBE_SECONDS = 2.0
"""After which title, labels and outline are given up, so that a damaged file does not lose its text with them."""

_MAX_TITLE = 200
_MAX_LABEL = 20
"""Characters."""

_PROGRAM = re.compile(r"^Microsoft (?:Office )?(?:Word|Excel|PowerPoint|Publisher|Visio) - ")
_FILE_NAME = re.compile(
    r"\.(?:docx?|dotx?|pptx?|xlsx?|od[tsp]|pdf|rtf|txt|md|html?|xml|tex|dvi|e?ps|indd|qxd|pub|pages|key|tmp|png|jpe?g|"
    r"tiff?|fm|cdr|ai)$|^\S*[_/\\]\S*$",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(?:untitled|unbenannt|unnamed|unknown|ohne titel|no title|title|titel|document|dokument|presentation|"
    r"präsentation|powerpoint[ -]pr[eä]sentation|slide|folie|book|mappe|sheet|tabelle|template|scan|none|null)"
    r"[\s\d_-]*$",
    re.IGNORECASE,
)
_MOJIBAKE = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x80-\x9f]|Ã.|â€|þÿ")


_FEW = 200
"""Characters of a stamp, a running head and a page number: on a page with more, a picture is only part of it."""

_SHARE_PICTURED = 0.6
"""Of the area of a page."""

_DROPPED = 4
"""Texts that are drawn for one letter that is read; bold ones may be drawn twice."""

_TURNING = "1"
"""The mode in which Tesseract looks how a page was laid into the scanner."""

_SAMPLE = 16
"""Characters."""

_SAMPLE_TEXT = 1000
_COMMON = "aeinorst"
_FEW_NAMED, _SHARE_NAMED = 100, 0.28
_FEW_UNNAMED, _SHARE_UNNAMED = 30, 0.45
"""Of the letters in a text: of the languages of Europe, 0.5 to 0.65 are common ones, of any letters 0.31."""

_UNASSIGNED = re.compile("[\x00-\x01\x03-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
_SHARE_UNASSIGNED = 0.2


class _Text(NamedTuple):
    """The text of a page, whether there is more that was not read, and whether that is since its letters are wrong."""

    text: str
    unread: bool = False
    nonsense: bool = False


def read(data: bytes) -> list[Page]:
    """Return all pages, also the blank ones, so that their numbers stay right."""
    from pypdfium2 import PdfiumError

    try:
        with _one_at_a_time:
            texts = list(_texts(data))
    except PdfiumError as error:
        if getattr(error, "err_code", None) in _ENCRYPTED:
            raise UnreadableFile("it is encrypted; save it without a password") from None
        texts = _rescued(data)
    if not texts:
        raise UnreadableFile("it has no pages; export it as PDF again")
    if not any(page.text.strip() for page in texts):
        one, none = mark("its only page holds no text"), mark("none of its {number} pages holds text")
        pages = one if len(texts) == 1 else none.format(number=len(texts))
        nonsense = any(page.nonsense for page in texts)
        cause = mark("its fonts name the wrong letters") if nonsense else mark("it may be a scan")
        raise UnreadableFile("{pages}; {cause}; {remedy}", pages=pages, cause=cause, remedy=ocr.remedy())
    printed = unprinted([page.text for page in texts])
    return [
        Page(text, Place("page", PAGE_LABEL.format(number=n), n), page.unread)
        for n, (text, page) in enumerate(zip(printed, texts, strict=True), 1)
    ]


def describe(data: bytes, pages: list[Page]) -> Contents:
    """Add what the file says of itself: its title, the printed labels of its pages, the headings of its outline.

    Each is left out if it is damaged, or if it takes too long.
    """
    title, labels, headings = "", [""] * len(pages), [""] * len(pages)
    with suppress(Exception):  # damaged files raise anything, and the text is there already
        reader = _reader(_Deadline(data, DESCRIBE_SECONDS))
        with suppress(Exception):
            title = _title(reader)
        with suppress(Exception):
            labels = _labels(reader, labels)
        with suppress(Exception):
            headings = _headings(reader, len(pages))
    described = []
    for page, label, heading in zip(pages, labels, headings, strict=True):
        place = replace(page.place, label=PAGE_LABEL.format(number=label or page.place.number), heading=heading)
        described.append(replace(page, place=place))
    return Contents(described, title)


class _Deadline(BytesIO):
    """A file that raises TimeoutError when it is used after some seconds, since pypdf itself has no time limit."""

    def __init__(self, data: bytes, seconds: float):
        super().__init__(data)
        self._end = time.monotonic() + seconds

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if time.monotonic() > self._end:
            raise TimeoutError
        return super().seek(offset, whence)


def _reader(stream: BytesIO) -> "PdfReader":
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it describes every oddity of a file it can still read
    return PdfReader(stream)


def _title(reader: "PdfReader") -> str:
    """Return the title, or nothing if it is a placeholder, the name of a file, or unreadable."""
    stated = reader.metadata and reader.metadata.title
    title = _PROGRAM.sub("", " ".join(clean(str(stated or "")).split()))
    bad = _FILE_NAME.search(title) or _PLACEHOLDER.match(title) or _MOJIBAKE.search(title)
    return "" if bad or len(title) > _MAX_TITLE or not any(map(str.isalpha, title)) else title


def _labels(reader: "PdfReader", none: list[str]) -> list[str]:
    """Return the printed label of each page, such as "iv" or "A-1", empty if it cannot be shown."""
    stated = reader.page_labels if "/PageLabels" in reader.root_object else ()
    labels = [" ".join(clean(label).split()) for label in stated]
    shown = [label if len(label) <= _MAX_LABEL and not _MOJIBAKE.search(label) else "" for label in labels]
    return shown if len(shown) == len(none) else none


def _headings(reader: "PdfReader", count: int) -> list[str]:
    """Return the outline's headings on each page or, where none begins there, the last one before."""
    headings: list[list[str]] = [[] for _ in range(count)]
    waiting: list[Any] = [reader.outline]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif (number := reader.get_destination_page_number(item)) is not None and 0 <= number < count:
            headings[number].append(" ".join(clean(str(item.title)).split())[:_MAX_TITLE])
    shown: list[str] = []
    for own in headings:
        shown.append("; ".join(own)[: 2 * _MAX_TITLE] if own else shown[-1].rpartition("; ")[2] if shown else "")
    return shown


def _rescued(data: bytes) -> list[_Text]:
    """Return the texts of the pages of a file that PDFium cannot open; pypdf is slower and joins fewer words."""
    try:
        return [_Text(clean(page.extract_text())) for page in _reader(BytesIO(data)).pages]
    except Exception:  # damaged files raise anything, from KeyError to RecursionError
        raise UnreadableFile("it cannot be read; it may be damaged, export it as PDF again") from None


def _texts(data: bytes) -> Iterator[_Text]:
    """Yield the text of each page; pypdf reads glyphs that PDFium drops, Tesseract pages that show something else."""
    from pypdfium2 import PdfDocument, PdfiumError

    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)  # it warns of XFA, beside which there is a plain form
    tesseract, reader = ocr.Tesseract(), cache(lambda: _reader(_Deadline(data, DESCRIBE_SECONDS)))
    with PdfDocument(data) as document:
        with suppress(PdfiumError):
            document.init_forms()
        for number in range(len(document)):
            with closing(document[number]) as page:
                text, nonsense = _layer(document, number, page)
                if len(text) < _FEW and _glyphs(page) > _DROPPED * len(text):
                    with suppress(Exception):  # damaged files raise anything
                        text = clean(reader().pages[number].extract_text()) or text
                unread = nonsense or _pictured(page, text)
                if unread and tesseract.ready:
                    with suppress(PdfiumError, ocr.Failed):
                        seen = clean(tesseract.text(_picture(page), "--dpi", str(_DPI), "--psm", _TURNING)).strip()
                        text, unread = seen if nonsense else _united(seen, text), False
                yield _Text("" if unread and nonsense else text, unread, nonsense)


def _layer(document: "PdfDocument", number: int, page: "PdfPage", *, turned: bool = False) -> tuple[str, bool]:
    """Return the text that a page holds, with what was filled in, and whether it is nonsense."""
    from pypdfium2.raw import FPDFPage_GetAnnotCount, FPDFText_HasUnicodeMapError

    with closing(page.get_textpage()) as shown:
        count = shown.count_chars()
        sample = range(0, count, count // _SAMPLE + 1)
        quarters = _quarters(shown, sample)
        if turned or quarters in (None, page.get_rotation() // 90):
            text, plain = shown.get_text_bounded(), shown.get_text_range()
            filled = entries(document, number, page, count) if FPDFPage_GetAnnotCount(page) else []
            joined = len(text.split()) < len(plain.split())  # of texts that are drawn far from each other
            if filled or joined or irregular(shown, plain):
                laid = pdf_layout.text(placed(rows(shown), filled))
                same = _letters(laid) == _letters(text) and len(laid.split()) <= len(text.split())
                text = text if same else laid
            unnamed = sum(FPDFText_HasUnicodeMapError(shown, index) == 1 for index in sample)
            return clean(text), _nonsense(text, 2 * unnamed > len(sample))
    page.set_rotation(90 * quarters)  # PDFium reads lines from the left of the page as it is shown
    return _layer(document, number, page, turned=True)


def _quarters(shown: "PdfTextPage", sample: Iterable[int]) -> int | None:
    """Return by how many right angles a page must be turned clockwise until most of its text is upright."""
    from pypdfium2.raw import FPDFText_GetCharAngle, FPDFText_IsGenerated

    drawn = [index for index in sample if not FPDFText_IsGenerated(shown, index)]
    turns = Counter(round(FPDFText_GetCharAngle(shown, index) * -2 / math.pi) % 4 for index in drawn)
    return next((quarters for quarters, times in turns.items() if 2 * times > len(drawn)), None)


def _nonsense(text: str, unnamed: bool) -> bool:
    """Whether the letters are not those that are drawn, as a font says wrongly or, if `unnamed`, not at all."""
    middle = max(0, len(text) - _SAMPLE_TEXT) // 2
    text = text[middle : middle + _SAMPLE_TEXT].casefold()
    letters, common, digits = (sum(map(text.count, kind)) for kind in (string.ascii_lowercase, _COMMON, string.digits))
    few, share = (_FEW_UNNAMED, _SHARE_UNNAMED) if unnamed else (_FEW_NAMED, _SHARE_NAMED)
    strange = len(_UNASSIGNED.findall(text)) > _SHARE_UNASSIGNED * len(text)
    return strange or (letters > few and 10 * digits < letters and common < share * letters)


def _glyphs(page: "PdfPage") -> int:
    """Return the number of texts that are drawn on a page; PDFium drops those of one glyph if it lacks the font."""
    from pypdfium2.raw import FPDF_PAGEOBJ_TEXT

    return sum(1 for _ in page.get_objects([FPDF_PAGEOBJ_TEXT], max_depth=1))


def _pictured(page: "PdfPage", text: str) -> bool:
    """Whether a page shows something else than its text: there is none or little, and a picture behind it."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE, FPDFPage_CountObjects

    if not text.strip():
        return bool(FPDFPage_CountObjects(page))
    if len(text) >= _FEW:
        return False
    area = 0.0
    for picture in page.get_objects([FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = picture.get_bounds()
        area += (right - left) * (top - bottom)
    width, height = page.get_size()
    return bool(area > _SHARE_PICTURED * width * height)


def _united(seen: str, text: str) -> str:
    """Return what was recognized on a page, and those lines of its text that were not."""
    letters = _letters(seen)
    missing = [line for line in text.splitlines() if _letters(line) not in letters]
    return "\n".join(filter(None, (seen, *missing)))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _picture(page: "PdfPage") -> bytes:
    """Draw a page in shades of grey, in the format PGM."""
    width, height = page.get_size()
    scale = min(_DPI / 72, math.sqrt(_MAX_PIXELS / (width * height)))
    with closing(page.render(scale=scale, grayscale=True)) as bitmap:
        lines = bitmap.to_numpy()
        return f"P5 {lines.shape[1]} {lines.shape[0]} 255\n".encode() + bytes(lines.tobytes())
