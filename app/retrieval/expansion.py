"""Query expansion: other spellings of a word, terms that are spelled like it, and what a typing error was meant to be.

Compounds, derived words and typing errors have stems of their own: "Versicherung" and "Versicherungsvertrag". The
similarity of two terms is the cosine of their sets of character 5-grams, with the ends of the term marked. On seven
collections in five languages this gains 0.008 of nDCG@10, as much as an index of the passages' own 5-grams, at a tenth
of its size (docs/retrieval-evaluation.md).

Other spellings: "Jose" is José, "Mueller" Müller, "44" 0044, "AB 1002" AB1002, "retry" a part of NH_RETRY_LIMIT, the
"Abrechnung der Reisekosten" a Reisekostenabrechnung. Nothing of this is indexed; the vocabulary is looked through once.
"""

import re
import sys
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from app.retrieval.analysis import UNSPACED, QueryWord, normalize, stems

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

CACHED = 1_000
"""Terms whose look-up is cached, because they come again in the next question."""

Variants = tuple[tuple[str, float], ...]
"""Index terms that match a term of a question, and what an occurrence of each counts."""

_WIDTH = 32
"""Characters of a term that are compared."""

_END = "_"

_RARE = 1 / 2000
"""Share of a vocabulary's letters below which a letter belongs to foreign words."""


_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_CONSONANTS = str.maketrans({"c": "k", "q": "k", "w": "v", "z": "s", **dict.fromkeys("aeiouyhj")})
_DOUBLE = re.compile(r"(.)\1+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_GAP = re.compile(r"[\W_]")
_BOUNDARY = re.compile(r"_+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])")

LINKS = ("", "s", "es", "n", "en", "e", "er")
"""What joins the words of a compound in the languages below; elsewhere nothing does ("data base")."""

COMPOUNDING = {"de", "nl", "da", "no", "sv"}

_HEAD = "haupt"
"""The beginning of some longer word."""

SHORTEST = 4
"""Letters of a part of a compound."""

OPENING = 5
"""Letters that a stem has in common with its word."""

MANY = 100
"""Words of a question that may be parts of others; bounds the time that a long text takes."""

PIECES = 4
"""Parts of a number that is written apart."""


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


def similar_terms(
    term: str, terms: Sequence[str], index: Mapping[str, "Array"], among: Container[str] | None = None
) -> Iterator[tuple[str, float]]:
    """Return up to MAX_SIMILAR other terms of a vocabulary with their similarity, best first.

    `index` is the vocabulary's gram index; `among` are the terms that count, by default all.
    """
    import numpy as np

    own = np.unique(_grams([term])[0])
    first, last = (index["gram_starts"][np.searchsorted(index["grams"], own, side)] for side in ("left", "right"))
    lists = [index["gram_terms"][begin:end] for begin, end in zip(first.tolist(), last.tolist(), strict=True)]
    others, shared = np.unique(np.concatenate([np.zeros(0, np.int32), *lists]), return_counts=True)
    similarity = shared / np.sqrt(len(own) * index["gram_sizes"][others].astype(float))
    near = np.flatnonzero(similarity >= MIN_SIMILARITY)
    near = near[np.argsort(-similarity[near], kind="stable")]
    found = zip((terms[number] for number in others[near].tolist()), similarity[near].tolist(), strict=True)
    counting = ((other, value) for other, value in found if other != term and (among is None or other in among))
    return islice(counting, MAX_SIMILAR)


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
    sizes = np.array([max(GRAM, len(term)) for term in marked], np.int64)
    width = int(np.max(sizes, initial=GRAM))
    letters = np.array(marked, f"U{width}").view(np.uint32).reshape(len(marked), width)
    starts = np.arange(width - GRAM + 1)
    hashes = np.zeros((len(marked), len(starts)), np.uint64)
    for column in range(GRAM):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += letters[:, starts + column]
    whole = starts <= sizes[:, None] - GRAM
    return hashes[whole], numbers[np.nonzero(whole)[0]]


def plain_forms(term: str) -> set[str]:
    """Return a term without underscores, leading zeros and accents, in both ways that umlauts are written without."""
    bare = _ZEROS.sub("", term.replace("_", ""))
    if bare.isascii():
        return {bare}
    return {"".join(map(_base, each.translate(_LETTERS))) for each in (bare, bare.translate(_DIGRAPHS))}


def parts(word: str) -> list[str]:
    """Return the parts of an identifier or a part number: of snake_case, of camelCase, letters and digits."""
    return [part for part in _BOUNDARY.split(word) if part]


class Spellings:
    """The vocabulary of an index by other spellings of its terms."""

    def __init__(self, vocabulary: Collection[str], languages: Sequence[str], known: Callable[[str], bool]):
        """Take all terms, the languages, and a function that returns whether a term of these is still in a passage."""
        self._languages = languages or ("",)
        self.terms = sorted(vocabulary)
        self._is_known: Callable[[str], bool] = lambda term: term in vocabulary and known(term)
        self._links = LINKS if COMPOUNDING.intersection(languages) else LINKS[:1]
        self._same: defaultdict[str, list[str]] = defaultdict(list)
        self._inside: defaultdict[str, list[str]] = defaultdict(list)
        self._openings = {term[:OPENING] for term in self.terms}
        self._beginning = lru_cache(CACHED)(self._begin)
        self._ending = lru_cache(CACHED)(self._end)
        self._cognates: defaultdict[str, list[str]] = defaultdict(list)
        for term in self.terms:
            if len(languages) > 1:
                self._cognates[_consonants(term)].append(term)
            if term.isascii() and "0" not in term and "_" not in term:
                continue
            for form in plain_forms(term) - {term}:
                self._same[form].append(term)
            if "_" in term:
                for stem in self._stems(parts(term)):
                    self._inside[stem].append(term)

    def same(self, terms: Iterable[str]) -> set[str]:
        """Return the known terms that differ from one of these by accents and leading zeros only."""
        forms = {form for term in terms for form in (term, *plain_forms(term))}
        others = {other for form in forms for other in self._same.get(form, ())}
        return self._known(forms | others)

    def inside(self, terms: Iterable[str]) -> set[str]:
        """Return the identifiers that one of these is a part of."""
        return self._known({other for term in terms for other in self._inside.get(term, ())})

    def related(self, terms: Iterable[str]) -> set[str]:
        """Return the known stems of these stems, or else the terms in other languages with the same consonants.

        "søsteren" has the stem "søster", and "søster" the stem "søst"; "Kantine" is canteen.
        """
        shorter = (stem for stem in self._stems(list(terms)) if len(stem) >= SHORTEST)
        keys = filter(None, map(_consonants, terms))
        return self._known(shorter) or self._known(other for key in keys for other in self._cognates.get(key, ()))

    def together(self, question: str, words: Sequence[QueryWord]) -> Iterator[tuple[str, Sequence[QueryWord]]]:
        """Yield known terms that are some words of a question in one, with these words."""
        runs: dict[str, list[str]] = {}
        pieces = _GAP.split(normalize(question), MANY)[:MANY]
        for first in range(len(pieces)):
            for last in range(first + 2, min(first + PIECES, len(pieces)) + 1):
                named = pieces[first:last]
                if "" in named:  # more than one character is between two of them
                    break
                run = "".join(named)
                if run[:OPENING] in self._openings or not (run.isascii() and run.isalpha()):
                    runs[run] = named
        found = [(term, run) for run in runs if not run.isalpha() for term in self.same([run])]
        for language in self._languages:
            stemmed = zip(stems(list(runs), language), runs, strict=True)
            found += [(stem, run) for stem, run in stemmed if self._is_known(stem)]
        for term, run in found:
            yield term, [word for word in words if normalize(word.surface) in runs[run]]
        for one, two in (*pairwise(words), *zip(words, words[2:], strict=False)):
            for left, right in ((one, two), (two, one)):
                beginning = self._beginning(left.surface, left.terms)
                shared = beginning.keys() & self._ending(right.surface, right.terms)
                for term in filter(self._is_known, {term for rest in shared for term in beginning[rest]}):
                    yield term, (left, right)

    def apart(self, word: str) -> list[str]:
        """Return the words that an unknown word consists of: parts of a number or name, or of a compound."""
        if len(pieces := parts(word)) > 1:
            return [piece for piece in pieces if len(piece) > 1]
        for end in range(len(word) - SHORTEST, SHORTEST - 1, -1):
            left, right = normalize(word[:end]), normalize(word[end:])
            if self._known(self._stems([right])):
                for link in self._links:
                    head = left.removesuffix(link)
                    if left.endswith(link) and len(head) >= SHORTEST and self._known(self._stems([head])):
                        return [head, right]
        return []

    def _begin(self, surface: str, terms: tuple[str, ...]) -> Mapping[str, list[str]]:
        """Return all terms that begin with a word, by what follows it in each."""
        normal = normalize(surface)
        heads = {normal, *plain_forms(normal), *terms}
        longer = defaultdict(list)
        for head in heads if min(map(len, heads)) >= SHORTEST else ():
            first, last = bisect_right(self.terms, head), bisect_left(self.terms, f"{head}{chr(sys.maxunicode)}")
            for term in self.terms[first:last]:
                longer[term.removeprefix(head)].append(term)
        return longer

    def _end(self, surface: str, terms: tuple[str, ...]) -> set[str]:
        """Return all that may follow the beginning of a term which ends with a word."""
        longer = self._stems([_HEAD + normalize(surface)])  # as the end of a longer word a word may have another stem
        tails = {*terms, *(stem.removeprefix(_HEAD) for stem in longer)}
        links = self._links if min(map(len, tails)) >= SHORTEST else ()
        return {link + tail for link in links for tail in tails}

    def _known(self, terms: Iterable[str]) -> set[str]:
        return set(filter(self._is_known, terms))

    def _stems(self, words: list[str]) -> set[str]:
        """Return the stems of words in each language."""
        return {stem for language in self._languages for stem in stems(words, language)}


def _consonants(term: str) -> str:
    """Return the consonants of a word, those alike that European languages write differently; empty if they are few."""
    plain = min(plain_forms(term)).replace("ph", "f").replace("ck", "k").translate(_CONSONANTS)
    consonants = _DOUBLE.sub(r"\1", plain)
    return consonants if term.isalpha() and len(consonants) >= SHORTEST else ""


def _base(letter: str) -> str:
    """Return a Latin letter without its accents."""
    base = unicodedata.normalize("NFD", letter)[0]
    return base if base.isascii() else letter
