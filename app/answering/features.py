"""Features of a draft: how much of it the evidence lacks, where it breaks off, whether it repeats itself.

Knows no threshold and decides nothing; every function is pure and reads text alone.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from math import exp

from app.answering.lexicon import MARK, bare, find_phrase, without
from app.documents.language import SPACELESS, detect
from app.documents.passages import sentences
from app.retrieval.analysis import normalize, query_words, spoken, stems, tokens
from app.retrieval.packing import Evidence

STRETCH = 500
"""Most characters of the stretch that is measured by itself: one invented paragraph spoils a good answer."""

LEAST_STRETCH = 60
"""Least characters of it. In between it is half of the draft, since one invented name spoils a short answer."""

GRAM = 4
"""Letters of a group. Words are inflected, but most of their groups stay; 3, 5 and 6 separate a little worse."""

FEW_WORDS = 3
"""A "yes" or "no, it is not": so few words, none of them long, no name and no number, say nothing to compare."""

UNTELLING = 0.2
"""The highest share that such a draft is said to lack: below every threshold, but above that of a quotation."""

LONG = 5
"""Letters from which a word mostly carries meaning, in most languages that separate words by spaces."""

QUOTED = 80
"""Characters of the part of a draft that is quoted to a reader."""

SHORT_OF_CUTTING = 8
"""Words below which a draft is never called cut off: short answers often lack a full stop."""

WINDOW = 3_000
"""Characters at the end of a text in which a loop is looked for."""

LEAST = 60
"""Characters that the equal rounds of a loop have at least."""

RULE = 1_000
"""Characters of dashes and the like from which they are no rule of a table."""

PADDING, EMPTY_LINES = 240, 40
"""Blanks and marks, or line ends and rare blanks, from which no more is to come: no answer among 4,744 has 20."""

FEW, MANY, WORDS = 5, 8, 6
"""Rounds, and words of a round, from which lines or sentences that differ in one number or word are a loop.

A week has seven days. Chosen on the drafts of two real small models, the 4,744 answers of the development set (they
find none beyond what repeats exactly) and half of Debian's documentation: of 1,859 files read as if they were answers,
1 has such lines, the log of a test. Of 1,796 others it is 4: a log, a configuration, footnotes, a sample of headings.
"""

_NOT_WORD = re.compile(r"\W+")
_ANY_WORD = re.compile(r"\w+")
_SPACELESS = re.compile(f"[{SPACELESS}]")
_NUMBER = re.compile(r"\d+(?:[.,'’/:\u00a0\u202f]\d+)*")
_WORD = re.compile(r"[^\W\d_]\w+")
_ITEM = re.compile(r"(?m)^[^\S\n]*+(?:[-*•+◦▪–]|\(?\d{1,3}[.)])\s")
STOP = re.compile(r"[.!?…。！？।؟。][\"'”’»)\]*_`\s]*$")
_OPEN = re.compile(r"[,;(\[–—-]$")
_LETTER = re.compile(r"\b[B-HJ-Z]\b")
"""A letter as the name of something, as in "plan B"; A and I may be words."""

_RULE = frozenset("-=_*|:.#~+ ")
_BULLET = " 0123456789.)-*+•◦▪–"
_LEFT_OUT = "\0"
_BLANKS = (
    "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\0"
)
_UNIT_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+(?=\s|\Z)|\n++")
_ITEM_NUMBER = re.compile(r"[\s#>*•(\[-]*(?:\d{1,4}(?:\.\d+)*|\w+ \d{1,4}(?=\W+(?:\S+\s+){4}))[.):\]*–-]+(?:\s|\Z)")
_COUNTED = re.compile(r"\D*(\d{1,18})\D*")
_LOWER_CASE = re.compile(r"[^\W\d_A-Z]+(?:-[^\W\d_A-Z]+)*[.,;]?")


@dataclass(frozen=True, slots=True)
class Support:
    """How well the evidence supports a draft."""

    wording: float | None
    """Share of the letter groups that the evidence lacks, the mean over the whole draft and in its worst stretch; None
    if it cannot be measured."""
    claims: int
    """Number of `strange` names and numbers; without evidence, of all that can be wrong: names, items and sentences."""
    strange: tuple[str, ...] = ()
    """The names and numbers that neither the evidence nor the question has."""


def support(question: str, evidence: Sequence[Evidence] | None, draft: str, *, foreign: bool = False) -> Support:
    """Compare a draft with its evidence; None means that the evidence is unknown.

    A `foreign` draft is in none of the languages of the evidence: only its numbers are compared.
    """
    text = bare(draft)
    if evidence is None:
        return Support(None, len(_names(text)) + len(_ITEM.findall(text)) + len(sentences(text)))
    source = _joined(evidence)
    known = f"{source} {question}"
    known_numbers = _numbers(known)
    strange = [number for digits, number in _numbers(text).items() if digits not in known_numbers]
    if foreign or not evidence:
        return Support(None, len(strange), tuple(strange))
    names, language = _names(text), evidence[0].language
    known_stems = set(stems([*set(_plain(known).split())], language))
    own_stems = stems([_plain(name).strip() for name in names], language)
    strange += [name for name, stem in zip(names, own_stems, strict=True) if stem not in known_stems]
    plain = _plain(text)
    missing = _missing(plain, _plain(source))
    stretch = min(STRETCH, max(LEAST_STRETCH, len(missing) // 2))
    wording = (_share(missing) + _share(missing[_worst(missing, stretch)])) / 2
    words = plain.split()
    if not names and len(words) <= FEW_WORDS and all(word.isalpha() and len(word) < LONG for word in words):
        wording = min(UNTELLING, wording)
    return Support(wording, len(strange), tuple(strange))


def weakest_part(evidence: Sequence[Evidence], draft: str) -> tuple[str, float]:
    """Return the words of a draft that the evidence lacks most, about `QUOTED` characters, and the share it lacks."""
    text = unicodedata.normalize("NFKC", bare(draft))
    words, plain = [match.span() for match in _ANY_WORD.finditer(text)], _plain(text)
    missing = _missing(plain, _plain(_joined(evidence)))
    part = _worst(missing, QUOTED)
    first, last = (max(0, plain.count(" ", 0, end) - 1) for end in (part.start + 1, part.stop))
    spans = words[first : last + 1] or [(0, len(text))]
    return " ".join(text[spans[0][0] : spans[-1][1]].split()), _share(missing[part])


def certainty(draft: str, logprobs: Sequence[tuple[str, float]]) -> float | None:
    """Return the probability below which a tenth of the words of a sentence are, for the least certain sentence.

    `logprobs` are the tokens that the model wrote, with logarithms; None if they do not contain the draft. A mean would
    hide the single invented word: the first one stands out most.
    """
    written = "".join(token for token, _ in logprobs)
    start = written.rfind(draft.strip())
    ends = list(accumulate(len(token) for token, _ in logprobs))
    lowest = []
    for first, last in sentences(draft.strip()) if start >= 0 else ():
        own = slice(bisect_right(ends, start + first), bisect_left(ends, start + last) + 1)
        values = sorted(value for token, value in logprobs[own] if any(map(str.isalnum, token)))
        lowest += values[len(values) // 10 :][:1]
    return exp(min(lowest)) if lowest else None


def foreign(text: str, words: Sequence[str], source: Sequence[str], languages: set[str]) -> bool:
    """Whether a text with these words is in none of the languages of its source.

    It is not if the source has half of its short words, which recur in all texts of a language. Otherwise the language
    is detected; detection alone would take a short text for one in a neighbouring language.
    """
    short = {word for word in words if len(word) < LONG and word.isalpha()}
    return 2 * len(short.intersection(source)) < len(short) and detect(text) not in languages


def echoes(question: str, draft: str, languages: Sequence[str]) -> bool:
    """Whether a draft, as an answer to “what”, “who” and the like, only repeats words of the question.

    Not one that chooses among what the question offers, or that yes, no, all, none, a number or a letter answers.
    """
    language, text = spoken(question, languages), without(bare(draft), "frame")
    if not find_phrase(question, "asks", language) or find_phrase(question, "or", language):
        return False
    asked = {word for word in tokens(question) if text.rstrip().endswith("?") or not word.isdigit()}
    settled = find_phrase(" ".join(word for word in tokens(text) if word not in asked), "settles", language)
    said = {normalize(word.surface) for word in query_words(text, languages) if word.content}
    return not (settled or _LETTER.search(text)) and set() < said <= asked


def breaks_off(draft: str) -> bool:
    """Whether a draft ends in the middle of a sentence, as far as its text can tell.

    Lists, tables, code, headings, lines on their own and short answers may end without a full stop.
    """
    text = bare(draft)
    last = text.rsplit("\n", 1)[-1].strip()
    if len(text.split()) < SHORT_OF_CUTTING or STOP.search(text) or text.count("```") or "|" in last:
        return False
    if last.startswith("#") or _ITEM.match(f"{last} "):
        return False
    end = text[-1_000:]
    before = end[: sentences(end)[-1][0]].rstrip()
    return bool(_OPEN.search(text) or STOP.search(before))


def loops(text: str) -> bool:
    """Whether a text ends by going in circles: it repeats itself, counts on in one sentence, or has only blanks left.

    Only the last WINDOW characters are looked at, so that a look at a growing draft costs the same at any length.
    """
    return _second_round(text[-WINDOW:], in_code=_in_code(text), most=3 * MANY) is not None


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


def _second_round(text: str, *, in_code: bool, most: int | None = None) -> int | None:
    """Return where the second round begins of the circles in which a text ends, if any; `most` units are compared."""
    unmarked = MARK.sub(lambda mark: _LEFT_OUT * len(mark[0]), text) if "[" in text else text
    written = len(unmarked.rstrip(_BLANKS))
    empty = unmarked[written:]
    if len(empty) >= PADDING or len(empty) - sum(map(empty.count, f" \t\r{_LEFT_OUT}")) >= EMPTY_LINES:
        return written
    end = _second_copy(unmarked)
    return end if end is not None or in_code else _second_count(unmarked, most)


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


def _second_count(text: str, most: int | None) -> int | None:
    """Return where the second of the rounds begins that differ in one number or word in each line or sentence.

    A round has up to three of them. Items of real lists are similar, too: FEW rounds of WORDS words are a loop if their
    only number counts on, MANY if another word changes; shorter ones only if nothing but the number of an item changes.
    """
    backwards = _units(text)
    units = list(islice(backwards, 4))
    for period in range(1, len(units)):
        if _change(units[period][1], units[0][1]) is None:
            continue
        units += islice(backwards, most)
        steps: set[int | None] = set()
        last = 0
        while last + period < len(units) and (change := _change(units[last + period][1], units[last][1])) is not None:
            steps |= change
            last += 1
        rounds = last // period + 1
        if rounds < FEW:
            continue
        end = units[last][0]
        if sum(any(map(str.isalpha, word)) for _, words in units[:period] for word in words) >= WORDS:
            counts_on = len(steps) < 2 and None not in steps
            return end if counts_on or rounds >= MANY else None
        return end if not steps and rounds >= MANY and len(text) - end >= LEAST else None
    return None


def _units(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield, from the last, where each whole line or sentence ends, and its words without the number of an item."""
    ends = [0, *(match.end() for match in _UNIT_END.finditer(text))]
    for start, end in zip(ends[-2::-1], ends[:0:-1], strict=True):
        unit = text[start:end].replace(_LEFT_OUT, "")
        item = _ITEM_NUMBER.match(unit)
        words = unit[item.end() if item else 0 :].split()
        if (text[end : end + 1] == "\n") if item and not words else any(map(str.isalnum, unit)):
            yield end, words


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


def _joined(evidence: Sequence[Evidence]) -> str:
    return " ".join(f"{item.title} {item.text}" for item in evidence)


def _missing(plain: str, source: str) -> list[bool]:
    """Return for each group of letters of a plain text whether the source lacks it; pairs in scripts without spaces."""
    size = 2 if len(_SPACELESS.findall(plain)) > len(plain) / 3 else min(GRAM, len(plain))
    groups = {source[at : at + size] for at in range(len(source) - size + 1)}
    return [plain[at : at + size] not in groups for at in range(len(plain) - size + 1)]


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def _worst(missing: Sequence[bool], size: int) -> slice:
    """Return where the stretch of this size is that has most true values."""
    size = min(size, len(missing))
    sums = list(accumulate(missing, initial=0))
    counts = list(map(int.__sub__, sums[size:], sums))
    start = counts.index(max(counts))
    return slice(start, start + size)


def _plain(text: str) -> str:
    """Return the words of a text in lower case, with one space before and after each."""
    return _NOT_WORD.sub(" ", f" {unicodedata.normalize('NFKC', text).casefold()} ")


def _names(text: str) -> list[str]:
    """Return the capitalised words that do not begin a sentence, a line or an item, each once."""
    text = _ITEM.sub(lambda item: " " * len(item[0]), text)
    openings = {start for start, _ in sentences(text)}
    found = (word for word in _WORD.finditer(text) if word[0][0].isupper() and word.start() not in openings)
    return list(dict.fromkeys(word[0] for word in found))


def _numbers(text: str) -> dict[str, str]:
    """Return the numbers by their digits, without marks between them; the numbers of a list do not count."""
    return {re.sub(r"\D", "", number): number for number in _NUMBER.findall(_ITEM.sub("\n", text))}
