"""Query expansion: terms that are spelled like a given one, and words that a typing error was meant to be.

Compounds, derived words and typing errors have stems of their own: "Versicherung" and "Versicherungsvertrag". The
similarity of two terms is the cosine of their sets of character 5-grams, with the ends of the term marked. On seven
collections in five languages this gains 0.008 of nDCG@10, as much as an index of the passages' own 5-grams, at a tenth
of its size (docs/retrieval-evaluation.md).
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.retrieval.analysis import UNSPACED, stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

GRAM = 5
MIN_SIMILARITY = 0.2

MAX_SIMILAR = 16
"""Similar terms that a term is expanded by, the most similar ones; from 8 to 64 nothing changes."""

VARIANT = 0.2
"""What an occurrence of a similar term counts, times the similarity, where one of the term itself counts 1."""

MIN_STEM = 5
"""Letters of a stem below which too many correctly spelled words of other topics are one error away from it.

Of the words of XQuAD that the sample documents lack, 8 % are taken for others with this limit, 15 % without.
"""

MAX_WORD = 30
"""Letters of a word above which nobody typed it."""

CACHED = 10_000
"""Terms whose look-up is cached, because they come again in the next question."""

Variants = tuple[tuple[str, float], ...]
"""Index terms that match a term of a question, and what an occurrence of each counts."""

_WIDTH = 32
"""Characters of a term that are compared."""

_END = "_"

_RARE = 1 / 2000
"""Share of a vocabulary's letters below which a letter belongs to foreign words."""


def gram_index(terms: Sequence[str]) -> dict[str, "Array"]:
    """Index the 5-grams of a vocabulary: for each 5-gram the terms that contain it, and each term's number of 5-grams.

    The arrays become part of a segment.
    """
    import numpy as np

    hashes, owners = _grams(terms)
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = (np.diff(hashes, prepend=hashes[:1]) != 0) | (np.diff(owners, prepend=-1) != 0)
    hashes, owners = hashes[new], owners[new]
    first = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] + 1)) if len(hashes) else np.zeros(0, np.int64)
    return {
        "grams": hashes[first],
        "gram_starts": np.append(first, len(hashes)).astype(np.int64),
        "gram_terms": owners.astype(np.int32),
        "gram_sizes": np.bincount(owners, minlength=len(terms)).astype(np.uint8),
    }


def similar_terms(term: str, terms: Sequence[str], index: Mapping[str, "Array"]) -> Iterator[tuple[str, float]]:
    """Yield other terms of a vocabulary with their similarity, best first; `index` is the vocabulary's gram index."""
    import numpy as np

    own = np.unique(_grams([term])[0])
    first, last = (index["gram_starts"][np.searchsorted(index["grams"], own, side)] for side in ("left", "right"))
    lists = [index["gram_terms"][begin:end] for begin, end in zip(first.tolist(), last.tolist(), strict=True)]
    others, shared = np.unique(np.concatenate([np.zeros(0, np.int32), *lists]), return_counts=True)
    similarity = shared / np.sqrt(len(own) * index["gram_sizes"][others].astype(float))
    near = np.flatnonzero(similarity >= MIN_SIMILARITY)
    for number in near[np.argsort(-similarity[near], kind="stable")[: MAX_SIMILAR + 1]].tolist():
        if (other := terms[others[number]]) != term:
            yield other, float(similarity[number])


def alphabet(terms: Sequence[str]) -> str:
    """Return the letters that the terms consist of, the most frequent first."""
    counts = Counter(letter for letter in "".join(terms) if letter.isalpha())
    return "".join(letter for letter, count in counts.most_common() if count >= _RARE * counts.total())


def correct_spelling(word: str, languages: Iterable[str], letters: str, known: Container[str]) -> tuple[str, ...]:
    """Return the known stems of words that are one deletion, insertion, substitution or transposition away from a word.

    The word is edited, not its stem, which would miss errors in its ending. With one typing error in each question
    nDCG@10 on seven collections is 0.779, and 0.742 without this (docs/retrieval-evaluation.md).
    """
    if len(word) > MAX_WORD or not word.isalpha() or UNSPACED.search(word):
        return ()
    edits = list(dict.fromkeys(_edits(word, letters)))
    candidates = (stem for language in languages for stem in stems(edits, language))
    return tuple(dict.fromkeys(stem for stem in candidates if len(stem) >= MIN_STEM and stem in known))


def _edits(word: str, letters: str) -> Iterator[str]:
    """Yield all words one error away, by the four kinds of error of Damerau (Communications of the ACM 7, 1964).

    The first letter may be transposed with the second, but is never replaced: that would gain 0.001 of nDCG@10 with
    typing errors, and take 10 instead of 8 % of the words of other topics for known ones.
    """
    for at in range(1, len(word) + 1):
        left, right = word[:at], word[at:]
        if right:
            yield left[:-1] + right[0] + left[-1] + right[1:]
            yield left + right[1:]
            yield from (left + letter + right[1:] for letter in letters if letter != right[0])
        yield from (left + letter + right for letter in letters)


def _grams(terms: Sequence[str]) -> tuple["Array", "Array"]:
    """Hash the 5-grams of terms and return the hashes with the number of each one's term.

    Numbers have no 5-grams; a term that is shorter than 5 characters with its marks is one gram.
    """
    import numpy as np

    numbers = np.array([number for number, term in enumerate(terms) if not term.isdecimal()], np.int64)
    marked = [f"{_END}{terms[number][: _WIDTH - 2]}{_END}" for number in numbers.tolist()]
    letters = np.array(marked, dtype=f"U{_WIDTH}").view(np.uint32).reshape(len(marked), _WIDTH).astype(np.uint64)
    sizes = np.array([len(term) for term in marked], dtype=np.int64)
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for start in range(_WIDTH - GRAM + 1):
        long = np.flatnonzero(sizes >= start + GRAM) if start else np.arange(len(marked))
        mixed = np.zeros(len(long), np.uint64)
        for column in range(start, start + GRAM):
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + letters[long, column]
        hashes.append(mixed)
        owners.append(numbers[long])
    return np.concatenate(hashes), np.concatenate(owners)
