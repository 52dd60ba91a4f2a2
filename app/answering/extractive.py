"""Sentences quoted from the evidence: the answer without a model, the outline of a document, and the preview."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import isclose
from textwrap import indent

from app.answering.events import Delay, Emitter, Escalated, Previewed, Retrieved, Token
from app.answering.router import Route
from app.answering.sanitizer import addresses, label, safe
from app.documents.passages import SEPARATOR, Passage, Span
from app.models.discovery import ServerLookup
from app.retrieval.packing import CountTokens, Evidence, TextOf
from app.retrieval.sentence_ranking import (
    PASSED,
    asks,
    cells,
    comparable,
    introduces,
    is_item,
    kinds,
    rank_sentences,
    sentence_spans,
    table_head,
)

MOST = 3
"""Maximum number of quotes: they are read at a glance."""

WEAKEST, LEAST = 0.002, 0.01
"""Least chance of a further sentence to hold the answer, as a share of the top sentence's chance: with a word that was
searched for, and without. The latter is also that of table rows, which are alike, while one of them is meant."""

PARTS = 8
"""Maximum number of parts in the outline of a document."""

PREVIEW_SECONDS = 0.6
"""Wait for the first token before a preview: one that is replaced at once would only flicker."""

ENDS = tuple(".!?…。！？।")
LINES = 6
"""Maximum number of lines of a list, table or formula that are quoted after the sentence that leads into it."""

ALIKE = 0.3
"""Share of their chance that rows keep which the question does not tell apart: one that it names is the answer."""

LABEL = 40
"""Characters in which a colon ends a label, as in "Emergency: 5273"; such a line leads into nothing."""

_BULLET = re.compile(r"^[•◦▪–] ")
_HEADING = re.compile(r"^#+ (.*)")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_UNRULED = re.compile(r"(?m)(?<!\|\n)^\|.*\|$(?=\n\|)(?!\n\|[\s|:]*-)")
"""The head of a table without a rule below it."""
_FENCED = re.compile(r"(?ms)^[ \t]*(```|~~~)[^\n]*\n(.*?)(?:^[ \t]*\1[^\n]*$|\Z)")
_FACT = re.compile(r"\d|\w[:：] ")
"""What makes a short line more than a heading."""


@dataclass(frozen=True, slots=True)
class Quote(Evidence):
    """A quoted stretch of evidence with its number; table rows come with their head row."""

    head: Evidence | None = None


def quotes(
    question: str, evidence: Sequence[Evidence], weights: Mapping[str, float], most: int, text_of: TextOf = lambda _: ""
) -> tuple[Quote, ...]:
    """Return the top quotes, up to `most`; `weights` are the search's term weights.

    The passage with the best quote, which is the preview, comes first; those of a passage are in reading order. The
    head of a table that began before the evidence is taken from the document's text.
    """
    passages = [(item.share, item.text) for item in evidence]
    ranked = [
        candidate
        for item, sentences in zip(evidence, rank_sentences(question, weights, passages), strict=True)
        for candidate in _Sentences(item, [each[:2] for each in sentences], text_of(item.file)).quotes(
            [chance for *_, chance in sentences]
        )
    ]
    ranked.sort(key=lambda candidate: -candidate[0])
    top: list[Quote] = []
    for chance, quote in ranked:
        if len(top) == most:
            break
        named = quote.head is None and any(f" {term}" in comparable(quote.text) for term in weights)
        if chance >= (WEAKEST if named else LEAST) * ranked[0][0] and all(
            quote.number != it.number or quote.end <= it.start or it.end <= quote.start for it in top
        ):
            top.append(quote)
    numbers = [quote.number for quote in top]
    return tuple(sorted(top, key=lambda quote: (numbers.index(quote.number), quote.start)))


def first_sentences(evidence: Sequence[Evidence]) -> tuple[Quote, ...]:
    """Return the first whole sentence of each piece of a document that has one, else the first of each piece."""
    first: list[Quote] = []
    for _, items in groupby(evidence, key=lambda item: item.file):
        split = [_Sentences(item, list(sentence_spans(item.text))) for item in items]
        whole = [quote for own in split if (quote := own.first(whole=True))]
        first += whole or [quote for own in split if (quote := own.first(whole=False))]
    return tuple(first)


def extract(route: Route, retrieved: Retrieved, text_of: TextOf, most: int = MOST) -> tuple[Quote, ...]:
    """Return the top sentences for a question, or the first ones of a document's parts; blocks."""
    if route.files is not None:
        return first_sentences(retrieved.evidence)
    counts = first_sentences([item for item in retrieved.evidence if item.start == item.end])
    passages = [item for item in retrieved.evidence if item.start < item.end]
    return (*counts, *quotes(route.turn.question, passages, retrieved.found.weights, most - len(counts), text_of))


def as_markdown(quoted: Sequence[Quote], *, numbered: bool = True, named: bool = False) -> str:
    """Format quotes as block quotes, with their numbers if `numbered`; rows of one table are shown as a table.

    Above the first quote of each document is its name, if `named`.
    """
    blocks = []
    file = ""
    for (number, _), group in groupby(quoted, lambda quote: (quote.number, (quote.head or quote).start)):
        own = list(group)
        if named and own[0].file != file:
            file = own[0].file
            blocks.append(f"{label(file)}:")
        head = [own[0].head.text] if own[0].head else []
        block = _block("\n".join([*head, *(quote.text for quote in own)]))
        mark = "\n\n" if block.rpartition("\n")[2].startswith(("|", "    ", "\t")) else " "
        block += f"{mark}[{number}]" if numbered else ""
        blocks.append("\n".join(f"> {line}".rstrip() for line in block.split("\n")))
    return safe("\n\n".join(blocks), addresses(quote.text for quote in quoted))


@asynccontextmanager
async def preview(
    route: Route, retrieved: Retrieved, text_of: TextOf, lookup: ServerLookup, emit: Emitter
) -> AsyncIterator[None]:
    """Emit the top sentence if no token comes soon, also after a rejected draft; models are asked within this context.

    Waits until a server is found or started: an answer of quotes needs no preview.
    """

    async def show() -> None:
        while lookup.uncertain:  # noqa: ASYNC110 - the start of a runtime notifies nobody
            await asyncio.sleep(PREVIEW_SECONDS / 4)
        for quote in (await asyncio.to_thread(extract, route, retrieved, text_of, 1))[:1]:
            emit(Previewed(quote, as_markdown([quote], numbered=False)))

    if not retrieved.evidence or route.reworks or route.turn.earlier is not None:  # an answer is on the screen
        yield
        return
    shown = [Delay(PREVIEW_SECONDS, show)]

    def again(_: Escalated) -> None:
        shown.pop().cancel()
        shown.append(Delay(PREVIEW_SECONDS, show))

    emit.on(Token, lambda _: shown[0].cancel())
    emit.on(Escalated, again)
    try:
        yield
    finally:
        shown[0].cancel()


def outlines(
    documents: Sequence[tuple[Sequence[Passage], str]], budget: int, count: CountTokens
) -> tuple[Evidence, ...]:
    """Return the outlines of at most PARTS documents, numbered through; each has an equal share of the budget."""
    share, parts = budget // max(1, len(documents)), PARTS // max(1, len(documents))
    every = (item for passages, text in documents for item in outline(passages, text, share, count, parts))
    return tuple(replace(item, number=number) for number, item in enumerate(every, 1))


def outline(
    passages: Sequence[Passage], text: str, budget: int, count: CountTokens, most: int = PARTS
) -> tuple[Evidence, ...]:
    """Return the beginnings of a document's parts, in order, of together about `budget` tokens by `count`.

    Parts are sections and pages, evenly chosen if there are many, or passages if there are few. All parts grow by a
    sentence in turn, so that a short document comes whole. `passages` and `text` are the whole document.
    """
    starts = _chosen(_part_starts(passages, text), most)
    parts = [_part(text, start, end) for start, end in pairwise([*(each.start for each in starts), len(text)])]
    taken = [0] * len(parts)
    left = budget
    growing = list(range(len(parts)))
    while growing:
        for at in list(growing):
            following = _next(parts[at], text, taken[at])
            cost = count(text[parts[at][taken[at]][0] : parts[at][following - 1][1]]) if following > taken[at] else 0
            if not cost or (cost > left and any(taken)):
                growing.remove(at)
            else:
                taken[at], left = following, left - cost
    kept = [
        (first, part[0][0], part[size - 1][1]) for first, part, size in zip(starts, parts, taken, strict=True) if size
    ]
    return tuple(
        Evidence(number, it.file, it.title, it.place, start, end, text[start:end], it.language)
        for number, (it, start, end) in enumerate(kept, 1)
    )


class _Sentences:
    """The sentences of a piece of evidence, and the quotes that can be made of them."""

    def __init__(self, item: Evidence, spans: Sequence[Span], document: str = "") -> None:
        unchanged = document[item.start : item.end] == item.text
        self._item, self._document = item, document if unchanged else " " * item.start + item.text
        self._spans, self._kinds = spans, [*kinds(item.text, spans), ""]
        self._texts = [*(item.text[start:end] for start, end in spans), ""]

    def quotes(self, chances: Sequence[float]) -> Iterator[tuple[float, Quote]]:
        """Yield each quote with its chance to hold the answer; questions and headings pass theirs on."""
        passed = 0.0
        for at, chance in enumerate(chances):
            if self._passes(at):
                if self._kinds[at] not in ("row", "rule"):  # rows are ranked with their head
                    passed = max(passed, chance)
                continue
            last = at
            if self._announces(at):
                last = self._run(at + 1) if self._texts[at + 1] else at
                chance = chance if last > at else 0.0  # what it announces is not in the evidence
            elif passed and self._kinds[at] != "prose":
                yield PASSED * passed, self._quote(at, self._run(at))
            else:
                chance = max(chance, PASSED * passed)
            while last < self._run(at) and self._kinds[at] == "row" and isclose(chances[last + 1], chances[at]):
                last += 1
            if {self._kinds[at], self._kinds[at - 1]} == {"row"} and isclose(chances[at - 1], chances[at]):
                continue  # quoted with the row above
            alike = self._kinds[at] == "row" and last > at
            yield chance * (ALIKE if alike else 1), self._quote(at, last)
            passed = 0.0

    def first(self, *, whole: bool) -> Quote | None:
        """Return the first sentence, or the first one that is `whole`."""
        for at in range(len(self._spans)):
            if not whole or (self._texts[at].endswith(ENDS) and not self._passes(at)):
                return self._quote(at, at)
        return None

    def _passes(self, at: int) -> bool:
        """Return whether a sentence only asks or names what the next one says: a question, heading or head row."""
        text, following = self._texts[at], self._texts[at + 1]
        if not following or self._announces(at):
            return False
        if self._kinds[at] == "row":
            title = self._kinds[at + 1] == "row" and len(cells(text)) == 1
            return title or self._kinds[at + 1] == "rule" or (self._head(at + 1) is not None and not self._head(at))
        bare = (
            introduces(text, following)
            or (_is_tiny(text) and not text.endswith(ENDS))
            or (self._near(at) and " " not in text)
        )
        bare = bare and self._kinds[at] == "prose" and text[0] != ":" and not _FACT.search(text)
        return bare or self._kinds[at] == "rule" or text.startswith("#") or asks(text)

    def _near(self, at: int) -> bool:
        """Return whether no blank line is between a sentence and the next."""
        return "\n\n" not in self._item.text[self._spans[at][1] : self._spans[at + 1][0]]

    def _announces(self, at: int) -> bool:
        """Return whether a sentence leads into what follows: by a colon, or without a mark into a formula or list."""
        text = self._texts[at].rstrip('*_`)"”')
        into = self._kinds[at + 1] in ("item", "row", "code") and not text.endswith(ENDS)
        plain = self._kinds[at] == "prose" and not text.startswith("#") and ": " not in text[:LABEL]
        return text.endswith((":", "：")) or (plain and into)

    def _run(self, at: int) -> int:
        """Return the last line of the list, table or formula that begins with a line, within `LINES`."""
        last = at
        same = {self._kinds[at], "rule"} - {"prose"}
        while self._kinds[last + 1] in same and last - at < LINES and not asks(self._texts[last + 1]):
            last += 1
        return last

    def _head(self, at: int) -> Span | None:
        row = self._kinds[at] == "row"
        return table_head(self._document, self._item.start + self._spans[at][0]) if row else None

    def _quote(self, first: int, last: int) -> Quote:
        item, head = self._item, None
        if span := self._head(first):
            head = replace(item, start=span[0], end=span[1], text=self._document[slice(*span)])
        elif first and self._passes(first - 1) and not asks(self._texts[first - 1]):
            near = self._near(first - 1) and self._kinds[first - 1] == "prose"
            first -= near or _is_tiny(self._texts[first])
        start, end = self._spans[first][0], self._spans[last][1]
        of = (item.number, item.file, item.title, item.place, item.start + start, item.start + end)
        return Quote(*of, item.text[start:end], item.language, item.share, head)


def _is_tiny(text: str) -> bool:
    """Return whether a text is too short to be understood without the line before or after it."""
    return text.startswith(":") or (len(text.split()) < 3 and ": " not in text)


def _block(text: str) -> str:
    """Return a quoted text as Markdown; the lines of lists, tables and code are kept, others are joined."""
    if text.startswith("|") and "\n" not in text:  # without a head, Markdown has no table
        return " · ".join(filter(None, cells(text)))
    text = _UNRULED.sub(lambda head: f"{head[0]}\n|{'---|' * len(cells(head[0]))}", text)
    text = _FENCED.sub(lambda code: "\n" + indent(code[2], "    "), text)
    blocks = []
    for block in _BLANK_LINES.split(text):
        lines = [_BULLET.sub("- ", " ".join(line.split())) for line in block.split("\n")]
        joined = ("\n" if any(line.startswith("|") or is_item(line) for line in lines) else " ").join(lines)
        code = block.startswith(("    ", "\t"))
        blocks.append(block if code else _HEADING.sub(r"**\1**", joined))
    return "\n\n".join(blocks)


def _part_starts(passages: Sequence[Passage], text: str) -> list[Passage]:
    """Return the passages that begin a page or section, or all if there are few pages."""
    pages = {text.count(SEPARATOR, 0, passage.start): passage for passage in reversed(passages)}
    return sorted(pages.values(), key=lambda passage: passage.start) if len(pages) >= PARTS // 2 else list(passages)


def _chosen(starts: Sequence[Passage], most: int) -> list[Passage]:
    most = min(most, len(starts))
    return [starts[at * (len(starts) - 1) // max(1, most - 1)] for at in range(most)]


def _part(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the sentences of a part, which ends where the next part or its page ends."""
    page = text[start:end].partition(SEPARATOR)[0]
    return [(start + first, start + last) for first, last in sentence_spans(page)]


def _next(part: Sequence[tuple[int, int]], text: str, taken: int) -> int:
    """Return how many sentences of a part to take next: one more, with the headings before it."""
    following = taken + 1
    while following < len(part) and introduces(text[slice(*part[following - 1])], text[slice(*part[following])]):
        following += 1
    return min(following, len(part))
