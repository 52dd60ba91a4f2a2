"""What the page says of the documents: the panel *Documents*, an empty chat, and the questions that it offers."""

import asyncio
import json
import mimetypes
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import chainlit as cl
from chainlit.session import BaseSession, WebsocketSession

from app.answering.context import Retriever
from app.answering.pipeline import Assistant
from app.documents import readers
from app.documents.document import Known
from app.documents.folder import Folder, wanted
from app.documents.language import shown_name
from app.documents.readers.text import CODE_SUFFIXES
from app.errors import CorpusError, UnreadableFile
from app.files import launch
from app.retrieval.corpus import Reading
from app.retrieval.snapshot import NOTHING, File, Snapshot, extent, notes, summary
from app.room import organiser, sits_here
from app.translation import _, figure, mark, plural, size
from app.ui import models_panel, source_viewer

NAME = mark("Documents")
"""The name of the component and of the message that public/escalator.js sends when its button is pressed."""

PRESS = "corpus"
"""The action by which public/elements/Documents.jsx asks for its contents, and reports what was pressed."""

MAX_FILES = 200
"""Files that are listed; more would slow the page down, and nobody reads that far."""

MAX_NAMED = 20
"""Files that are named when many were added."""

REPORT_SECONDS = 0.5
"""Between two reports to the page on how far reading is; reading that takes less is not reported."""

OWN = 3
"""Documents of one's own that questions of an empty chat are about: the longest ones."""


async def press(retriever: Retriever, pressed: dict[str, Any]) -> dict[str, Any]:
    """Do what was pressed in the panel and return what became of it, or what the panel shows if nothing was.

    What changes the folder is for the organiser of a room, and what opens a program on this machine for whoever sits
    at it: see `locked`.
    """
    folder, file = retriever.folder, str(pressed.get("file", ""))
    try:
        match pressed.get("do"):
            case "check":  # before anything is sent here
                check(folder)
                return {"skip": await asyncio.to_thread(refused, folder, pressed["files"])}
            case "open":
                return await _opened(retriever, file)
            case "add":
                return await asyncio.to_thread(_add, folder, cl.context.session, str(pressed["id"]), file)
            case "added":
                return {"lines": told(pressed["added"], pressed["known"], pressed["skipped"])}
            case "remove":
                return {"said": await asyncio.to_thread(_remove, folder, file)}
            case "launch" | "show":
                return await asyncio.to_thread(_launch, folder, file)
    except CorpusError as error:
        return {"said": str(error), "failed": True}
    return await asyncio.to_thread(
        contents, retriever, str(pressed.get("filter", "")), look=bool(pressed.get("look")) and organiser.get()
    )


def locked(folder: Folder) -> str:
    """Say why the folder cannot be changed from the page, "" if it can."""
    if not organiser.get():
        return _("Documents are added and removed only by the organiser, on the machine of this page.")
    if folder.path.is_dir() and not os.access(folder.path, os.W_OK):
        return _("The folder is read-only: nothing can be added to it or removed from it.")
    return ""


def check(folder: Folder) -> None:
    """Raise CorpusError if the folder cannot be changed from the page."""
    if why := locked(folder):
        raise CorpusError(why)


def refused(folder: Folder, files: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Return why files of these names and sizes are not added, by name; of the others nothing is known yet."""
    skipped = {}
    for file, length in files:
        try:
            if not all(map(wanted, file.split("/"))):
                raise UnreadableFile("hidden and temporary files are left out")
            readers.check(Path(file), length, folder.max_bytes)
        except UnreadableFile as error:
            skipped[file] = str(error)
    return skipped


def told(added: Sequence[tuple[str, str]], known: Sequence[str], skipped: dict[str, str]) -> list[str]:
    """Say what became of files: those that were added, each with its new name, were there already, or were skipped."""
    lines = []
    if added:
        lines.append(plural("{number} file was added.", "{number} files were added.", len(added)))
    lines += [
        _("{file} is there as {name}, beside the file that had its name.", file=file, name=name)
        for file, name in added[:MAX_NAMED]
        if file != name
    ]
    if known:
        lines.append(plural("{number} file was there already.", "{number} files were there already.", len(known)))
    if skipped:
        lines.append(plural("{number} file was skipped:", "{number} files were skipped:", len(skipped)))
    lines += [f"{file}: {reason}" for file, reason in [*skipped.items()][:MAX_NAMED]]
    if (more := len(skipped) - MAX_NAMED) > 0:
        lines.append(_("{number} more", number=figure(more)))
    return lines


def contents(retriever: Retriever, typed: str, *, look: bool = False) -> dict[str, Any]:
    """Return what the panel shows of the corpus, with the files that match all words that were typed; blocks.

    With `look`, the folder is looked at before.
    """
    folder = retriever.folder
    shown = folder.path if sits_here() else folder.path.name
    panel: dict[str, Any] = {"folder": str(shown), "locked": locked(folder), "error": "", "more": ""}
    try:
        if look or not folder.path.is_dir():
            retriever.refresh()  # raises CorpusError with what is wrong
        panel["reading"] = progress(retriever.reading)
        snapshot = retriever.latest()
        new = _unread(retriever, snapshot) if panel["reading"] else frozenset()
    except CorpusError as error:
        return panel | {"reading": None, "error": str(error), "facts": [], "files": []}
    remarks, words = notes(snapshot), typed.casefold().split()
    files = sorted(snapshot.files, key=lambda file: (file.state == "searchable", file.name not in remarks))
    files = [File(name, None, "") for name in sorted(new - {file.name for file in files})] + files
    about = {file.name: _("reading…") if file.name in new else facts(file) for file in files}
    if words:
        files = [file for file in files if all(word in f"{file.name} {about[file.name]}".casefold() for word in words)]
    if len(files) > MAX_FILES:
        panel["more"] = plural(
            "{number} more: type part of a name above.",
            "{number} more: type part of a name above.",
            len(files) - MAX_FILES,
        )
    elif not files:
        panel["more"] = _("No file matches.") if words else _("Put files into this folder.")
    rows = [{"name": it.name, "facts": about[it.name], "notes": remarks.get(it.name, [])} for it in files[:MAX_FILES]]
    return panel | {"facts": summary(snapshot), "files": rows}


def facts(file: File) -> str:
    """Describe a file in one line: its state, and its extent, language and size."""
    if (entry := file.entry) is None:
        return _(file.state)
    what = extent(file.name, entry.pages, entry.passages)
    return " · ".join((_(file.state), what, shown_name(entry.language), size(entry.size)))


def _unread(retriever: Retriever, snapshot: Snapshot) -> frozenset[str]:
    """Return the names of the files that are new or changed."""
    known: dict[str, Known] = {**snapshot.documents, **snapshot.problems}
    return frozenset(file for file, entry in retriever.folder.compare(known).changed if isinstance(entry, Path))


async def _opened(retriever: Retriever, file: str) -> dict[str, Any]:
    """Return what the viewer shows of a document; a file that it cannot show is opened in its own program."""
    path = await asyncio.to_thread(retriever.folder.find, file)
    snapshot = await asyncio.to_thread(retriever.latest)
    if file not in {**snapshot.documents, **snapshot.problems}:  # it is new
        snapshot = await asyncio.to_thread(retriever.refresh)
    if file in snapshot.documents:
        view = await source_viewer.whole(file, snapshot, path)
        own = sits_here() and _is_harmless(path)
        return {"view": {**view, "file": file, "own": own}}
    return await asyncio.to_thread(_launch, retriever.folder, file)


def _add(folder: Folder, session: BaseSession, key: str, file: str) -> dict[str, Any]:
    """Put a file that the page has sent into the folder."""
    check(folder)
    sent = session.files.pop(key, None)
    if sent is None or not (path := Path(sent["path"])).is_relative_to(session.files_dir):  # not one that is shown
        raise CorpusError("{file} did not arrive. Add it again.", file=file)
    try:
        if skipped := refused(folder, [(file, path.stat().st_size)]):
            return {"skipped": skipped[file]}
        if folder.holds(path, file):
            return {"kept": file, "known": True}
        within, _slash, name = file.rpartition("/")
        return {"kept": folder.keep(path, name, within)}
    finally:
        path.unlink(missing_ok=True)


def _remove(folder: Folder, file: str) -> str:
    """Move a file into the bin of this machine."""
    from send2trash import send2trash

    check(folder)
    path = folder.find(file)
    try:
        send2trash(str(path))
    except OSError as error:
        raise CorpusError(
            "{file} cannot be moved to the bin ({reason}). Delete it in the file manager.",
            file=file,
            reason=error.strerror or error,
        ) from error
    return _("{file} is in the bin of this machine. Restore it there to have it back.", file=file)


def _launch(folder: Folder, file: str) -> dict[str, Any]:
    """Open a file, or the folder if there is none, in the system's program, or say where it is."""
    if not sits_here():
        raise CorpusError("Programs are started only for whoever sits at the machine of this page.")
    path = folder.find(file) if file else folder.path
    if file and not _is_harmless(path):
        said = _("{file} cannot be shown here, and it could be a program: open it yourself.", file=path.name)
        return {"said": said, "copy": str(path)}
    with suppress(OSError):  # no program is known for files of this kind
        if launch(path):
            return {"said": ""}
    return {"said": _("No program could be started for this. It is here: {path}", path=path), "copy": str(path)}


def _is_harmless(path: Path) -> bool:
    """Whether opening a file in its own program runs nothing that is in it: it is a document, a picture or the like."""
    if path.suffix.lower() in CODE_SUFFIXES:
        return False
    try:
        readers.check(path)
    except UnreadableFile:
        kind = mimetypes.guess_type(path.name)[0] or ""
        return kind.startswith(("image/", "audio/", "video/")) or path.suffix.lower() in readers.OLD
    return True


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
    return {"percent": round(100 * reading.done / max(reading.total, 1)), "text": text}


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
