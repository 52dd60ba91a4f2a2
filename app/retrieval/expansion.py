"""Kindred terms: those of a vocabulary that share much of their spelling with a given one.

Compounds, derived words and typing errors have stems of their own: "Versicherung" and "Versicherungsvertrag". Two terms
are as alike as the cosine of their sets of character 5-grams, the ends of the term marked. On seven collections in five
languages this is worth 0.008 of nDCG@10, as much as an index of the passages' own 5-grams, at a tenth of its size
(docs/retrieval-evaluation.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

GRAM = 5
LEAST = 0.2
"""Terms that are less alike are strangers."""

MOST = 16
"""Kindred terms that one term has, the most alike ones; from 8 to 64 nothing changes."""

_WIDTH = 32
"""Characters of a term that are looked at."""

_END = "_"


def arrays(terms: Sequence[str]) -> dict[str, "Array"]:
    """For each 5-gram the terms that hold it, and how many different ones each term has; parts of a segment."""
    import numpy as np

    hashes, owners = _grams(terms)
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    hashes, owners = hashes[new], owners[new]
    first = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] + 1)) if len(hashes) else np.zeros(0, np.int64)
    return {
        "grams": hashes[first],
        "gram_starts": np.append(first, len(hashes)).astype(np.int64),
        "gram_terms": owners.astype(np.int32),
        "gram_sizes": np.bincount(owners, minlength=len(terms)).astype(np.uint8),
    }


def kindred(term: str, terms: Sequence[str], index: Mapping[str, "Array"]) -> Iterator[tuple[str, float]]:
    """Other terms and how alike they are, the most alike first; `index` is what `arrays` made of the terms."""
    import numpy as np

    own = np.unique(_grams([term])[0])
    at = np.searchsorted(index["grams"], own)
    there = at < len(index["grams"])
    there[there] = index["grams"][at[there]] == own[there]
    starts = index["gram_starts"]
    lists = [index["gram_terms"][starts[gram] : starts[gram + 1]] for gram in at[there]]
    if not lists:
        return
    found, shared = np.unique(np.concatenate(lists), return_counts=True)
    alike = shared / np.sqrt(len(own) * index["gram_sizes"][found].astype(float))
    near = np.flatnonzero(alike >= LEAST)
    for number in near[np.argsort(-alike[near], kind="stable")[: MOST + 1]].tolist():
        if (other := terms[found[number]]) != term:
            yield other, float(alike[number])


def _grams(terms: Sequence[str]) -> tuple["Array", "Array"]:
    """Hashes of the 5-grams of terms that hold a letter, and the numbers of the terms; shorter terms are one gram."""
    import numpy as np

    numbers = [number for number, term in enumerate(terms) if not term.isdecimal()]
    marked = [f"{_END}{terms[number][: _WIDTH - 2]}{_END}" for number in numbers]
    letters = np.array(marked, dtype=f"U{_WIDTH}").view(np.uint32).reshape(len(marked), _WIDTH).astype(np.uint64)
    sizes = np.array([len(term) for term in marked], dtype=np.int64)
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for start in range(_WIDTH - GRAM + 1):
        holds = np.flatnonzero(sizes >= start + GRAM) if start else np.arange(len(marked))
        mixed = np.zeros(len(holds), np.uint64)
        for column in range(start, start + GRAM):
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + letters[holds, column]
        hashes.append(mixed)
        owners.append(np.array(numbers, dtype=np.int64)[holds])
    return np.concatenate(hashes), np.concatenate(owners)
