"""What models put around an answer, taken out while it streams, however the stream is cut into pieces.

An echo of the prompt ends the answer, or is dropped if the answer comes after it. The line of confidence, a fence
around all of the answer and a list of sources at its end are dropped.
"""

import re
from collections.abc import Collection, Sequence
from typing import Protocol

from app.answering.prompt import LABEL, Prompt, heading, one_line
from app.retrieval.packing import Evidence

LABELS = "confidence|konfidenz|konfidens|zuversicht|vertrouwen|tillid|tillit|încredere|confiance|confianza|fiducia"
LOW = "low niedrig gering laag lav låg lavt lågt scăzută scăzut faible baja bajo bassa basso".split()
LINE = re.compile(rf"(?:^|\n|(?<=[.!?\])]))[\s*_`(\[]*(?:{LABELS})[\s*_`]*[:=][\s*_`]*([^\W\d_]+)[\s*_`.!)\]]*$", re.I)
WINDOW = 64
"""Characters at the end of an answer in which the confidence line is looked for; they are shown when it ends."""

_NUMBER = re.compile(r"\A\[(\d{0,6})\]?")
_ASKED = re.compile(r"[\s#>*_\\]*question[\s*_]*:", re.I)
_TAG_BEGUN = re.compile(r"\\?(?:</?[a-z]*(?:\s[^<>\n]{0,40})?)?\Z")
_LONGEST_HEADING = 300
"""Characters of a line from which it is no heading, unless it is one that was sent."""


class _Filter(Protocol):
    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""

    def close(self) -> str:
        """Return the rest, at the end of the stream."""


class AnswerFilter:
    """Passes on the answer alone, of all that a model writes in reply to a prompt."""

    def __init__(self, prompt: Prompt) -> None:
        self._echo, self._confidence = EchoFilter(prompt), ConfidenceFilter(WINDOW if prompt.ask_confidence else 0)
        sources = SourcesFilter(words_of(prompt.evidence))
        self._filters: tuple[_Filter, ...] = self._echo, self._confidence, FenceFilter(), sources

    @property
    def over(self) -> bool:
        """Whether the answer has ended, because the model repeats its prompt behind it."""
        return self._echo.over

    @property
    def confidence(self) -> str | None:
        """After `close`: "low", another word of the model, or None if it wrote no such line."""
        return self._confidence.level

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        for each in self._filters:
            text = each.feed(text)
        return text

    def close(self) -> str:
        """Return the rest, at the end of the stream."""
        rest = ""
        for each in self._filters:
            rest = each.feed(rest) + each.close()
        return rest.rstrip() if self.over else rest


def is_no_answer(text: str, *, ended: bool) -> bool:
    """Whether a text has no words, or is but the line before an answer, such as "The answer is:".

    A sign, or a word or two before a colon, can be an answer, unless the attempt was `ended` there.
    """
    text = text.strip(" \n*_")
    introduces = text.endswith(":") and "\n" not in text and (ended or len(text.split()) > 2)
    return introduces or (ended and not any(map(str.isalnum, text)))


class EchoFilter:
    """Ends an answer where the model repeats what the prompt has around the documents and the question.

    That is a tag of the fence, "Question:", or exactly a line: a rule, the heading of a passage, or one like it with a
    number that no passage has. What the documents or the question have themselves is no echo.
    """

    over = False

    def __init__(self, prompt: Prompt) -> None:
        given = "\n".join([prompt.question, *(item.text for item in prompt.evidence)])
        rules = [rule for rule in prompt.rules.splitlines() if rule not in given]
        self._lines = {*map(_plain, [*map(heading, prompt.evidence), *rules])}
        self._files = {f"[] {_plain(one_line(item.file))}," for item in prompt.evidence}
        self._numbers = {str(item.number) for item in prompt.evidence}
        self._question, self._any_question = _plain(prompt.question.rstrip(" .?!")), LABEL in prompt.stop
        names = "passages|draft" if prompt.draft else "passages"
        theirs = re.search(rf"<\s*/?\s*(?:{names})", given)
        inner = rf"\s{prompt.fence}" if theirs else r"(?:\s[^<>\n]{0,40})?"
        self._tag = re.compile(rf"\\?</?(?:{names}){inner}>")
        self._rest = ""
        self._fresh = True
        """Whether what is held begins a line."""
        self._begun = False
        """Whether some of the answer was passed on."""

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._rest += text
        return self._passed(ended=False)

    def close(self) -> str:
        """Return the rest."""
        return self._passed(ended=True)

    def _passed(self, *, ended: bool) -> str:
        shown = ""
        while self._rest and not self.over:
            line, newline, after = self._rest.partition("\n")
            whole = bool(newline) or ended
            if self._fresh and self._repeats(line, whole):
                if not whole:
                    break  # it may go on otherwise
                self._leave_out(after)
                continue
            tag = self._tag.search(line if newline or not ended else f"{line}>")  # the end may have been cut off
            held = "" if whole else _TAG_BEGUN.findall(line)[0]
            passed = line[: tag.start()] if tag else line.removesuffix(held)
            self._begun = self._begun or bool(passed.strip())
            if tag:
                shown += passed if self._begun else ""
                self._leave_out(line[tag.end() :] + newline + after)
            elif whole or passed.strip() or not self._fresh:
                shown += passed + newline if self._begun else ""
                self._fresh, self._rest = bool(newline), line[len(passed) :] + after
            if not (tag or newline):
                break
        return shown

    def _leave_out(self, after: str) -> None:
        """Leave out an echo: behind the beginning of an answer with all that follows it."""
        self.over = self._begun
        self._rest = "" if self.over else after

    def _repeats(self, line: str, whole: bool) -> bool:
        """Whether a line repeats one of the prompt, or may do so once it is whole."""
        if label := _ASKED.match(line):
            asked = _plain(line[label.end() :].strip(" \t*_.?!"))
            return self._any_question or asked == self._question or (not whole and self._question.startswith(asked))
        plain, number = _plain(line), _NUMBER.match(line.lstrip())
        unsent = number is not None and number[1] not in self._numbers and len(line) < _LONGEST_HEADING
        if plain in self._lines or (unsent and plain.startswith(tuple(self._files))):
            return True
        known = (*self._lines, *(self._files if unsent else ()))
        may_ask = "question:".startswith(re.sub(r"[\s#>*_\\]", "", plain))
        return not whole and (may_ask or any(each.startswith(plain) for each in known))


def _plain(line: str) -> str:
    """Return a line in lower case, with single blanks, and without the number of its mark."""
    return _NUMBER.sub("[]", " ".join(line.split()).casefold())


class ConfidenceFilter:
    """Passes a stream on except its last `held` characters, and takes the line `CONFIDENCE: low` from its end."""

    level: str | None = None
    """After `close`: "low", another word of the model, or None if there was no such line."""

    def __init__(self, held: int = WINDOW) -> None:
        self._held = held
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        text = self._rest + text
        end = max(0, len(text) - self._held)
        self._rest = text[end:]
        return text[:end]

    def close(self) -> str:
        """Return the rest without the confidence line."""
        if not (line := LINE.search(self._rest)):
            return self._rest
        word = line[1].casefold()
        self.level = "low" if word in LOW else word
        return self._rest[: line.start()]


FENCE = re.compile(r"\s*(?P<marks>`{3,}|~{3,})(?:(?P<kind>markdown|md)|te?xt|plaintext)?[ \t]*\n", re.I)
FENCE_BEGUN = re.compile(r"\s*(?:`{0,2}|~{0,2}|(?:`{3,}|~{3,})[a-z]*[ \t]*)\Z", re.I)
INTRODUCTION = re.compile(r"[^\n`~]{1,100}:[*_ \t]*\n\s*")
PROSE = re.compile(r"\[\d+\]|[.!?][*_\s]*\Z")
CITED = re.compile(r"(?<![^\s.!?])\[\d+\](?![^\s.,;])")


class FenceFilter:
    """Drops a fence around the whole answer, or behind a line that introduces the answer.

    A fence that is not called Markdown is one around an answer only if it holds sentences, and nothing comes after it
    unless they are cited.
    """

    def __init__(self) -> None:
        self._text = ""
        self._shown = 0

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._text += text
        return self._new(ended=False)

    def close(self) -> str:
        """Return the rest."""
        return self._new(ended=True)

    def _new(self, *, ended: bool) -> str:
        introduction = INTRODUCTION.match(self._text)
        at = introduction.end() if introduction else 0
        text = self._text[:at] + _unfenced(self._text[at:], ended=ended, first=not introduction)
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new


def _unfenced(text: str, *, ended: bool, first: bool) -> str:
    """Return an answer without the fence around it, or as much of it as is decided."""
    if not (fence := FENCE.match(text)) or not (first or fence["kind"]):
        return "" if not (ended or fence) and FENCE_BEGUN.match(text) else text
    lines = text[fence.end() :].split("\n")
    inner, last = False, len(lines)
    for number, line in enumerate(lines):
        if not line.strip().startswith(fence["marks"]):
            continue
        if not inner and not line.strip().strip(fence["marks"][0]):
            last = number
            break
        inner = not inner
    after = "\n".join(lines[last + 1 :])
    if last == len(lines) and not ended and not lines[-1].strip(" \t" + fence["marks"][0]):
        last -= 1  # it may become the end of the fence
    body = "\n".join(lines[:last])
    if fence["kind"] or (after.strip() and CITED.search(body)):
        return f"{body}\n{after}".rstrip() if after.strip() else body
    if after.strip() or (ended and not PROSE.search(body)):
        return text
    return body if ended else ""


WORD = re.compile(r"[^\W_]+")
MARKED = re.compile(r"\s*(?:[-*•+]\s*|\d+[.)]\s*)?(?:\[\^?\d|【)")
SOURCES = (
    "source|sources|sources used|used sources|sources cited|source documents|reference|references|citation|citations|"
    "bibliography|quelle|quellen|quellenangaben|quellenverzeichnis|verwendete quellen|belege|literatur|kilde|kilder|"
    "källa|källor|bron|bronnen|sursă|surse|sursa|source :|sources :|références|fuente|fuentes|referencias|fonte|fonti|"
    "fontes|referências|riferimenti|źródło|źródła|zdroj|zdroje|lähde|lähteet"
).split("|")
_BEFORE_LIST = r"(?:(?:^|\n)(?:[ \t]*[-*_]{3,}[ \t]*\n\s*)?|(?<=[.!?\]] ))[#>*_([ \t-]{0,20}"
LIST = re.compile(rf"{_BEFORE_LIST}(?:(?P<word>{'|'.join(SOURCES)})[*_]*[ \t]*(?::|(?=\n|$))|(?=\[\^?\d+\]))", re.I)
"""The beginning of a list of sources: its heading, or the first mark in a line."""

LIST_BEGUN = re.compile(rf"{_BEFORE_LIST}(?:(?P<word>[^\W\d_]*(?: [^\W\d_]*)?)[*_]*[ \t]*|\[\^?\d*\]?)$", re.I)
PLACES = (
    "line lines page pages section passage passages document documents file slide sheet cell chapter zeile zeilen "
    "seite seiten abschnitt absatz dokument datei folie side linje avsnitt sida rad pagina regel página línea "
    "riga ligne and und og och et y e p pp s z"
)
"""Words that name a place in a source."""


class SourcesFilter:
    """Drops a list of sources at the end of an answer; `names` are the words of which such a list consists."""

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = names
        self._text = ""
        self._shown = 0
        self._from = 0
        """Where the first list may begin: what is before was looked at, and is none."""

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._text += text
        return self._new(self._before_list(ended=False).rstrip())

    def close(self) -> str:
        """Return the rest."""
        return self._new(self._before_list(ended=True))

    def _new(self, text: str) -> str:
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new

    def _before_list(self, *, ended: bool) -> str:
        """Return the text without a list of sources at its end, and without what may become one."""
        text = self._text
        for head in LIST.finditer(text, self._from):
            if text[: head.start()].strip() and self._lists(text[head.end() :], bool(head["word"]), ended):
                return text[: head.start()].rstrip()
            self._from = head.end()
        begun = None if ended else LIST_BEGUN.search(text, self._from)
        may_be = begun and any(word.startswith((begun["word"] or "").casefold()) for word in SOURCES)
        self._from = begun.start() if begun and may_be else len(text)
        return text[: self._from]

    def _lists(self, text: str, headed: bool, ended: bool) -> bool:
        """Whether a text has only lines that name sources; below a heading it is enough that they begin with a mark."""
        *lines, last = re.sub(r"\n+", "\n", text).casefold().split("\n")
        words = [word for line in lines if not (headed and MARKED.match(line)) for word in WORD.findall(line)]
        *more, begun = WORD.findall("" if headed and MARKED.match(last) else last) or [""]
        if not ended and any(name.startswith(begun) for name in self._names):
            begun = ""  # as yet
        return all(word in self._names or word.isdigit() for word in (*words, *more, *filter(None, [begun])))


def words_of(evidence: Sequence[Evidence]) -> frozenset[str]:
    """Return the words that name sources: those of their files, titles and places, and some of every language."""
    texts = [f"{item.file} {item.title} {item.place.label} {item.place.heading}" for item in evidence]
    return frozenset(WORD.findall(" ".join([*texts, PLACES]).casefold()))
