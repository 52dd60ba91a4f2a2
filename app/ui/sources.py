"""Evidence and hits as Chainlit shows them: elements to open, and the table in the search step."""

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any
from uuid import uuid4

import chainlit as cl
from chainlit.element import Element

from app.answering.context import Retriever
from app.answering.events import Retrieved
from app.answering.sanitizer import label, safe
from app.answering.turn import Answer
from app.documents.language import shown_name
from app.documents.passages import Passage
from app.errors import CorpusError
from app.retrieval.packing import Evidence
from app.retrieval.search import Hit, SearchResult
from app.translation import _, again, count, figure, plural
from app.ui import messages, source_viewer
from app.ui.screen import Screen
from app.ui.source_viewer import CitedPlace, Originals

log = logging.getLogger(__name__)

MAX_HITS = 10
"""Hits that the table lists at least, whether or not they went into the prompt."""

MAX_UNCITED = 3
"""Passages that are listed below an answer that cites none; the row of the search has all of them."""

OPENER = "Sources"
"""The component of public/elements that opens sources. The first answer has one for the whole conversation, because a
page draws such components anew at each event."""

HITS = "hits"
"""The action by which public/elements/PlainRanks.jsx opens a row of the table, or shows and hides plain BM25."""

_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
"""Code, in which a number in brackets is not a mark."""


def name(item: Evidence) -> str:
    """Name a source for the list and for its element; names are unique within an answer."""
    return f"[{item.number}] {label(f'{item.file}, {_short(item.place.shown, 60)}')}"


def line(listed: Sequence[Evidence], answer: Answer) -> str:
    """List the sources, which open at a click, in one line that also says if no sentence rests on any of them."""
    if not listed:
        return ""
    names, cited = " · ".join(map(name, listed)), any(each.number is not None for each in answer.citations)
    if not cited and (more := len(_places(answer.sources)) - len(listed)):
        names = _("{names} and {number} more", names=names, number=more)
    return _("Sources: {names}", names=names) if cited else _("The model was given: {names}", names=names)


def listed(answer: Answer) -> Sequence[Evidence]:
    """Return the sources that an answer cites, or some of what the model was given, where it cites none."""
    cited = any(each.number is not None for each in answer.citations)
    return answer.sources if cited else _places(answer.sources)[:MAX_UNCITED]


def _places(sources: Sequence[Evidence]) -> Sequence[Evidence]:
    """Return the first source of each place."""
    first: dict[tuple[str, str], Evidence] = {}
    for item in sources:
        first.setdefault((item.file, item.place.label), item)
    return [*first.values()]


async def send(listed: Sequence[Evidence], message: cl.Message, answer: Answer, originals: Originals) -> list[Element]:
    """Attach sources to a message, which then open where their names or numbers are clicked; returns the elements."""
    sent: list[Element] = []
    screen = Screen.of(message.thread_id)
    with _tolerated():
        if not any(each["name"] == OPENER for each in screen.elements.values()):
            sent.append(messages.component(OPENER, {}))
            await sent[0].send(for_id=message.id)
        for item, place in await asyncio.to_thread(_places_of, listed, answer, originals):
            with _tolerated():
                for element in _elements(item, place, answer, screen):
                    sent.append(element)
                    await element.send(for_id=message.id)  # one by one: sent together they arrive in any order
    return sent


def _places_of(listed: Sequence[Evidence], answer: Answer, originals: Originals) -> list[tuple[Evidence, CitedPlace]]:
    """Return where the sources are, with what is cited there, but for those that cannot be shown; blocks."""
    snapshot, places = originals.retriever.snapshot(answer.turn), []
    for item in listed:
        with _tolerated():
            places.append((item, source_viewer.cited(item, answer.citations, snapshot, originals.path(item.file))))
    return places


@contextmanager
def _tolerated() -> Iterator[None]:
    """Log what fails: a source that cannot be shown never costs the answer."""
    try:
        yield
    except Exception:
        log.exception("a source cannot be shown")


def _elements(item: Evidence, place: CitedPlace, answer: Answer, screen: Screen) -> list[Element]:
    """Make the elements that open a source: one by its name, one by its number."""
    hit = next((hit for hit in answer.found.hits if _overlap(hit.passage, item)), None)
    why, key = _short(str(hit.explanation), 300) if hit is not None else "", str(uuid4())
    screen.take("page", place.record(key))
    props = {**_opening(item, place, key, why), "quotes": place.excerpt.quotes()}
    names, mark = [name(item)], f"[{item.number}]"
    texts = [*_CODE.findall(answer.rendered), *(citation.sentence for citation in answer.citations)]
    if not any(mark in text for text in texts):
        names.append(mark)
    return [messages.component(each, props, "page") for each in names]


def _opening(item: Evidence, place: CitedPlace, key: str, why: str) -> dict[str, Any]:
    """Return what the viewer is given of a place that the conversation keeps under a key."""
    return {"caption": f"{item.file}, {item.place.shown}", "page": key, "drawn": place.page is not None, "why": why}


def found(retrieved: Retrieved) -> str:
    """Say in a few words what a search found, which words occur in no document, and whether files are still read."""
    evidence, hits, missing = retrieved.evidence, retrieved.found.hits, retrieved.found.missing
    if evidence:
        what = count(len(evidence), "passage") + (f" · {missing}" if missing else "")
    elif hits:
        what = _("nothing that answers, nearest {file}", file=label(hits[0].passage.file))
    else:
        what = _("nothing") if retrieved.found.took_ms else _("without your documents")
    if retrieved.scope:
        what = _("{found} in {folders}", found=what, folders=", ".join(map(label, retrieved.scope)))
    return what + (f" · {retrieved.reading}" if retrieved.reading else "")


def search_summary(retrieved: Retrieved) -> str:
    """Sum up a search in one line."""
    if not (retrieved.evidence or retrieved.found.took_ms):
        return _("Not searched")
    files = len({item.file for item in retrieved.evidence})
    unread = plural("{number} file not read", "{number} files not read", len(retrieved.problems))
    parts = [
        _("Found {what}", what=found(retrieved)),
        count(files, "document") if files else "",
        f"{figure(retrieved.found.took_ms)} ms",
        unread if retrieved.problems else "",
    ]
    return " · ".join(filter(None, parts))


async def end_search(step: cl.Step, retrieved: Retrieved) -> None:
    """End the search step: its table of hits, and the button that adds the ranks by plain BM25."""
    step.output = await asyncio.to_thread(table, retrieved)
    await messages.end_step(step, search_summary(retrieved))
    known = cl.user_session.get(f"search {step.id}")
    cl.user_session.set(f"search {step.id}", (step, retrieved))
    if retrieved.found.hits and not known:  # a wider search ends the same step again
        await messages.component("PlainRanks", {"step": step.id}).send(for_id=step.id)


async def press(retriever: Retriever, pressed: dict[str, Any]) -> Any:
    """Do what was pressed in the table of a search step, for which there is nothing left after a restart.

    Returns what the viewer shows of the passage in a row, or whether the ranks by plain BM25 are shown now.
    """
    if (search := cl.user_session.get(f"search {pressed.get('step')}")) is None:
        return {} if "row" in pressed else False
    step, retrieved = search
    if "row" in pressed:
        try:
            return await _opened(retrieved, int(pressed["row"]), retriever)
        except CorpusError as error:
            await cl.ErrorMessage(content=messages.escape(error)).send()
            return None
    shown = bool(pressed.get("shown"))
    step.output = await asyncio.to_thread(table, retrieved, plain=shown)
    await step.update()
    return shown


def table(retrieved: Retrieved, *, plain: bool = False, prompted: bool = True) -> str:
    """Format what was searched for and found as Markdown; `plain` adds ranks, whose first use on an index is slow.

    Where it is `prompted`, the table says which passages a model was not given.
    """
    result = retrieved.found
    lines = [_("Searched for: {words}", words=_cell(result.query, 300))]
    if result.foreign and result.translation:
        words, language = _cell(result.translation, 300), shown_name(result.foreign)
        lines.append(_("No document is in {language}; also searched for: {words}", language=language, words=words))
    elif result.foreign:
        language = shown_name(result.foreign)
        lines.append(_("No document is in {language}: only names and similar words can be found.", language=language))
    if result.earlier_words:
        lines.append(_("From earlier questions: {words}", words=", ".join(map(safe, result.earlier_words))))
    if result.unknown_words:
        words = ", ".join(_unknown(result, word) for word in result.unknown_words)
        lines.append(_("In no document: {words}", words=words))
    if result.hits and plain:
        head = (_("Source"), _("Passage"), _("Rank"), _("Plain BM25"), _("Score"), _("Matching words"))
        lines.append(messages.table(head, _rows(retrieved, result.plain_ranks())))
        lines.append(_("Plain BM25 is the rank by the package rank_bm25, from the stems of this question alone."))
    elif result.hits:
        lines.append(messages.table((_("Source"), _("Passage"), _("Score"), _("Matching words")), _rows(retrieved)))
    if prompted and any(not numbers for _hit, _rank, numbers in _shown(retrieved)):
        lines.append(_("A passage with “–” was not given to the model: others answer better, or its prompt is full."))
    for problem in retrieved.problems:
        lines.append(_("Not read: {file} – {reason}", file=label(problem.file), reason=safe(again(problem.reason))))
    return "\n\n".join(lines)


def _unknown(result: SearchResult, word: str) -> str:
    others = result.taken_for.get(word)
    if not others:
        return safe(word)
    return _("{word} (taken for {others})", word=_cell(word, 30), others=", ".join(_cell(it, 30) for it in others))


def _rows(retrieved: Retrieved, plain_ranks: Sequence[int | None] = ()) -> Iterator[list[str]]:
    for hit, plain_rank, numbers in _shown(retrieved, plain_ranks):
        place = f"{_cell(hit.passage.file, 60)}, {_cell(hit.passage.place.shown, 60)}"
        ranks = [str(hit.rank), str(plain_rank or "–")] if plain_ranks else []
        yield [numbers or "–", place, *ranks, figure(hit.score, 2), _cell(str(hit.explanation), 300)]


def _shown(retrieved: Retrieved, plain_ranks: Sequence[int | None] = ()) -> Iterator[tuple[Hit, int | None, str]]:
    """Yield the hits of the table, each with its rank by plain BM25 and the numbers it has in the prompt."""
    for hit, plain_rank in zip_longest(retrieved.found.hits, plain_ranks):
        numbers = " ".join(f"[{item.number}]" for item in retrieved.evidence if _overlap(hit.passage, item))
        if hit.rank <= MAX_HITS or numbers:
            yield hit, plain_rank, numbers


async def _opened(retrieved: Retrieved, row: int, retriever: Retriever) -> dict[str, Any]:
    """Return what the viewer shows of the passage in a row of a search step's table."""
    hits = [hit for hit, *_others in _shown(retrieved)]
    if not 0 <= row < len(hits):
        return {}
    passage, why = hits[row].passage, _short(str(hits[row].explanation), 300)
    stretch = (passage.file, passage.title, passage.place, passage.start, passage.end, passage.text, passage.language)
    snapshot, item = await asyncio.to_thread(retriever.latest), Evidence(0, *stretch)
    place = await asyncio.to_thread(source_viewer.cited, item, (), snapshot, retriever.folder.path / passage.file)
    pages, key = Screen.of(cl.context.session.thread_id).pages, str(uuid4())
    pages[key] = place.record(key)  # not for the history, in which there is nothing of the table either
    return _opening(item, place, key, why)


def _overlap(passage: Passage, item: Evidence) -> bool:
    return passage.file == item.file and passage.start < item.end and item.start < passage.end


def _cell(text: str, limit: int) -> str:
    return safe(_short(text, limit)).replace("|", "\\|")


def _short(text: str, limit: int) -> str:
    flat = re.sub(r"[^\S\xa0]+", " ", text).strip()  # a share keeps its sign: "7 %"
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
