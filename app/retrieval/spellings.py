"""Spellings: index terms that are a word of a question written otherwise.

"Jose" is José, "Mueller" Müller, "44" 0044, "AB 1002" AB1002, "retry" a part of NH_RETRY_LIMIT, and the "Abrechnung der
Reisekosten" a Reisekostenabrechnung. Nothing of this is indexed; the vocabulary is looked through once.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise

from app.retrieval.analysis import QueryWord, normalize, stems

_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_CONSONANTS = str.maketrans({"c": "k", "q": "k", "w": "v", "z": "s", **dict.fromkeys("aeiouyhj")})
_DOUBLE = re.compile(r"(.)\1+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_PIECE = re.compile(r"[^\W_]+")
_BOUNDARY = re.compile(r"_+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])")

LINKS = ("", "s", "es", "n", "en", "e", "er")
"""What joins the words of a compound in the languages below; elsewhere nothing does ("data base")."""

COMPOUNDING = {"de", "nl", "da", "no", "sv"}

_HEAD = "haupt"
"""The beginning of some longer word."""

SHORTEST = 4
"""Letters of a part of a compound."""

MANY = 100
"""Words of a question that may be parts of others; bounds the time that a long text takes."""

PIECES = 4
"""Parts of a number that is written apart."""


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

    def __init__(self, terms: Sequence[str], languages: Sequence[str], known: Callable[[str], bool]):
        self._languages = languages or ("",)
        self._known = known
        self._terms = terms
        self._links = LINKS if COMPOUNDING.intersection(languages) else LINKS[:1]
        self._same: defaultdict[str, list[str]] = defaultdict(list)
        self._inside: defaultdict[str, list[str]] = defaultdict(list)
        for term in terms:
            if term.isascii() and "0" not in term and "_" not in term:
                continue
            for form in plain_forms(term) - {term}:
                self._same[form].append(term)
            if "_" in term:
                for stem in {stem for forms in self._stems(parts(term)) for stem in forms}:
                    self._inside[stem].append(term)

    def same(self, term: str) -> set[str]:
        """Return the known terms that differ from one by accents and leading zeros only."""
        forms = plain_forms(term)
        return {*filter(self._known, forms), *(other for form in {term, *forms} for other in self._same.get(form, ()))}

    def inside(self, word: QueryWord) -> set[str]:
        """Return the identifiers that a word is a part of."""
        keys = (normalize(word.surface), *word.terms)
        return {term for key in keys for term in self._inside.get(key, ())}

    def cognates(self, terms: Sequence[str]) -> tuple[str, ...]:
        """Return the terms with the consonants of one of these: "Kantine" and canteen, "Adresse" and address."""
        keys = {key for key in map(_consonants, terms) if len(key) >= SHORTEST}
        return tuple(term for key in sorted(keys) for term in self._by_consonants.get(key, ()))

    @cached_property
    def _by_consonants(self) -> Mapping[str, list[str]]:
        result = defaultdict(list)
        for term in self._terms:
            result[_consonants(term)].append(term)
        return result

    def together(self, question: str, words: Sequence[QueryWord]) -> Iterator[tuple[str, tuple[QueryWord, ...]]]:
        """Yield known terms that are some words of a question in one, with these words."""
        runs: dict[str, tuple[QueryWord, ...]] = {}
        pieces = list(islice(_PIECE.finditer(question), MANY))
        for first in range(len(pieces)):
            for last in range(first + 1, min(first + PIECES, len(pieces))):
                if pieces[last].start() - pieces[last - 1].end() > 1:
                    break
                named = [piece.group() for piece in pieces[first : last + 1]]
                runs[normalize("".join(named))] = tuple(word for word in words if word.surface in named)
        for run, forms in zip(runs, self._stems(list(runs)), strict=True):
            known = self.same(run) if any(map(str.isdecimal, run)) else filter(self._known, forms)
            yield from ((term, runs[run]) for term in known)
        # As the end of a longer word a word may have another stem.
        longer = self._stems([_HEAD + normalize(word.surface) for word in words])
        tails = [
            {*word.terms, *(stem.removeprefix(_HEAD) for stem in forms)}
            for word, forms in zip(words, longer, strict=True)
        ]
        for one, two in pairwise(range(len(words))):
            for left, right in ((one, two), (two, one)):
                compounds = self._compounds(words[left], tails[right])
                yield from ((term, (words[left], words[right])) for term in compounds)

    def apart(self, word: str) -> list[str]:
        """Return the words that an unknown word consists of: parts of a number or name, or of a compound."""
        if len(pieces := parts(word)) > 1:
            return [piece for piece in pieces if len(piece) > 1]
        for end in range(len(word) - SHORTEST, SHORTEST - 1, -1):
            left, right = word[:end], word[end:]
            if self._is_known(right):
                for link in self._links:
                    head = left.removesuffix(link)
                    if left.endswith(link) and len(head) >= SHORTEST and self._is_known(head):
                        return [head, right]
        return []

    def _compounds(self, left: QueryWord, tails: set[str]) -> set[str]:
        normal = normalize(left.surface)
        heads = {normal, *plain_forms(normal), *left.terms}
        if min(map(len, (*heads, *tails))) < SHORTEST:
            return set()
        joined = {f"{head}{link}{tail}" for head in heads for link in self._links for tail in tails}
        return set(filter(self._known, joined))

    def _is_known(self, word: str) -> bool:
        return any(map(self._known, self._stems([normalize(word)])[0]))

    def _stems(self, words: list[str]) -> list[tuple[str, ...]]:
        """Return for each word its stem in each language."""
        return list(zip(*(stems(words, language) for language in self._languages), strict=True))


def _consonants(term: str) -> str:
    """Return the consonants of a word of letters, those alike that European languages write differently."""
    if not term.isalpha():
        return ""
    plain = min(plain_forms(term)).replace("ph", "f").replace("ck", "k").translate(_CONSONANTS)
    return _DOUBLE.sub(r"\1", plain)


def _base(letter: str) -> str:
    """Return a Latin letter without its accents."""
    base = unicodedata.normalize("NFD", letter)[0]
    return base if base.isascii() else letter
