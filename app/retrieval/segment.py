"""A segment: some documents with their passages and postings, made once and never changed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING, Protocol

from app.documents.document import Document
from app.documents.passages import Passage
from app.retrieval import arrays as files
from app.retrieval import expansion
from app.retrieval.archive import Archive, Keeper
from app.retrieval.postings import Builder, Postings
from app.retrieval.scoring import REMEMBERED, Counting

if TYPE_CHECKING:
    from app.retrieval.postings import Array, Arrays


class Passages(Protocol):
    """Where a segment has its passages from."""

    def languages(self, alive: "Array | None") -> Mapping[str, int]:
        """The languages of the passages that are still there, and how many are in each."""
        ...

    def passage(self, number: int) -> Passage:
        """The passage of this number."""
        ...


class Segment:
    """The postings of some passages, and the passages."""

    def __init__(self, arrays: "Arrays", passages: Passages, documents: "Array"):
        """`documents` tells for each passage the number of its document."""
        self.postings = Postings(arrays)
        self.passages = passages
        self.documents = documents
        self._arrays = arrays
        self.kindred = lru_cache(REMEMBERED)(self._alike)

    @classmethod
    def of(cls, passages: Sequence[Passage], documents: Sequence[int] | None = None) -> "Segment":
        """A segment in memory; without `documents` each passage is one by itself."""
        import numpy as np

        builder = Builder()
        for passage in passages:
            builder.add(passage.text, above(passage), passage.language)
        owners = np.arange(len(passages)) if documents is None else np.array(documents, np.int64)
        return cls(_finished(builder), Listed(passages), owners)

    @property
    def size(self) -> int:
        """The number of passages."""
        return len(self.postings.lengths)

    def _alike(self, term: str) -> Counting:
        """The terms most alike to a term, which need not itself be there, and how alike they are."""
        return tuple(islice(expansion.kindred(term, self.postings.terms, self._arrays), expansion.MOST))


class Stored(Segment):
    """A segment with its documents, as it lies in the file of a name or, without one, in memory."""

    def __init__(self, arrays: "Arrays", name: str = ""):
        self.archive = Archive(arrays)
        super().__init__(arrays, self.archive, self.archive.owners)
        self.name = name

    @classmethod
    def opened(cls, path: Path) -> "Stored":
        """That of a file; raises DamagedIndex, and FileNotFoundError if it is gone."""
        return cls(files.read(path), path.name)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each document by its file."""
        return {entry.file: number for number, entry in enumerate(self.archive.entries)}

    def alive(self, gone: Iterable[int]) -> "Array":
        """For each passage whether its document is still there."""
        import numpy as np

        there = np.ones(self.size, bool)
        for document in gone:
            numbers = self.archive.numbers(document)
            there[numbers.start : numbers.stop] = False
        return there


class Draft:
    """A segment in the making, from documents as they are read or from other segments."""

    def __init__(self) -> None:
        self._builder = Builder()
        self._keeper = Keeper()

    @property
    def words(self) -> int:
        """How much it holds."""
        return len(self._builder)

    def add(self, document: Document) -> None:
        """A document that was read."""
        for passage in document.passages:
            self._builder.add(passage.text, above(passage), passage.language)
        self._keeper.add(document)

    def take(self, segment: Stored, gone: set[int]) -> None:
        """What another segment holds, without the documents that are gone."""
        archive = segment.archive
        self._builder.add_postings(segment.postings, segment.alive(gone))
        for number, entry in enumerate(archive.entries):
            if number not in gone:
                passages = (archive.passage(passage) for passage in archive.numbers(number))
                self._keeper.add_stored(entry, archive.stored(number), passages)

    def arrays(self) -> "Arrays":
        """All that it holds."""
        return {**_finished(self._builder), **self._keeper.arrays()}


def above(passage: Passage) -> str:
    """What stands above a passage and says what it is about: the path of its file, the title and the heading."""
    path, _ = splitext(passage.file)
    heading = passage.place.label if passage.place.kind == "heading" else ""
    return f"{path} {passage.title} {heading}"


class Listed:
    """Passages in memory."""

    def __init__(self, passages: Sequence[Passage]):
        self.passage = passages.__getitem__
        self._languages = Counter(passage.language for passage in passages)

    def languages(self, alive: "Array | None") -> Mapping[str, int]:
        return self._languages


def _finished(builder: Builder) -> dict[str, "Array"]:
    arrays = builder.arrays()
    return {**arrays, **expansion.arrays(Postings(arrays).terms)}
