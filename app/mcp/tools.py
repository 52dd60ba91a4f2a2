"""What a client of the Model Context Protocol can do with the corpus; tools.json says what each tool takes and returns.

The tools search and answer as the chat does, and only put its results into other words. They do not know the protocol.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from app.answering import events
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Mode, Turn
from app.documents.passages import Passage
from app.documents.references import ROOT, reference, resolve
from app.errors import EscalatorError
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

        def find() -> Record:
            it = self._retriever.look_up(Turn(query, scope=tuple(folders)))
            results = [_piece(hit.passage) | {"why": str(hit.explanation)} for hit in it.found.hits[: int(limit)]]
            unread = f"Files that were not read, named by corpus: {len(it.problems)}" if it.problems else ""
            return {"results": results, "notes": [*filter(None, (it.found.missing, str(it.reading or ""), unread))]}

        return await self._retriever.wait(find, self._tell)

    async def fetch(self, id: str, most: int = LONGEST_TEXT) -> Record:  # noqa: A002 - the name that clients expect
        """Read `most` characters of a document, with the stretch that the id names in their middle."""
        return await self._retriever.wait(lambda: _read(self._retriever.refresh(), id, most), self._tell)

    async def ask(self, question: str, mode: Mode = "auto", folders: Sequence[str] = ()) -> Record:
        """Answer a question; raises the failure of a turn that has no answer."""
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
                    case events.Finished(answer) if answer.rendered or failure is None:
                        return _reply(answer)
        raise failure or AssertionError("a turn always finishes")

    async def corpus(self, offset: float = 0, most: int = LISTED) -> Record:
        """List the documents."""
        inventory = Inventory(await self._retriever.wait(self._retriever.refresh, self._tell))
        known, said = [*inventory.snapshot.documents.values()], notes(inventory)
        listed = [
            _named(it.file, it.title)
            | {"language": it.language, "pages": it.pages, "passages": it.passages, "notes": said.get(it.file, [])}
            for it in known[int(offset) :][:most]
        ]
        unread = [{"file": it.name, "reason": again(it.reason)} for it in inventory.files if it.entry is None]
        totals = {"total": len(known), "unread_total": len(unread), "reading": str(self._retriever.reading or "")}
        return {"documents": listed, "unread": unread[:most]} | totals


def _named(file: str, title: str, start: int = 0, end: int = 0) -> Record:
    name = reference(file, start, end)
    return {"id": name, "title": title or file, "url": ROOT + name, "file": file}


def _piece(it: Passage | Evidence) -> Record:
    found = {"text": it.text, "place": it.place.shown, "heading": it.place.heading}
    return _named(it.file, it.title, it.start, it.end) | found


def _read(snapshot: Snapshot, name: str, most: int) -> Record:
    file, start, end = resolve(name, snapshot.documents)
    it, whole = snapshot.around(file, start, end, most), len(snapshot.text(file))
    before = reference(file, max(0, it.start - most), it.start) if it.start else ""
    after = reference(file, it.end, it.end + most) if it.end < whole else ""
    metadata = {"language": it.language, "start": it.start, "end": it.end, "characters": whole}
    return _piece(replace(it, start=start, end=end)) | {"metadata": metadata | {"before": before, "after": after}}


def _reply(answer: Answer) -> Record:
    others = [it for it in answer.attempts if it is not answer.attempt and it.text.strip()]
    return {
        "answer": answer.rendered,
        "model": answer.author,
        "escalated": answer.escalated,
        "reason": answer.decision.why if answer.decision is not None else "",
        "sources": [_piece(it) | {"number": it.number, "quotes": answer.quotes(it)} for it in answer.sources],
        "unsupported": [it.sentence for it in answer.citations if not it.supported],
        "drafts": [{"model": it.model, "text": it.text} for it in others],
        "notes": list(answer.notices),
    }
