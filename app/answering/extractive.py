"""An answer without a model: the sentences of the evidence that tell most about the question, quoted and cited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.answering.sanitizer import addresses, safe
from app.retrieval.packing import Evidence
from app.retrieval.sentence_ranking import sentence_scores, sentence_spans

MOST = 3
"""Sentences at most: a quote is there to be read at a glance."""

WEAKEST = 0.01
"""A further sentence must have at least this share of the best one's chance to hold the answer."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the evidence, word for word; offsets in the document's text."""

    evidence: Evidence
    start: int
    end: int
    text: str


def quotes(
    question: str, evidence: Sequence[Evidence], weights: Mapping[str, float] | None = None, most: int = MOST
) -> tuple[Quote, ...]:
    """The best sentences, up to `most`, in reading order; `weights` are those of the search for its terms."""
    sentences = [sentences_of(item) for item in evidence]
    passages = [(item.share, [quote.text for quote in found]) for item, found in zip(evidence, sentences, strict=True)]
    ranked = [
        (chance, quote)
        for found, told in zip(sentences, sentence_scores(question, weights or {}, passages), strict=True)
        for quote, chance in zip(found, told, strict=True)
    ]
    # Headings, table rows and announcements tell something about their neighbours, but cannot stand alone.
    prose = [each for each in ranked if stands_alone(each[1].text)] or ranked
    prose.sort(key=lambda each: -each[0])
    best = [quote for chance, quote in prose[:most] if chance >= WEAKEST * prose[0][0]]
    return tuple(sorted(best, key=lambda quote: (quote.evidence.number, quote.start)))


def as_markdown(found: Sequence[Quote]) -> str:
    """The quotes, each as a block quote with its number."""
    text = "\n\n".join(f"> {' '.join(quote.text.split())} [{quote.evidence.number}]" for quote in found)
    return safe(text, addresses(quote.text for quote in found))


def sentences_of(item: Evidence) -> list[Quote]:
    """All sentences of a piece of evidence."""
    return [
        Quote(item, item.start + start, item.start + end, item.text[start:end])
        for start, end in sentence_spans(item.text)
    ]


def stands_alone(sentence: str) -> bool:
    """Whether a sentence says something by itself."""
    return not sentence.startswith(("#", "|", "```")) and not sentence.endswith(":") and len(sentence.split()) > 3
