"""A segment: searchable passages of some documents, made once and never changed; it knows neither scores nor files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from posixpath import splitext
from typing import TYPE_CHECKING, Protocol

from app.documents.document import Document
from app.documents.passages import Passage
from app.retrieval import expansion
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

        builder = Builder()
        for passage in passages:
            builder.add(passage.text, above(passage), passage.language)
        owners = np.arange(len(passages)) if documents is None else np.array(documents, np.int64)
        return Segment(Postings(arrays(builder)), owners, passages)

    @property
    def size(self) -> int:
        """The number of passages."""
        return len(self.postings.lengths)

    def passage(self, number: int) -> Passage:
        """Return the passage of this number."""
        return self._passages[number]

    def languages(self, alive: "Array | None") -> Mapping[str, int]:
        """Count the passages of each language; `alive` is false for deleted ones."""
        return Counter(passage.language for passage in self._passages)

    def similar_terms(self, term: str) -> expansion.Variants:
        """Return the terms most similar in spelling to a term, known or not, with their similarity."""
        postings = self.postings
        similar = expansion.similar_terms(term, postings.terms, postings.arrays)
        return tuple(islice(similar, expansion.MAX_SIMILAR))


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of the index without its text.

    `passages` is their number, `size` counts bytes, `silent` are the pages that hold no text, and documents of the same
    words have the same `digest`. `id` is the document's number where its text is kept.
    """

    file: str
    title: str
    language: str
    pages: int
    passages: int
    size: int
    modified_ns: int
    silent: tuple[int, ...]
    digest: str
    id: int = field(default=-1, compare=False)

    @classmethod
    def of(cls, document: Document) -> "Entry":
        """Describe a document."""
        words = " ".join(document.text.split()).encode("utf-8", "surrogatepass")
        return cls(
            document.file,
            document.title,
            document.language,
            document.pages,
            len(document.passages),
            document.size,
            document.modified_ns,
            document.silent,
            blake2b(words, digest_size=8).hexdigest(),
        )


class Texts(Protocol):
    """Where the texts of documents are kept."""

    def text(self, entry: Entry) -> str:
        """Return the text of a document."""
        ...

    def passage(self, entry: Entry, number: int) -> Passage:
        """Return a passage of a document by its number there."""
        ...


@dataclass(frozen=True, eq=False)
class Block:
    """What snapshots share of a segment: its postings, and its documents in the order of their passages."""

    key: int
    postings: Postings
    entries: tuple[Entry, ...]

    @cached_property
    def documents(self) -> "Array":
        """For each passage the number of its document."""
        import numpy as np

        return np.repeat(np.arange(len(self.entries)), np.diff(self.starts))

    @cached_property
    def starts(self) -> "Array":
        """For each document the number of its first passage; one more than documents."""
        import numpy as np

        return np.cumsum([0, *(entry.passages for entry in self.entries)], dtype=np.int64)

    def alive(self, gone: frozenset[int]) -> "Array":
        """For each passage whether its document is not among those that are gone, given by their ids."""
        import numpy as np

        return np.array([entry.id not in gone for entry in self.entries], bool)[self.documents]


class Stored(Segment):
    """A segment of documents as one snapshot sees it: with deleted ones, and the texts as they were then."""

    def __init__(self, block: Block, texts: Texts, gone: frozenset[int] = frozenset()):
        super().__init__(block.postings, block.documents)
        self.block, self.texts = block, texts
        self.alive = block.alive(gone) if gone else None
        self.entries = {entry.file: entry for entry in block.entries if entry.id not in gone}
        """The documents that are still there, by their files."""

    @classmethod
    def in_memory(cls, documents: Sequence[Document]) -> "Stored":
        """Index documents that are kept nowhere."""
        builder = Builder()
        for document in documents:
            add(builder, document)
        entries = tuple(replace(Entry.of(each), id=number) for number, each in enumerate(documents))
        return cls(Block(0, Postings(arrays(builder)), entries), _Memory(documents))

    def passage(self, number: int) -> Passage:
        document = int(self.documents[number])
        return self.texts.passage(self.block.entries[document], number - int(self.block.starts[document]))

    def languages(self, alive: "Array | None") -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for entry in self.entries.values():
            counts[entry.language] += entry.passages
        return +counts


class _Memory:
    """The texts of documents in memory, which are numbered in their order."""

    def __init__(self, documents: Sequence[Document]):
        self._documents = documents

    def text(self, entry: Entry) -> str:
        return self._documents[entry.id].text

    def passage(self, entry: Entry, number: int) -> Passage:
        return self._documents[entry.id].passages[number]


def add(builder: Builder, document: Document) -> None:
    """Add the passages of a document to postings in the making."""
    for passage in document.passages:
        builder.add(passage.text, above(passage), passage.language)


def above(passage: Passage) -> str:
    """Return what stands above a passage and says what it is about: path of the file, title and heading."""
    path, _ = splitext(passage.file)
    heading = passage.place.label if passage.place.kind == "heading" else passage.place.heading
    return f"{path} {passage.title} {heading}"


def arrays(builder: Builder) -> dict[str, "Array"]:
    """Return the arrays of a segment: postings, and the n-grams of their terms."""
    postings = builder.arrays()
    return {**postings, **expansion.gram_index(Postings(postings).terms)}
