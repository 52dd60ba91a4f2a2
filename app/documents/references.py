"""The names by which other programs refer to documents: ids and addresses of a document, or of a stretch of its text.

An id is the percent-encoded path of a file in the corpus, for a stretch followed by "#" and its offsets. It is looked
up among the documents of the index and never on the disk, so that nothing else can be read by it.
"""

import re
from collections.abc import Collection
from urllib.parse import quote, unquote

from app.errors import InputError

ROOT = "escalator://corpus/"
"""What precedes an id in the address of a resource."""

_STRETCH = re.compile(r"(.*)#([0-9]{1,12})-([0-9]{1,12})", re.DOTALL)


def reference(file: str, start: int = 0, end: int = 0) -> str:
    """Return the id of a document, or of a stretch of it."""
    return quote(file) + (f"#{start}-{end}" if end else "")


def resolve(id_or_url: str, files: Collection[str]) -> tuple[str, int, int]:
    """Return the file that an id or an address refers to, also if it was not encoded, and the offsets of the stretch.

    The offsets are 0 for a document as a whole. Raises InputError.
    """
    name = id_or_url.removeprefix(ROOT)
    match = _STRETCH.fullmatch(name)
    path, start, end = (match[1], int(match[2]), int(match[3])) if match else (name, 0, 0)
    for known in ((unquote(path), start, end), (path, start, end), (name, 0, 0)):
        if known[0] in files:
            return known
    raise InputError("There is no document {id}. Take an id from search or corpus.", id=repr(id_or_url[:200]))
