"""Evidence and hits as Chainlit shows them: elements to open, and the table in the search step."""

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import chainlit as cl
from chainlit.element import Element

from app.answering.events import Retrieved
from app.answering.sanitizer import label, safe
from app.answering.turn import Answer
from app.documents.language import name as name_of
from app.documents.passages import Passage
from app.humanize import count
from app.retrieval.packing import Evidence
from app.retrieval.search import SearchResult
from app.retrieval.store import Snapshot
from app.ui import messages, source_viewer
from app.ui.source_viewer import Originals

log = logging.getLogger(__name__)

MAX_HITS = 10
"""Hits that the table lists at least, whether or not they went into the prompt."""

MAX_UNCITED = 3
"""Passages that are listed below an answer that cites none; the row of the search has all of them."""

PLAIN_RANKS = "plain-ranks"
"""The action by which public/elements/PlainRanks.jsx shows or hides the ranks by plain BM25."""

_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
"""Code, in which a number in brackets is not a mark."""


def name(item: Evidence) -> str:
    """Name a source for the list and for its element; names are unique within an answer."""
    return f"[{item.number}] {label(f'{item.file}, {_short(item.place.label, 60)}')}"


def line(listed: Sequence[Evidence], answer: Answer) -> str:
    """List the sources, which open at a click, in one line that also says if no sentence rests on any of them."""
    if not listed:
        return ""
    head = "Sources" if any(each.number is not None for each in answer.citations) else "The model was given"
    more = len(answer.sources) - len(listed)
    return f"{head}: {' · '.join(map(name, listed))}{f' and {more} more' if more else ''}"


def listed(answer: Answer) -> Sequence[Evidence]:
    """Return the sources that an answer cites, or some of what the model was given, where it cites none."""
    cited = any(each.number is not None for each in answer.citations)
    return answer.sources if cited else answer.sources[:MAX_UNCITED]


async def send(listed: Sequence[Evidence], message: cl.Message, answer: Answer, originals: Originals) -> list[Element]:
    """Attach sources to a message, which then open where their names or numbers are clicked; returns the elements."""
    snapshot = await asyncio.to_thread(originals.snapshot, answer.turn)
    sent: list[Element] = [messages.component("Sources", {"message": message.id})]
    for item in listed:
        try:
            sent += await elements(item, answer, snapshot, originals.path(item.file))
        except Exception:  # a source that cannot be shown never costs the answer
            log.exception("a source cannot be shown")
    for element in sent:  # one by one: sent together they arrive in any order
        await element.send(for_id=message.id)
    return sent


async def elements(item: Evidence, answer: Answer, snapshot: Snapshot, path: Path) -> list[Element]:
    """Make the elements that open a source: one by its name, one by its number; `path` is its file."""
    hit = next((hit for hit in answer.found.hits if _overlap(hit.passage, item)), None)
    props = await source_viewer.props(item, answer.citations, snapshot, path)
    props["why"] = _short(str(hit.explanation), 300) if hit is not None else ""
    names, mark = [name(item)], f"[{item.number}]"
    texts = [*_CODE.findall(answer.rendered), *(citation.sentence for citation in answer.citations)]
    if not any(mark in text for text in texts):
        names.append(mark)
    return [messages.component(each, props, "page") for each in names]


def found(retrieved: Retrieved) -> str:
    """Say in a few words what a search found, which words occur in no document, and whether files are still read."""
    evidence, hits, missing = retrieved.evidence, retrieved.found.hits, retrieved.found.missing
    if evidence:
        what = count(len(evidence), "passage") + (f" · {missing}" if missing else "")
    else:
        what = "nothing" + (f" that answers, nearest {label(hits[0].passage.file)}" if hits else "")
    return what + (f" · {retrieved.reading}" if retrieved.reading else "")


def search_summary(retrieved: Retrieved) -> str:
    """Sum up a search in one line."""
    files = len({item.file for item in retrieved.evidence})
    documents = f" · {count(files, 'document')}" if files else ""
    unread = f" · {count(len(retrieved.problems), 'file')} not read" if retrieved.problems else ""
    return f"Found {found(retrieved)}{documents} · {retrieved.found.took_ms:.0f} ms{unread}"


async def end_search(step: cl.Step, retrieved: Retrieved) -> None:
    """End the search step: its table of hits, and the button that adds the ranks by plain BM25."""
    step.output = await asyncio.to_thread(table, retrieved)
    await messages.end_step(step, search_summary(retrieved))
    known = cl.user_session.get(f"search {step.id}")
    cl.user_session.set(f"search {step.id}", (step, retrieved))
    if retrieved.found.hits and not known:  # a wider search ends the same step again
        await messages.component("PlainRanks", {"step": step.id}).send(for_id=step.id)


async def show_plain_ranks(step_id: str, *, shown: bool) -> bool:
    """Add the ranks by plain BM25 to a search step's table, or remove them; returns whether they are shown."""
    if (search := cl.user_session.get(f"search {step_id}")) is None:
        return False
    step, retrieved = search
    step.output = await asyncio.to_thread(table, retrieved, plain=shown)
    await step.update()
    return shown


def table(retrieved: Retrieved, *, plain: bool = False) -> str:
    """Format what was searched for and found as Markdown; `plain` adds ranks, whose first use on an index is slow."""
    result = retrieved.found
    lines = [f"Searched for: {_cell(result.query, 300)}"]
    if result.foreign:
        also = f"; also searched for: {_cell(result.translation, 300)}" if result.translation else ""
        none = f"No document is in {name_of(result.foreign)}"
        lines.append(f"{none}{also or ': only names and similar words can be found.'}")
    if result.earlier_words:
        lines.append(f"From earlier questions: {', '.join(map(safe, result.earlier_words))}")
    if result.unknown_words:
        lines.append(f"In no document: {', '.join(_unknown(result, word) for word in result.unknown_words)}")
    if result.hits and plain:
        head = ("", "Passage", "Rank", "Plain BM25", "Score", "Because of")
        lines.append(messages.table(head, _rows(retrieved, result.plain_ranks())))
        lines.append("Plain BM25 is the rank by the package rank_bm25, from the stems of this question alone.")
    elif result.hits:
        lines.append(messages.table(("", "Passage", "Score", "Because of"), _rows(retrieved)))
    lines += [f"Not read: {label(problem.file)} – {safe(problem.reason)}" for problem in retrieved.problems]
    return "\n\n".join(lines)


def _unknown(result: SearchResult, word: str) -> str:
    others = result.taken_for.get(word)
    return f"{_cell(word, 30)} (taken for {', '.join(_cell(other, 30) for other in others)})" if others else safe(word)


def _rows(retrieved: Retrieved, plain_ranks: Sequence[int | None] = ()) -> Iterator[list[str]]:
    for hit, plain_rank in zip_longest(retrieved.found.hits, plain_ranks):
        numbers = " ".join(f"[{item.number}]" for item in retrieved.evidence if _overlap(hit.passage, item))
        if hit.rank <= MAX_HITS or numbers:
            place = f"{_cell(hit.passage.file, 60)}, {_cell(hit.passage.place.label, 60)}"
            ranks = [str(hit.rank), str(plain_rank or "–")] if plain_ranks else []
            yield [numbers, place, *ranks, f"{hit.score:.2f}", _cell(str(hit.explanation), 300)]


def _overlap(passage: Passage, item: Evidence) -> bool:
    return passage.file == item.file and passage.start < item.end and item.start < passage.end


def _cell(text: str, limit: int) -> str:
    return safe(_short(text, limit)).replace("|", "\\|")


def _short(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
