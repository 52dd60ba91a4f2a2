"""Evidence and hits as Chainlit shows them: elements to open, and the table in the retrieval step."""

import asyncio
from pathlib import Path

import chainlit as cl
from chainlit.element import Element

from app.answering.events import Retrieved
from app.documents.passages import Passage
from app.retrieval.packing import Evidence


def name(item: Evidence) -> str:
    """The name under which a source is listed and opened; unique within an answer."""
    label = item.place.label if len(item.place.label) <= 60 else f"{item.place.label[:57]}…"
    return f"[{item.number}] {item.file}, {label}"


async def element(item: Evidence, corpus: Path) -> Element:
    """A source to open: a PDF at its page, anything else as the passage."""
    path = corpus / item.file
    if item.place.kind == "page" and path.suffix.lower() == ".pdf" and await asyncio.to_thread(path.is_file):
        return cl.Pdf(name=name(item), path=str(path), page=item.place.number, display="page")
    return cl.Text(name=name(item), content=item.text, display="page")


def table(retrieved: Retrieved) -> str:
    """What was searched for and found, as Markdown."""
    found = retrieved.found
    lines = [f"Searched for: {_cell(found.query, 300)}"]
    if found.earlier_words:
        lines.append(f"From earlier questions: {', '.join(found.earlier_words)}")
    if found.unknown_words:
        lines.append(f"In no document: {', '.join(found.unknown_words)}")
    if found.hits:
        lines.append("\n".join(["| | Passage | Score | Because of |", "|---|---|---|---|", *_rows(retrieved)]))
    lines += [f"Not read: {problem.file} – {problem.reason}" for problem in retrieved.problems]
    return "\n\n".join(lines)


def _rows(retrieved: Retrieved) -> list[str]:
    rows = []
    for hit in retrieved.found.hits:
        shares = ", ".join(f"{_cell(word, 30)} {share:.0%}" for word, share in list(hit.terms.items())[:5])
        number = next((f"[{item.number}]" for item in retrieved.evidence if _within(hit.passage, item)), "")
        place = f"{_cell(hit.passage.file, 60)}, {_cell(hit.passage.place.label, 60)}"
        rows.append(f"| {number} | {place} | {hit.score:.2f} | {shares} |")
    return rows


def _within(passage: Passage, item: Evidence) -> bool:
    return passage.file == item.file and passage.start < item.end and item.start < passage.end


def _cell(text: str, most: int) -> str:
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= most else flat[: most - 1] + "…"
