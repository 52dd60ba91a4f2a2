"""What a message asks for if it asks nothing of the documents' text: a greeting, the app itself, the corpus, a summary,
or the last answer in other words; it knows only its words.

A message is taken for one of these if it consists of such phrases from its beginning to its end, so that a question
which only begins or ends like one ("Thanks to whom …", "What is in the first-aid kit?") stays a question.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from app.answering.lexicon import phrases
from app.documents.readers import SUFFIXES

Kind = Literal["greets", "app", "overview", "instructs", "summary"]

LONGEST = 160
"""Characters of a message beyond which it is always a question."""

OTHERS = ("alone", "filler", "docs", "tongue")
"""Kinds of phrases besides those: what means the app only where nothing was said before, and parts of other phrases."""

_SHORT = 4
"""Letters below which a word is looked for in no vocabulary."""

_NOT_WORD = re.compile(r"[\W_]+")
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})
_SPELT_OUT = re.compile(r"(?<=[aou])e")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message asks for, and the language of its phrase; `names` are what it may call the document to be summed
    up, empty ones if it points to it ("this file").
    """

    kind: Kind
    language: str
    names: tuple[str, ...] = ()


def intent(message: str, languages: Sequence[str] = (), *, goes_on: bool = False) -> Intent | None:
    """What a message asks for; None for a question.

    Of languages in which it means the same the one comes first that stands first in `languages`. Only what `goes_on`
    from an answer can be an instruction about it.
    """
    if len(message) > LONGEST:
        return None
    said = folded(message)
    known = sorted(phrases("greets"), key=lambda code: languages.index(code) if code in languages else len(languages))
    spellings = tuple(dict.fromkeys((said, _SPELT_OUT.sub("", said))))
    kinds: list[Kind | Literal["alone"]] = ["greets", "overview", "app", "instructs" if goes_on else "alone"]
    for kind in kinds:
        if code := next((code for code in known if any(_is(kind, code, each) for each in spellings)), None):
            return Intent("app" if kind == "alone" else kind, code)
    names = {name: code for code in reversed(known) for name in _summed_up(said, code)}
    return Intent("summary", min(names.values(), key=known.index), tuple(names)) if names else None


def folded(text: str) -> str:
    """The words of a text without case, accents and punctuation, one blank between them."""
    text = text.casefold()
    if not text.isascii():
        letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
        text = "".join(each for each in letters if not unicodedata.combining(each))
    return _NOT_WORD.sub(" ", text).strip()


def pointing(words: str) -> bool:
    """Whether these folded words only point to a document, in any language."""
    return any(_pattern(code, "this").fullmatch(words) for code in phrases("this"))


def _is(kind: Kind | Literal["alone"], code: str, said: str) -> bool:
    """Whether a message is made of phrases of the kind, and words between them that ask for nothing."""
    if not all(len(word) < _SHORT or _begins(word, _vocabulary(code)) for word in said.split()):
        return False  # sooner than to compile the phrases of a language that the message is not in
    if kind == "overview":
        said = _pattern(code, "docs").sub("docs", said)
    elif kind == "instructs":
        said = _pattern(code, "tongue").sub("tongue", said)
    # Not one expression of both: where a word is of either it would try all ways to divide the message.
    phrase, filler = _pattern(code, kind), _pattern(code, "filler" if kind == "greets" else "around")
    words = said.split()
    reached = {0: False}  # how many words are accounted for, and whether a phrase of the kind is among them
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1) if start in reached else ():
            unit = " ".join(words[start:end])
            if (asks := bool(phrase.fullmatch(unit))) or filler.fullmatch(unit):
                reached[end] = reached.get(end, False) or reached[start] or asks
    return reached.get(len(words), False)


def _summed_up(said: str, code: str) -> list[str]:
    """What the message calls the document to be summed up, empty if it only points to it."""
    filler = _pattern(code, "filler")
    while (first := filler.match(said)) and first.end() < len(said):
        said = said[first.end() :].lstrip()
    found = _pattern(code, "summary").fullmatch(said)
    names = (_unfilled(name, code) for name in found.groups() if name) if found else ()
    return ["" if pointing(name) else name for name in names]


def _unfilled(name: str, code: str) -> str:
    """A name without words behind it that ask for nothing ("please")."""
    ends = [filler.start() for filler in _pattern(code, "filler").finditer(name) if filler.end() == len(name)]
    return _unfilled(name[: ends[0]].rstrip(), code) if ends and ends[0] else name


@functools.cache
def _vocabulary(code: str) -> frozenset[str]:
    """The words of all phrases in a language, or their beginnings."""
    every = (phrase for kind in get_args(Kind) + OTHERS for phrase in phrases(kind).get(code, ()))
    words = {word for phrase in every for word in re.findall(r"[a-z]+\??", phrase)}
    return frozenset({word.rstrip("?") for word in words} | {word[:-2] for word in words if word.endswith("?")})


def _begins(word: str, vocabulary: frozenset[str]) -> bool:
    return any(word[:end] in vocabulary for end in range(_SHORT - 1, len(word) + 1))


def _any(code: str, kind: str) -> str:
    """All phrases of a kind in a language; {docs} and {tongue} stand for other kinds, put down as their names."""
    if kind == "around":
        return f"{_any(code, 'filler')}|{_any(code, 'greets')}"
    joined = "|".join(phrases(kind).get(code, ())) or "(?!)"
    joined = joined.replace("{docs}", "docs").replace("{suffix}", "|".join(filter(None, map(folded, SUFFIXES))))
    return joined.replace("{tongue}", "tongue" if kind == "instructs" else "|".join(phrases("tongue").get(code, ())))


@functools.cache
def _pattern(code: str, kind: str) -> re.Pattern[str]:
    phrase = _any(code, kind)
    return re.compile(phrase if kind == "summary" else rf"\b(?:{phrase})\b")
