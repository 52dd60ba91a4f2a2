"""Features of a draft: how much of it the evidence lacks, where it breaks off, whether it repeats itself.

Knows no threshold and decides nothing; every function is pure and reads text alone.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from app.answering.lexicon import bare
from app.documents.language import SPACELESS, detect
from app.documents.sentences import sentences
from app.retrieval.analysis import terms
from app.retrieval.packing import Evidence

STRETCH = 500
"""Characters of a draft that are measured together: one invented paragraph spoils a good answer."""

STRETCH_WORDS = 40
"""Long words of a draft that are measured together, likewise."""

LONG = 5
"""Letters from which a word mostly carries meaning, in most languages that separate words by spaces."""

TOO_SHORT = 40
"""Characters below which only the names and numbers of a draft are compared."""

SHORT_OF_CUTTING = 8
"""Words below which a draft is never called cut off: short answers often lack a full stop."""

_NOT_WORD = re.compile(r"\W+")
_SPACELESS = re.compile(f"[{SPACELESS}]")
_NUMBER = re.compile(r"\d+(?:[.,'’/:\u00a0\u202f]\d+)*")
_WORD = re.compile(r"[^\W\d_]\w+")
_ITEM = re.compile(r"(?m)^\s*(?:[-*•+◦▪–]|\(?\d{1,3}[.)])\s")
_STOP = re.compile(r"[.!?…。！？।؟。][\"'”’»)\]*_`\s]*$")
_OPEN = re.compile(r"[,;(\[–—-]$")
_RULE = frozenset("-=_*|:.#~+ ")
_BULLET = " 0123456789.)-*+•◦▪–"


@dataclass(frozen=True, slots=True)
class Support:
    """How well the evidence supports a draft."""

    wording: float | None
    """Share of the wording, in the worst stretch, that the evidence lacks; None if it cannot be measured."""
    words: int
    """Number of words of the draft."""
    claims: int
    """Number of names, numbers and list items; with evidence, of names and numbers that it and the question lack."""


def support(question: str, evidence: Sequence[Evidence] | None, draft: str) -> Support:
    """Compare a draft with its evidence; None means that the evidence is unknown."""
    text = bare(draft)
    names, numbers = _names(text), _numbers(text)
    if evidence is None:
        return Support(None, 0, len(names) + len(numbers) + len(_ITEM.findall(text)))
    joined = " ".join(item.text for item in evidence)
    plain, source = _plain(text), _plain(joined)
    unknown_claims = len(numbers - _numbers(joined) - _numbers(question))
    if not evidence or foreign(text, plain.split(), source.split(), {item.language for item in evidence}):
        return Support(None, 0, unknown_claims)
    language = evidence[0].language
    source_stems = _stems(source, language)
    if unknown_stems := _stems(_plain(" ".join(names)), language) - source_stems:
        unknown_claims += len(unknown_stems - _stems(_plain(question), language))
    if len(text) < TOO_SHORT:
        return Support(
            unknown_claims / (len(names) + len(numbers)) if unknown_claims else None, len(plain.split()), unknown_claims
        )
    size = 2 if len(_SPACELESS.findall(plain)) > len(plain) / 3 else 4
    grams = {source[at : at + size] for at in range(len(source) - size + 1)}
    letters = [plain[at : at + size] not in grams for at in range(1, len(plain) - size)]
    long = " ".join(word for word in plain.split() if len(word) >= LONG)
    stems = [stem not in source_stems for stem in terms(long, language)]
    wording = (_worst(letters, STRETCH) + _worst(stems, STRETCH_WORDS)) / 2
    return Support(wording, len(plain.split()), unknown_claims)


def foreign(text: str, words: Sequence[str], source: Sequence[str], languages: set[str]) -> bool:
    """Whether a text with these words is in none of the languages of its source.

    It is not if the source has half of its short words, which recur in all texts of a language. Otherwise the language
    is detected; detection alone would take a short text for one in a neighbouring language.
    """
    short = {word for word in words if len(word) < LONG and word.isalpha()}
    return 2 * len(short.intersection(source)) < len(short) and detect(text) not in languages


def breaks_off(draft: str) -> bool:
    """Whether a draft ends in the middle of a sentence, as far as its text can tell.

    Lists, tables, code, headings, lines on their own and short answers may end without a full stop.
    """
    text = bare(draft)
    last = text.rsplit("\n", 1)[-1].strip()
    if len(text.split()) < SHORT_OF_CUTTING or _STOP.search(text) or text.count("```") or "|" in last:
        return False
    if last.startswith("#") or _ITEM.match(f"{last} "):
        return False
    end = text[-1_000:]
    before = end[: sentences(end)[-1][0]].rstrip()
    return bool(_OPEN.search(text) or _STOP.search(before))


def loops(text: str) -> bool:
    """Whether the end of a text repeats itself at least three times, over at least 60 characters."""
    tail = " ".join(text[-1_500:].split())
    end = tail[-20:]
    step = len(tail) - len(end) - tail.rfind(end, 0, len(tail) - 1)
    size = max(3 * step, 60)
    return size <= len(tail) and tail[-size:-step] == tail[step - size :] and not _RULE.issuperset(tail[-size:])


def repeats(draft: str) -> bool:
    """Whether a draft repeats itself: its end loops, or half of its sentences occur twice."""
    word_lists = [draft[start:end].lower().lstrip(_BULLET).split() for start, end in sentences(draft)]
    word_lists = [words for words in word_lists if len(words) > 3]
    return loops(draft) or (len(word_lists) > 3 and len(set(map(tuple, word_lists))) <= len(word_lists) / 2)


def _worst(missing: Sequence[bool], size: int) -> float:
    """Return the share of true values in the stretch of this size that has most of them."""
    if not missing:
        return 0.0
    size = min(size, len(missing))
    sums = list(accumulate(missing, initial=0))
    return max(map(int.__sub__, sums[size:], sums)) / size


def _stems(text: str, language: str) -> set[str]:
    """Return the stems of the words of a plain text."""
    return set(terms(" ".join(set(text.split())), language))


def _plain(text: str) -> str:
    """Return the words of a text in lower case, with one space before and after each."""
    return _NOT_WORD.sub(" ", f" {unicodedata.normalize('NFKC', text).casefold()} ")


def _names(text: str) -> set[str]:
    """Return the capitalised words that do not begin a sentence, a line or an item."""
    text = _ITEM.sub(lambda item: " " * len(item[0]), text)
    openings = {start for start, _ in sentences(text)}
    return {word[0] for word in _WORD.finditer(text) if word[0][0].isupper() and word.start() not in openings}


def _numbers(text: str) -> set[str]:
    """Return the numbers without marks between their digits; the numbers of a list do not count."""
    return {re.sub(r"\D", "", number) for number in _NUMBER.findall(_ITEM.sub("\n", text))}
