"""The start page: what an empty chat says of documents and models, and the questions that it offers."""

import asyncio
import json
from pathlib import Path

import chainlit as cl
from chainlit.session import WebsocketSession

from app.answering.context import Retriever
from app.answering.pipeline import Assistant
from app.errors import CorpusError
from app.retrieval.corpus import Reading
from app.retrieval.snapshot import NOTHING, Snapshot
from app.translation import _
from app.ui import models_panel
from app.ui.corpus_panel import contents, progress

REPORT_SECONDS = 0.5
"""Between two reports to the page on how far reading is; reading that takes less is not reported."""

OWN = 3
"""Documents of one's own that questions of an empty chat are about: the longest ones."""


def starters(retriever: Retriever) -> list[cl.Starter]:
    """Return the sample questions whose document is in the corpus, else questions to its documents; blocks."""
    corpus = retriever.folder.path
    samples = json.loads(Path(__file__).with_name("starters.json").read_text(encoding="utf-8"))
    questions = [_(sample["question"]) for sample in samples if (corpus / sample["file"]).is_file()]
    if not questions:
        try:
            snapshot = retriever.refresh()
        except CorpusError:  # which the start page says
            return []
        longest = sorted(snapshot.documents.values(), key=lambda entry: -entry.passages)[:OWN]
        titles = [_("What is “{title}” about?", title=each.title or each.file) for each in longest]
        places = [passage.place for each in longest for passage in snapshot.passages(each.file)]
        headings = [f"{place.label}?" for place in places if place.kind == "heading" and len(place.label) > 1]
        questions = [*titles, *headings[:OWN]]
    return [cl.Starter(label=question, message=question) for question in questions]


async def report(assistant: Assistant) -> None:
    """Report to the page what an empty chat shows, and how far reading is, until the session ends."""
    session, retriever = cl.context.session, assistant.retriever
    before: Reading | None = None
    known: Snapshot | None = None
    told: object = None
    manager, models = assistant.manager, assistant.models
    while WebsocketSession.get_by_id(session.id) is session:
        reading = retriever.reading
        if before is not None:
            await cl.send_window_message({"about": "reading", "reading": progress(reading)})
        known = await asyncio.to_thread(_latest, retriever) if known is None or reading is None else known
        shown = id(known), manager.busy, models.pair, models.substitution  # a download may have ended
        if shown != told:
            told = shown
            await cl.send_window_message({"about": "start", "lines": await start_lines(assistant)})
        before = reading
        await asyncio.sleep(REPORT_SECONDS)


def _latest(retriever: Retriever) -> Snapshot:
    try:
        return retriever.latest()
    except CorpusError:  # which the lines say
        return NOTHING


async def start_lines(assistant: Assistant) -> list[str]:
    """Return what an empty chat shows: the documents or what is wrong with their folder, and which models answer."""
    panel = await asyncio.to_thread(contents, assistant.retriever, "")
    documents, folder = panel["error"], panel["folder"]
    if panel["facts"] and not panel["files"]:
        documents = _("There is no document in {folder} yet: put files there, or drop them here.", folder=folder)
    elif panel["facts"]:
        documents = _("{size} in {folder}", size=panel["facts"][0], folder=folder)
    used, elsewhere = await models_panel.used(assistant.manager), assistant.models.elsewhere("small", "large")
    where = _("What is private stays on this machine.") if elsewhere else _("Nothing leaves this machine.")
    return [documents, f"{used} {where}"]
