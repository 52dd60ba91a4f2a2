"""Evidence and hits as Chainlit shows them: elements to open, and the table in the retrieval step."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import chainlit as cl
from chainlit.element import Element

from app.answering.citations import Citation
from app.answering.events import Retrieved
from app.answering.sanitizer import label, safe
from app.answering.turn import Answer
from app.documents.language import name as name_of
from app.documents.passages import Passage
from app.retrieval.corpus import Snapshot
from app.retrieval.packing import Evidence
from app.retrieval.search import Found
from app.ui import source_viewer
from app.ui.source_viewer import Originals

_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
"""Where a number in brackets is no mark."""


def name(item: Evidence) -> str:
    """The name under which a source is listed and opened; unique within an answer."""
    place = item.place.label if len(item.place.label) <= 60 else f"{item.place.label[:57]}…"
    return f"[{item.number}] {label(f'{item.file}, {place}')}"


def line(listed: Sequence[Evidence], citations: Sequence[Citation]) -> list[str]:
    """The line that names the sources, which open at a click; it says if no sentence rests on any of them."""
    head = "Sources" if any(each.number is not None for each in citations) else "The model was given"
    return [f"{head}: {' · '.join(map(name, listed))}"] if listed else []


async def send(listed: Sequence[Evidence], message: cl.Message, answer: Answer, originals: Originals) -> None:
    """Make sources something to open, where their names stand in a message and where their numbers do."""
    snapshot = await asyncio.to_thread(originals.snapshot, answer.turn)
    await cl.CustomElement(name="Sources", props={"message": message.id}, display="inline").send(for_id=message.id)
    for item in listed:  # one by one: sent together they come in any order
        for element in await elements(item, answer, snapshot, originals.path(item.file)):
            await element.send(for_id=message.id)


async def elements(item: Evidence, answer: Answer, snapshot: Snapshot, path: Path) -> list[Element]:
    """The place of a source, under its name and under its number; `path` is where its file lies."""
    hits = answer.found.hits if answer.found is not None else ()
    hit = next((hit for hit in hits if _within(hit.passage, item)), None)
    why = _short(str(hit.why), 300) if hit is not None else ""
    props, sheet = await asyncio.to_thread(source_viewer.props, item, answer.citations, snapshot, path)
    props |= {"why": why, "sheet": source_viewer.remember(sheet) if sheet is not None else None}
    names, mark = [name(item)], f"[{item.number}]"
    elsewhere = [*_CODE.findall(answer.rendered), *(citation.sentence for citation in answer.citations)]
    if not any(mark in text for text in elsewhere):
        names.append(mark)
    return [cl.CustomElement(name=each, props=props, display="page") for each in names]


SHOWN = 10
"""Passages that are listed even if nothing of them went into the prompt."""


def table(retrieved: Retrieved) -> str:
    """What was searched for and found, as Markdown."""
    found = retrieved.found
    lines = [f"Searched for: {_cell(found.query, 300)}"]
    if found.foreign and found.translation:
        lines.append(f"No document is in {name_of(found.foreign)}; searched as well: {_cell(found.translation, 300)}")
    elif found.foreign:
        lines.append(f"No document is in {name_of(found.foreign)}: only names and words that are alike can be found.")
    if found.earlier_words:
        lines.append(f"From earlier questions: {', '.join(map(safe, found.earlier_words))}")
    if found.unknown_words:
        lines.append(f"In no document: {', '.join(_unknown(found, word) for word in found.unknown_words)}")
    if found.hits:
        lines.append("\n".join(["| | Passage | Score | Because of |", "|---|---|---|---|", *_rows(retrieved)]))
    lines += [f"Not read: {label(problem.file)} – {safe(problem.reason)}" for problem in retrieved.problems]
    return "\n\n".join(lines)


def _unknown(found: Found, word: str) -> str:
    others = found.taken_for.get(word)
    return f"{_cell(word, 30)} (taken for {', '.join(_cell(other, 30) for other in others)})" if others else safe(word)


def _rows(retrieved: Retrieved) -> list[str]:
    rows = []
    for hit in retrieved.found.hits:
        number = " ".join(f"[{item.number}]" for item in retrieved.evidence if _within(hit.passage, item))
        if hit.rank > SHOWN and not number:
            continue
        place = f"{_cell(hit.passage.file, 60)}, {_cell(hit.passage.place.label, 60)}"
        rows.append(f"| {number} | {place} | {hit.score:.2f} | {_cell(str(hit.why), 300)} |")
    return rows


def _within(passage: Passage, item: Evidence) -> bool:
    return passage.file == item.file and passage.start < item.end and item.start < passage.end


def _cell(text: str, most: int) -> str:
    return safe(_short(text, most)).replace("|", "\\|")


def _short(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
