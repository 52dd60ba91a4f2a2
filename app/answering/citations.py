"""Which sentence of an answer rests on which span of a document, computed whatever marks the model wrote."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from app.answering import lexicon
from app.answering.alignment import Passages, words
from app.answering.features import foreign
from app.answering.verification import Verdict, by_claims, judge
from app.documents.passages import Place
from app.documents.sentences import sentences
from app.retrieval.analysis import foreign_language
from app.retrieval.packing import Evidence

_MARK = r"\[\^?(?:\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\](?!\()|【\d{1,3}[^】\n]{0,80}】"
MARKS = re.compile(rf"`[^`\n]*`|[ \t]*(?:{_MARK})")
"""What names passages; and code within a line, where brackets name none."""

LEADING = re.compile(rf"(?:\s*(?:{_MARK}))+")
CLOSING = re.compile(r"[.!?。！？:]*[\"”»)*_]*$")
ENDING = re.compile(r"[\n.!?。！？]")
STATES = re.compile(r"(?s)(?![#|]|(?:\W|\d{1,3}[.)] )*\*\*[^*]*\*\*:?$).*\w\w")
"""Text with a word that is no heading, no row of a table and no line that is bold from end to end."""

CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)

FEW = 12
"""Words below which the statistics of letters would often take a text for one in a neighbouring language."""

NOT_FOUND = "not found in the sources"
NONE_FOUND = "the last {count} sentences were not found in the sources"
LACKING = "not in {marks}: {missing}"
"""The notes, in words rather than colour alone; set in italics and brackets behind what they are about."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer and a span that it rests on; offsets in the document's text, None where none does.

    `support` is 1 where the evidence has every word, and falls with what it lacks. `missing` are numbers and names
    that the span lacks, as they are written. `shown` is where the sentence stands in the answer as it is shown.
    """

    sentence: str
    number: int | None
    file: str | None
    place: Place | None
    start: int | None
    end: int | None
    supported: bool
    support: float = 1.0
    missing: tuple[str, ...] = ()
    shown: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Where it stands in the answer, what it says without its marks, and what became of it."""

    start: int
    end: int
    bare: str
    given: tuple[int, ...]
    verdict: Verdict

    @property
    def lost(self) -> bool:
        """Whether it states something that no passage says."""
        return self.verdict.states and not self.verdict.sources

    @property
    def numbers(self) -> list[int]:
        """The passages that it rests on."""
        return list(dict.fromkeys(match.stretch.item.number for match in self.verdict.sources))

    def citations(self, shown: tuple[int, int]) -> Iterator[Citation]:
        """One for each stretch that it rests on, or one without."""
        verdict = self.verdict
        for match in verdict.sources:
            item, start, end = match.stretch.item, match.stretch.start, match.stretch.end
            told = verdict.supported, verdict.support, verdict.missing, shown
            yield Citation(self.bare, item.number, item.file, item.place, start, end, *told)
        if self.lost:
            yield Citation(self.bare, None, None, None, None, None, False, verdict.support, (), shown)


def cite(answer: str, evidence: Sequence[Evidence]) -> tuple[str, tuple[Citation, ...]]:
    """The answer with its marks put right, and the citations of its sentences in their order.

    A mark that names no passage is dropped, one that names a wrong passage replaced; a supported sentence without a
    mark gets one, and one that nothing supports is followed by a note in words.
    """
    citing = Citing(evidence)
    citing.feed(answer)
    return citing.finish()


class Citing:
    """Cites an answer while it grows: each sentence is compared with the evidence as soon as it is complete."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._passages = Passages(evidence)
        self._answer = ""
        self._verdicts: dict[tuple[str, tuple[int, ...]], Verdict] = {}

    def feed(self, text: str) -> None:
        """Take a piece of the answer."""
        self._answer += text
        if ENDING.search(text):
            paragraph = self._answer.rfind("\n\n", 0, max(0, len(self._answer) - len(text)))
            self._sentences(max(0, paragraph))

    def finish(self) -> tuple[str, tuple[Citation, ...]]:
        """The whole answer as `cite` gives it."""
        if not self._passages.evidence:  # there is nothing to compare it with
            return _bare(self._answer), ()
        found = self._sentences(0)
        if any(each.lost for each in found) and self._foreign():
            found = [self._told_by_claims(each) if each.lost else each for each in found]
        return _rendered(self._answer, found)

    def _told_by_claims(self, each: _Sentence) -> _Sentence:
        return replace(each, verdict=by_claims(each.bare, each.given, self._passages))

    def _foreign(self) -> bool:
        text, passages = _bare(self._answer), self._passages
        found, languages = words(text), passages.languages
        if len(found) < FEW:
            return not languages or foreign_language(text, list(languages)) is not None
        return not languages or foreign(text, found, list(passages.words), languages)

    def _sentences(self, start: int) -> list[_Sentence]:
        """The sentences from a place on, judged; a sentence that was judged before is not judged again."""
        text = self._answer[start:]
        code = [match.span() for match in CODE.finditer(text)]
        return [
            self._judged(start + begin, start + end)
            for begin, end in _with_marks(text)
            if not any(begin < stop and first < end for first, stop in code)
        ]

    def _judged(self, start: int, end: int) -> _Sentence:
        bare = _bare(self._answer[start:end]).strip()
        given = tuple(n for n in _given(self._answer[start:end]) if n in self._passages.known)
        if (bare, given) not in self._verdicts:
            states = STATES.match(bare)
            self._verdicts[bare, given] = judge(lexicon.bare(bare), given, self._passages) if states else Verdict()
        return _Sentence(start, end, bare, given, self._verdicts[bare, given])


def _rendered(answer: str, found: Sequence[_Sentence]) -> tuple[str, tuple[Citation, ...]]:
    text = ""
    citations: list[Citation] = []
    done = run = 0
    for each, following in zip_longest(found, found[1:]):
        text += answer[done : each.start]
        start = len(text)
        text += _marked(answer[each.start : each.end], each)
        citations += each.citations((start, len(text)))
        done = each.end
        run = run + 1 if each.lost else 0
        goes_on = following is not None and following.lost and "\n\n" not in answer[done : following.start]
        if run and not goes_on:
            text += f" *({NOT_FOUND if run == 1 else NONE_FOUND.format(count=run)})*"
            run = 0
        elif each.verdict.missing:
            marks = " ".join(f"[{number}]" for number in each.numbers)
            text += f" *({LACKING.format(marks=marks, missing=', '.join(each.verdict.missing))})*"
    return text + answer[done:], tuple(citations)


def _marked(sentence: str, each: _Sentence) -> str:
    """The sentence with the marks of its sources: where it had them, else before its closing punctuation."""
    if set(each.numbers) <= set(each.given):
        kept = each.numbers if each.verdict.states else each.given
        return MARKS.sub(lambda match: _kept(match, kept), sentence)
    text = _bare(sentence).lstrip()
    said = CLOSING.sub("", text, count=1).rstrip()
    return f"{said} {''.join(f'[{number}]' for number in each.numbers)}{text[len(said) :]}"


def _kept(match: re.Match[str], numbers: Collection[int]) -> str:
    if match[0].startswith("`"):
        return match[0]
    marks = "".join(f"[{number}]" for number in _numbers(match[0]) if number in numbers)
    return match[0][: len(match[0]) - len(match[0].lstrip())] + marks if marks else ""


def _with_marks(answer: str) -> list[tuple[int, int]]:
    """The sentences of the answer; marks that stand behind the full stop belong to the sentence before them."""
    found: list[tuple[int, int]] = []
    for start, end in sentences(answer):
        lead = LEADING.match(answer, start, end)
        if lead and found and "\n" not in answer[found[-1][1] : start]:
            found[-1] = (found[-1][0], lead.end())
            start = lead.end()
            start += len(answer[start:end]) - len(answer[start:end].lstrip())
        if start < end:
            found.append((start, end))
    return found


def _bare(text: str) -> str:
    return MARKS.sub(lambda match: match[0] if match[0].startswith("`") else "", text)


def _given(sentence: str) -> Iterator[int]:
    """The numbers that its marks name."""
    for mark in MARKS.findall(sentence):
        if not mark.startswith("`"):
            yield from _numbers(mark)


def _numbers(mark: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)(?:\s*[–-]\s*(\d+))?", mark.partition("†")[0]):
        yield from range(int(first), int(last or first) + 1)
