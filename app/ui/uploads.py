"""Files dropped into a chat: read at once, part of that conversation only, copied into the corpus if wanted."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import chainlit as cl
from chainlit.element import Element

from app.answering.context import Searching
from app.documents.document import Document, Problem
from app.documents.folder import safe
from app.errors import CorpusError
from app.retrieval.inventory import extent, silence
from app.ui import steps

KEEP = "keep-file"


class Dropped:
    """The files that one conversation has got; a document goes by a name that no file of the corpus can have."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._files: dict[str, tuple[str, Path]] = {}
        """The name of each file and where it lies, also of those that are in the corpus meanwhile."""

    @property
    def documents(self) -> tuple[Document, ...]:
        """All that questions are answered from beside the corpus."""
        return tuple(self._documents.values())

    def path(self, corpus: Path, file: str) -> Path:
        """Where a document lies, be it dropped or of the corpus."""
        return self._files[file][1] if file in self._files else corpus / file

    async def take(self, files: Sequence[Element], searching: Searching) -> list[Document]:
        """Read files, with a step for each; the documents that they became."""
        rows = [await steps.begin(f"Reading {file.name}", "file-text") for file in files]
        try:
            given = [await asyncio.to_thread(_named, file) for file in files]
            wanted = [(f"{number}/{name}", path) for number, (name, path) in enumerate(given)]
            results = {result.file: result for result in await asyncio.to_thread(searching.read, wanted)}
        except BaseException:  # Stop, most of all
            for row in rows:
                await steps.end(row, f"{row.name}: stopped")
            raise
        found = []
        for row, (name, path), (key, _) in zip(rows, given, wanted, strict=True):
            result = results.get(key) or Problem(name, "it is gone")
            if isinstance(result, Problem):
                row.is_error = True
                await steps.end(row, f"{name} was not read: {result.reason}")
            else:
                found.append(self._taken(name, path, result))
                size = extent(name, result.pages, len(result.passages))
                silent = f", {silence(result.silent)}" if result.silent else ""
                await steps.end(row, f"Read {name}: {size}{silent}")
        return found

    async def offer(self, documents: Sequence[Document], asked: str) -> None:
        """Say what became of the files, with a button for each that copies it into the corpus."""
        if not documents:
            return
        names = [self._files[document.file][0] for document in documents]
        be, them = ("is", "it") if len(names) == 1 else ("are", "them")
        ask = "" if asked else f" Ask about {them}."
        said = f"{', '.join(names)} {be} part of this conversation only.{ask}"
        message = cl.Message(said, author="Escalator")
        message.actions = [
            cl.Action(name=KEEP, payload={"file": document.file}, label=f"Keep {name} in corpus", icon="folder-plus")
            for name, document in zip(names, documents, strict=True)
        ]
        await message.send()

    async def keep(self, button: cl.Action, searching: Searching) -> None:
        """Copy a file into the corpus, where questions find it from then on; raises CorpusError."""
        file = button.payload["file"]
        if (document := self._documents.pop(file, None)) is None:
            return
        name, path = self._files[file]
        try:
            kept = await asyncio.to_thread(searching.folder.keep, path, name)
        except CorpusError:
            self._documents[file] = document
            raise
        await button.remove()
        await asyncio.to_thread(searching.refresh)
        await cl.Message(f"{name} is in the corpus now, as {kept}.", author="Escalator").send()

    def _taken(self, name: str, path: Path, document: Document) -> Document:
        """The document under its name here, for this conversation."""
        file, number = f"{name} (dropped)", 1
        while file in self._files:
            number += 1
            file = f"{name} (dropped {number})"
        passages = tuple(replace(passage, file=file) for passage in document.passages)
        self._files[file] = name, path
        self._documents[file] = replace(document, file=file, passages=passages)
        return self._documents[file]


def _named(file: Element) -> tuple[str, Path]:
    """A file's name, and its path with the ending of that name: Chainlit gives it one by the browser's word."""
    name, path = safe(file.name), Path(file.path or "")
    target = path.with_suffix(Path(name).suffix)
    return name, path if target == path else Path(shutil.copyfile(path, target))
