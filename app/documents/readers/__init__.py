"""The formats: which reader reads which file. A new format is one module here and its line in FORMATS."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.documents.pages import Page
from app.documents.readers import code, csv, epub, json_yaml, mail, markdown, notebook, opendocument

# isort: split
from app.documents.readers import docx, html, ocr, pdf, pptx, rtf, text, xlsx
from app.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of file becomes pages; `read` raises UnreadableFile, `title` may find a title in the pages.

    What is not `trusted`, which is all that parses more than plain text, is read in a process that can be killed.
    """

    suffixes: tuple[str, ...]
    read: Callable[[bytes], list[Page]]
    title: Callable[[list[Page]], str | None] = lambda _: None
    trusted: bool = False


FORMATS = (
    Format((".md", ".markdown"), markdown.read, markdown.title, trusted=True),
    Format((".txt", ".text", ".log", ".rst"), text.read, trusted=True),
    Format((".pdf",), pdf.read),
    Format(code.SUFFIXES, code.read, trusted=True),
    Format((".json", ".yaml", ".yml", ".geojson"), json_yaml.read),
    Format((".jsonl", ".ndjson"), json_yaml.read_lines),
    Format((".ipynb",), notebook.read, markdown.title),
    Format((".html", ".htm", ".xhtml"), html.read, html.title),
    Format((".docx",), docx.read, markdown.title),
    Format((".pptx",), pptx.read, markdown.title),
    Format((".xlsx",), xlsx.read),
    Format((".csv", ".tsv"), csv.read),
    Format((".odt",), opendocument.read_text, html.title),
    Format((".ods",), opendocument.read_sheets),
    Format((".odp",), opendocument.read_slides, markdown.title),
    Format((".epub",), epub.read, html.title),
    Format((".rtf",), rtf.read, html.title),
    Format((".eml",), mail.read, mail.title),
    Format((".mbox",), mail.read_box),
    Format((".png", ".jpg", ".jpeg", ".tif", ".tiff"), ocr.read),
)

SUFFIXES = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes}

_OLD = {".doc": ".docx", ".dot": ".docx", ".ppt": ".pptx", ".pps": ".pptx", ".xls": ".xlsx"}
_MB = 1_000_000


def read(path: Path, max_bytes: int) -> list[Page]:
    """The pages of a file; raises UnreadableFile, caused by an OSError where another try may succeed."""
    suffix = path.suffix.lower()
    if suffix in _OLD:
        raise UnreadableFile(f"it is in an old format of Office; save it as {_OLD[suffix]}")
    if suffix not in SUFFIXES:
        raise UnreadableFile("its format is not supported; save it as PDF, HTML, Markdown or text")
    try:
        size = path.stat().st_size
        if size <= max_bytes:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
            size = max(size, len(data))
    except PermissionError as error:
        remedy = "close it in other programs, or allow this program to read it"
        raise UnreadableFile(f"it cannot be opened; {remedy}") from error
    except OSError as error:
        raise UnreadableFile(f"it cannot be read ({error.strerror or type(error).__name__}); try again") from error
    if size > max_bytes:
        most = f"files over {max_bytes / _MB:.0f} MB are left out, see ESCALATOR_MAX_FILE_MB"
        raise UnreadableFile(f"it is {size / _MB:.0f} MB; {most}")
    if not data:
        raise UnreadableFile("it is empty")
    try:
        return SUFFIXES[suffix].read(data)
    except text.NotText:
        raise UnreadableFile(f"it is not text although its name ends in {suffix}") from None


def title(path: Path, pages: list[Page], name: str = "") -> str:
    """The title of a document: the one its format knows, else the name that the file goes by without its ending."""
    known = SUFFIXES[path.suffix.lower()].title(pages)
    return known or Path(name or path).stem


def trusted(path: Path) -> bool:
    """Whether a file can do no harm to the process that reads it; one without a reader is not even opened."""
    found = SUFFIXES.get(path.suffix.lower())
    return found is None or found.trusted
