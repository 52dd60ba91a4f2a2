"""Verification of an answer against the evidence: which sentences are supported, where, and what the evidence lacks.

One judgement, on which the marks of an answer and the decision on a draft rest.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from app.answering.alignment import Match, Passages, Stretch, Words, names, with_prefixes, words
from app.answering.features import foreign
from app.answering.lexicon import bare, declines, find_phrase, own_words, without
from app.documents.language import detect
from app.documents.passages import Span, sentences
from app.retrieval.analysis import foreign_language, function_words, query_words, stems
from app.retrieval.packing import Evidence

_MARK = r"\[\^?(?:\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\](?!\()|【\d{1,3}[^】\n]{0,80}】"
MARKS = re.compile(rf"`[^`\n]*`|(?P<blank>(?<![ \t])[ \t]*+)(?P<mark>{_MARK})")
"""Marks that name passages, and inline code, where brackets name none."""

LEADING = re.compile(rf"((?:\s*(?:{_MARK}))+)\s*")
STATES = re.compile(r"(?s)(?![#|]|(?:\W|\d{1,3}[.)] )*\*\*[^*]*\*\*:?$).*\w\w")
"""Text with a word, except headings, table rows and lines that are bold from end to end."""

CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)

FEW = 12
"""Words below which letter statistics often confuse a text with one in a neighbouring language."""

LEAST_WORDS, FUNCTION_WORDS = 8, 3
"""Words of an answer, and different function words among them, from which its language is known, if fewer than half as
many are of the question's language. Of 5,200 right answers and passages in five languages none is taken for another; of
1,000 English sentences beside German and Romanian questions, 93 % are."""

SUPPORTED = 0.45
"""A sentence is supported from this share of its words, weighted by rarity, that its source's passage has. Among 20
passages, 2 of 100 sentences from elsewhere reach it, 199 of 200 with a third of their words replaced, and 89 of 100
sentences of good answers by a large model, which uses its own words."""

COPIED = 0.75
"""A question, announcement or refusal-like sentence ("nothing is known of his youth") counts as copied from the source
if it shares at least this much with it. A genuine refusal repeats words of the passages too, but fewer."""

MAX_CHANGED = 0.1
"""If at most this share of its words differ, the sentence is a near-copy, and a name the source lacks has replaced
another. In a short sentence a single name may differ. Of German sentences with a third of their words replaced, nouns
included, 1 of 100 is taken for a near-copy."""

WORD = 0.05
"""Weight of a word that the evidence lacks, where a missing name or number counts 1; with 0.1 the figures are much the
same, from 0.2 on they fall."""

MIN_CONTENT_WORDS = 3
"""A sentence without names and numbers makes a claim if it has at least this many content words."""

SHARED = 2
"""Names and numbers that a sentence must share with a source in another language: one alone may be just the topic."""

ALL_NOUNS = frozenset({"de"})
"""Languages that write every noun with a capital letter."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The support of a sentence: its sources, how well the evidence supports it, and the names and numbers it lacks.

    `states` is whether the sentence makes a claim. `missing` is what its sources lack. `wrong` are the numbers among
    it, and the names in whose place a source has another one; without a source, the numbers that no passage has.
    """

    sources: tuple[Match, ...] = ()
    supported: bool = False
    states: bool = False
    support: float = 1.0
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence of the answer: its position, its text without marks, the passages marked, and the verdict."""

    start: int
    end: int
    bare: str
    given: tuple[int, ...]
    verdict: Verdict

    @property
    def unfounded(self) -> bool:
        """Whether it states something that no passage says."""
        return self.verdict.states and not self.verdict.sources

    @property
    def numbers(self) -> list[int]:
        """The passages that support it."""
        return list(dict.fromkeys(match.stretch.item.number for match in self.verdict.sources))


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer with the verdicts of its sentences, code excepted.

    `foreign` is whether it is in a language of no passage. Then it is compared by names and numbers only, and is not
    `compared` at all if it states something and has too few of them.
    """

    text: str
    evidence: Sequence[Evidence]
    sentences: tuple[CheckedSentence, ...] = ()
    foreign: bool = False
    compared: bool = True

    @property
    def lacking(self) -> list[CheckedSentence]:
        """The sentences with a source that lacks a number or name of theirs: `verdict.missing`."""
        return [each for each in self.sentences if each.verdict.missing]


def check(answer: str, evidence: Sequence[Evidence], question: str = "") -> CheckedAnswer:
    """Verify every sentence of an answer; takes 10 ms for most answers, 0.1 s for the longest.

    A short answer is taken to be in the language of its question.
    """
    if not evidence:  # nothing to compare with
        return CheckedAnswer(answer, evidence)
    passages = Passages(evidence)
    code = [match.span() for match in CODE.finditer(answer)]
    checked = [
        _checked(answer, start, end, passages)
        for start, end in _with_marks(answer)
        if not any(start < stop and first < end for first, stop in code)
    ]
    if not _foreign(question, without_marks(answer), passages):
        return CheckedAnswer(answer, evidence, tuple(checked))
    compared = [replace(each, verdict=verify_foreign(each, passages)) if each.unfounded else each for each in checked]
    is_compared = compared == checked or any(each.verdict.sources for each in compared)
    return CheckedAnswer(answer, evidence, tuple(compared), True, is_compared)


def other_language(question: str, draft: str, languages: Sequence[str]) -> tuple[str, str] | None:
    """Return the languages of a draft and of its question if they differ; `languages` are those of the passages.

    Both the function words and the statistics of letters must say so. Names, titles and code have few of the former,
    and neighbouring languages share many.
    """
    asked, text = function_words(question), own_words(draft)
    known, most = max((asked.get(code, 0) for code in languages), default=0), max(asked.values(), default=0)
    if most > max(1, known):  # the question is in a language that no passage has
        own = [detect(question)]
        if asked.get(own[0]) != most:
            return None
    else:
        own = [code for code in languages if known and asked.get(code) == known]
    if not own or len(text.split()) < LEAST_WORDS:
        return None
    written = function_words(text)
    clear = max(written.values()) >= max(FUNCTION_WORDS, 2 * max(written.get(code, 0) for code in own) + 1)
    language = detect(text) if clear else own[0]
    return (language, own[0]) if language not in own else None


def verify(text: str, given: Collection[int], passages: Passages) -> Verdict:
    """Verify a sentence, without its marks, against the evidence; `given` are the passages that its marks name."""
    if not _content(without(text, "frame"), passages.languages):
        return Verdict()
    sentence = Words(text)
    unknown_names = [name for name in sentence.names if not name.occurs_in(passages.words)]
    unknown_numbers = sentence.numbers.keys() - passages.numbers
    unknown_words = sum(word not in passages.words for word in sentence.plain)
    support = 2.0 ** -(len(unknown_names) + len(unknown_numbers) + WORD * unknown_words)
    ending = text.rstrip(" *_\"'”»")[-1:]
    claims = bool(unknown_names or unknown_numbers)
    matches = [match for match in passages.matches(sentence) if match.passage >= SUPPORTED]
    copied = bool(matches) and matches[0].share >= COPIED
    announces = ending in "?？" or (ending in ":：" and not claims)
    if not copied and (announces or declines(own_words(text))):
        return Verdict(support=support)
    if not matches:
        has_content = _content(text, passages.languages) >= MIN_CONTENT_WORDS and not find_phrase(text, "offers")
        invented = tuple(sentence.numbers[number] for number in sentence.numbers if number in unknown_numbers)
        return Verdict(states=claims or has_content, support=support, wrong=invented)
    sources = [match for match in matches if match.stretch.item.number in given] or matches[:1]
    further = passages.further(sentence, sources[0])
    both = [*sources, *([further] if further else [])]
    lacking = dict(_missing(sentence, both, passages))
    if further and all(further.stretch.item is not match.stretch.item for match in sources):
        sources = both
    wrong = tuple(word for word, is_wrong in lacking.items() if is_wrong)
    return Verdict(tuple(sources), not lacking, True, support, tuple(lacking), wrong)


def verify_foreign(sentence: CheckedSentence, passages: Passages) -> Verdict:
    """Verify a sentence by names and numbers only, where its language differs from the evidence's.

    It is never reported as unsupported: its words differ in any case.
    """
    said = Words(sentence.bare)
    parts = [word for name in said.names for word in name.words]

    def shared(stretch: Stretch) -> tuple[int, bool]:
        own = {*parts, *stems(parts, stretch.item.language)}
        count = len(own & stretch.words) + len(said.numbers.keys() & stretch.numbers)
        return count, stretch.item.number in sentence.given

    best = max(passages.stretches, key=shared, default=None)
    if best is None or shared(best)[0] < SHARED:
        return Verdict()
    return Verdict((Match(best, 0.0, 0.0, best.numbers),), True, True)


def _missing(sentence: Words, sources: Sequence[Match], passages: Passages) -> Iterator[tuple[str, bool]]:
    """Yield the numbers and names that the sources lack, and those in place of which a source has another.

    With each, whether it is wrong: a number, or a name of the second kind.

    Source: "In 1904 the council had Anna Berg enlarge the harbour." Elsewhere in the passage: "Jonas Holm is mayor."
    Sentence: "In 1904 the council had Anna Holm enlarge the harbour." It is a near-copy in which Holm replaced Berg, so
    this yields "Holm". In a sentence in its own words the passage would be enough to support the name.
    """
    stretches = [match.stretch for match in sources]
    language = stretches[0].item.language
    source_words = [word for stretch in stretches for word in words(stretch.text)]
    known_words = with_prefixes(source_words)
    dropped_words = (Counter(source_words) - Counter(sentence.plain)).keys()
    checked_names = [name for name in sentence.names if name.text.isupper() or _content(name.text, [language])]
    longest_name = max((len(name.words) for name in checked_names), default=1)
    changed = sum(word not in known_words for word in sentence.plain)
    near_copy = changed <= max(longest_name, MAX_CHANGED * len(sentence.plain))

    passage_numbers = frozenset[str]().union(*(match.numbers for match in sources))
    source_numbers = frozenset[str]().union(*(stretch.numbers for stretch in stretches))
    number_replaced = near_copy and not source_numbers <= sentence.numbers.keys()
    allowed_numbers = source_numbers if number_replaced else passage_numbers
    for number, spelling in sentence.numbers.items():
        if number not in allowed_numbers and not source_numbers.issuperset(spelling.split()):  # "1 000" may be two
            yield spelling, True
    passage_words = frozenset[str]().union(*(passages.words_of[stretch.item.number] for stretch in stretches))
    source_names = (name for stretch in stretches for name in names(stretch.text))
    name_replaced = near_copy and any(not dropped_words.isdisjoint(name.words) for name in source_names)
    for name in checked_names:
        absent = language not in ALL_NOUNS and not name.occurs_in(passage_words)
        replaces = name_replaced and not name.occurs_in(known_words)
        if absent or replaces:
            yield name.text, replaces


def _content(text: str, languages: Sequence[str]) -> int:
    """Count the content words of a text."""
    return sum(word.content for word in query_words(text, languages))


def without_marks(text: str) -> str:
    """Remove the marks that name passages from a text, but not from code within it."""
    return MARKS.sub(lambda match: match[0] if match["mark"] is None else "", text)


def marked_passages(match: re.Match[str]) -> Iterator[int]:
    """Yield the numbers of the passages that a match of MARKS names."""
    mark = match["mark"] or ""
    for first, last in re.findall(r"(\d+)(?:\s*[–-]\s*(\d+))?", mark.partition("†")[0]):
        yield from range(int(first), int(last or first) + 1)


def _with_marks(answer: str) -> list[Span]:
    """Return the spans of the sentences; marks after a full stop belong to the sentence before them."""
    spans: list[Span] = []
    for start, end in sentences(answer):
        lead = LEADING.match(answer, start, end)
        if lead and spans and "\n" not in answer[spans[-1][1] : start]:
            spans[-1] = (spans[-1][0], lead.end(1))
            start = lead.end()
        if start < end:
            spans.append((start, end))
    return spans


def _checked(answer: str, start: int, end: int, passages: Passages) -> CheckedSentence:
    marked = answer[start:end]
    text = without_marks(marked).strip()
    given = tuple(n for mark in MARKS.finditer(marked) for n in marked_passages(mark) if n in passages.words_of)
    verdict = verify(bare(text), given, passages) if STATES.match(text) else Verdict()
    return CheckedSentence(start, end, text, given, verdict)


def _foreign(question: str, text: str, passages: Passages) -> bool:
    """Whether an answer, given without marks, is in a language that no passage has."""
    own = words(text)
    if len(own) < FEW:
        return foreign_language(f"{question}\n{text}", passages.languages) is not None
    return foreign(text, own, list(passages.words), set(passages.languages))
