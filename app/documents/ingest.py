"""One file becomes a document: bytes, reader, pages; then title, language and passages. It does not know the folder."""

import logging
from dataclasses import replace
from pathlib import Path

from app.documents import language, readers
from app.documents.document import NEVER, NO_MEMORY, Document, Outcome, Problem, Signature, signature
from app.documents.passages import Contents, joined, split
from app.errors import UnreadableFile
from app.translation import mark

logger = logging.getLogger(__name__)


def read_file(file: str, path: Path, max_bytes: int) -> Outcome:
    """Read a file of at most `max_bytes`, which the corpus names `file`; None if it is gone. Raises nothing."""
    before = NEVER
    try:
        before = signature(path)
        document = _document(file, readers.read(path, max_bytes), before)
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
    return _document(file, readers.parse(".txt", text.encode("utf-8", "replace")), NEVER)


def _document(file: str, contents: Contents, signature: Signature) -> Document:
    pages, title = contents.pages, contents.title or Path(file).stem
    text = joined(pages)
    code = language.detect(text)
    passages = tuple(split(pages, file, title, code))
    textless = (page for page in pages if page.place.kind == "page" and (page.unread or not page.text.strip()))
    silent = tuple(page.place.number for page in textless)
    return Document(file, title, text, code, len(pages), passages, *signature, silent)
