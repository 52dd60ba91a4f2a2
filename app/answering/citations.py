"""Which sentence of an answer rests on which span of a document, computed whatever marks the model wrote."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from app.answering import lexicon
from app.answering.alignment import Passages, words
from app.answering.features import foreign
from app.answering.sanitizer import addresses, safe
from app.answering.turn import Answer, Attempt, Citation
from app.answering.verification import Verdict, verify, verify_foreign
from app.documents.sentences import Span, sentences
from app.retrieval.analysis import foreign_language
from app.retrieval.packing import Evidence

_MARK = r"\[\^?(?:\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\](?!\()|【\d{1,3}[^】\n]{0,80}】"
MARKS = re.compile(rf"`[^`\n]*`|(?P<blank>[ \t]*)(?P<mark>{_MARK})")
"""Marks that name passages, and inline code, where brackets name none."""

LEADING = re.compile(rf"((?:\s*(?:{_MARK}))+)\s*")
CLOSING = re.compile(r"[.!?。！？:]*[\"”»)*_]*$")
STATES = re.compile(r"(?s)(?![#|]|(?:\W|\d{1,3}[.)] )*\*\*[^*]*\*\*:?$).*\w\w")
"""Text with a word, except headings, table rows and lines that are bold from end to end."""

CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)

FEW = 12
"""Words below which letter statistics often confuse a text with one in a neighbouring language."""

NOT_FOUND = "not found in the sources"
NONE_FOUND = "the last {count} sentences were not found in the sources"
LACKING = "not in {marks}: {missing}"
"""Notes, in words rather than colour alone, set in italics and brackets after the text that they refer to."""


@dataclass(frozen=True, slots=True)
class _Sentence:
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

    def citations(self, shown: Span) -> Iterator[Citation]:
        """Yield one citation for each supporting span, or one without a span."""
        verdict = self.verdict
        for match in verdict.sources:
            item, start, end = match.stretch.item, match.stretch.start, match.stretch.end
            result = verdict.supported, verdict.support, verdict.missing, shown
            yield Citation(self.bare, item.number, item.file, item.place, start, end, *result)
        if self.unfounded:
            yield Citation(self.bare, None, None, None, None, None, False, verdict.support, (), shown)


def cite(answer: str, evidence: Sequence[Evidence]) -> tuple[str, tuple[Citation, ...]]:
    """Return the answer with corrected marks, and the citations of its sentences in order.

    A mark that names no passage is dropped, one that names a wrong passage is replaced; a supported sentence without a
    mark gets one, and an unsupported sentence is followed by a note in words.
    """
    if not evidence:  # nothing to compare with
        return _bare(answer), ()
    passages = Passages(evidence)
    code = [match.span() for match in CODE.finditer(answer)]
    cited = [
        _verified(answer, start, end, passages)
        for start, end in _with_marks(answer)
        if not any(start < stop and first < end for first, stop in code)
    ]
    if any(each.unfounded for each in cited) and _foreign(_bare(answer), passages):
        cited = [_verified_foreign(each, passages) if each.unfounded else each for each in cited]
    return _rendered(answer, cited)


def cite_safely(answer: str, evidence: Sequence[Evidence]) -> tuple[str, tuple[Citation, ...]]:
    """Return the result of `cite` as safe Markdown: where a mark was removed, the text around it may become a link.

    Takes 10 ms for most answers and 0.1 s for the longest, too long for an event loop.
    """
    rendered, citations = cite(answer, evidence)
    return safe(rendered, addresses(item.text for item in evidence)), citations


def choose(answer: Answer, attempt: Attempt) -> Answer:
    """Return the same turn with another attempt as its answer, cited anew; too slow for an event loop."""
    rendered, citations = cite_safely(attempt.text, answer.evidence)
    return replace(answer, attempt=attempt, text=attempt.text, rendered=rendered, citations=citations)


def _verified(answer: str, start: int, end: int, passages: Passages) -> _Sentence:
    marked = answer[start:end]
    bare = _bare(marked).strip()
    given = tuple(n for mark in MARKS.finditer(marked) for n in _numbers(mark) if n in passages.words_of)
    verdict = verify(lexicon.bare(bare), given, passages) if STATES.match(bare) else Verdict()
    return _Sentence(start, end, bare, given, verdict)


def _verified_foreign(sentence: _Sentence, passages: Passages) -> _Sentence:
    return replace(sentence, verdict=verify_foreign(sentence.bare, sentence.given, passages))


def _foreign(text: str, passages: Passages) -> bool:
    """Whether an answer, given without marks, is in a language that no passage has."""
    own = words(text)
    if len(own) < FEW:
        return foreign_language(text, list(passages.languages)) is not None
    return foreign(text, own, list(passages.words), passages.languages)


def _rendered(answer: str, sentences: Sequence[_Sentence]) -> tuple[str, tuple[Citation, ...]]:
    text = ""
    citations: list[Citation] = []
    done = run = 0
    for each, following in zip_longest(sentences, sentences[1:]):
        text += answer[done : each.start]
        start = len(text)
        text += _marked(answer[each.start : each.end], each)
        citations += each.citations((start, len(text)))
        done = each.end
        run = run + 1 if each.unfounded else 0
        goes_on = following is not None and following.unfounded and "\n\n" not in answer[done : following.start]
        if run and not goes_on:
            text += f" *({NOT_FOUND if run == 1 else NONE_FOUND.format(count=run)})*"
            run = 0
        elif each.verdict.missing:
            marks = " ".join(f"[{number}]" for number in each.numbers)
            text += f" *({LACKING.format(marks=marks, missing=', '.join(each.verdict.missing))})*"
    return text + answer[done:], tuple(citations)


def _marked(sentence: str, each: _Sentence) -> str:
    """Put the marks of a sentence's sources where it had marks, else before its closing punctuation."""
    if set(each.numbers) <= set(each.given):
        kept = each.numbers if each.verdict.states else each.given
        return MARKS.sub(lambda match: _kept(match, kept), sentence)
    text = _bare(sentence).lstrip()
    stem = CLOSING.sub("", text, count=1).rstrip()
    return f"{stem} {''.join(f'[{number}]' for number in each.numbers)}{text[len(stem) :]}"


def _kept(match: re.Match[str], numbers: Collection[int]) -> str:
    if match["mark"] is None:
        return match[0]
    marks = "".join(f"[{number}]" for number in _numbers(match) if number in numbers)
    return match["blank"] + marks if marks else ""


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


def _bare(text: str) -> str:
    return MARKS.sub(lambda match: match[0] if match["mark"] is None else "", text)


def _numbers(match: re.Match[str]) -> Iterator[int]:
    """Yield the numbers of the passages that a match of MARKS names."""
    mark = match["mark"] or ""
    for first, last in re.findall(r"(\d+)(?:\s*[–-]\s*(\d+))?", mark.partition("†")[0]):
        yield from range(int(first), int(last or first) + 1)
