"""What a sentence claims that can be looked up: its numbers and its names."""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache

from app.retrieval.analysis import normalize

_ITEM = re.compile(r"(?m)^\s*(?:[-*•+◦▪–>]\s+)*(?:\(?\d{1,3}[.)]\s)?")
_NUMBER = re.compile(
    r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,'’/:-]\d+)*",
)
_THOUSANDS = re.compile(r"(\d{1,3}([.,'’ \u00a0\u202f])\d{3}(?:\2\d{3})*)(?:[.,](\d+))?")
_DECIMAL = re.compile(r"(\d+)[.,:](\d+)")
_WORD = re.compile(r"[^\W\d_][\w’'-]*")
_PART = re.compile(r"\w{2,}")
_BEFORE = 8
"""Characters before a word that tell whether it opens a sentence."""

_LABEL = re.compile(r"^\W*\*\*[^*\n]{1,80}?(?::\*\*|\*\*:)|(?m:^\w+:(?=\s))")
_OPENS = re.compile(r"(?:^|[!?:…]|\w{4}\.)[\s\"'“”„«»‚‘(\[*_]*$")

STEM = 5
"""Letters that a name shares with a word that it is derived from, or that is derived from it: Norway, Norwegian."""


@dataclass(frozen=True, slots=True)
class Name:
    """A capitalised word and its parts in their normal form."""

    text: str
    words: tuple[str, ...]

    def known(self, words: AbstractSet[str]) -> bool:
        """Whether its parts, or words that they may be derived from, are among these."""
        return all(
            word in words or word.removesuffix("s") in words or (len(word) > STEM and word[:STEM] in words)
            for word in self.words
        )


WRITTEN = {
    "en": "two three four five six seven eight nine ten eleven twelve",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "nl": "twee drie vier vijf zes zeven acht negen tien elf twaalf",
    "da": "to tre fire fem seks syv otte ni ti elleve tolv",
    "no": "to tre fire fem seks sju/syv åtte ni ti elleve tolv",
    "sv": "två tre fyra fem sex sju åtta nio tio elva tolv",
    "ro": "doi/două trei patru cinci șase șapte opt nouă zece unsprezece doisprezece/douăsprezece",
    "fr": "deux trois quatre cinq six sept huit neuf dix onze douze",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "it": "due tre quattro cinque sei sette otto nove dieci undici dodici",
}
"""The numbers that style guides have written as words, from two on: one is an article in most languages."""


def numbers(text: str) -> dict[str, str]:
    """The numbers of a text in one form, each with how it is written; those that number a list are none."""
    return {plain: match[0] for match in _NUMBER.finditer(_ITEM.sub("", text)) for plain in _plain(match)}


def written(words: Iterable[str], language: str) -> set[str]:
    """The numbers that words of a language stand for."""
    return {_written(language)[word] for word in words if word in _written(language)}


@cache
def _written(language: str) -> dict[str, str]:
    forms = enumerate(WRITTEN.get(language, "").split(), 2)
    return {form: str(number) for number, each in forms for form in each.split("/")}


def names(text: str) -> Iterator[Name]:
    """Capitalised words that open no sentence and are no label; an acronym of others is none."""
    text = _LABEL.sub("", _ITEM.sub("", text))
    found = [match for match in _WORD.finditer(text) if match[0][0].isupper()]
    initials = "".join(match[0][0] for match in found)
    for match in found:
        word, before = match[0], text[max(0, match.start() - _BEFORE) : match.start()]
        acronym = len(word) > 2 and word in initials
        if len(word) > 1 and not acronym and not _OPENS.search(before):
            yield Name(word, tuple(normalize(part) for part in _PART.findall(word)))


def _plain(match: re.Match[str]) -> list[str]:
    """1,234.50 and 1 234,5 alike; 9:30 and 09.30 alike; of dates and ranges the parts."""
    if thousands := _THOUSANDS.fullmatch(match[0]):
        parts = [[re.sub(r"\D", "", thousands[1]), thousands[3] or ""]]
    elif decimal := _DECIMAL.fullmatch(match[0]):
        parts = [[decimal[1], decimal[2]]]
    else:
        parts = [[part, ""] for part in re.findall(r"\d+", match[0])]
    return [".".join(filter(None, (whole.lstrip("0") or "0", rest.rstrip("0")))) for whole, rest in parts]
