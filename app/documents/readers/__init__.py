"""The registry of formats: which reader reads which file. A new format is one module here and its line in FORMATS.

With its reader a file becomes a document: bytes, pages, then title, language and passages. Nothing here knows the
folder.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.documents import language
from app.documents.document import NEVER, NO_MEMORY, Document, Outcome, Problem, Signature, signature
from app.documents.passages import Contents, Page, joined, split
from app.documents.readers import docx, html, json_yaml, mail, markdown, ocr

# isort: split
from app.documents.readers import opendocument, pdf, pptx, tables, text, xlsx
from app.errors import UnreadableFile
from app.translation import mark

logger = logging.getLogger(__name__)


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
    Format((".ipynb",), markdown.read_notebook, markdown.title),
    Format((".html", ".htm", ".xhtml"), html.read, html.title),
    Format((".docx", ".docm", ".dotx", ".dotm"), docx.read, markdown.title),
    Format((".pptx", ".pptm", ".potx", ".potm", ".ppsx", ".ppsm"), pptx.read, markdown.title),
    Format((".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb"), xlsx.read),
    Format((".csv", ".tsv"), tables.read_csv),
    Format((".odt", ".ott"), opendocument.read_text, markdown.title),
    Format((".ods", ".ots"), opendocument.read_sheets),
    Format((".odp", ".otp"), opendocument.read_slides, markdown.title),
    Format((".epub",), html.read_epub, html.title),
    Format((".rtf",), docx.read_rtf, markdown.title),
    Format((".eml",), mail.read, mail.title),
    Format((".mbox",), mail.read_mailbox),
    Format((".msg",), mail.read_outlook, mail.title),
    Format((".ics",), mail.read_calendar, mail.calendar_title),
    Format((".srt", ".vtt"), text.read_subtitles),
    Format((".adoc", ".asciidoc"), markdown.read_adoc, markdown.title),
    Format((".org",), markdown.read_org, markdown.title),
    Format((".png", ".jpg", ".jpeg", ".tif", ".tiff"), ocr.read),
)

SUFFIXES = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes}

OLD = {".doc": ".docx", ".dot": ".docx", ".ppt": ".pptx", ".pps": ".pptx", ".xls": ".xlsx"}


def read(path: Path, max_bytes: int) -> Contents:
    """Read a file; raises UnreadableFile, caused by an OSError where another try may succeed."""
    check(path)
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
    return parse(path.suffix.lower(), data)


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


def read_file(file: str, path: Path, max_bytes: int) -> Outcome:
    """Read a file of at most `max_bytes`, which the corpus names `file`; None if it is gone. Raises nothing."""
    before = NEVER
    try:
        before = signature(path)
        document = _document(file, read(path, max_bytes), before)
        # A file that changes while it is read is read again next time.
        return document if before == signature(path) else replace(document, size=-1, modified_ns=-1)
    except FileNotFoundError:
        return None
    except UnreadableFile as error:
        if isinstance(error.__cause__, OSError):
            return Problem(file, error.english, temporary=True)
        return Problem(file, error.english, *before)
    except OSError as error:
        reason = mark("it cannot be read ({error}); close it in other programs")
        return Problem(file, reason.format(error=error.strerror or type(error).__name__), temporary=True)
    except MemoryError:
        return Problem(file, NO_MEMORY, *before)
    except Exception as error:  # damaged files make parsers raise anything, and one must not stop the others
        logger.info("reading %s failed: %s", file, type(error).__name__)
        reason = mark("it cannot be read; it may be damaged: save it again, or in another format")
        return Problem(file, reason, *before)


def from_text(file: str, text: str) -> Document:
    """Make a document of a text that is in no file; raises UnreadableFile if it is empty."""
    return _document(file, parse(".txt", text.encode("utf-8", "replace")), NEVER)


def _document(file: str, contents: Contents, signature: Signature) -> Document:
    pages, title = contents.pages, contents.title or Path(file).stem
    text = joined(pages)
    code = language.detect(text)
    passages = tuple(split(pages, file, title, code))
    textless = (page for page in pages if page.place.kind == "page" and (page.unread or not page.text.strip()))
    silent = tuple(page.place.number for page in textless)
    return Document(file, title, text, code, len(pages), passages, *signature, silent)
