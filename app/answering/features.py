"""Features of a draft: how much of it the evidence lacks, where it breaks off, whether it repeats itself.

Knows no threshold and decides nothing; every function is pure and reads text alone.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from app.answering.lexicon import MARK, bare
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

WINDOW = 4_000
"""Characters at the end of a text in which a loop is looked for."""

LEAST = 60
"""Characters that the equal rounds of a loop have at least."""

RULE = 1_000
"""Characters of dashes and the like from which they are no rule of a table."""

PADDING, EMPTY_LINES = 240, 40
"""Blanks, and line ends and rarer blanks, from which nothing more is to come: no answer among 4,744 has 20."""

FEW, MANY, WORDS = 5, 8, 6
"""Rounds, and words of a round, from which lines or sentences that differ in one number or word are a loop.

A week has seven days. Chosen on the drafts of two real small models, the 4,744 answers of the development set (they
find none beyond what repeats exactly) and half of Debian's documentation: of 1,859 files read as if they were answers,
1 has such lines, the log of a test.
"""

_NOT_WORD = re.compile(r"\W+")
_SPACELESS = re.compile(f"[{SPACELESS}]")
_NUMBER = re.compile(r"\d+(?:[.,'’/:\u00a0\u202f]\d+)*")
_WORD = re.compile(r"[^\W\d_]\w+")
_ITEM = re.compile(r"(?m)^\s*(?:[-*•+◦▪–]|\(?\d{1,3}[.)])\s")
_STOP = re.compile(r"[.!?…。！？।؟。][\"'”’»)\]*_`\s]*$")
_OPEN = re.compile(r"[,;(\[–—-]$")
_RULE = frozenset("-=_*|:.#~+ ")
_BULLET = " 0123456789.)-*+•◦▪–"
_BLANKS = (
    "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
_LEFT_OUT = "\0"
_UNIT_END = re.compile(r"[.!?…]+[\"'”’»)\]*_`]*(?=\s|\Z)|\n")
_ITEM_NUMBER = re.compile(r"[\s#>*•(\[-]*(?:\d{1,4}|\w+ \d{1,4}(?=\W+(?:\S+\s+){4}))[.):\]*–-]+(?:\s|\Z)")
_COUNTED = re.compile(r"\D*(\d{1,18})\D*")
_LOWER_CASE = re.compile(r"[^\W\d_A-Z]+(?:-[^\W\d_A-Z]+)*[.,:;]?")


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
    """Whether a text ends by going in circles: it repeats itself, counts on in one sentence, or has only blanks left.

    Only the last WINDOW characters are looked at, so that a look at a growing draft costs the same at any length.
    """
    return _second_round(text[-WINDOW:], in_code=_in_code(text)) is not None


def without_loop(text: str) -> str:
    """Cut a text that ends by going in circles behind the first round; return any other text unchanged."""
    while (end := _second_round(text, in_code=_in_code(text))) is not None:
        text = text[:end]
    return text


def repeats(draft: str) -> bool:
    """Whether a draft repeats itself: its end loops, or half of its sentences occur twice."""
    word_lists = [draft[start:end].lower().lstrip(_BULLET).split() for start, end in sentences(draft)]
    word_lists = [words for words in word_lists if len(words) > 3]
    return loops(draft) or (len(word_lists) > 3 and len(set(map(tuple, word_lists))) <= len(word_lists) / 2)


def _in_code(text: str) -> bool:
    return text.count("```") % 2 == 1


def _second_round(text: str, *, in_code: bool) -> int | None:
    """Return where the second round begins of the circles in which a text ends; None if it does not loop."""
    written = len(text.rstrip(_BLANKS))
    empty = text[written:]
    if len(empty) >= PADDING or len(empty) - sum(map(empty.count, " \t\r")) >= EMPTY_LINES:
        return written
    unmarked = MARK.sub(lambda mark: _LEFT_OUT * len(mark[0]), text) if "[" in text else text
    end = _second_copy(unmarked)
    return end if end is not None or in_code else _second_count(unmarked)


def _second_copy(text: str) -> int | None:
    """Return where the second of the rounds begins that are equal but for blanks: at least three, of LEAST characters.

    The rules of a table are no rounds, unless they are longer than in any table.
    """
    joined = " ".join(text.replace(_LEFT_OUT, "").split())
    end = joined[-20:]
    step = len(joined) - len(end) - joined.rfind(end, 0, len(joined) - 1)
    size = max(3 * step, LEAST)
    if size > len(joined) or joined[-size:-step] != joined[step - size :]:
        return None
    if _RULE.issuperset(joined[-size:]) and not (len(joined) > RULE and _RULE.issuperset(joined[-RULE:])):
        return None
    start = len(joined) - size
    while start and joined[start - 1] == joined[start - 1 + step]:
        start -= 1
    end_of_first = _UNIT_END.search(joined, max(start, start + step - 2), start + 2 * step)
    cut = (
        end_of_first.end() if end_of_first else max(start + step, joined.find(" ", start + step - 1, start + 2 * step))
    )
    letters = len(joined[:cut].replace(" ", ""))
    seen = (at for at, letter in enumerate(text, 1) if letter != _LEFT_OUT and not letter.isspace())
    return next(islice(seen, letters - 1, None))


def _second_count(text: str) -> int | None:
    """Return where the second of the rounds begins that differ in one number or word in each line or sentence.

    A round has up to three of them. Items of real lists are similar, too: FEW rounds of WORDS words are a loop if their
    only number counts on, MANY if another word changes; shorter ones only if nothing but the number of an item changes.
    """
    units = _units(text)
    for period in (1, 2, 3):
        steps: set[int | None] = set()
        first = len(units) - 1
        while first >= period and (change := _change(units[first - period][1], units[first][1])) is not None:
            steps |= change
            first -= 1
        rounds = (len(units) - 1 - first) // period + 1
        if rounds < FEW:
            continue
        end = units[first][0]
        if sum(any(map(str.isalpha, word)) for _, words in units[-period:] for word in words) >= WORDS:
            counts_on = len(steps) < 2 and None not in steps
            return end if counts_on or rounds >= MANY else None
        return end if not steps and rounds >= MANY and len(text) - end >= LEAST else None
    return None


def _units(text: str) -> list[tuple[int, list[str]]]:
    """Return where each whole line or sentence ends, and its words without the number of an item."""
    units, start = [], 0
    for end in (match.end() for match in _UNIT_END.finditer(text)):
        unit = text[start:end].replace(_LEFT_OUT, "")
        item = _ITEM_NUMBER.match(unit)
        words = unit[item.end() if item else 0 :].split()
        if item and not words and unit[-1] != "\n":
            continue  # the full stop is that of an item
        if item or any(map(str.isalnum, unit)):
            units.append((end, words))
        start = end
    return units


def _change(one: list[str], other: list[str]) -> set[int | None] | None:
    """Return what changes between two lines or sentences: a number, by how much, or a word (None); None if more."""
    changed = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    if len(one) != len(other) or len(changed) > 1:
        return None
    if not changed:
        return set()
    [pair] = changed
    if all(map(_LOWER_CASE.fullmatch, pair)):  # number words are; most names are not
        return {None}
    numbers = [int(word.group(1)) for word in map(_COUNTED.fullmatch, pair) if word]
    return {numbers[1] - numbers[0]} if len({*numbers}) == 2 else None


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
