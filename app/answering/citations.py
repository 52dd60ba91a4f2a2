"""Which sentence of an answer rests on which span of a document, computed whatever marks the model wrote."""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest

from app.answering import lexicon
from app.answering.alignment import Passages, words
from app.answering.events import Emitter, Token
from app.answering.features import foreign
from app.answering.sanitizer import addresses, safe
from app.answering.turn import Answer, Attempt, Citation
from app.answering.verification import Verdict, verify, verify_foreign
from app.documents.sentences import sentences
from app.retrieval.analysis import foreign_language
from app.retrieval.packing import Evidence

_MARK = r"\[\^?(?:\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\](?!\()|【\d{1,3}[^】\n]{0,80}】"
MARKS = re.compile(rf"`[^`\n]*`|([ \t]*(?:{_MARK}))")
"""Marks that name passages, as the group, and inline code, where brackets name none."""

LEADING = re.compile(rf"(?:\s*(?:{_MARK}))+")
CLOSING = re.compile(r"[.!?。！？:]*[\"”»)*_]*$")
ENDING = re.compile(r"[\n.!?。！？]")
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

    def citations(self, shown: tuple[int, int]) -> Iterator[Citation]:
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
    return Citer(evidence).cite(answer)


def choose(answer: Answer, attempt: Attempt) -> Answer:
    """Return the same turn with another attempt as its answer, cited anew; too slow for an event loop."""
    rendered, citations = cite(attempt.text, answer.evidence)
    shown = safe(rendered, addresses(item.text for item in answer.evidence))
    return replace(answer, attempt=attempt, text=attempt.text, rendered=shown, citations=citations)


class Citer:
    """Compares the sentences of an answer with the evidence, each once however often it is met."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._passages = Passages(evidence)
        self._verdicts: dict[tuple[str, tuple[int, ...]], Verdict] = {}

    def cite(self, answer: str) -> tuple[str, tuple[Citation, ...]]:
        """Return the result of the function `cite`."""
        if not self._passages.evidence:  # nothing to compare with
            return _bare(answer), ()
        cited = self.sentences(answer)
        if any(each.unfounded for each in cited) and self._foreign(_bare(answer)):
            cited = [self._verified_foreign(each) if each.unfounded else each for each in cited]
        return _rendered(answer, cited)

    def sentences(self, answer: str, start: int = 0) -> list[_Sentence]:
        """Return the sentences from a position on with their verdicts."""
        text = answer[start:]
        code = [match.span() for match in CODE.finditer(text)]
        return [
            self._verified(text[begin:end], start + begin)
            for begin, end in _with_marks(text)
            if not any(begin < stop and first < end for first, stop in code)
        ]

    def _verified_foreign(self, each: _Sentence) -> _Sentence:
        return replace(each, verdict=verify_foreign(each.bare, each.given, self._passages))

    def _foreign(self, text: str) -> bool:
        """Whether an answer, given without marks, is in a language that no passage has."""
        own, languages = words(text), self._passages.languages
        if len(own) < FEW:
            return not languages or foreign_language(text, list(languages)) is not None
        return not languages or foreign(text, own, list(self._passages.words), languages)

    def _verified(self, text: str, start: int) -> _Sentence:
        bare = _bare(text).strip()
        given = tuple(n for n in _given(text) if n in self._passages.words_of)
        if (bare, given) not in self._verdicts:
            states = STATES.match(bare)
            self._verdicts[bare, given] = verify(lexicon.bare(bare), given, self._passages) if states else Verdict()
        return _Sentence(start, start + len(text), bare, given, self._verdicts[bare, given])


class BackgroundCiter:
    """Cites one attempt in a thread of its own while `emit` streams it."""

    def __init__(self, attempt: int, evidence: Sequence[Evidence], emit: Emitter) -> None:
        self._attempt = attempt
        self._thread = ThreadPoolExecutor(1, "citing")
        self._citer = self._thread.submit(Citer, evidence)
        self._text = ""
        emit.on(Token, self._feed)

    def _feed(self, token: Token) -> None:
        """Take a token, and compare the last paragraph if it ends a sentence; other attempts' tokens are ignored."""
        if token.id == self._attempt:
            paragraph = max(0, self._text.rfind("\n\n"))
            text = self._text = self._text + token.text
            if ENDING.search(token.text):
                self._thread.submit(lambda: self._citer.result().sentences(text, paragraph))

    async def finish(self, text: str) -> tuple[str, tuple[Citation, ...]]:
        """Return the result of `cite` for the whole text, most of which has been compared by now."""
        try:
            return await asyncio.wrap_future(self._thread.submit(lambda: self._citer.result().cite(text)))
        finally:
            self._thread.shutdown(wait=False)


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
    if not match[1]:
        return match[0]
    marks = "".join(f"[{number}]" for number in _numbers(match[0]) if number in numbers)
    return match[0][: len(match[0]) - len(match[0].lstrip())] + marks if marks else ""


def _with_marks(answer: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences; marks after a full stop belong to the sentence before them."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(answer):
        lead = LEADING.match(answer, start, end)
        if lead and spans and "\n" not in answer[spans[-1][1] : start]:
            spans[-1] = (spans[-1][0], lead.end())
            start = lead.end()
            start += len(answer[start:end]) - len(answer[start:end].lstrip())
        if start < end:
            spans.append((start, end))
    return spans


def _bare(text: str) -> str:
    return MARKS.sub(lambda match: "" if match[1] else match[0], text)


def _given(sentence: str) -> Iterator[int]:
    """Yield the numbers that the marks of a sentence name."""
    for mark in MARKS.findall(sentence):
        yield from _numbers(mark)


def _numbers(mark: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)(?:\s*[–-]\s*(\d+))?", mark.partition("†")[0]):
        yield from range(int(first), int(last or first) + 1)
