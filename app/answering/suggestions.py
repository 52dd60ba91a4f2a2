"""Questions that go on from an answer and that the documents can answer: a pure function of the answer."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from app.answering.turn import Answer
from app.documents.passages import Passage
from app.retrieval.analysis import query_words

MOST = 3
"""Suggestions below an answer."""

LONGEST = 60
"""Characters of a heading or term; a longer one is a sentence."""

WORDS = 8
"""Words of a heading; a longer one is a sentence, too."""

DEFINED = {
    "da": "Hvad er {}?",
    "de": "Was ist {}?",
    "en": "What is {}?",
    "es": "¿Qué es {}?",
    "fr": "Qu’est-ce que {} ?",
    "it": "Che cos’è {}?",
    "nl": "Wat is {}?",
    "no": "Hva er {}?",
    "ro": "Ce este {}?",
    "sv": "Vad är {}?",
}

NEAR = 0.7
"""Share of the best score from which passages of documents that the answer does not use are on its subject."""

ENOUGH = 2
"""Content words of a heading that says what it is about without the title."""

_DEFINITION = re.compile(r"^(?:[-*•] )?\**([^\W\d_][^\n:*|.,;!?]{1,40}?)\**: \**[^\W\d_]\S* \S+ \S+", re.MULTILINE)
"""A line such as "BM25: a formula that ranks passages", in bold or not, of a list or not."""

_NUMBERING = re.compile(r"^(?:\d++[.)]?+)++\s+")


def follow_ups(answer: Answer) -> tuple[str, ...]:
    """Return up to three questions or headings for which the passages around an answer hold more than it used.

    They are in the language of the documents: headings beside those that the answer rests on, terms that are defined
    there, and titles. None repeats what was asked.
    """
    if answer.attempt is None or not answer.sources:
        return ()
    used = {(item.file, item.place.label) for item in answer.sources}
    files = list(dict.fromkeys(item.file for item in answer.sources))
    least = NEAR * answer.found.hits[0].score if answer.found.hits else 0.0
    hits = [hit for hit in answer.found.hits if hit.passage.file in files or hit.score >= least]
    near = sorted((hit.passage for hit in hits), key=lambda passage: passage.file not in files)
    questions = [answer.turn.question, *(exchange.question for exchange in answer.turn.history)]
    asked = [_stems(text, near) for text in questions]
    chosen: list[str] = []
    for text in chain(_headings(near, used), _terms(near), _titles(near, files)):
        stems = _stems(text, near)
        if stems and not any(stems <= others or others <= stems for others in asked if others):
            chosen.append(text)
            asked.append(stems)
        if len(chosen) == MOST:
            break
    return tuple(chosen)


def _headings(passages: Sequence[Passage], used: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the headings of passages; one of a single word comes with the title of its document."""
    for passage in passages:
        place = passage.place
        heading = place.label if place.kind == "heading" else place.heading
        text = _NUMBERING.sub("", " ".join(heading.split())).rstrip(".:")
        short = 1 < len(text) <= LONGEST and len(text.split()) <= WORDS
        if short and (passage.file, place.label) not in used and text.casefold() != passage.title.casefold():
            whole = f"{passage.title}: {text}" if passage.title else text
            yield whole if len(_stems(text, [passage])) < ENOUGH and len(whole) <= LONGEST else text


def _terms(passages: Sequence[Passage]) -> Iterator[str]:
    for passage in passages:
        for match in _DEFINITION.finditer(passage.text):
            if len(match[1].split()) <= MOST:
                yield DEFINED.get(passage.language, "{}?").format(match[1].strip())


def _titles(passages: Sequence[Passage], files: Sequence[str]) -> Iterator[str]:
    for passage in passages:
        if passage.title and passage.file not in files and len(passage.title) <= LONGEST:
            yield passage.title


def _stems(text: str, passages: Sequence[Passage]) -> set[str]:
    """Return the stems of the content words of a text."""
    languages = list(dict.fromkeys(passage.language for passage in passages))
    return {word.terms[0] for word in query_words(text, languages) if word.content}
