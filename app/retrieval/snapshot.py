"""The corpus at one time: what of it is searchable, and what could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from app.documents.document import Document, Problem
from app.retrieval.archive import Entry
from app.retrieval.index import Index
from app.retrieval.segment import Draft, Stored
from app.retrieval.store import Generation


@dataclass(frozen=True)
class Snapshot:
    """Documents and problems by file, and the index of the passages."""

    generation: Generation

    @cached_property
    def documents(self) -> Mapping[str, Entry]:
        """Every document without its text."""
        living = (
            entry
            for segment, gone in self.generation.segments
            for number, entry in enumerate(segment.archive.entries)
            if number not in gone
        )
        return {entry.file: entry for entry in sorted(living, key=lambda entry: entry.file)}

    @cached_property
    def problems(self) -> Mapping[str, Problem]:
        """Every file that was left out."""
        return {problem.file: problem for problem in sorted(self.generation.problems, key=lambda each: each.file)}

    @cached_property
    def index(self) -> Index:
        """The passages, searchable."""
        segments = self.generation.segments
        return Index([(segment, segment.alive(gone) if gone else None) for segment, gone in segments])

    def plus(self, documents: Sequence[Document]) -> "Snapshot":
        """The same with further documents, which are kept nowhere."""
        if not documents:
            return self
        draft = Draft()
        for document in documents:
            draft.add(document)
        further = (Stored(draft.arrays()), frozenset[int]())
        return Snapshot(replace(self.generation, segments=(*self.generation.segments, further)))

    def text(self, file: str) -> str:
        """The text of a document as it was read, empty if there is none of that name."""
        for segment, gone in self.generation.segments:
            number = segment.numbers.get(file)
            if number is not None and number not in gone:
                return segment.archive.text(number)
        return ""


NOTHING = Snapshot(Generation(0, "", (), ()))
"""Of a corpus without documents."""
