"""The place of a source as the viewer shows it: the text around what is cited, and for a PDF the page as a picture.

The text is taken when the answer is given, so that a file that changes later moves no mark; the page is drawn when it
is looked at.
"""

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import chainlit as cl
from chainlit.context import context
from chainlit.types import FileDict

from app.answering.citations import Citation
from app.answering.turn import Turn
from app.documents import page_image, readers
from app.documents.document import NEVER, Signature, signature
from app.documents.pages import SEPARATOR
from app.documents.sentences import Span
from app.errors import UnreadableFile
from app.retrieval.corpus import Snapshot
from app.retrieval.packing import Evidence

PICTURE = "picture"
"""The action by which the viewer asks for the picture of a page."""

AROUND = 1500
"""Characters that are shown before and after what is cited, to whole lines."""

_SHEETS = "escalator_sheets"
_PDF = "application/pdf"

_OUTDATED = "The file has changed since it was read. This is its text as it was then."
_GONE = "The file is not there any more. This is its text as it was read."
_UNDRAWN = "The page cannot be drawn; the file may be damaged, or the page too large."
_SCAN = "This page holds no text that could be marked; what is cited was recognized in its picture."
_UNMARKED = "The cited words could not be found on the page."


@dataclass(frozen=True, slots=True)
class Originals:
    """Where the documents of an answer are: as they were read for a turn, and the path of each file."""

    snapshot: Callable[[Turn], Snapshot]
    path: Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some text of a document with the spans that are cited; `line` is the number of its first line, if it has one."""

    text: str
    spans: tuple[Span, ...]
    line: int | None

    def shown(self) -> "Excerpt":
        """The lines around the spans."""
        first, last = self.spans[0][0], max(end for _, end in self.spans)
        start, end = max(0, first - AROUND), min(len(self.text), last + AROUND)
        if start:
            start = self.text.find("\n", start, first) + 1 or start
        if end < len(self.text):
            cut = self.text.rfind("\n", last, end)
            end = cut if cut >= 0 else end
        line = None if self.line is None else self.line + self.text.count("\n", 0, start)
        return Excerpt(self.text[start:end], tuple((at - start, to - start) for at, to in self.spans), line)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Each line, with its number, as parts: 0 is not cited, 1 is, 2 is and a span begins there."""
        at = 0
        for count, line in enumerate(self.text.removesuffix("\n").split("\n")):
            end = at + len(line)
            cuts = sorted({at, end, *(cut for span in self.spans for cut in span if at < cut < end)})
            parts = [[self.text[first:last], self._cited(first)] for first, last in pairwise(cuts)]
            yield {"number": None if self.line is None else self.line + count, "parts": parts}
            at = end + 1

    def _cited(self, at: int) -> int:
        return max((1 + (start == at) for start, end in self.spans if start <= at < end), default=0)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of a PDF as it was read, and the file that it is in."""

    path: Path
    signature: Signature
    number: int
    excerpt: Excerpt

    def drawn(self) -> dict[str, Any]:
        """The page as a picture with boxes in percent, or a note that tells why there is none; blocks."""
        try:
            if signature(self.path) != self.signature:
                return {"note": _OUTDATED}
            look = page_image.look(self.path, self.number, self.excerpt.text, self.excerpt.spans)
        except OSError:
            return {"note": _GONE}
        except UnreadableFile:
            return {"note": _UNDRAWN}
        return {
            "picture": f"data:image/png;base64,{base64.b64encode(look.picture).decode()}",
            "boxes": [[round(100 * part, 2) for part in box] for box in look.boxes],
            "note": "" if look.boxes else _UNMARKED if look.written else _SCAN,
        }


def excerpt(item: Evidence, citations: Sequence[Citation], text: str, path: Path) -> Excerpt:
    """What is cited of a document, in its page; in its lines, where they are those of the file.

    `text` is that of the whole document. Where no sentence is tied to a span, the whole stretch is cited.
    """
    found = {
        (each.start, each.end)
        for each in citations
        if (each.number, each.file) == (item.number, item.file) and each.start is not None and each.end is not None
    }
    spans = sorted((start, end) for start, end in found if item.start <= start < end <= item.end)
    spans = spans or [(item.start, item.end)]
    start, line = 0, 1 if item.place.kind == "line" or readers.trusted(path) else None
    if text[item.start : item.end] != item.text:  # the index has gone on since the search
        text, start, line = item.text, item.start, item.place.number if item.place.kind == "line" else None
    elif line is None:
        start, end = text.rfind(SEPARATOR, 0, item.start) + 1, text.find(SEPARATOR, item.end)
        text = text[start : end if end >= 0 else len(text)]
    return Excerpt(text.replace(SEPARATOR, "\n"), tuple((at - start, to - start) for at, to in spans), line)


def props(
    item: Evidence, citations: Sequence[Citation], snapshot: Snapshot, path: Path
) -> tuple[dict[str, Any], Sheet | None]:
    """What the viewer shows at once, and what it may ask a picture of; blocks."""
    found = excerpt(item, citations, snapshot.text(item.file), path)
    printed = item.place.kind == "page" and path.suffix.lower() == ".pdf"
    shown = {"caption": f"{item.file}, {item.place.label}", "lines": list(found.shown().lines())}
    entry = snapshot.documents.get(item.file)
    known = (entry.size, entry.modified_ns) if entry is not None else NEVER
    return shown, Sheet(path, known, item.place.number, found) if printed else None


def remember(sheet: Sheet) -> str:
    """Keep in this session what the viewer may ask a picture of; the key to it."""
    key = str(uuid4())
    cl.user_session.set(_SHEETS, {**(cl.user_session.get(_SHEETS) or {}), key: sheet})
    return key


async def picture(key: str) -> dict[str, Any]:
    """What the viewer asked for, with the address of the file."""
    sheet = (cl.user_session.get(_SHEETS) or {}).get(key)
    if not isinstance(sheet, Sheet):
        return {"note": _GONE}
    shown = await asyncio.to_thread(sheet.drawn)
    if "picture" in shown:
        # Chainlit serves what stands here to this session alone, from where it lies.
        size, _ = sheet.signature
        file: FileDict = {"id": key, "path": sheet.path, "name": sheet.path.name, "size": size, "type": _PDF}
        context.session.files[key] = file
        shown["link"] = f"/project/file/{key}?session_id={context.session.id}#page={sheet.number}"
    return shown
