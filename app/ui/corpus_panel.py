"""The panel *Documents*: what is in the folder, how far reading is, and what is wrong with which file."""

import asyncio
from typing import Any

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.context import Retriever
from app.answering.pipeline import Assistant
from app.documents.language import shown_name
from app.errors import CorpusError
from app.humanize import size
from app.retrieval.corpus import Reading
from app.retrieval.inventory import STATES, File, extent, notes, summary
from app.settings import is_loopback
from app.translation import _, mark, plural
from app.ui import models_panel

NAME = mark("Documents")
"""The name of the component and of the message that public/escalator.js sends when its button is pressed."""

LIST = "corpus"
"""The action by which public/elements/Documents.jsx asks for its contents."""

MAX_FILES = 200
"""Files that are listed; more would slow the page down, and nobody reads that far."""

REPORT_SECONDS = 0.5
"""Between two reports to the page on how far reading is; reading that takes less is not reported."""


def contents(retriever: Retriever, wanted: str) -> dict[str, Any]:
    """Return what the panel shows of the corpus, with the files that match all words of `wanted`; blocks."""
    panel = {"folder": str(retriever.folder.path), "reading": progress(retriever.reading), "error": "", "more": ""}
    try:
        if not retriever.folder.path.is_dir():
            retriever.refresh()  # raises CorpusError with what is wrong
        health = retriever.health()
    except CorpusError as error:
        return panel | {"error": str(error), "facts": [], "files": []}
    remarks, words = notes(health), wanted.casefold().split()
    files = sorted(health.files, key=lambda file: (file.state == "searchable", file.name not in remarks))
    if words:
        files = [file for file in files if all(word in f"{file.name} {facts(file)}".casefold() for word in words)]
    if len(files) > MAX_FILES:
        panel["more"] = plural(
            "{number} more: type part of a name above.",
            "{number} more: type part of a name above.",
            len(files) - MAX_FILES,
        )
    elif not files:
        panel["more"] = _("No file matches.") if words else _("Put files into this folder.")
    rows = [{"name": it.name, "facts": facts(it), "notes": remarks.get(it.name, [])} for it in files[:MAX_FILES]]
    return panel | {"facts": summary(health), "files": rows}


def facts(file: File) -> str:
    """Describe a file in one line: its state, and its extent, language and size."""
    if (entry := file.entry) is None:
        return _(STATES[file.state])
    what = extent(file.name, entry.pages, entry.passages)
    return " · ".join((_(STATES[file.state]), what, shown_name(entry.language), size(entry.size)))


async def report(assistant: Assistant) -> None:
    """Report to the page what an empty chat shows, and how far reading is, until the session ends."""
    session, before = cl.context.session, None
    await cl.send_window_message({"about": "start", "lines": await start_lines(assistant)})
    while WebsocketSession.get_by_id(session.id) is session:
        reading = assistant.retriever.reading
        if before is not None:
            await cl.send_window_message({"about": "reading", "reading": progress(reading)})
        if before is not None and reading is None:
            await cl.send_window_message({"about": "start", "lines": await start_lines(assistant)})
        before = reading
        await asyncio.sleep(REPORT_SECONDS)


async def start_lines(assistant: Assistant) -> list[str]:
    """Return what an empty chat shows: the documents or what is wrong with their folder, and which models answer."""
    panel = await asyncio.to_thread(contents, assistant.retriever, "")
    documents, folder = panel["error"], panel["folder"]
    if panel["facts"] and not panel["files"]:
        documents = _("There is no document in {folder} yet: put files there, or drop them here.", folder=folder)
    elif panel["facts"]:
        documents = _("{size} in {folder}", size=panel["facts"][0], folder=folder)
    endpoint = assistant.settings.endpoint
    here = endpoint is None or is_loopback(endpoint)
    where = _("Nothing leaves this machine.") if here else _("Models run on {address}.", address=endpoint)
    return [documents, f"{await models_panel.used(assistant.manager)} {where}"]


def progress(reading: Reading | None) -> dict[str, Any] | None:
    """Return how far reading is, in percent and as a sentence; None if nothing is being read."""
    if reading is None:
        return None
    text = plural(
        "Reading your documents: {how_far}. They have {number} passage so far, and you can ask questions meanwhile.",
        "Reading your documents: {how_far}. They have {number} passages so far, and you can ask questions meanwhile.",
        reading.passages,
        how_far=reading,
    )
    return {
        "percent": round(100 * reading.done / max(reading.total, 1)),
        "text": text,
    }
