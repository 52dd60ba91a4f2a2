"""PDF, one page for each of its pages: text by PDFium, or by Tesseract for scans; title, labels, outline by pypdf."""

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.documents.passages import Contents, Page, Place
from app.documents.readers import ocr
from app.documents.readers.text import clean
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfPage

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
    if not any(map(str.strip, texts)):
        pages = "its only page holds no text" if len(texts) == 1 else f"none of its {len(texts)} pages holds text"
        raise UnreadableFile(f"{pages}; it may be a scan, {ocr.remedy()}")
    return [Page(text, Place("page", f"page {n}", n)) for n, text in enumerate(unprinted(texts), 1)]


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
        place = replace(page.place, label=f"page {label}" if label else page.place.label, heading=heading)
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
    labels = (
        [" ".join(clean(label).split()) for label in reader.page_labels] if "/PageLabels" in reader.root_object else []
    )
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


def _rescued(data: bytes) -> list[str]:
    """Return the texts of the pages of a file that PDFium cannot open; pypdf is slower and joins fewer words."""
    try:
        return [clean(page.extract_text()) for page in _reader(BytesIO(data)).pages]
    except Exception:  # damaged files raise anything, from KeyError to RecursionError
        raise UnreadableFile("it cannot be read; it may be damaged, export it as PDF again") from None


def _texts(data: bytes) -> Iterator[str]:
    """Yield the text within the edges of each page; Tesseract reads those that show something else."""
    from pypdfium2 import PdfDocument, PdfiumError
    from pypdfium2.raw import FPDFPage_CountObjects

    tesseract = ocr.Tesseract()
    with PdfDocument(data) as document:
        for number in range(len(document)):
            with closing(document[number]) as page, closing(page.get_textpage()) as shown:
                text = clean(shown.get_text_bounded())
                if not text.strip() and tesseract.ready and FPDFPage_CountObjects(page):
                    with suppress(PdfiumError, ocr.Failed):
                        text = clean(tesseract.text(_picture(page), "--dpi", str(_DPI))).strip()
                yield text


def _picture(page: "PdfPage") -> bytes:
    """Draw a page in shades of grey, in the format PGM."""
    width, height = page.get_size()
    scale = min(_DPI / 72, math.sqrt(_MAX_PIXELS / (width * height)))
    with closing(page.render(scale=scale, grayscale=True)) as bitmap:
        lines = bitmap.to_numpy()
        return f"P5 {lines.shape[1]} {lines.shape[0]} 255\n".encode() + bytes(lines.tobytes())


# What printing did to a text: words hyphenated at the ends of lines, ligatures, running heads and page numbers.

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ft", "ﬆ": "st"}
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_BROKEN = re.compile(r"([-\u2010\xad])(?<=[^\W\d_]{2}.)[ \t]*\n[ \t]*([^\W\d_]{2,})(\S*)[ \t]*\n?")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_HYPHEN = re.compile(r"[\x02\ufffe]\s*")
"""What PDFium returns for a hyphen and the end of the line after it."""

_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NUMBER = re.compile(r"\d{1,5}")

_EDGE = 4
"""Lines at the top and at the bottom of a page: two of each and a spare one for what is between them."""

_FEWEST = 3
"""Pages on which a line must occur before it is taken for a running head."""

_SHARE = 0.4
"""Of the pages: left and right ones may have heads of their own."""


def unprinted(pages: list[str]) -> list[str]:
    """Return the texts of pages without the effects of printing."""
    texts = [
        _LIGATURE.sub(lambda match: _LIGATURES[match[0]], _HYPHEN.sub("-\n", text)) for text in _without_heads(pages)
    ]
    words = Counter(_COMPOUND.findall("\n".join(texts).casefold()))

    def joined(match: re.Match[str]) -> str:
        first = _LAST_WORD.findall(match.string[max(0, match.start() - 40) : match.start()])[0]
        hyphen, second, rest = match.groups()
        whole, compound = (first + second).casefold(), f"{first}-{second}".casefold()
        keeps = hyphen != "\xad" and (words[compound] > words[whole] or not second[0].islower())
        return f"{'-' if keeps else ''}{second}{rest}\n"

    return [_BROKEN.sub(joined, text).replace("\xad", "") for text in texts]


def _without_heads(pages: list[str]) -> Iterator[str]:
    """Drop the lines at the edges of many pages; the first occurrence stays unless it holds a page number."""
    lines = [text.split("\n") for text in pages]
    edges = [{index: _keys(page[index], number) for index in _edges(page)} for number, page in enumerate(lines)]
    counts = Counter(key for edge in edges for key in set().union(*edge.values()))
    fewest = max(_FEWEST, _SHARE * sum(map(bool, edges)))
    seen: set[str] = set()
    for page, edge in zip(lines, edges, strict=True):
        heads = {
            index: head for index, keys in edge.items() if (head := {key for key in keys if counts[key] >= fewest})
        }
        yield "\n".join(
            line for index, line in enumerate(page) if index not in heads or heads[index] <= {line.strip()} - seen
        )
        seen.update(*heads.values())


def _edges(page: list[str]) -> set[int]:
    """Return the indices of the lines that may be running heads or feet."""
    written = [index for index, line in enumerate(page) if line.strip()]
    return {*written[:_EDGE], *written[-_EDGE:]}


def _keys(line: str, page: int) -> set[str]:
    """Return the line, and variants in which a number is replaced by its distance from the page's."""
    line = line.strip()
    return {line} | {
        f"{line[: match.start()]}\0{int(match[0]) - page}\0{line[match.end() :]}" for match in _NUMBER.finditer(line)
    }
