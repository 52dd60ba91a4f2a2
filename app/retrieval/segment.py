"""A segment: searchable passages of some documents, made once and never changed; it knows neither scores nor files.

Its postings, the passages of each term, are flat arrays:

    terms       the vocabulary, sorted, in UTF-8, joined by line ends
    starts      for each term, where its postings begin; one more than terms
    passages    of a posting: the number of the passage
    kinds       of a posting: the number of its pair of frequency and length
    frequency   of a pair: how often the term occurs in the passage
    length      of a pair: how many terms the passage holds
    lengths     of a passage: how many terms it holds
    tokens      the numbers of the terms of all passages in reading order, -1 where a sentence ends, and after each
                passage those of its file name, title and heading
    begins      for each passage, where its tokens begin; one more than passages

What a term adds to the score of a passage depends on frequency, length and figures of the whole corpus. There are few
pairs of frequency and length (some thousands in 100,000 passages), so a table of them is computed when the corpus has
changed, and the postings stay as they are.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import count
from posixpath import splitext
from typing import TYPE_CHECKING, Any, Protocol

from app.documents.document import Document, declared_private
from app.documents.passages import Passage
from app.retrieval.analysis import BREAKS, stemmer, tokens
from app.retrieval.expansion import gram_index, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = Mapping[str, Array]

BREAK = -1
"""The token where a sentence ends."""

_MANY = 1 << 24
"""Pairs of frequency and length up to which a table of all is faster than sorting those that occur."""


class Builder:
    """Collects passages as numbers, four bytes for a word, and inverts them at the end."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}
        self._words: dict[str, _Words] = {}
        self._tokens = array("i")
        self._begins = array("q", [0])

    def __len__(self) -> int:
        """The number of passages so far."""
        return len(self._begins) - 1

    def add(self, text: str, above: str, language: str) -> None:
        """Add a passage, and the text above it, of which each term counts once."""
        known = self._words.get(language)
        if known is None:
            known = self._words[language] = _Words(language, self._terms)
        self._tokens.extend(map(known.__getitem__, tokens(text)))
        self._tokens.append(BREAK)
        self._tokens.extend(dict.fromkeys(map(known.__getitem__, tokens(above))))
        self._begins.append(len(self._tokens))

    def add_tokens(self, terms: Sequence[str], passages: Sequence["Array"]) -> None:
        """Add passages by the tokens of each, which are numbers of `terms`."""
        import numpy as np

        sizes = [len(each) for each in passages]
        tokens = np.concatenate([np.zeros(0, np.int32), *passages])
        there = np.zeros(len(terms) + 1, bool)  # one more, where -1 leads
        there[tokens] = True
        used = np.flatnonzero(there[:-1])  # terms of other passages are dropped
        numbers = np.full(len(there), BREAK, np.int32)
        numbers[used] = [self._terms.setdefault(terms[number], len(self._terms)) for number in used.tolist()]
        begins = len(self._tokens) + np.cumsum(sizes)
        self._tokens.frombytes(numbers[tokens].tobytes())
        self._begins.frombytes(begins.astype(np.int64).tobytes())

    def arrays(self) -> dict[str, "Array"]:
        """Invert what was added: for each term its passages."""
        import numpy as np

        terms = sorted(self._terms)
        order = np.full(len(terms) + 1, BREAK, np.int32)
        order[[self._terms[term] for term in terms]] = np.arange(len(terms))
        numbers = order[np.frombuffer(self._tokens, np.int32)]
        begins = np.frombuffer(self._begins, np.int64)
        size = len(begins) - 1
        owners = np.repeat(np.arange(size), np.diff(begins))
        words = numbers != BREAK
        owners = owners[words]
        lengths = np.bincount(owners, minlength=size).astype(np.int32)
        keys = numbers[words].astype(np.int64) * max(1, size) + owners
        keys, frequency = np.unique(keys, return_counts=True)
        passages = (keys % max(1, size)).astype(np.int32)
        starts = keys.searchsorted(np.arange(len(terms) + 1) * max(1, size))
        kinds, pairs = _kinds(frequency, lengths[passages])
        return {
            "terms": np.frombuffer("\n".join(terms).encode("utf-8", "surrogatepass"), np.uint8),
            "starts": starts,
            "passages": passages,
            "kinds": kinds,
            "frequency": pairs[0],
            "length": pairs[1],
            "lengths": lengths,
            "tokens": numbers,
            "begins": begins,
        }


class Postings:
    """The postings of some passages, read from the arrays that a builder made; they may hold further arrays."""

    flat = True
    """Whether all postings are in memory, one list after the other."""

    def __init__(self, arrays: "Arrays"):
        for each in arrays.values():
            each.flags.writeable = False  # numba compiles for such arrays alone
        self.arrays = arrays
        self.starts, self.passages, self.kinds = arrays["starts"], arrays["passages"], arrays["kinds"]
        self.frequency, self.length, self.lengths = arrays["frequency"], arrays["length"], arrays["lengths"]
        self.tokens, self.begins = arrays["tokens"], arrays["begins"]

    @cached_property
    def terms(self) -> list[str]:
        """The vocabulary, sorted."""
        text = self.arrays["terms"].tobytes().decode("utf-8", "surrogatepass")
        return text.split("\n") if text else []

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each term."""
        return dict(zip(self.terms, count()))

    def of(self, number: int) -> tuple["Array", "Array"]:
        """Return the passages of a term, ascending, and the kinds of its postings."""
        first, last = self.starts[number], self.starts[number + 1]
        return self.passages[first:last], self.kinds[first:last]

    def counts(self, alive: "Array | None") -> "Array":
        """Return for each term how many passages contain it, of those that are `alive`, of all if that is None."""
        import numpy as np

        if alive is None or not len(self.passages):
            return np.diff(self.starts)
        counts: Array = np.add.reduceat(alive[self.passages].astype(np.int64), self.starts[:-1])
        return counts

    def tokens_of(self, passages: Sequence[int]) -> list["Array"]:
        """Return the tokens of some passages."""
        return [self.tokens[self.begins[passage] : self.begins[passage + 1]] for passage in passages]

    def of_passages(self, passages: Sequence[int]) -> list[list[str]]:
        """Return the terms of some passages, of each in reading order, then those above it."""
        every = self.tokens_of(passages)
        return [[self.terms[token] for token in tokens.tolist() if token != BREAK] for tokens in every]


class _Words(dict[str, int]):
    """Maps words of one language to the numbers of their terms; a word is stemmed when it first occurs."""

    def __init__(self, language: str, terms: dict[str, int]):
        super().__init__()
        self._stem = stemmer(language)
        self._terms = terms

    def __missing__(self, word: str) -> int:
        if word[0] in BREAKS:
            return BREAK
        stem = self._stem([word])[0]
        number = self[word] = self._terms.setdefault(stem, len(self._terms))
        return number


def _kinds(frequency: "Array", length: "Array") -> tuple["Array", Sequence["Array"]]:
    """Return for each posting the number of its pair of frequency and length, and these pairs."""
    import numpy as np

    width = int(length.max(initial=0)) + 1
    codes = frequency.astype(np.int64) * width + length
    if np.max(codes, initial=0) < _MANY:
        there = np.bincount(codes) > 0
        pairs, kinds = np.flatnonzero(there), (np.cumsum(there) - 1)[codes]
    else:  # a passage of very many words
        pairs, kinds = np.unique(codes, return_inverse=True)
    small = np.uint16 if len(pairs) <= np.iinfo(np.uint16).max else np.int32
    return kinds.astype(small), ((pairs // width).astype(np.int32), (pairs % width).astype(np.int32))


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


class Texts(Protocol):
    """Fetches what is too much to be kept of each document."""

    def text(self, entry: Entry) -> str: ...
    def passage(self, entry: Entry, number: int) -> Passage: ...


class _InMemory:
    """The texts of documents that are kept nowhere else; the id of an entry is the number of its document."""

    def __init__(self, documents: Sequence[Document]):
        self._documents = documents

    def text(self, entry: Entry) -> str:
        return self._documents[entry.id].text

    def passage(self, entry: Entry, number: int) -> Passage:
        return self._documents[entry.id].passages[number]


class DocumentSegment(Segment):
    """The passages of documents as one snapshot sees them: some may have been deleted since they were indexed."""

    def __init__(self, key: int, postings: Postings, indexed: Sequence[Entry], texts: Texts, gone: Container[int] = ()):
        """Take all documents in the order of their passages, what fetches their texts, and ids of deleted ones."""
        import numpy as np

        sizes = [entry.passages for entry in indexed]
        super().__init__(postings, np.repeat(np.arange(len(indexed)), sizes))
        self.key, self.indexed, self.texts = key, indexed, texts
        self.entries = {entry.file: entry for entry in indexed if entry.id not in gone}
        """The documents that are still there, by their files."""
        self.alive: Array | None = None
        """For each passage whether its document is still there; None if all are."""
        if len(self.entries) < len(indexed):
            self.alive = np.repeat([entry.id not in gone for entry in indexed], sizes)

    @classmethod
    def in_memory(cls, documents: Sequence[Document]) -> "DocumentSegment":
        """Index documents that are kept nowhere else."""
        builder = add(Builder(), [passage for document in documents for passage in document.passages])
        entries = [Entry.of(number, document) for number, document in enumerate(documents)]
        return cls(0, Postings(arrays(builder)), entries, _InMemory(documents))

    def within(self, inside: Callable[[str], bool]) -> "DocumentSegment":
        """Return the segment with no other documents than those whose files are inside."""
        kept = {entry.id for entry in self.entries.values() if inside(entry.file)}
        gone = {entry.id for entry in self.indexed} - kept
        return DocumentSegment(self.key, self.postings, self.indexed, self.texts, gone)

    @property
    def languages(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for entry in self.entries.values():
            counts[entry.language] += entry.passages
        return +counts

    def passage(self, number: int) -> Passage:
        document = self.documents[number]
        first = int(self.documents.searchsorted(document))
        return self.texts.passage(self.indexed[document], number - first)


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
    return {**postings, **gram_index(Postings(postings).terms)}
