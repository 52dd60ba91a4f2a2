"""What the viewer of a source shows: the text around what is cited, and for a PDF the page as a picture.

The text is taken when the answer is given, so that a later change of the file moves no mark; how it is shown, and the
picture of a page, is made when somebody opens it.
"""

import asyncio
import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from chainlit.context import context
from chainlit.types import FileDict

from app.answering.context import Retriever
from app.answering.turn import Citation
from app.documents import page_image, readers
from app.documents.document import NEVER, Signature, signature
from app.documents.passages import SEPARATOR, Span
from app.errors import UnreadableFile
from app.retrieval.packing import Evidence
from app.retrieval.snapshot import Snapshot
from app.translation import _, mark
from app.ui import rich_text
from app.ui.screen import Screen

SHOW = "show-source"
"""The action by which the viewer asks for what it shows."""

AROUND = 1500
"""Characters that are shown before and after what is cited, extended to whole lines."""

WHOLE = 60_000
"""Characters that are shown of a document that is opened from the list; its own program shows all of it."""

_MARKDOWN = (".md", ".markdown", ".ipynb")

_LINES = (".json", ".geojson", ".yaml", ".yml", ".jsonl", ".ndjson", ".srt", ".vtt", ".ics")
"""Files that have nothing but lines, beside those that are read as plain text."""

_FENCE = re.compile(r"^ {0,3}```", re.MULTILINE)
_LINE = re.compile(r"^.*$", re.MULTILINE)

_OUTDATED = mark("The file has changed since it was read. Below is the text as it was; ask again for the new one.")
_GONE = mark("The file has been moved or deleted. Below is the text as it was read.")
_UNDRAWN = mark("The page cannot be drawn: the file may be damaged, or the page too large. Below is the text.")
_SCAN = mark("This page has no text to mark; the cited words were recognized in its picture.")
_UNMARKED = mark("The cited words were not found on the page.")
_UNKNOWN = mark("The page cannot be shown. Ask again to see it.")


@dataclass(frozen=True, slots=True)
class Originals:
    """Where the documents of an answer are: the retriever that has what a turn was answered from, each file's path."""

    retriever: Retriever
    path: Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a document's text with the spans that are cited, and the number of its first line, if it has one."""

    text: str
    spans: tuple[Span, ...]
    line: int | None

    def cropped(self) -> "Excerpt":
        """Return the lines around the spans."""
        first, last = self.spans[0][0], max(end for _, end in self.spans)
        start, end = max(0, first - AROUND), min(len(self.text), last + AROUND)
        if start:
            start = self.text.find("\n", start, first) + 1 or start
        fences = [*_FENCE.finditer(self.text, 0, start)]
        if len(fences) % 2:  # code is shown from its beginning, if it is near
            start = max(fences[-1].start(), start - AROUND)
        if end < len(self.text):
            cut = self.text.rfind("\n", last, end)
            end = cut if cut >= 0 else end
        line = None if self.line is None else self.line + self.text.count("\n", 0, start)
        return Excerpt(self.text[start:end], tuple((at - start, to - start) for at, to in self.spans), line)

    def quotes(self) -> list[str]:
        """Return the texts of the spans, each on one line."""
        return [" ".join(self.text[start:end].split()) for start, end in self.spans]

    def shown(self, suffix: str, heads: frozenset[str]) -> dict[str, Any]:
        """Return what the viewer shows: lines, and blocks for reading if a file of this kind has more than lines."""
        inline, format_, blocks = suffix in _MARKDOWN, readers.SUFFIXES.get(suffix), None
        if inline or (format_ is not None and not format_.trusted and suffix not in _LINES):
            blocks = rich_text.blocks(self.text, self.spans, inline=inline, heads=heads)
        return {"lines": [*self.lines()], "blocks": blocks}

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield each line with its number, in parts: 0 is not cited, 1 is, 2 is and begins a span."""
        for index, line in enumerate(_LINE.finditer(self.text.removesuffix("\n"))):
            at, end = line.span()
            cuts = sorted({at, end, *(cut for span in self.spans for cut in span if at < cut < end)})
            parts = [[self.text[first:last], self._cited(first)] for first, last in pairwise(cuts)]
            yield {"number": None if self.line is None else self.line + index, "parts": parts}

    def _cited(self, at: int) -> int:
        return max((1 + (start == at) for start, end in self.spans if start <= at < end), default=0)


@dataclass(frozen=True, slots=True)
class CitedPlace:
    """A place in a document as it was read; of a PDF it is the page with this number, of other files the page is None.

    `signature` is that of the file then, `head` the heading under which the place is, if it has one.
    """

    path: Path
    signature: Signature
    page: int | None
    head: str
    excerpt: Excerpt

    @classmethod
    def of(cls, record: dict[str, Any]) -> "CitedPlace":
        """Make a place from the record that its conversation keeps; earlier versions kept pages of PDFs alone."""
        spans = tuple((start, end) for start, end in record["spans"])
        excerpt = Excerpt(record["text"], spans, record.get("line"))
        size, modified_ns = record["signature"]
        page = record["page"] if "page" in record else record["number"]
        return cls(Path(record["path"]), (size, modified_ns), page, record.get("head", ""), excerpt)

    def record(self, key: str) -> dict[str, Any]:
        """Return what the place is made from, under a key that only the conversation knows."""
        file = {"path": str(self.path), "signature": self.signature, "page": self.page, "head": self.head}
        return {"id": key, **file, **asdict(self.excerpt)}

    def shown(self) -> dict[str, Any]:
        """Return what the viewer shows, with the picture of a page; blocks."""
        cropped = self.excerpt.cropped() if self.excerpt.spans else self.excerpt
        text = cropped.shown(self.path.suffix.lower(), frozenset([self.head] if self.head else ()))
        return text if self.page is None else {**text, **self.draw(self.page)}

    def draw(self, page: int) -> dict[str, Any]:
        """Draw a page as a picture with boxes in percent, or return a note that says why it cannot be; blocks."""
        try:
            if signature(self.path) != self.signature:
                return {"note": _(_OUTDATED)}
            look = page_image.draw(self.path, page, self.excerpt.text, self.excerpt.spans)
        except OSError:
            return {"note": _(_GONE)}
        except UnreadableFile:
            return {"note": _(_UNDRAWN)}
        return {
            "picture": f"data:image/png;base64,{base64.b64encode(look.picture).decode()}",
            "boxes": [[round(100 * part, 2) for part in box] for box in look.boxes],
            "note": "" if look.boxes or not self.excerpt.spans else _(_UNMARKED if look.written else _SCAN),
        }


def excerpt(item: Evidence, citations: Sequence[Citation], text: str, path: Path) -> Excerpt:
    """Cut out the page that is cited, or take the whole text if its lines are those of the file.

    `text` is that of the whole document. Where no sentence is tied to a span, all of the evidence is cited.
    """
    cited = {
        (each.start, each.end)
        for each in citations
        if (each.number, each.file) == (item.number, item.file) and each.start is not None and each.end is not None
    }
    spans = sorted((start, end) for start, end in cited if item.start <= start < end <= item.end)
    spans = spans or [(item.start, item.end)]
    start, line = 0, 1 if item.place.kind == "line" or readers.trusted(path) else None
    if text[item.start : item.end] != item.text:  # the document has changed since the search
        text, start, line = item.text, item.start, item.place.number if item.place.kind == "line" else None
    elif line is None:
        start, end = text.rfind(SEPARATOR, 0, item.start) + 1, text.find(SEPARATOR, item.end)
        text = text[start : end if end >= 0 else len(text)]
    return Excerpt(text.replace(SEPARATOR, "\n"), tuple((at - start, to - start) for at, to in spans), line)


def cited(item: Evidence, citations: Sequence[Citation], snapshot: Snapshot, path: Path) -> CitedPlace:
    """Return the place of some evidence with what is cited there; blocks."""
    found, entry = excerpt(item, citations, snapshot.text(item.file), path), snapshot.documents.get(item.file)
    known = (entry.size, entry.modified_ns) if entry is not None else NEVER
    page = item.place.number if item.place.kind == "page" and path.suffix.lower() == ".pdf" else None
    head = item.place.label if item.place.kind == "heading" else ""
    return CitedPlace(path, known, page, head, found if page is not None else found.cropped())


async def whole(file: str, snapshot: Snapshot, path: Path) -> dict[str, Any]:
    """Return what the viewer shows of a document that is opened from the list, from its beginning."""
    text, suffix, entry = await asyncio.to_thread(snapshot.text, file), path.suffix.lower(), snapshot.documents[file]
    page = None
    if suffix == ".pdf":
        text, page = text.partition(SEPARATOR)[0], str(uuid4())
        place = CitedPlace(path, (entry.size, entry.modified_ns), 1, "", Excerpt(text, (), None))
        Screen.of(context.session.thread_id).pages[page] = place.record(page)  # not for the history
    beginning = Excerpt(text[:WHOLE].replace(SEPARATOR, "\n"), (), 1 if readers.trusted(path) else None)
    passages = await asyncio.to_thread(snapshot.passages, file)
    heads = frozenset(passage.place.label for passage in passages if passage.place.kind == "heading")
    shown = await asyncio.to_thread(beginning.shown, suffix, heads)
    more = _("Only the beginning of this document is shown here.") if len(text) > WHOLE else ""
    return {"caption": file, "page": page, "drawn": page is not None, "more": more, **shown}


async def show(key: str) -> dict[str, Any]:
    """Return what the viewer shows of the place with this key, for a page of a PDF with the address of its file."""
    if (record := Screen.of(context.session.thread_id).pages.get(key)) is None:
        return {"note": _(_UNKNOWN)}
    place = CitedPlace.of(record)
    shown = await asyncio.to_thread(place.shown)
    if "picture" in shown:  # Chainlit serves the files that are listed here to this session alone, in place
        path, size = place.path, place.signature[0]
        context.session.files[key] = FileDict(id=key, path=path, name=path.name, size=size, type="application/pdf")
        shown["link"] = f"/project/file/{key}?session_id={context.session.id}#page={place.page}"
    return shown
