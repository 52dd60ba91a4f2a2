"""Which sentence of an answer rests on which span of a document, computed whatever marks the model wrote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.documents.pages import Place
from app.documents.sentences import sentences
from app.retrieval.analysis import terms
from app.retrieval.packing import Evidence

MARKS = re.compile(r"[ \t]*\[(\d+(?:\s*[,;]\s*\d+)*)\]")
CLOSING = re.compile(r"[.!?。！？:]*[\"”»)*_]*$")
CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)

SUPPORTED = 0.5
"""Share of a sentence's words that one place of the evidence must hold to count as its source."""

AS_GOOD = 0.6
"""A mark of the model's stays if its passage holds at least this part of the words that the best passage holds."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer and the span that it rests on; offsets in the document's text, None where none does."""

    sentence: str
    number: int | None
    file: str | None
    place: Place | None
    start: int | None
    end: int | None
    supported: bool


@dataclass(frozen=True, slots=True)
class _Span:
    evidence: Evidence
    start: int
    end: int
    words: frozenset[str]


def cite(answer: str, evidence: Sequence[Evidence]) -> tuple[str, tuple[Citation, ...]]:
    """The answer with its marks put right, and a citation for each of its sentences.

    A mark that names no passage is dropped, one that names a wrong passage replaced; a supported sentence without a
    mark gets one.
    """
    spans = [span for item in evidence for span in _spans(item)]
    code = [match.span() for match in CODE.finditer(answer)]
    pieces: list[str] = []
    citations: list[Citation] = []
    done = 0
    for start, end in _with_marks(answer):
        if any(start < stop and begin < end for begin, stop in code):
            continue
        rendered, citation = _one(answer[start:end], spans, {item.number for item in evidence})
        pieces += [answer[done:start], rendered]
        done = end
        if citation is not None:
            citations.append(citation)
    return "".join(pieces) + answer[done:], tuple(citations)


def _one(sentence: str, spans: Sequence[_Span], numbers: set[int]) -> tuple[str, Citation | None]:
    bare = MARKS.sub("", sentence).strip()
    if not re.search(r"\w\w", bare) or bare.startswith(("#", "|")):
        return _kept_marks(sentence, numbers), None
    given = [number for marks in MARKS.findall(sentence) for number in _numbers(marks) if number in numbers]
    share, span = _best(bare, spans)
    own_share, own = _best(bare, [span for span in spans if span.evidence.number in given])
    if own is not None and (own_share >= AS_GOOD * share or share < SUPPORTED):
        return _kept_marks(sentence, numbers), _citation(bare, own, own_share)
    if span is None or share < SUPPORTED:
        return _kept_marks(sentence, numbers), Citation(bare, None, None, None, None, None, False)
    text = MARKS.sub("", sentence)
    closing = CLOSING.search(text)
    at = closing.start() if closing else len(text)
    return f"{text[:at]} [{span.evidence.number}]{text[at:]}", _citation(bare, span, share)


def _citation(sentence: str, span: _Span, share: float) -> Citation:
    item = span.evidence
    return Citation(sentence, item.number, item.file, item.place, span.start, span.end, share >= SUPPORTED)


def _best(sentence: str, spans: Sequence[_Span]) -> tuple[float, _Span | None]:
    """The span that shares most words with the sentence, the first of equals, and the share."""
    asked = {language: set(terms(sentence, language)) for language in {span.evidence.language for span in spans}}
    best: tuple[float, _Span | None] = (0.0, None)
    for span in spans:
        words = asked[span.evidence.language]
        share = len(words & span.words) / len(words) if words else 0.0
        if share > best[0] or best[1] is None:
            best = (share, span)
    return best


def _spans(item: Evidence) -> list[_Span]:
    """Each sentence of the evidence, and each pair of neighbours: an answer often joins two."""
    single = sentences(item.text)
    pairs = [(first[0], second[1]) for first, second in pairwise(single)]
    return [
        _Span(item, item.start + start, item.start + end, frozenset(terms(item.text[start:end], item.language)))
        for start, end in single + pairs
    ]


def _with_marks(answer: str) -> list[tuple[int, int]]:
    """The sentences of the answer; marks that stand behind the full stop belong to the sentence before them."""
    found: list[tuple[int, int]] = []
    for start, end in sentences(answer):
        lead = re.match(r"(?:\s*\[\d+(?:\s*[,;]\s*\d+)*\])+", answer[start:end])
        if lead and found and "\n" not in answer[found[-1][1] : start]:
            found[-1] = (found[-1][0], start + lead.end())
            start += lead.end()
            start += len(answer[start:end]) - len(answer[start:end].lstrip())
        if start < end:
            found.append((start, end))
    return found


def _kept_marks(sentence: str, numbers: set[int]) -> str:
    """The sentence without the numbers that name no passage."""

    def keep(match: re.Match[str]) -> str:
        good = [str(number) for number in _numbers(match.group(1)) if number in numbers]
        return f" [{'] ['.join(good)}]".replace("] [", "][") if good else ""

    return MARKS.sub(keep, sentence)


def _numbers(marks: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", marks) if len(number) < 7]
