"""What a client of the Model Context Protocol can do with the corpus; tools.json says what each tool takes and returns.

The tools search and answer as the chat does, and only put its results into other words. They do not know the protocol.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from app.answering import events
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Mode, Turn
from app.documents.passages import Passage
from app.errors import EscalatorError
from app.mcp.references import ROOT, reference, resolve
from app.retrieval.corpus import Reading
from app.retrieval.inventory import Inventory, notes
from app.retrieval.packing import Evidence
from app.retrieval.store import Snapshot
from app.translation import again

LONGEST_TEXT = 40_000
"""Characters that `fetch` returns at most: about 10,000 tokens, of which clients complain if there are more."""

LISTED = 200
"""Documents, and files that were not read, that `corpus` names at once."""

Record = dict[str, Any]


class Tools:
    """The tools for one call, which `tell` what they wait for."""

    def __init__(self, assistant: Assistant, tell: Callable[[str], object]) -> None:
        self._assistant, self._retriever, self._tell = assistant, assistant.retriever, tell

    async def search(self, query: str, limit: float = 10, folders: Sequence[str] = ()) -> Record:
        """Find passages."""
        turn = Turn(query, scope=tuple(folders))
        retrieved = await self._retriever.wait(partial(self._retriever.look_up, turn), self._tell)
        hits = retrieved.found.hits[: int(limit)]
        reasons = await asyncio.to_thread(lambda: [str(hit.explanation) for hit in hits])
        results = [_piece(hit.passage) | {"why": why} for hit, why in zip(hits, reasons, strict=True)]
        said = retrieved.found.missing, str(retrieved.reading or "")
        return {"results": results, "notes": [*filter(None, said)]}

    async def fetch(self, id: str, most: int = LONGEST_TEXT) -> Record:  # noqa: A002 - the name that clients expect
        """Read `most` characters of a document, with the stretch that the id names in their middle."""
        snapshot = await self._retriever.wait(self._retriever.refresh, self._tell)
        return await asyncio.to_thread(_text, snapshot, *resolve(id, snapshot.documents), most)

    async def ask(self, question: str, mode: Mode = "auto", folders: Sequence[str] = ()) -> Record:
        """Answer a question; raises the failure of a turn that has no answer."""
        reply: Record = {}
        failure: EscalatorError | None = None
        async with aclosing(self._assistant.answer(Turn(question, mode=mode, scope=tuple(folders)))) as stream:
            async for event in stream:
                match event:
                    case events.Progress(text) | events.Escalated(why=text):
                        self._tell(text)
                    case events.Retrieved(reading=Reading() as reading):
                        self._tell(str(reading))
                    case events.AttemptStarted(model=model):
                        self._tell(f"{model} is answering")
                    case events.Failed(error):
                        failure = error
                    case events.Finished(answer):
                        reply = _reply(answer)
        if failure is not None and not reply["answer"]:
            raise failure
        return reply

    async def corpus(self, offset: float = 0) -> Record:
        """List the documents."""
        inventory = Inventory(await self._retriever.wait(self._retriever.refresh, self._tell))
        known, said = [*inventory.snapshot.documents.values()], notes(inventory)
        listed = [
            _named(it.file, it.title)
            | {"language": it.language, "pages": it.pages, "passages": it.passages, "notes": said.get(it.file, [])}
            for it in known[int(offset) :][:LISTED]
        ]
        unread = [{"file": it.name, "reason": again(it.reason)} for it in inventory.files if it.entry is None]
        totals = {"total": len(known), "unread_total": len(unread), "reading": str(self._retriever.reading or "")}
        return {"documents": listed, "unread": unread[:LISTED]} | totals


def _named(file: str, title: str, start: int = 0, end: int = 0) -> Record:
    name = reference(file, start, end)
    return {"id": name, "title": title or file, "url": ROOT + name, "file": file}


def _piece(it: Passage | Evidence) -> Record:
    place = {"place": it.place.shown, "heading": it.place.heading}
    return _named(it.file, it.title, it.start, it.end) | {"text": it.text} | place


def _text(snapshot: Snapshot, file: str, start: int, end: int, most: int) -> Record:
    entry, text, passages = snapshot.documents[file], snapshot.text(file), snapshot.passages(file)
    first = max(0, min(start, len(text)) - max(0, most - (end - start)) // 2)
    last = min(len(text), first + most)
    at = next((it for it in passages if it.end > start), passages[-1])
    metadata = {"language": entry.language, "pages": entry.pages, "start": first, "end": last, "characters": len(text)}
    if first:
        metadata["before"] = reference(file, max(0, first - most), first)
    if last < len(text):
        metadata["after"] = reference(file, last, last + most)
    return _piece(replace(at, start=start, end=end, text=text[first:last])) | {"metadata": metadata}


def _reply(answer: Answer) -> Record:
    others = [it for it in answer.attempts if it is not answer.attempt and it.text.strip()]
    return {
        "answer": answer.rendered,
        "model": answer.attempt.model if answer.attempt is not None and answer.by_model else None,
        "escalated": answer.escalated,
        "reason": answer.decision.why if answer.decision is not None else "",
        "sources": [_piece(it) | {"number": it.number, "quotes": answer.quotes(it)} for it in answer.sources],
        "unsupported": [it.sentence for it in answer.citations if not it.supported],
        "drafts": [{"model": it.model, "text": it.text} for it in others],
        "notes": list(answer.notices),
    }
