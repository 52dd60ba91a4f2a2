"""Evidence and hits as Chainlit shows them: elements to open, and the table in the retrieval step."""

import asyncio
from pathlib import Path

import chainlit as cl
from chainlit.element import Element

from app import report
from app.answering.events import Retrieved
from app.documents.language import name as name_of
from app.documents.passages import Passage
from app.retrieval.packing import Evidence
from app.retrieval.search import Found


def name(item: Evidence) -> str:
    """The name under which a source is listed and opened; unique within an answer."""
    label = item.place.label if len(item.place.label) <= 60 else f"{item.place.label[:57]}…"
    return f"[{item.number}] {item.file}, {label}"


async def element(item: Evidence, path: Path, found: Found | None = None) -> Element:
    """A source to open: a PDF, which lies at this path, at its page, anything else as the passage, with its why."""
    if item.place.kind == "page" and path.suffix.lower() == ".pdf" and await asyncio.to_thread(path.is_file):
        return cl.Pdf(name=name(item), path=str(path), page=item.place.number, display="page")
    hit = next((hit for hit in found.hits if _within(hit.passage, item)), None) if found else None
    reason = f"\n\n---\n\nFound by: {_cell(report.why(hit), 300)}" if hit else ""
    return cl.Text(name=name(item), content=item.text + reason, display="page")


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
        lines.append(f"From earlier questions: {', '.join(found.earlier_words)}")
    if found.unknown_words:
        lines.append(f"In no document: {', '.join(_unknown(found, word) for word in found.unknown_words)}")
    if found.hits:
        lines.append("\n".join(["| | Passage | Score | Because of |", "|---|---|---|---|", *_rows(retrieved)]))
    lines += [f"Not read: {problem.file} – {problem.reason}" for problem in retrieved.problems]
    return "\n\n".join(lines)


def _unknown(found: Found, word: str) -> str:
    others = found.taken_for.get(word)
    return f"{_cell(word, 30)} (taken for {', '.join(_cell(other, 30) for other in others)})" if others else word


def _rows(retrieved: Retrieved) -> list[str]:
    rows = []
    for hit in retrieved.found.hits:
        number = " ".join(f"[{item.number}]" for item in retrieved.evidence if _within(hit.passage, item))
        if hit.rank > SHOWN and not number:
            continue
        place = f"{_cell(hit.passage.file, 60)}, {_cell(hit.passage.place.label, 60)}"
        rows.append(f"| {number} | {place} | {hit.score:.2f} | {_cell(report.why(hit), 300)} |")
    return rows


def _within(passage: Passage, item: Evidence) -> bool:
    return passage.file == item.file and passage.start < item.end and item.start < passage.end


def _cell(text: str, most: int) -> str:
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= most else flat[: most - 1] + "…"
