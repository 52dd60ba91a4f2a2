"""The registry of formats: which reader reads which file. A new format is one module here and its line in FORMATS."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.documents.passages import Contents, Page
from app.documents.readers import calendar, csv, docx, epub, html, json_yaml, mail, markdown, markup, notebook

# isort: split
from app.documents.readers import ocr, opendocument, outlook, pdf, pptx, rtf, subtitles, text, xlsx
from app.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its suffixes, and how the bytes of such a file become pages.

    `read` parses the bytes of a file; it raises UnreadableFile, or any other exception if the file is damaged.
    `title` looks for a title in the pages; or `describe` adds what the file states: a title and labels of pages.
    A format that is not `trusted`, which is every one that parses more than plain text, is read in a process that can
    be killed.
    """

    suffixes: tuple[str, ...]
    read: Callable[[bytes], list[Page]]
    title: Callable[[list[Page]], str | None] = lambda _: None
    describe: Callable[[bytes, list[Page]], Contents] | None = None
    trusted: bool = False


FORMATS = (
    Format((".md", ".markdown"), markdown.read, markdown.title, trusted=True),
    Format((".txt", ".text", ".log", ".rst"), text.read, trusted=True),
    Format((".pdf",), pdf.read, describe=pdf.describe),
    Format(text.CODE_SUFFIXES, text.read_code, trusted=True),
    Format((".json", ".yaml", ".yml", ".geojson"), json_yaml.read),
    Format((".jsonl", ".ndjson"), json_yaml.read_lines),
    Format((".ipynb",), notebook.read, markdown.title),
    Format((".html", ".htm", ".xhtml"), html.read, html.title),
    Format((".docx", ".docm", ".dotx", ".dotm"), docx.read, markdown.title),
    Format((".pptx", ".pptm", ".potx", ".potm", ".ppsx", ".ppsm"), pptx.read, markdown.title),
    Format((".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb"), xlsx.read),
    Format((".csv", ".tsv"), csv.read),
    Format((".odt", ".ott"), opendocument.read_text, markdown.title),
    Format((".ods", ".ots"), opendocument.read_sheets),
    Format((".odp", ".otp"), opendocument.read_slides, markdown.title),
    Format((".epub",), epub.read, html.title),
    Format((".rtf",), rtf.read, markdown.title),
    Format((".eml",), mail.read, mail.title),
    Format((".mbox",), mail.read_mailbox),
    Format((".msg",), outlook.read, mail.title),
    Format((".ics",), calendar.read, calendar.title),
    Format((".srt", ".vtt"), subtitles.read),
    Format((".adoc", ".asciidoc"), markup.read_adoc, markdown.title),
    Format((".org",), markup.read_org, markdown.title),
    Format((".png", ".jpg", ".jpeg", ".tif", ".tiff"), ocr.read),
)

SUFFIXES = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes}

OLD = {".doc": ".docx", ".dot": ".docx", ".ppt": ".pptx", ".pps": ".pptx", ".xls": ".xlsx"}


def read(path: Path, max_bytes: int) -> Contents:
    """Read a file; raises UnreadableFile, caused by an OSError where another try may succeed."""
    check(path)
    return parse(path.suffix.lower(), _bytes(path, max_bytes))


def check(path: Path, size: int = 1, max_bytes: int = sys.maxsize) -> None:
    """Raise UnreadableFile for a file that is not read because of its name or its size, as far as it is known."""
    suffix = path.suffix.lower()
    if suffix in OLD:
        raise UnreadableFile("it is in an old format of Office; save it as {suffix}", suffix=OLD[suffix])
    if suffix not in SUFFIXES:
        raise UnreadableFile("its format is not supported; save it as PDF, HTML, Markdown or text")
    if size > max_bytes:
        raise UnreadableFile(
            "it is {size} MB; files over {limit} MB are left out, see ESCALATOR_MAX_FILE_MB",
            size=f"{size / 1e6:.0f}",
            limit=f"{max_bytes / 1e6:.0f}",
        )
    if not size:
        raise UnreadableFile("it is empty")


def parse(suffix: str, data: bytes) -> Contents:
    """Parse the bytes of a file whose name ends in `suffix`; raises UnreadableFile."""
    format_ = SUFFIXES[suffix]
    try:
        pages = format_.read(data)
    except text.NotText:
        raise UnreadableFile("it is not text although its name ends in {suffix}", suffix=suffix) from None
    except (UnreadableFile, MemoryError):
        raise
    except Exception:  # damaged files make parsers raise anything, from zlib.error to RecursionError
        raise UnreadableFile(
            "it is damaged, or it is not a {suffix} file; save it as {suffix} again", suffix=suffix
        ) from None
    return format_.describe(data, pages) if format_.describe else Contents(pages, format_.title(pages) or "")


def trusted(path: Path) -> bool:
    """Whether reading a file cannot harm the process; a file of an unknown format is not even opened."""
    format_ = SUFFIXES.get(path.suffix.lower())
    return format_ is None or format_.trusted


def _bytes(path: Path, max_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= max_bytes else b""
    except PermissionError as error:
        raise UnreadableFile(
            "it cannot be opened; close it in other programs, or allow this program to read it"
        ) from error
    except OSError as error:
        raise UnreadableFile(
            "it cannot be read ({error}); try again", error=error.strerror or type(error).__name__
        ) from error
    check(path, size if size > max_bytes else len(data), max_bytes)
    return data
