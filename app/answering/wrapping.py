"""What models put around an answer, taken out while it streams, however the stream is cut into pieces.

An echo of the prompt ends the answer, or is dropped if the answer comes after it. The line of confidence, a fence
around all of the answer and a list of sources at its end are dropped.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

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


class _Filter(ABC):
    """Passes a stream on, but for its end as long as that is undecided, and for what is to be left out."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._held += text
        return self._passed(ended=False)

    def close(self) -> str:
        """Return the rest, at the end of the stream."""
        return self._passed(ended=True)

    @abstractmethod
    def _passed(self, *, ended: bool) -> str:
        """Return what may be shown of the text that is held."""


class _TextFilter(_Filter):
    """A filter that looks at all of the text so far."""

    _shown = 0

    def _passed(self, *, ended: bool) -> str:
        text = self._decided(self._held, ended=ended)
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new

    @abstractmethod
    def _decided(self, text: str, *, ended: bool) -> str:
        """Return the beginning of the answer that is decided; more text only makes it longer."""


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


class EchoFilter(_Filter):
    """Ends an answer where the model repeats what the prompt has around the documents and the question.

    That is a tag of the fence, "Question:", or exactly a line: a rule, the heading of a passage, or one like it, with a
    number that no passage has or another place. What the documents or the question have themselves is no echo. Of the
    fence the token alone is left out, wherever it stands.
    """

    over = False

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        given = "\n".join([prompt.question, *(item.text for item in prompt.evidence)])
        rules = [rule for rule in prompt.rules.splitlines() if rule not in given]
        self._lines = {*map(_plain, [*map(heading, prompt.evidence), *rules])}
        self._files = {f"[] {_plain(one_line(item.file))}," for item in prompt.evidence}
        self._numbers = {str(item.number) for item in prompt.evidence}
        self._question, self._any_question = _plain(prompt.question.rstrip(" .?!")), LABEL in prompt.stop
        names = "passages|draft" if prompt.draft else "passages"
        self._fence, self._tags = prompt.fence, re.compile(rf"\\?</?(?:{names})(\s[^<>\n]{{0,40}})?>")
        self._theirs = bool(re.search(rf"<\s*/?\s*(?:{names})", given))
        self._fresh = True
        """Whether what is held begins a line."""
        self._begun = False
        """Whether some of the answer was passed on."""
        self._line, self._lists = "", False
        """The beginning of the line so far, and whether one heads a list of sources, below which are no headings of the
        prompt."""

    def _passed(self, *, ended: bool) -> str:
        text = self._held
        if self._fence in text:
            text = re.sub(rf"(?<!passages )(?<!draft ){self._fence}", "", text)
        ends = range(len(self._fence), 0, -1)
        begun = 0 if ended else next((end for end in ends if text.endswith(self._fence[:end])), 0)
        self._held, rest = text[: len(text) - begun], text[len(text) - begun :]
        shown = self._without_echoes(ended=ended)
        self._held += rest
        return shown

    def _without_echoes(self, *, ended: bool) -> str:
        shown = ""
        while self._held and not self.over:
            line, newline, after = self._held.partition("\n")
            whole = bool(newline) or ended
            if self._fresh and self._repeats(line, whole):
                if not whole:
                    break  # it may go on otherwise
                self._leave_out(after)
                continue
            tag = self._tag(line if newline or not ended else f"{line}>")  # the end may have been cut off
            held = "" if whole else _TAG_BEGUN.findall(line)[0]
            passed = line[: tag.start()] if tag else line.removesuffix(held)
            self._begun = self._begun or bool(passed.strip())
            if tag:
                shown += passed if self._begun else ""
                self._leave_out(line[tag.end() :] + newline + after)
            elif whole or passed.strip() or not self._fresh:
                shown += passed + newline if self._begun else ""
                self._line = f"{'' if self._fresh else self._line}{passed}"[:_LONGEST_HEADING]
                self._lists = self._lists or bool(newline and SOURCES_HEAD.fullmatch(self._line))
                self._fresh, self._held = bool(newline), line[len(passed) :] + after
            if not (tag or newline):
                break
        return shown

    def _tag(self, line: str) -> re.Match[str] | None:
        """Find a tag of the fence; with its token, where the documents or the question have such tags themselves."""
        tags = (tag for tag in self._tags.finditer(line) if not self._theirs or (tag[1] and tag[1][1:] == self._fence))
        return next(tags, None)

    def _leave_out(self, after: str) -> None:
        """Leave out an echo: behind the beginning of an answer with all that follows it."""
        self.over = self._begun
        self._held = "" if self.over else after

    def _repeats(self, line: str, whole: bool) -> bool:
        """Whether a line repeats one of the prompt, or may do so once it is whole."""
        if label := _ASKED.match(line):
            asked = _plain(line[label.end() :].strip(" \t*_.?!"))
            return self._any_question or asked == self._question or (not whole and self._question.startswith(asked))
        if self._lists:
            return not whole and "question:".startswith(re.sub(r"[\s#>*_\\]", "", _plain(line)))
        plain, number = _plain(line), _NUMBER.match(line.lstrip())
        alike = number is not None and len(line) < _LONGEST_HEADING
        if number is not None and number[1] in self._numbers and whole:
            alike = alike and plain[-1] not in ".:!?…"  # a sentence about the passage
        if plain in self._lines or (alike and plain.startswith(tuple(self._files))):
            return True
        known = (*self._lines, *(self._files if alike else ()))
        may_ask = "question:".startswith(re.sub(r"[\s#>*_\\]", "", plain))
        return not whole and (may_ask or any(each.startswith(plain) for each in known))


def _plain(line: str) -> str:
    """Return a line in lower case, with single blanks, and without the number of its mark."""
    return _NUMBER.sub("[]", " ".join(line.split()).casefold())


class ConfidenceFilter(_Filter):
    """Holds back the last `window` characters, and takes the line `CONFIDENCE: low` from the end of the stream."""

    level: str | None = None
    """After `close`: "low", another word of the model, or None if there was no such line."""

    def __init__(self, window: int = WINDOW) -> None:
        super().__init__()
        self._window = window

    def _passed(self, *, ended: bool) -> str:
        end = max(0, len(self._held) - self._window)
        if ended:
            line = LINE.search(self._held)
            end = line.start() if line else len(self._held)
            word = line[1].casefold() if line else None
            self.level = "low" if word in LOW else word
        shown, self._held = self._held[:end], self._held[end:]
        return shown


FENCE = re.compile(r"\s*(?P<marks>`{3,}|~{3,})(?:(?P<kind>markdown|md)|te?xt|plaintext)?[ \t]*\n", re.I)
FENCE_BEGUN = re.compile(r"\s*(?:`{0,2}|~{0,2}|(?:`{3,}|~{3,})[a-z]*[ \t]*)\Z", re.I)
INTRODUCTION = re.compile(r"[^\n`~]{1,100}:[*_ \t]*\n\s*")
PROSE = re.compile(r"\[\d+\]|[.!?][*_\s]*\Z")
CITED = re.compile(r"(?<![^\s.!?])\[\d+\](?![^\s.,;])")


class FenceFilter(_TextFilter):
    """Drops a fence around the whole answer, or behind a line that introduces the answer.

    A fence that is not called Markdown is one around an answer only if it holds sentences, and nothing comes after it
    unless they are cited.
    """

    def _decided(self, text: str, *, ended: bool) -> str:
        introduction = INTRODUCTION.match(text)
        at = introduction.end() if introduction else 0
        return text[:at] + _unfenced(text[at:], ended=ended, first=not introduction)


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
SOURCES_HEAD = re.compile(rf"[#>*_ \t-]{{0,20}}(?:{'|'.join(SOURCES)})[*_]{{0,9}}[ \t]{{0,9}}:?[*_ \t]{{0,9}}", re.I)
"""A line that heads a list of sources."""

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


class SourcesFilter(_TextFilter):
    """Drops a list of sources at the end of an answer; `names` are the words of which such a list consists."""

    def __init__(self, names: Collection[str] = ()) -> None:
        super().__init__()
        self._names = names
        self._from = 0
        """Where the first list may begin: what is before was looked at, and is none."""

    def _decided(self, text: str, *, ended: bool) -> str:
        for head in LIST.finditer(text, self._from):
            if text[: head.start()].strip() and self._lists(text[head.end() :], bool(head["word"]), ended):
                return text[: head.start()].rstrip()
            self._from = head.end()
        if ended:
            return text
        begun = LIST_BEGUN.search(text, self._from)
        may_be = begun and any(word.startswith((begun["word"] or "").casefold()) for word in SOURCES)
        self._from = begun.start() if begun and may_be else len(text)
        return text[: self._from].rstrip()

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


_SENTENCE_END = re.compile(r"[.!?…:](?:[*_\"”’)]|\s?\[\d+\])*(?:\s+|\Z)|\n\s*")
_REPEATED = 12
"""Characters from which the beginning of a text is taken for a repetition of the text before it."""


def whole_sentences(text: str) -> str:
    """Return a text that broke off without the sentence that it did not finish; a model writes that anew."""
    return text[: max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)]


def joined(begun: str, text: str) -> str:
    """Join the beginning of an answer and what its model wrote on, which may repeat the end of it, or all of it."""
    start, rest = begun.rstrip(), text.lstrip()
    if not start or rest.startswith(start):
        return text
    for size in range(min(len(start), len(rest)), _REPEATED - 1, -1):
        if start.endswith(rest[:size]):
            return start + rest[size:]
    gap = max(begun[len(start) :], text[: len(text) - len(rest)], key=len)
    return f"{start}{gap or ' '}{rest}" if rest else start
