"""Verification of a sentence against the evidence: whether it is supported, where, and what the evidence lacks."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from app.answering.alignment import Match, Name, Passages, Stretch, Words, known, names, words
from app.answering.lexicon import find_phrase, own_words
from app.retrieval.analysis import query_words, stems

SUPPORTED = 0.45
"""Share of a sentence, by the weight of its words, that the passage of its source has. Of sentences from elsewhere 2 of
100 find a passage among 20 with that much, of sentences with a third of their words replaced all but 1 of 200, of the
good answers of a large model, which words things its own way, 89 of 100."""

SAID_SO = 0.75
"""The share of a stretch from which a question, an announcement or what sounds like a refusal ("nothing is known of his
youth") is a copy of it; one that says what the passages do not tell has many of their words too."""

EXCHANGED = 0.1
"""Share of the words up to which a sentence is a copy with changes (in a short one a single name), so that a name which
its source lacks stands where another one stood. Of German sentences with a third of the words replaced, nouns too, 1 of
100 is taken for a copy."""

WORD = 0.05
"""What a word that the evidence lacks counts beside a name or a number that it lacks; with 0.1 the figures are much
the same, from 0.2 on they fall."""

TELLING = 3
"""Words with a meaning that a sentence without names and numbers has at least if it states something."""

SHARED = 2
"""Names and numbers that tie a sentence to one in another language: a single one may be what the talk is about."""

ALL_NOUNS = frozenset({"de"})
"""Languages that write every noun with a capital letter."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Support of a sentence: its sources, how much they say, what they lack; `states` is whether it makes a claim."""

    sources: tuple[Match, ...] = ()
    supported: bool = False
    states: bool = False
    support: float = 1.0
    missing: tuple[str, ...] = ()


def verify(text: str, given: Collection[int], passages: Passages) -> Verdict:
    """Verify a sentence, without its marks, against the evidence; `given` are the passages that its marks name."""
    sentence, found = Words(text), list(names(text))
    unknown = [name for name in found if not name.known(passages.words)]
    unknown_numbers = sentence.numbers.keys() - passages.numbers
    strange = sum(word not in passages.words for word in sentence.plain)
    support = 2.0 ** -(len(unknown) + len(unknown_numbers) + WORD * strange)
    ending = text.rstrip(" *_\"'”»")[-1:]
    claims = bool(unknown or unknown_numbers)
    matches = [match for match in passages.matches(sentence) if match.passage >= SUPPORTED]
    copied = bool(matches) and matches[0].share >= SAID_SO
    announces = ending in "?？" or (ending in ":：" and not claims)
    if not copied and (announces or find_phrase(own_words(text), "abstains")):
        return Verdict(support=support)
    if not matches:
        told = _content(text, passages.languages) >= TELLING and not find_phrase(text, "offers")
        return Verdict(states=claims or told, support=support)
    sources = [match for match in matches if match.stretch.item.number in given] or matches[:1]
    further = passages.further(sentence, sources[0])
    both = [*sources, *([further] if further else [])]
    lacking = tuple(dict.fromkeys(_missing(sentence, found, both, passages)))
    if further and all(further.stretch.item is not match.stretch.item for match in sources):
        sources = both
    return Verdict(tuple(sources), not lacking, True, support, lacking)


def verify_foreign(text: str, given: Collection[int], passages: Passages) -> Verdict:
    """Verify a sentence by names and numbers only, where its language differs from the evidence's.

    It is never reported as unsupported: its words differ in any case.
    """
    sentence = Words(text)
    parts = [word for name in names(text) for word in name.words]

    def shared(stretch: Stretch) -> tuple[int, bool]:
        own = {*parts, *stems(parts, stretch.item.language)}
        count = len(own & stretch.words) + len(sentence.numbers.keys() & stretch.numbers)
        return count, stretch.item.number in given

    best = max(passages.stretches, key=shared, default=None)
    if best is None or shared(best)[0] < SHARED:
        return Verdict()
    return Verdict((Match(best, 0.0, 0.0, best.numbers),), True, True)


def _missing(sentence: Words, found: Sequence[Name], sources: Sequence[Match], passages: Passages) -> Iterator[str]:
    """Yield the numbers and names that the sources lack, and those in place of which a source has another."""
    stretches = [match.stretch for match in sources]
    language = stretches[0].item.language
    said_there = [word for stretch in stretches for word in words(stretch.text)]
    here = known(said_there)
    left = (Counter(said_there) - Counter(sentence.plain)).keys()
    telling = [name for name in found if name.text.isupper() or _content(name.text, {language})]
    longest = max((len(name.words) for name in telling), default=1)
    changed = sum(word not in here for word in sentence.plain)
    copied = changed <= max(longest, EXCHANGED * len(sentence.plain))

    there = frozenset[str]().union(*(match.numbers for match in sources))
    own = frozenset[str]().union(*(stretch.numbers for stretch in stretches))
    exchanged = copied and not own <= sentence.numbers.keys()
    for number, shown in sentence.numbers.items():
        if number not in (own if exchanged else there) and not own.issuperset(shown.split()):  # "1 000" may be two
            yield shown
    known_there = frozenset[str]().union(*(passages.known[stretch.item.number] for stretch in stretches))
    exchanged = copied and any(not left.isdisjoint(name.words) for each in stretches for name in names(each.text))
    for name in telling:
        if (language not in ALL_NOUNS and not name.known(known_there)) or (exchanged and not name.known(here)):
            yield name.text


def _content(text: str, languages: Collection[str]) -> int:
    """Count the content words of a text."""
    return sum(word.content for word in query_words(text, list(languages) or ["en"]))
