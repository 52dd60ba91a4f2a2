"""A segment: searchable passages of some documents, made once and never changed; it knows neither scores nor files."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from posixpath import splitext
from typing import TYPE_CHECKING

from app.documents.document import Document
from app.documents.passages import Passage
from app.documents.privacy import declared_private
from app.retrieval import expansion
from app.retrieval.expansion import parts
from app.retrieval.postings import Builder, Postings

if TYPE_CHECKING:
    from app.retrieval.postings import Array


class Segment:
    """Some passages and their postings, in memory."""

    def __init__(self, postings: Postings, documents: "Array", passages: Sequence[Passage] = ()):
        """`documents` holds for each passage the number of its document."""
        self.postings = postings
        self.documents = documents
        self._passages = passages

    @classmethod
    def of(cls, passages: Sequence[Passage], documents: Sequence[int] | None = None) -> "Segment":
        """Index passages; without `documents` each passage is a document of its own."""
        import numpy as np

        owners = np.arange(len(passages)) if documents is None else np.array(documents, np.int64)
        return Segment(Postings(arrays(add(Builder(), passages))), owners, passages)

    @property
    def size(self) -> int:
        """The number of passages."""
        return len(self.postings.lengths)

    @property
    def languages(self) -> Counter[str]:
        """The number of passages in each language, without deleted ones."""
        return Counter(passage.language for passage in self._passages)

    def passage(self, number: int) -> Passage:
        """Return the passage of this number."""
        return self._passages[number]

    def similar_terms(self, term: str, among: Container[str]) -> Iterable[tuple[str, float]]:
        """Return those of some terms that are most similar in spelling to a term, with their similarity."""
        return expansion.similar_terms(term, self.postings.terms, self.postings.arrays, among)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of the index without its text.

    `passages` is their number, `size` counts bytes, `silent` are the pages that hold no text, and documents of the same
    words have the same `digest`. One that says so at its top is `private`. `id` is the document's number where its text
    is kept.
    """

    id: int = field(compare=False)
    file: str
    title: str
    language: str
    pages: int
    passages: int
    size: int
    modified_ns: int
    digest: str
    silent: tuple[int, ...]
    private: bool

    @classmethod
    def of(cls, number: int, document: Document) -> "Entry":
        """Describe a document whose text is kept under a number."""
        words = " ".join(document.text.split()).encode("utf-8", "surrogatepass")
        digest = blake2b(words, digest_size=8).hexdigest()
        name = document.file, document.title, document.language
        counts = document.pages, len(document.passages), document.size, document.modified_ns
        return cls(number, *name, *counts, digest, document.silent, declared_private(document.text))


class DocumentSegment(Segment):
    """The passages of documents as one snapshot sees them: some may have been deleted since they were indexed."""

    def __init__(
        self,
        key: int,
        postings: Postings,
        indexed: Sequence[Entry],
        text: Callable[[Entry], str],
        passage: Callable[[Entry, int], Passage],
        gone: Container[int] = (),
    ):
        """Take all documents in the order of their passages, functions that fetch texts, and ids of deleted ones."""
        import numpy as np

        sizes = [entry.passages for entry in indexed]
        super().__init__(postings, np.repeat(np.arange(len(indexed)), sizes))
        self.key, self.indexed, self.text, self.passage_of = key, indexed, text, passage
        self.entries = {entry.file: entry for entry in indexed if entry.id not in gone}
        """The documents that are still there, by their files."""
        self.alive: Array | None = None
        """For each passage whether its document is still there; None if all are."""
        if len(self.entries) < len(indexed):
            self.alive = np.repeat([entry.id not in gone for entry in indexed], sizes)

    @classmethod
    def in_memory(cls, documents: Sequence[Document]) -> "DocumentSegment":
        """Index documents that are kept nowhere else."""
        builder = Builder()
        for document in documents:
            add(builder, document.passages)
        return cls(
            0,
            Postings(arrays(builder)),
            [Entry.of(number, document) for number, document in enumerate(documents)],
            text=lambda entry: documents[entry.id].text,
            passage=lambda entry, number: documents[entry.id].passages[number],
        )

    def within(self, inside: Callable[[str], bool]) -> "DocumentSegment":
        """Return the segment with no other documents than those whose files are inside."""
        kept = {entry.id for entry in self.entries.values() if inside(entry.file)}
        gone = {entry.id for entry in self.indexed} - kept
        return DocumentSegment(self.key, self.postings, self.indexed, self.text, self.passage_of, gone)

    @property
    def languages(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for entry in self.entries.values():
            counts[entry.language] += entry.passages
        return +counts

    def passage(self, number: int) -> Passage:
        document = self.documents[number]
        first = int(self.documents.searchsorted(document))
        return self.passage_of(self.indexed[document], number - first)


def add(builder: Builder, passages: Sequence[Passage]) -> Builder:
    """Add passages to postings in the making, and return these."""
    for passage in passages:
        builder.add(passage.text, above(passage), passage.language)
    return builder


def above(passage: Passage) -> str:
    """Return what stands above a passage and says what it is about: path of the file, title, heading and sheet."""
    path, _ = splitext(passage.file)
    names = " ".join(parts(path))
    place = passage.place
    heading = place.label if place.kind == "heading" else place.heading
    sheet, _, _ = place.label.rpartition("!") if place.kind == "sheet" else ("", "", "")
    return f"{path} {names} {passage.title} {heading} {sheet}"


def arrays(builder: Builder) -> dict[str, "Array"]:
    """Return the arrays of a segment: postings, and the n-grams of their terms."""
    postings = builder.arrays()
    return {**postings, **expansion.gram_index(Postings(postings).terms)}
