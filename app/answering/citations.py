"""Marks and citations of an answer: which of its sentences rests on which span of a document."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from app.answering.sanitizer import addresses, safe
from app.answering.turn import Answer, Attempt, Citation
from app.answering.verification import MARKS, CheckedAnswer, CheckedSentence, check, marked_passages, without_marks
from app.documents.passages import Span
from app.retrieval.packing import Evidence
from app.translation import _, mark

NOT_FOUND = mark("not found in the sources")
NONE_FOUND = mark("the last {count} sentences were not found in the sources")
LACKING = mark("not in {marks}: {missing}")
NOT_COMPARED = mark("not compared with the sources, which are in another language")
"""Notes, in words rather than colour alone, set in italics and brackets after the text that they refer to."""


def cite(answer: str, evidence: Sequence[Evidence]) -> tuple[str, tuple[Citation, ...]]:
    """Check an answer, and return it with corrected marks and the citations of its sentences in order."""
    return marked(check(answer, evidence))


def marked(checked: CheckedAnswer) -> tuple[str, tuple[Citation, ...]]:
    """Return a checked answer with corrected marks, and the citations of its sentences in order.

    A mark that names no passage is dropped, one that names a wrong passage is replaced; a supported sentence without a
    mark gets one, and an unsupported sentence is followed by a note in words.
    """
    answer, sentences = checked.text, checked.sentences
    if not checked.evidence:
        return without_marks(answer), ()
    text = ""
    citations: list[Citation] = []
    done = run = 0
    for each, following in zip_longest(sentences, sentences[1:]):
        text += answer[done : each.start]
        start = len(text)
        text += _marked(answer[each.start : each.end], each)
        citations += _citations(each, (start, len(text)))
        done = each.end
        run = run + 1 if each.unfounded else 0
        goes_on = following is not None and following.unfounded and "\n\n" not in answer[done : following.start]
        if run and not goes_on:
            text += f" *({_(NOT_FOUND) if run == 1 else _(NONE_FOUND, count=run)})*"
            run = 0
        elif each.verdict.missing:
            marks = " ".join(f"[{number}]" for number in each.numbers)
            text += f" *({_(LACKING, marks=marks, missing=', '.join(each.verdict.missing))})*"
    text += answer[done:]
    return text if checked.compared else f"{text}\n\n*({_(NOT_COMPARED)})*", tuple(citations)


def marked_safely(checked: CheckedAnswer) -> tuple[str, tuple[Citation, ...]]:
    """Return the result of `marked` as safe Markdown: where a mark was removed, the text around it may become a link.

    Too slow for an event loop.
    """
    rendered, citations = marked(checked)
    return safe(rendered, addresses(item.text for item in checked.evidence)), citations


def choose(answer: Answer, attempt: Attempt) -> Answer:
    """Return the same turn with another attempt as its answer, cited anew; too slow for an event loop."""
    rendered, citations = marked_safely(check(attempt.text, answer.evidence, answer.turn.question))
    return replace(answer, attempt=attempt, text=attempt.text, rendered=rendered, citations=citations)


def _citations(sentence: CheckedSentence, shown: Span) -> Iterator[Citation]:
    """Yield one citation for each supporting span, or one without a span."""
    verdict, bare = sentence.verdict, sentence.bare
    for match in verdict.sources:
        item, start, end = match.stretch.item, match.stretch.start, match.stretch.end
        result = verdict.supported, verdict.support, verdict.missing, shown
        yield Citation(bare, item.number, item.file, item.place, start, end, *result)
    if sentence.unfounded:
        yield Citation(bare, None, None, None, None, None, False, verdict.support, (), shown)


def _marked(text: str, sentence: CheckedSentence) -> str:
    """Put the marks of a sentence's sources where it had marks, else before its closing punctuation."""
    if set(sentence.numbers) <= set(sentence.given):
        kept = sentence.numbers if sentence.verdict.states else sentence.given
        return MARKS.sub(lambda match: _kept(match, kept), text)
    plain = without_marks(text).lstrip()
    stem = plain.rstrip('"”»)*_').rstrip(".!?。！？:").rstrip()
    return f"{stem} {''.join(f'[{number}]' for number in sentence.numbers)}{plain[len(stem) :]}"


def _kept(match: re.Match[str], numbers: Collection[int]) -> str:
    if match["mark"] is None:
        return match[0]
    marks = "".join(f"[{number}]" for number in marked_passages(match) if number in numbers)
    return match["blank"] + marks if marks else ""
