"""Sentences quoted from the evidence: the answer without a model, the outline of a document, and the preview."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

from app.answering.events import Emitter, Previewed, Retrieved, Token
from app.answering.router import Route
from app.answering.sanitizer import addresses, safe
from app.documents.passages import SEPARATOR, Passage
from app.models.foundry import ServerLookup
from app.retrieval.packing import CountTokens, Evidence
from app.retrieval.sentence_ranking import introduces, rank_sentences, sentence_spans

MOST = 3
"""Maximum number of quotes: they are read at a glance."""

WEAKEST = 0.01
"""Least chance of a further sentence to hold the answer, as a share of the top sentence's chance."""

PARTS = 8
"""Maximum number of parts in the outline of a document."""

PREVIEW_SECONDS = 0.6
"""Wait for the first token before a preview: one that is replaced at once would only flicker."""

ENDS = tuple(".!?…。！？।")


def quotes(
    question: str, evidence: Sequence[Evidence], weights: Mapping[str, float] | None = None, most: int = MOST
) -> tuple[Evidence, ...]:
    """Return the top sentences, up to `most`, in reading order; `weights` are the search's term weights."""
    passages = [(item.share, item.text) for item in evidence]
    ranked = [
        (chance, _quote(item, start, end))
        for item, sentences in zip(evidence, rank_sentences(question, weights or {}, passages), strict=True)
        for start, end, chance in sentences
    ]
    # Headings, table rows and announcements say something about their neighbours, but nothing by themselves.
    prose = [each for each in ranked if _self_contained(each[1].text)] or ranked
    prose.sort(key=lambda each: -each[0])
    top = [quote for chance, quote in prose[:most] if chance >= WEAKEST * prose[0][0]]
    return tuple(sorted(top, key=lambda quote: (quote.number, quote.start)))


def first_sentences(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Return the first whole sentence of each piece of evidence that has one, else the first of each piece."""
    quoted = [[_quote(item, *span) for span in sentence_spans(item.text)] for item in evidence]
    split = [own for own in quoted if own]
    whole = ([each for each in own if _self_contained(each.text) and each.text.endswith(ENDS)] for own in split)
    return tuple(own[0] for own in whole if own) or tuple(own[0] for own in split)


def extract(route: Route, retrieved: Retrieved, most: int = MOST) -> tuple[Evidence, ...]:
    """Return the top sentences for a question, or the first ones of a document's parts; blocks."""
    if route.file:
        return first_sentences(retrieved.evidence)
    return quotes(route.turn.question, retrieved.evidence, retrieved.found.weights, most)


def as_markdown(quoted: Sequence[Evidence]) -> str:
    """Format quotes as block quotes with their numbers."""
    text = "\n\n".join(f"> {' '.join(quote.text.split())} [{quote.number}]" for quote in quoted)
    return safe(text, addresses(quote.text for quote in quoted))


@asynccontextmanager
async def preview(route: Route, retrieved: Retrieved, lookup: ServerLookup, emit: Emitter) -> AsyncIterator[None]:
    """Emit the top sentence if no token comes soon; models are asked within this context.

    Waits until a server is found or started: an answer of quotes needs no preview.
    """

    async def show() -> None:
        if not retrieved.evidence or route.reworks or route.turn.earlier is not None:  # an answer is on the screen
            return
        await asyncio.sleep(PREVIEW_SECONDS)
        while lookup.uncertain:  # noqa: ASYNC110 - the start of a runtime notifies nobody
            await asyncio.sleep(PREVIEW_SECONDS / 4)
        for quote in (await asyncio.to_thread(extract, route, retrieved, 1))[:1]:
            emit(Previewed(quote))

    task = asyncio.create_task(show())
    emit.on(Token, lambda _: task.cancel())
    try:
        yield
    finally:
        task.cancel()


def outline(passages: Sequence[Passage], text: str, budget: int, count: CountTokens) -> tuple[Evidence, ...]:
    """Return the beginnings of a document's parts, in order, of together about `budget` tokens by `count`.

    Parts are sections and pages, evenly chosen if there are many, or passages if there are few. All parts grow by a
    sentence in turn, so that a short document comes whole. `passages` and `text` are the whole document.
    """
    starts = _chosen(_part_starts(passages, text))
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


def _quote(item: Evidence, start: int, end: int) -> Evidence:
    """Return a sentence of the evidence as evidence of its own, with the number of the whole."""
    return replace(item, start=item.start + start, end=item.start + end, text=item.text[start:end])


def _self_contained(sentence: str) -> bool:
    return not sentence.startswith(("#", "|", "```")) and not sentence.endswith(":") and len(sentence.split()) > 3


def _part_starts(passages: Sequence[Passage], text: str) -> list[Passage]:
    """Return the passages that begin a page or section, or all if there are few pages."""
    pages = {text.count(SEPARATOR, 0, passage.start): passage for passage in reversed(passages)}
    return sorted(pages.values(), key=lambda passage: passage.start) if len(pages) >= PARTS // 2 else list(passages)


def _chosen(starts: Sequence[Passage]) -> list[Passage]:
    most = min(PARTS, len(starts))
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
