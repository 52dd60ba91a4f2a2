"""The panel of the corpus: what is in the folder, how far reading is, and what is wrong with which file."""

import asyncio
from typing import Any

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.context import Searching
from app.documents.language import name as name_of
from app.errors import CorpusError
from app.humanize import count, size, time_left
from app.retrieval.corpus import TELLING, Reading
from app.retrieval.inventory import File, extent, notes, summary

OPEN = "documents"
"""What public/escalator.js sends when the button in the header is pressed."""

LIST = "corpus"
"""The action by which public/elements/Corpus.jsx asks for what it shows."""

SHOWN = 200
"""Files that are listed; more of them would slow the page down, and nobody reads on that far."""

TELL_SECONDS = 0.5
"""Between two words to the page about how far reading is; of what takes less there is none."""


async def show() -> None:
    """Open the panel beside the chat; it asks for what it shows by itself."""
    element = cl.CustomElement(name="Corpus", props={}, display="side")
    await cl.ElementSidebar.set_elements([element], key=element.id)
    await cl.ElementSidebar.set_title("Documents")


def listed(searching: Searching, wanted: str) -> dict[str, Any]:
    """What the panel shows of the corpus, and of its files those with all these words; blocks."""
    found = {"folder": str(searching.folder.path), "reading": _told(searching.reading), "error": "", "more": ""}
    try:
        if not searching.folder.path.is_dir():
            searching.refresh()  # which says what is wrong
        health = searching.health()
    except CorpusError as error:
        return found | {"error": str(error), "facts": [], "files": []}
    said, words = notes(health), wanted.casefold().split()
    files = sorted(health.files, key=lambda file: (file.state == "searchable", file.name not in said))
    if words:
        files = [file for file in files if all(word in f"{file.name} {facts(file)}".casefold() for word in words)]
    if len(files) > SHOWN:
        found["more"] = f"{len(files) - SHOWN:,} more: type a part of a name above."
    elif not files:
        found["more"] = "No file fits." if words else "Put files into this folder."
    rows = [{"name": it.name, "facts": facts(it), "notes": said.get(it.name, [])} for it in files[:SHOWN]]
    return found | {"facts": summary(health), "files": rows}


def facts(file: File) -> str:
    """What is known of a file, in a line."""
    if (entry := file.entry) is None:
        return file.state
    size_shown = size(entry.size).replace(" ", "\u00a0")
    return " · ".join((file.state, extent(file.name, entry.pages, entry.passages), name_of(entry.language), size_shown))


async def follow(searching: Searching) -> None:
    """Tell the page how far reading is, as long as there is the session."""
    session, before = cl.context.session, None
    while WebsocketSession.get_by_id(session.id) is session:
        reading = searching.reading
        if before is not None:
            await cl.send_window_message({"about": "reading", "reading": _told(reading)})
        before = reading
        await asyncio.sleep(TELL_SECONDS)


def _told(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    done, left = f"{reading.done:,} of {count(reading.total, 'file')}", reading.seconds_left
    parts = [f"Reading your documents: {done}", count(reading.passages, "passage")]
    if left >= 1 and reading.done >= TELLING * reading.total:
        parts.append(time_left(left))
    return {
        "percent": round(100 * reading.done / max(reading.total, 1)),
        "text": f"{', '.join(parts)}. You can ask meanwhile.",
    }
