"""A segment: some documents with their passages and postings, made once and never changed."""

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING, Any, Protocol

from app.documents.document import Document
from app.documents.passages import Passage, Place
from app.retrieval import arrays as files
from app.retrieval import expansion
from app.retrieval.postings import Builder, Postings

if TYPE_CHECKING:
    from app.retrieval.postings import Array, Arrays

_OPEN = 16
"""Texts of documents that are kept decoded."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of the index without its text.

    `passages` is their number, `size` counts bytes, `silent` are the pages that hold no text, and documents of the same
    words have the same `digest`.
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


class Keeper:
    """Takes documents one by one, and keeps their texts as bytes."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._texts: list[bytes] = []
        self._places: dict[Place, int] = {}
        self._passages: list[tuple[int, int, int]] = []

    def add(self, document: Document) -> None:
        """A document and all its passages."""
        self.add_stored(_entry(document), document.text.encode("utf-8", "surrogatepass"), document.passages)

    def add_stored(self, entry: Entry, text: bytes, passages: Iterable[Passage]) -> None:
        """The same from another archive."""
        self._entries.append(entry)
        self._texts.append(text)
        for passage in passages:
            place = self._places.setdefault(passage.place, len(self._places))
            self._passages.append((passage.start, passage.end, place))

    def arrays(self) -> dict[str, "Array"]:
        """What was added, as parts of a segment."""
        import numpy as np

        spans = np.array(self._passages, np.int64).reshape(-1, 3)
        counts = [entry.passages for entry in self._entries]
        return {
            "entries": _blob([astuple(entry) for entry in self._entries]),
            "places": _blob([astuple(place) for place in self._places]),
            "texts": np.frombuffer(b"".join(self._texts), np.uint8),
            "text_starts": np.cumsum([0, *map(len, self._texts)], dtype=np.int64),
            "document_starts": np.cumsum([0, *counts], dtype=np.int64),
            "passage_starts": spans[:, 0].copy(),
            "passage_ends": spans[:, 1].copy(),
            "passage_places": spans[:, 2].astype(np.int32),
        }


class Archive:
    """Reads the arrays that a keeper made; any thread may use it."""

    def __init__(self, arrays: "Arrays"):
        self._arrays = arrays
        self.entries: Sequence[Entry] = [_stored(values) for values in _value(arrays["entries"])]
        self._places = [Place(*values) for values in _value(arrays["places"])]
        self._texts: OrderedDict[int, str] = OrderedDict()

    def languages(self, alive: "Array | None") -> Mapping[str, int]:
        """The languages of the passages that are still there, and how many are in each."""
        import numpy as np

        counts: Counter[str] = Counter()
        there = np.bincount(self.owners if alive is None else self.owners[alive], minlength=len(self.entries))
        for entry, passages in zip(self.entries, there.tolist(), strict=True):
            counts[entry.language] += passages
        return +counts

    @cached_property
    def owners(self) -> "Array":
        """For each passage the number of its document."""
        import numpy as np

        return np.repeat(np.arange(len(self.entries)), [entry.passages for entry in self.entries])

    def document_of(self, passage: int) -> int:
        """The number of the document that a passage belongs to."""
        return int(self.owners[passage])

    def numbers(self, document: int) -> range:
        """The numbers of the passages of a document."""
        starts = self._arrays["document_starts"]
        return range(int(starts[document]), int(starts[document + 1]))

    def passage(self, number: int) -> Passage:
        """A passage with its text."""
        document = self.document_of(number)
        entry, text = self.entries[document], self.text(document)
        start, end = int(self._arrays["passage_starts"][number]), int(self._arrays["passage_ends"][number])
        place = self._places[self._arrays["passage_places"][number]]
        return Passage(entry.file, start, end, text[start:end], place, entry.title, entry.language)

    def text(self, document: int) -> str:
        """The reader's text of a document."""
        text = self._texts.get(document)
        if text is None:
            text = self._texts[document] = self.stored(document).decode("utf-8", "surrogatepass")
            if len(self._texts) > _OPEN:
                self._texts.popitem(last=False)
        return text

    def stored(self, document: int) -> bytes:
        """The same as it is stored."""
        first, last = self._arrays["text_starts"][document : document + 2]
        return self._arrays["texts"][first:last].tobytes()


def _entry(document: Document) -> Entry:
    return Entry(
        document.file,
        document.title,
        document.language,
        document.pages,
        len(document.passages),
        document.size,
        document.modified_ns,
        document.silent,
        blake2b(" ".join(document.text.split()).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
    )


def _stored(values: list[Any]) -> Entry:
    values[-2] = tuple(values[-2])
    return Entry(*values)


def _blob(value: Any) -> "Array":
    import numpy as np

    return np.frombuffer(json.dumps(value).encode("ascii"), np.uint8)


def _value(array: "Array") -> Any:
    return json.loads(array.tobytes())


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
        self.similar_terms = lru_cache(expansion.CACHED)(self._similar_terms)

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

    def _similar_terms(self, term: str) -> expansion.Variants:
        """Return the terms most similar to one, which itself need not occur, with their similarity."""
        return tuple(islice(expansion.similar_terms(term, self.postings.terms, self._arrays), expansion.MAX_SIMILAR))


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
    heading = passage.place.label if passage.place.kind == "heading" else passage.place.heading
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
    return {**arrays, **expansion.gram_index(Postings(arrays).terms)}
