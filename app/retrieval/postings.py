"""Postings: which terms stand where in a run of passages, as flat arrays; they know no document and no score.

    terms       the vocabulary, sorted, in UTF-8, joined by line ends
    starts      for each term, where its postings begin; one more than terms
    passages    a posting: the number of the passage
    kinds       a posting: which pair of frequency and length it is
    frequency   of a kind: how often the term stands in the passage
    length      of a kind: how many terms the passage holds
    lengths     of a passage
    tokens      the numbers of the terms of all passages in reading order, -1 where a sentence ends, and after each
                passage those of what stands above it
    begins      for each passage, where its tokens begin; one more than passages

What a term adds to a passage's score depends on frequency, length and figures of the whole corpus, and there are few
pairs of frequency and length (some thousands in 100,000 passages). A table of them is made when the corpus has changed;
the postings never are.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from app.retrieval.analysis import BREAKS, stemmer, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = Mapping[str, Array]


BREAK = -1
"""Stands in the tokens where a sentence ends."""

_MANY = 1 << 24
"""Up to here a table of all pairs of frequency and length is faster than sorting those that occur."""


class Builder:
    """Takes passages one by one and keeps nothing of them but numbers: four bytes for a word."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}
        self._words: dict[str, _Words] = {}
        self._tokens = array("i")
        self._begins = array("q", [0])

    def __len__(self) -> int:
        """The number of words so far."""
        return len(self._tokens)

    def add(self, text: str, above: str, language: str) -> None:
        """One passage and what stands above it, of which each term counts once."""
        known = self._words.get(language)
        if known is None:
            known = self._words[language] = _Words(language, self._terms)
        self._tokens.extend(map(known.__getitem__, tokens(text)))
        self._tokens.append(BREAK)
        self._tokens.extend(dict.fromkeys(map(known.__getitem__, tokens(above))))
        self._begins.append(len(self._tokens))

    def add_terms(self, terms: Iterable[str]) -> None:
        """One passage of ready terms."""
        self._tokens.extend(self._terms.setdefault(term, len(self._terms)) for term in terms)
        self._begins.append(len(self._tokens))

    def add_postings(self, other: "Postings", keep: "Array") -> None:
        """The passages of other postings that are to be kept, `keep` being a truth value for each."""
        import numpy as np

        sizes = np.diff(other.begins)
        tokens = other.tokens[np.repeat(keep, sizes)]
        there = np.zeros(len(other.terms) + 1, bool)  # one more, where -1 leads
        there[tokens] = True
        used = np.flatnonzero(there[:-1])  # what only stands in the other passages is forgotten
        numbers = np.full(len(there), BREAK, np.int32)
        numbers[used] = [self._terms.setdefault(other.terms[number], len(self._terms)) for number in used.tolist()]
        begins = len(self._tokens) + np.cumsum(sizes[keep])
        self._tokens.frombytes(numbers[tokens].tobytes())
        self._begins.frombytes(begins.astype(np.int64).tobytes())

    def arrays(self) -> dict[str, "Array"]:
        """What was added, turned round: for each term its passages."""
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
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        frequency = np.diff(first, append=len(keys))
        keys = keys[first]
        passages = (keys % max(1, size)).astype(np.int32)
        starts = np.zeros(len(terms) + 1, np.int64)
        np.cumsum(np.bincount(keys // max(1, size), minlength=len(terms)), out=starts[1:])
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
    """Reads the arrays that a builder made."""

    def __init__(self, arrays: "Arrays"):
        arrays = {name: _lasting(array) for name, array in arrays.items()}
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
        """The postings of a term: passages, ascending, and kinds."""
        first, last = self.starts[number], self.starts[number + 1]
        return self.passages[first:last], self.kinds[first:last]


class _Words(dict[str, int]):
    """The numbers of the terms of words in one language; a word is stemmed when it is first met."""

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


def _lasting(array: "Array") -> "Array":
    """The array, not to be written to, whether it lies in a file or in memory: numba tells these apart."""
    view = array.view()
    view.flags.writeable = False
    return view


def _kinds(frequency: "Array", length: "Array") -> tuple["Array", Sequence["Array"]]:
    """For each posting the number of its pair of frequency and length, and these pairs."""
    import numpy as np

    width = int(length.max(initial=0)) + 1
    codes = frequency.astype(np.int64) * width + length
    if codes.max(initial=0) < _MANY:
        there = np.zeros(codes.max(initial=0) + 1, bool)
        there[codes] = True
        pairs, kinds = np.flatnonzero(there), (np.cumsum(there) - 1)[codes]
    else:  # a passage of very many words
        pairs, kinds = np.unique(codes, return_inverse=True)
    small = np.uint16 if len(pairs) <= np.iinfo(np.uint16).max else np.int32
    return kinds.astype(small), ((pairs // width).astype(np.int32), (pairs % width).astype(np.int32))
