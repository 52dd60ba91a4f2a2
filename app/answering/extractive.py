"""An answer without a model: the sentences of the evidence that say most about the question, quoted and cited."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.documents.sentences import sentences
from app.retrieval.analysis import query_words, terms
from app.retrieval.packing import Evidence

MOST = 3
"""Sentences at most: a quote is there to be read at a glance."""

WEAKEST = 0.6
"""A further sentence must say at least this share of what the best one says."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the evidence, word for word; offsets in the document's text."""

    evidence: Evidence
    start: int
    end: int
    text: str


def quotes(question: str, evidence: Sequence[Evidence]) -> tuple[Quote, ...]:
    """The best one to three sentences in reading order, scored by the rarity of the question's words in them."""
    candidates = [quote for item in evidence for quote in _sentences(item)]
    words = [set(terms(quote.text, quote.evidence.language)) for quote in candidates]
    spread = Counter(word for each in words for word in each)
    languages = list(dict.fromkeys(item.language for item in evidence))
    asked = {term for word in query_words(question, languages) if word.content for term in word.terms}

    def score(index: int) -> float:
        rarity = sum(math.log(1 + len(candidates) / spread[word]) for word in asked & words[index])
        return rarity / (1 + math.log(1 + len(words[index]) / 30)) / (1 + 0.1 * candidates[index].evidence.number)

    scores = [score(index) for index in range(len(candidates))]
    best = sorted(range(len(candidates)), key=lambda index: (-scores[index], index))[:MOST]
    chosen = sorted(index for index in best if scores[index] >= WEAKEST * scores[best[0]])
    return tuple(candidates[index] for index in chosen)


def as_markdown(found: Sequence[Quote]) -> str:
    """The quotes, each as a block quote with its number."""
    return "\n\n".join(f"> {' '.join(quote.text.split())} [{quote.evidence.number}]" for quote in found)


def _sentences(item: Evidence) -> list[Quote]:
    """What can stand alone as a quote: no headings, table rows or announcements; all of it if nothing else is there."""
    found = [
        Quote(item, item.start + start, item.start + end, item.text[start:end]) for start, end in sentences(item.text)
    ]
    prose = [quote for quote in found if _stands_alone(quote.text)]
    return prose or found


def _stands_alone(sentence: str) -> bool:
    return not sentence.startswith(("#", "|", "```")) and not sentence.endswith(":") and len(sentence.split()) > 3
