"""Files dropped into a chat: read at once, part of that conversation only, copied into the corpus on request."""

import asyncio
import shutil
from collections.abc import Container, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import chainlit as cl
import chainlit.config
from chainlit.element import Element

from app.answering.context import Retriever
from app.answering.sanitizer import label
from app.documents.document import Document, Problem, dropped
from app.documents.folder import safe
from app.retrieval.snapshot import extent, silence
from app.room import organiser
from app.translation import _, again, mark, plural
from app.ui import corpus_panel
from app.ui.messages import begin_step, end_step
from app.ui.screen import Screen

KEEP = "keep-file"


class Uploads:
    """The files dropped into one conversation; each document has a name that no file of the corpus can have.

    The files are copied, because those of Chainlit end with the tab, and other tabs show them, too. The history has
    copies of its own, from which they are read again when the conversation is continued after a restart.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._documents: dict[str, Document] = {}
        self._files: dict[str, tuple[str, Path]] = {}
        """The file's own name and its path, by the document's name; also of files that were copied into the corpus."""

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents that questions are answered from in addition to the corpus."""
        return tuple(self._documents.values())

    def path(self, corpus: Path, file: str) -> Path:
        """Return the path of a document, dropped or of the corpus."""
        return self._files[file][1] if file in self._files else corpus / file

    async def read(self, message: str, files: Sequence[Element], retriever: Retriever) -> list[Document]:
        """Read the files that come with a message, or came with it and were not read, with a row for each.

        Returns the documents that the message has brought.
        """
        await self.recall(retriever)
        for record in [await asyncio.to_thread(self._copy, file, message) for file in files]:
            self._screen.take("file", record)  # before there is a row to stop: a file is read when asked again
        unread = [each for each in self.of(message) if not each["document"]]
        rows = [await begin_step(_("Reading {file}", file=each["name"]), "file-text") for each in unread]
        try:
            wanted: dict[str, dict[str, Any]] = {}
            for record in unread:
                wanted[self._free(record["name"], wanted)] = record
            paths = [(file, Path(record["path"])) for file, record in wanted.items()]
            results = {result.file: result for result in await asyncio.to_thread(retriever.read, paths)}
        except BaseException:  # above all Stop
            for row in rows:
                await end_step(row, _("{what}: stopped", what=row.name))
            raise
        for row, (file, record) in zip(rows, wanted.items(), strict=True):
            name, result = record["name"], results.get(file) or Problem(file, mark("it is gone; drop it again"))
            if isinstance(result, Problem):
                row.is_error = True
                await end_step(row, _("{file} was not read: {reason}", file=name, reason=again(result.reason)))
            else:
                self._files[file], self._documents[file] = (name, Path(record["path"])), result
                self._screen.take("file", {**record, "document": file})
                size = extent(name, result.pages, len(result.passages))
                size += f", {silence(result.silent)}" if result.silent else ""
                await end_step(row, _("Read {file}: {size}", file=name, size=size))
        return [self._documents[it["document"]] for it in self.of(message) if it["document"] in self._documents]

    async def recall(self, retriever: Retriever) -> None:
        """Read the files again that the conversation had before the app was started."""
        records = {each["document"]: each for each in self._screen.dropped.values() if each["document"]}
        new = {file: (each["name"], Path(each["path"])) for file, each in records.items() if file not in self._files}
        self._files |= new
        results = await asyncio.to_thread(retriever.read, [(file, path) for file, (_name, path) in new.items()])
        self._documents |= {result.file: result for result in results if isinstance(result, Document)}

    async def offer(self, documents: Sequence[Document], *, asked: bool) -> None:
        """Say what became of the files, with a button for each that adds it to the documents."""
        if not documents:
            return
        names = [self._files[document.file][0] for document in documents]
        text = plural(
            "{files} is part of this conversation only.",
            "{files} are part of this conversation only.",
            len(names),
            files=", ".join(map(label, names)),
        )
        if not asked:
            text = f"{text} {plural('Ask about it.', 'Ask about them.', len(names))}"
        message = cl.Message(text, author="Escalator")
        message.actions = [
            cl.Action(
                name=KEEP,
                payload={"file": document.file},
                label=_("Add {file} to my documents", file=name),
                icon="folder-plus",
            )
            for name, document in zip(names, documents, strict=True)
            if organiser.get()
        ]
        await message.send()

    async def keep(self, button: cl.Action, retriever: Retriever) -> None:
        """Copy the button's file into the corpus, where questions find it from then on; raises CorpusError."""
        file = button.payload["file"]
        await asyncio.to_thread(corpus_panel.check, retriever.folder)
        if file not in self._documents:
            return
        name, path = self._files[file]
        kept = await asyncio.to_thread(retriever.folder.keep, path, name)
        del self._documents[file]
        for record in [each for each in self._screen.dropped.values() if each["document"] == file]:
            self._screen.take("file", {**record, "document": "", "message": ""})
        await button.remove()
        await asyncio.to_thread(retriever.refresh)
        said = _("{file} is one of your documents now.", file=label(kept))
        if kept != name:
            said = _(
                "{file} is one of your documents now, as {name}: there is another {file}.",
                file=label(name),
                name=label(kept),
            )
        await cl.Message(said, author="Escalator").send()

    def of(self, message: str) -> list[dict[str, Any]]:
        """Return the records of the files that came with a message."""
        return [each for each in self._screen.dropped.values() if each.get("message") == message]

    def _free(self, name: str, taken: Container[str]) -> str:
        """Return a name for the document of a file, which nothing else has."""
        names = (dropped(name, number) for number in count(1))
        return next(file for file in names if file not in self._files and file not in taken)

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        """A folder that is deleted with the conversation, or with all of Chainlit's files."""
        return TemporaryDirectory(dir=chainlit.config.FILES_DIRECTORY, ignore_cleanup_errors=True)

    def _copy(self, file: Element, message: str) -> dict[str, Any]:
        """Copy a file, which then has the suffix of its name, unlike Chainlit's; returns the screen's record of it."""
        name, key = safe(file.name), str(file.chainlit_key)
        path = Path(shutil.copyfile(str(file.path), Path(self._folder.name, key).with_suffix(Path(name).suffix)))
        place = {"path": str(path), "was": str(path), "size": path.stat().st_size}
        known = {"id": f"file-{key}", "key": key, "name": name, "type": file.mime or "", "message": message}
        return {**known, **place, "document": ""}
