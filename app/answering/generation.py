"""One model's answer to one prompt, from the wait for a server to the last token.

Knows nothing of decisions or of what follows an attempt.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from app.answering.events import AttemptEnded, AttemptStarted, Emitter, Reasoning, Retracted, Token
from app.answering.prompt import Prompt
from app.answering.sanitizer import SafeMarkdown, addresses
from app.answering.turn import NUMBERS, Attempt, Metrics, Role
from app.answering.usage import Stopwatch, speed
from app.errors import ContextOverflow, ModelError
from app.models import chat
from app.models.foundry import Foundry, Model, Service
from app.models.tokens import TokenCounter
from app.retrieval.packing import Evidence

SPARE = 0.9
"""Share of a model's context that is used: token counts are estimates."""

READING_SECONDS = 1.0
"""Wait for a model's first piece until a message says that it reads the prompt."""

LABELS = "confidence|konfidenz|konfidens|zuversicht|vertrouwen|tillid|tillit|încredere|confiance|confianza|fiducia"
LOW = "low niedrig gering laag lav låg lavt lågt scăzută scăzut faible baja bajo bassa basso".split()
LINE = re.compile(rf"(?:^|\n|(?<=[.!?\])]))[\s*_`(\[]*(?:{LABELS})[\s*_`]*[:=][\s*_`]*([^\W\d_]+)[\s*_`.!)\]]*$", re.I)
WINDOW = 64
"""Characters at the end of an answer in which the confidence line is looked for; they are shown when it ends."""


class Generator:
    """Asks models, and remembers the context length of each model once a server has reported it."""

    def __init__(self, foundry: Foundry, counter: TokenCounter) -> None:
        self._foundry, self._settings = foundry, foundry.settings
        self._count = counter.count
        self._limits: dict[str, tuple[int, float]] = {}
        """By model id: context length, and the model's tokens per token that we count."""
        self._answered: set[str] = set()

    async def generate(
        self, role: Role, prompt: Prompt, enough: Callable[[str], bool], service: Service, emit: Emitter
    ) -> Attempt:
        """Run an attempt from `AttemptStarted` to `AttemptEnded`; a failed one has its error and the text so far.

        `enough` sees the text so far and may end the attempt.
        """
        prompt = replace(prompt, ask_confidence=self._settings.ask_confidence and role == "small")
        alias, other = self._foundry.pair.of(role)
        started = AttemptStarted(NUMBERS[role], role, alias, service.host)
        emit(started)
        stream = _Stream(started, emit, prompt, enough)
        failure: ModelError | None = None
        try:
            model = await self._foundry.ready(alias, stream.progress, instead_of=other)
            if self._foundry.slot(model).locked():
                stream.progress(f"Waiting for {alias}: it is answering another question.")
            async with self._foundry.slot(model):
                await self._ask_fitting(stream, model, prompt)
        except ModelError as error:
            failure = error
        if stream.end.finish == "stopped":  # a server reports its counts last, so they are missing
            prompt_tokens = await asyncio.to_thread(self._size, prompt)
            stream.end = chat.End("stopped", prompt_tokens, self._count(stream.text))
        attempt = stream.attempt(failure)
        emit(AttemptEnded(attempt))
        return attempt

    async def _ask_fitting(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        """Ask; if the prompt proves too long for the model's context, ask once more with less evidence."""
        if model.id in self._limits:
            prompt = await asyncio.to_thread(self._within, prompt, self._room(stream.role, model))
        try:
            await self._ask(stream, model, prompt)
        except ContextOverflow as error:
            counted = await asyncio.to_thread(self._size, prompt)
            if error.limit is not None:
                self._limits[model.id] = (error.limit, error.prompt / counted if error.prompt else 1.0)
                room, reason = self._room(stream.role, model), f"{model.alias} takes {error.limit} tokens at most"
            else:  # the server gave no figure to remember
                room, reason = counted // 2, f"The prompt seems too long for {model.alias}"
            stream.progress(f"{reason}; it gets fewer passages.")
            await self._ask(stream, model, await asyncio.to_thread(self._within, prompt, room))

    def _room(self, role: Role, model: Model) -> int:
        """Return the tokens, by our count, of the longest prompt for a model whose context length is known."""
        limit, scale = self._limits[model.id]
        return int((SPARE * limit - self._max_tokens(role, model)) / scale)

    def _within(self, prompt: Prompt, room: int) -> Prompt:
        """Leave out evidence from its end until the prompt has `room` tokens; the first piece remains."""
        while len(prompt.evidence) > 1 and self._size(prompt) > room:
            prompt = replace(prompt, evidence=prompt.evidence[:-1])
        return prompt

    async def _ask(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        clock = Stopwatch()
        sent = prompt.messages()
        stream.sending(clock.ms)
        _, other = self._foundry.pair.of(stream.role)
        most = self._max_tokens(stream.role, model)
        pieces = chat.answer(self._foundry, model, sent, max_tokens=most, notify=stream.progress, instead_of=other)
        reading = asyncio.create_task(self._explain_wait(stream, model, prompt))
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    reading.cancel()
                    self._answered.add(model.id)
                    if stream.take(piece):
                        break
        finally:
            reading.cancel()

    async def _explain_wait(self, stream: "_Stream", model: Model, prompt: Prompt) -> None:
        await asyncio.sleep(READING_SECONDS)
        tokens = await asyncio.to_thread(self._size, prompt)
        first = "" if model.id in self._answered else "; the first time takes longest"
        stream.progress(f"{model.alias} reads {tokens} tokens{first}")

    def _max_tokens(self, role: Role, model: Model) -> int:
        most = self._settings.max_tokens if role == "small" else self._settings.large_max_tokens
        return min(most, self._limits[model.id][0] // 3) if model.id in self._limits else most

    def _size(self, prompt: Prompt) -> int:
        """Count the tokens of the prompt; the first count may read the vocabulary, so it blocks."""
        return sum(self._count(message["content"]) for message in prompt.messages())


def replay(attempt: Attempt, emit: Emitter) -> Attempt:
    """Emit an attempt that exists already, as if it were written now."""
    emit(AttemptStarted(attempt.id, attempt.role, attempt.model, attempt.host))
    emit(Token(attempt.id, attempt.text))
    emit(AttemptEnded(attempt))
    return attempt


class _Stream:
    """An answer as it comes in: filtered, measured and emitted."""

    text = ""
    end = chat.End("error", None, None)
    _metrics = Metrics()
    _first_ms: float | None = None
    """Time of the first token of any kind, reasoning included."""

    def __init__(self, started: AttemptStarted, emit: Emitter, prompt: Prompt, enough: Callable[[str], bool]) -> None:
        self.role, self.progress = started.role, partial(emit.progress, attempt=started.id)
        self._started, self._emit, self._enough = started, emit, enough
        known = addresses(item.text for item in prompt.evidence)
        self._known, self._names = known, words_of(prompt.evidence)
        self._held = WINDOW if prompt.ask_confidence else 0
        self._begin_text()
        self._safe_reasoning = SafeMarkdown(known)
        self._begun = self._clock = Stopwatch()

    def _begin_text(self) -> None:
        self.text = ""
        self._confidence, self._wrapping = ConfidenceFilter(self._held), WrappingFilter(self._names)
        self._safe = SafeMarkdown(self._known)

    def sending(self, prompt_ms: float) -> None:
        """Note that the request goes out now."""
        self._metrics = Metrics(prompt_ms=prompt_ms, sent_ms=self._begun.ms)
        self._clock, self._first_ms = Stopwatch(), None

    def take(self, piece: chat.Delta | chat.End) -> bool:
        """Pass a piece of the stream on; returns whether to end the attempt here."""
        if isinstance(piece, chat.End):
            self.end = piece
            return False
        if isinstance(piece, chat.Retraction):
            self._metrics = replace(self._metrics, first_token_ms=None)
            self._begin_text()
            self._emit(Retracted(self._started.id))
        now = self._clock.ms
        self._first_ms = self._first_ms or now
        if piece.reasoning:
            self._show(Reasoning, self._safe_reasoning.feed(piece.text))
            return False
        if self._metrics.first_token_ms is None:
            self._metrics = replace(self._metrics, first_token_ms=now)
        self._show(Token, self._safe.feed(self._wrapping.feed(self._confidence.feed(piece.text))))
        stop = self._enough(self.text)
        if stop:
            self.end = chat.End("stopped", None, None)
        return stop

    def attempt(self, failure: ModelError | None) -> Attempt:
        """Emit the rest and return the attempt, after the last piece or the failure."""
        total_ms, end = self._clock.ms, self.end
        self._show(Reasoning, self._safe_reasoning.close())
        rest = self._wrapping.feed(self._confidence.close()) + self._wrapping.close()
        self._show(Token, self._safe.feed(rest) + self._safe.close())
        metrics = replace(
            self._metrics,
            total_ms=total_ms,
            prompt_tokens=end.prompt_tokens,
            completion_tokens=end.completion_tokens,
            tokens_per_s=speed(end.completion_tokens, self._first_ms, total_ms),
        )
        it, level = self._started, self._confidence.level
        return Attempt(it.id, it.role, it.model, it.host, self.text, end.finish, metrics, level, failure)

    def _show(self, kind: type[Reasoning] | type[Token], text: str) -> None:
        if text:
            if kind is Token:
                self.text += text
            self._emit(kind(self._started.id, text))


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
FENCE_BEGUN = re.compile(r"\s*(?:`{0,2}|~{0,2}|(?:`{3,}|~{3,})[a-z]*[ \t]*)$", re.I)
PROSE = re.compile(r"\[\d+\]|[.!?][*_\s]*$")
WORD = re.compile(r"[^\W_]+")
MARKED = re.compile(r"\s*(?:[-*•+]\s*|\d+[.)]\s*)?(?:\[\^?\d|【)")
SOURCES = (
    "source|sources|sources used|reference|references|citation|citations|bibliography|quelle|quellen|quellenangaben|"
    "belege|kilde|kilder|källa|källor|bron|bronnen|sursă|surse|sursa|source :|sources :|références|fuente|fuentes|"
    "referencias|fonte|fonti|fontes|referências|riferimenti|źródło|źródła|zdroj|zdroje|lähde|lähteet"
).split("|")
_BEFORE_LIST = r"(?:(?:^|\n)(?:[ \t]*[-*_]{3,}[ \t]*\n\s*)?|(?<=[.!?\]] ))[ \t]*"
LIST = re.compile(
    rf"{_BEFORE_LIST}(?:[#>*_([-]+[ \t]*)*(?:(?P<word>{'|'.join(SOURCES)})[*_]*[ \t]*(?::|(?=\n|$))|(?=\[\^?\d+\]))",
    re.I,
)
"""The beginning of a list of sources: its heading, or the first mark in a line."""

LIST_BEGUN = re.compile(
    rf"{_BEFORE_LIST}(?:[#>*_([-]+[ \t]*)*(?:(?P<word>[^\W\d_]*(?: [^\W\d_]*)?)[*_]*[ \t]*|\[\^?\d*\]?)$", re.I
)
PLACES = (
    "line lines page pages section passage passages document documents file slide sheet cell chapter zeile zeilen "
    "seite seiten abschnitt absatz dokument datei folie side linje avsnitt sida rad pagina regel página línea "
    "riga ligne and und og och et y e p pp s z"
)
"""Words that name a place in a source."""


class WrappingFilter:
    """Passes a stream on without what wraps an answer: a fence around all of it, and a list of sources at its end.

    `names` are the words of which such a list consists.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = names
        self._text = ""
        self._shown = 0

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._text += text
        return self._new(self._unlisted(_unfenced(self._text, ended=False), ended=False).rstrip())

    def close(self) -> str:
        """Return the rest."""
        return self._new(self._unlisted(_unfenced(self._text, ended=True), ended=True))

    def _new(self, text: str) -> str:
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new

    def _unlisted(self, text: str, *, ended: bool) -> str:
        """Leave out a list of sources at the end, and what may become one."""
        for head in LIST.finditer(text):
            if text[: head.start()].strip() and self._lists(text[head.end() :], bool(head["word"]), ended):
                return text[: head.start()].rstrip()
        begun = None if ended else LIST_BEGUN.search(text)
        if begun and any(word.startswith((begun["word"] or "").casefold()) for word in SOURCES):
            return text[: begun.start()]
        return text

    def _lists(self, text: str, headed: bool, ended: bool) -> bool:
        """Whether a text has only lines that name sources; below a heading it is enough that they begin with a mark."""
        *lines, last = text.casefold().split("\n")
        words = [word for line in lines if not (headed and MARKED.match(line)) for word in WORD.findall(line)]
        *more, begun = WORD.findall("" if headed and MARKED.match(last) else last) or [""]
        if not ended and any(name.startswith(begun) for name in self._names):
            begun = ""  # as yet
        return all(word in self._names or word.isdigit() for word in (*words, *more, *filter(None, [begun])))


def words_of(evidence: Sequence[Evidence]) -> frozenset[str]:
    """Return the words that name sources: those of their files, titles and places, and some of every language."""
    texts = [f"{item.file} {item.title} {item.place.label} {item.place.heading}" for item in evidence]
    return frozenset(WORD.findall(" ".join([*texts, PLACES]).casefold()))


def _unfenced(text: str, *, ended: bool) -> str:
    """Return an answer without the fence around it, or as much of it as is decided.

    A fence that is not called Markdown is one around an answer only if it holds sentences, and nothing comes after it.
    """
    if not (fence := FENCE.match(text)):
        return "" if not ended and FENCE_BEGUN.match(text) else text
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
    if fence["kind"]:
        return f"{body}\n{after}".rstrip() if after.strip() else body
    if after.strip() or (ended and not PROSE.search(body)):
        return text
    return body if ended else ""
