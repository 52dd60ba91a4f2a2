"""What counts as a word, and how words become the terms that are indexed and searched."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from app.documents.language import MARKS, SNOWBALL, SPACELESS
from app.documents.readers import SUFFIXES

_RUN = re.compile(rf"[\w{MARKS}{SPACELESS}]+")
_WORD = re.compile(rf"[{SPACELESS}]+|(?:(?![{SPACELESS}])[\w{MARKS}])+")
_SPACELESS = re.compile(f"[{SPACELESS}]")

BREAKS = ".!?…:;。！？\n"
"""What ends a sentence, or a part of one that stands alone; roughly, for nothing but a rank depends on it."""

_END = rf"[{BREAKS}](?:(?<=[\n。！？])|(?=[\"'”’»)\]]*\s))"
_BREAK = re.compile(_END)
_ASCII_WORD = re.compile(rf"\w{{2,}}|\d|{_END}")
_LETTERED_WORD = re.compile(rf"[\w{MARKS}]{{2,}}|\d|{_END}")
_DOTTED_I = "i\u0307"
"""What is left of a Turkish İ in lower case."""

_FEW_WORDS = 3
"""Questions of so few words hardly stand alone ("the price?", "in Germany?")."""


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a question as typed, the terms it is searched by, and whether it says what the question is about."""

    surface: str
    terms: tuple[str, ...]
    content: bool


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the words of a text are: letters, digits and underscores; a single letter is none, a single digit is.

    A run of a script without spaces counts as one word.
    """
    for run in _RUN.finditer(text):
        parts = (run,) if run.group().isascii() else _WORD.finditer(text, *run.span())
        for start, end in (part.span() for part in parts):
            if end - start > 1 or text[start].isdigit() or _SPACELESS.match(text, start):
                yield start, end


def terms(text: str, language: str) -> list[str]:
    """The terms of a document's text: stems of its words; characters and pairs of them where a script has no spaces."""
    return stems([word for word in tokens(text) if word[0] not in BREAKS], language)


def tokens(text: str) -> list[str]:
    """The words of a text without differences of case, and a word that begins with one of `BREAKS` after a sentence.

    Of scripts without spaces the characters and pairs of them.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    folded = text.replace("\xa0", " ").casefold().replace(_DOTTED_I, "i")
    if unicodedata.is_normalized("NFKC", folded) and not _SPACELESS.search(folded):
        return _LETTERED_WORD.findall(folded)  # the same words as below, sooner
    found: list[str] = []
    before = 0
    for start, end in word_spans(text):
        found.extend(_BREAK.findall(text, before, start))
        before = end
        word = normalize(text[start:end])
        if _SPACELESS.match(word):
            found.extend(word)
            found.extend(_pairs(word))
        else:
            found.append(word)
    return found


def stems(found: list[str], language: str) -> list[str]:
    """The words without their endings, in a language that there are rules for; as they are in others."""
    return stemmer(language)(found)


def stemmer(language: str) -> Callable[[list[str]], list[str]]:
    """The function `stems` in one language, for one thread: Snowball's stemmers are not safe to share."""
    import Stemmer

    name = SNOWBALL.get(language)
    if name not in Stemmer.algorithms():
        return list
    known = Stemmer.Stemmer(name, 0)
    # Some words are nothing but an ending.
    return lambda found: [stem or word for stem, word in zip(known.stemWords(found), found, strict=True)]


def query_words(question: str, languages: Sequence[str]) -> list[QueryWord]:
    """The words of a question, to be searched in documents of these languages, the most frequent one first."""
    spans = list(word_spans(question))
    normals = [normalize(question[start:end]) for start, end in spans]
    function = _lists()[_language_of(normals, languages)].function
    shouted = question.isupper()
    distinct = list(dict.fromkeys(normals))
    stemmed = [dict(zip(distinct, stems(distinct, language), strict=True)) for language in languages]
    found = []
    for (start, end), word in zip(spans, normals, strict=True):
        surface = question[start:end]
        if _SPACELESS.match(word):
            pairs = list(dict.fromkeys(_pairs(word))) if len(word) > 1 else [word]
            telling = tuple(pair for pair in pairs if pair not in function)
            found.append(QueryWord(surface, telling or tuple(pairs), bool(telling)))
            continue
        acronym = surface.isupper() and not shouted  # IT, WHO, US
        ending = question[start - 1 : start] == "." and f".{word}" in SUFFIXES  # of the name of a file
        forms = dict.fromkeys(stem_of[word] for stem_of in stemmed)
        found.append(QueryWord(surface, tuple(forms) or (word,), not ending and (acronym or word not in function)))
    return found


def foreign_language(question: str, languages: Sequence[str]) -> str | None:
    """The language of a question if it is beyond doubt and none of these."""
    language = _language_of([normalize(question[start:end]) for start, end in word_spans(question)], languages)
    return language if languages and language not in languages else None


def refers_back(question: str, languages: Sequence[str]) -> bool:
    """Whether a question looks as if it went on from an earlier one.

    It does if it is very short, begins like the rest of a sentence ("and"), or has a word for what was named before.
    """
    normals = [normalize(question[start:end]) for start, end in word_spans(question)]
    if len(normals) <= _FEW_WORDS:
        return True
    lists = _lists()[_language_of(normals, languages)]
    return normals[0] in lists.opening or not lists.pointing.isdisjoint(normals)


def normalize(word: str) -> str:
    """The word without differences of case, width or composition."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", word.casefold()).replace(_DOTTED_I, "i")


def _pairs(word: str) -> Iterator[str]:
    return (word[at : at + 2] for at in range(len(word) - 1))


@dataclass(frozen=True, slots=True)
class _Lists:
    """Words that say nothing about a topic; those of them that carry on when they open a question, or point back."""

    function: frozenset[str]
    opening: frozenset[str] = frozenset()
    pointing: frozenset[str] = frozenset()


@cache
def _lists() -> defaultdict[str, _Lists]:
    data = json.loads(resources.files("app.retrieval").joinpath("stopwords.json").read_text(encoding="utf-8"))
    lists = defaultdict(lambda: _Lists(frozenset()))
    for code, kinds in data.items():
        sets = {kind: frozenset(map(normalize, text.split())) for kind, text in kinds.items()}
        lists[code] = _Lists(frozenset().union(*sets.values()), sets["opening"], sets["pointing"])
    return lists


def _language_of(normals: list[str], languages: Sequence[str]) -> str:
    """The language of a question by its function words; one that no document is in has to be beyond doubt.

    A question is too short for the statistics that tell the language of a document.
    """
    lists = _lists()
    parts = {part for word in normals for part in (_pairs(word) if _SPACELESS.match(word) else (word,))}

    def known(code: str) -> int:
        return len(lists[code].function & parts) if code in lists else 0

    best = max(languages, key=known, default="en")
    other = max(lists, key=known)
    return other if known(other) > max(1, known(best)) else best
