"""Verification of a sentence against the evidence: whether it is supported, where, and what the evidence lacks."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from app.answering.alignment import Match, Name, Passages, Stretch, Words, names, with_prefixes, words
from app.answering.lexicon import find_phrase, own_words
from app.retrieval.analysis import query_words, stems

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

    `states` is whether the sentence makes a claim.
    """

    sources: tuple[Match, ...] = ()
    supported: bool = False
    states: bool = False
    support: float = 1.0
    missing: tuple[str, ...] = ()


def verify(text: str, given: Collection[int], passages: Passages) -> Verdict:
    """Verify a sentence, without its marks, against the evidence; `given` are the passages that its marks name."""
    sentence, sentence_names = Words(text), list(names(text))
    unknown_names = [name for name in sentence_names if not name.occurs_in(passages.words)]
    unknown_numbers = sentence.numbers.keys() - passages.numbers
    unknown_words = sum(word not in passages.words for word in sentence.plain)
    support = 2.0 ** -(len(unknown_names) + len(unknown_numbers) + WORD * unknown_words)
    ending = text.rstrip(" *_\"'”»")[-1:]
    claims = bool(unknown_names or unknown_numbers)
    matches = [match for match in passages.matches(sentence) if match.passage >= SUPPORTED]
    copied = bool(matches) and matches[0].share >= COPIED
    announces = ending in "?？" or (ending in ":：" and not claims)
    if not copied and (announces or find_phrase(own_words(text), "abstains")):
        return Verdict(support=support)
    if not matches:
        has_content = _content(text, passages.languages) >= MIN_CONTENT_WORDS and not find_phrase(text, "offers")
        return Verdict(states=claims or has_content, support=support)
    sources = [match for match in matches if match.stretch.item.number in given] or matches[:1]
    further = passages.further(sentence, sources[0])
    both = [*sources, *([further] if further else [])]
    lacking = tuple(dict.fromkeys(_missing(sentence, sentence_names, both, passages)))
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


def _missing(
    sentence: Words, sentence_names: Sequence[Name], sources: Sequence[Match], passages: Passages
) -> Iterator[str]:
    """Yield the numbers and names that the sources lack, and those in place of which a source has another.

    Source: "In 1904 the council had Anna Berg enlarge the harbour." Elsewhere in the passage: "Jonas Holm is mayor."
    Sentence: "In 1904 the council had Anna Holm enlarge the harbour." It is a near-copy in which Holm replaced Berg, so
    this yields "Holm". In a sentence in its own words the passage would be enough to support the name.
    """
    stretches = [match.stretch for match in sources]
    language = stretches[0].item.language
    source_words = [word for stretch in stretches for word in words(stretch.text)]
    known_words = with_prefixes(source_words)
    dropped_words = (Counter(source_words) - Counter(sentence.plain)).keys()
    checked_names = [name for name in sentence_names if name.text.isupper() or _content(name.text, {language})]
    longest_name = max((len(name.words) for name in checked_names), default=1)
    changed = sum(word not in known_words for word in sentence.plain)
    near_copy = changed <= max(longest_name, MAX_CHANGED * len(sentence.plain))

    passage_numbers = frozenset[str]().union(*(match.numbers for match in sources))
    source_numbers = frozenset[str]().union(*(stretch.numbers for stretch in stretches))
    number_replaced = near_copy and not source_numbers <= sentence.numbers.keys()
    allowed_numbers = source_numbers if number_replaced else passage_numbers
    for number, spelling in sentence.numbers.items():
        if number not in allowed_numbers and not source_numbers.issuperset(spelling.split()):  # "1 000" may be two
            yield spelling
    passage_words = frozenset[str]().union(*(passages.words_of[stretch.item.number] for stretch in stretches))
    source_names = (name for stretch in stretches for name in names(stretch.text))
    name_replaced = near_copy and any(not dropped_words.isdisjoint(name.words) for name in source_names)
    for name in checked_names:
        absent = language not in ALL_NOUNS and not name.occurs_in(passage_words)
        if absent or (name_replaced and not name.occurs_in(known_words)):
            yield name.text


def _content(text: str, languages: Collection[str]) -> int:
    """Count the content words of a text."""
    return sum(word.content for word in query_words(text, list(languages) or ["en"]))
