"""Split texts into words, and turn words into the terms that are indexed and searched."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from app.documents.language import MARKS, SNOWBALL, SPACELESS
from app.documents.readers import SUFFIXES

_RUN = re.compile(rf"[\w{MARKS}{SPACELESS}]+")
_WORD = re.compile(rf"[{SPACELESS}]+|(?:(?![{SPACELESS}])[\w{MARKS}])+")
UNSPACED = re.compile(f"[{SPACELESS}]")

BREAKS = ".!?…:;。！？\n"
"""Characters that end a sentence or clause; roughly, because only a rank depends on it."""

_END = rf"[{BREAKS}](?:(?<=[\n。！？])|(?=[\"'”’»)\]]*\s))"
_BREAK = re.compile(_END)
_ASCII_WORD = re.compile(rf"\w{{2,}}|\d|{_END}")
_LETTERED_WORD = re.compile(rf"[\w{MARKS}]{{2,}}|\d|{_END}")
_DOT = "\u0307"
_DOTTED_I = f"i{_DOT}"
"""A Turkish İ in lower case."""


class QueryWord(NamedTuple):
    """A word of a question as typed, the terms it is searched by, whether it is a content word, and its weight.

    `also` are index terms that are the word written otherwise, with what an occurrence of each counts.
    """

    surface: str
    terms: tuple[str, ...]
    content: bool = True
    weight: float = 1.0
    also: tuple[tuple[str, float], ...] = ()


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the words of a text: letters, digits and underscores; not single letters.

    A run of a script without spaces is one word.
    """
    for run in _RUN.finditer(text):
        parts = (run,) if run.group().isascii() else _WORD.finditer(text, *run.span())
        for start, end in (part.span() for part in parts):
            letters = end - start - (text[start + 1 : end] == _DOT)
            if letters > 1 or text[start].isdigit() or UNSPACED.match(text, start):
                yield start, end


def terms(text: str, language: str) -> list[str]:
    """Return the terms of a document's text: stems of words; characters and pairs of them in scripts without spaces."""
    return stems([word for word in tokens(text) if word[0] not in BREAKS], language)


def tokens(text: str) -> list[str]:
    """Return the normalized words of a text, and after each sentence a token that begins with one of `BREAKS`.

    Words of scripts without spaces become characters and pairs of characters.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    folded = text.replace("\xa0", " ").casefold().replace(_DOTTED_I, "i")
    if unicodedata.is_normalized("NFKC", folded) and not UNSPACED.search(folded):
        return _LETTERED_WORD.findall(folded)  # a shortcut to what follows
    result: list[str] = []
    end_before = 0
    for start, end in word_spans(text):
        result.extend(_BREAK.findall(text, end_before, start))
        end_before = end
        word = normalize(text[start:end])
        if UNSPACED.match(word):
            result.extend(word)
            result.extend(_pairs(word))
        else:
            result.append(word)
    return result


def stems(words: list[str], language: str) -> list[str]:
    """Return the words without their endings; unchanged in languages that Snowball has no rules for."""
    return stemmer(language)(words)


def stemmer(language: str) -> Callable[[list[str]], list[str]]:
    """Return a function that stems words of one language; not safe to share between threads."""
    import Stemmer

    name = SNOWBALL.get(language)
    if name not in Stemmer.algorithms():
        return list
    snowball = Stemmer.Stemmer(name, 0)
    # Some words consist of an ending alone.
    return lambda words: [stem or word for stem, word in zip(snowball.stemWords(words), words, strict=True)]


def query_words(question: str, languages: Sequence[str]) -> list[QueryWord]:
    """Return the words of a question to documents of these languages, given by frequency."""
    spans = list(word_spans(question))
    normals = [normalize(question[start:end]) for start, end in spans]
    function = _words(_language_of(normals, languages))
    shouted = question.isupper()
    stemmed = [stems(normals, language) for language in languages] or [normals]
    result = []
    for (start, end), word, *forms in zip(spans, normals, *stemmed, strict=True):
        surface = question[start:end]
        if UNSPACED.match(word):
            pairs = list(dict.fromkeys(_pairs(word))) if len(word) > 1 else [word]
            content = tuple(pair for pair in pairs if pair not in function)
            result.append(QueryWord(surface, content or tuple(pairs), bool(content)))
            continue
        acronym = surface.isupper() and not shouted  # IT, WHO, US
        suffix = question[start - 1 : start] == "." and f".{word}" in SUFFIXES  # of the name of a file
        result.append(QueryWord(surface, tuple(dict.fromkeys(forms)), not suffix and (acronym or word not in function)))
    return result


def foreign_language(question: str, languages: Sequence[str]) -> str | None:
    """Return the language of a question if it is beyond doubt and none of these, else None."""
    language = spoken(question, languages)
    return language if languages and language not in languages else None


def spoken(question: str, languages: Sequence[str]) -> str:
    """Return the language of a question to documents of these languages, given by frequency."""
    return _language_of([normalize(question[start:end]) for start, end in word_spans(question)], languages)


def function_words(text: str) -> dict[str, int]:
    """Count the distinct function words of each language in a text."""
    return _function_words([normalize(text[start:end]) for start, end in word_spans(text)])


def names_subject(words: Sequence[QueryWord]) -> bool:
    """Return whether one of the content words of a question says what it is about: "soup" does, "expensive" does not.

    Words of little meaning by themselves are known in any language, as a short question hardly shows its own.
    """
    return any(normalize(word.surface) not in _vague() for word in words)


def normalize(word: str) -> str:
    """Return a word without differences of case, width or composition."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", word.casefold()).replace(_DOTTED_I, "i")


def _pairs(word: str) -> Iterator[str]:
    return (word[at : at + 2] for at in range(len(word) - 1))


@cache
def _lists() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("app.retrieval").joinpath("stopwords.json").read_text(encoding="utf-8")
    lists: dict[str, dict[str, str]] = json.loads(text)
    return lists


@cache
def _words(language: str) -> frozenset[str]:
    """Return the function words of a language."""
    return frozenset(map(normalize, _lists().get(language, {}).get("function", "").split()))


@cache
def _vague() -> frozenset[str]:
    """Return the words that leave open what a question is about, of all languages."""
    return frozenset(normalize(word) for lists in _lists().values() for word in lists.get("vague", "").split())


def _language_of(normals: list[str], languages: Sequence[str]) -> str:
    """Return the language of a question by its function words; one that no document is in must be beyond doubt.

    A question is too short for the statistics that detect the language of a document.
    """
    known = _function_words(normals)
    best = max(languages, key=lambda code: known.get(code, 0), default="en")
    other = max(known, key=lambda code: known[code])
    return other if known[other] > max(1, known.get(best, 0)) else best


def _function_words(normals: list[str]) -> dict[str, int]:
    parts = {part for word in normals for part in (_pairs(word) if UNSPACED.match(word) else (word,))}
    return {code: len(_words(code) & parts) for code in _lists()}
