"""Replies written without a model: to a greeting, about the app and the corpus, and where nothing was found."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.answering.context import Retriever
from app.answering.events import Retrieved
from app.answering.router import Intent, Route
from app.answering.sanitizer import label
from app.documents.language import name
from app.humanize import count
from app.models.catalogue import ModelPair
from app.retrieval.inventory import File, Inventory

NAMED = 20
"""Maximum number of files named of one kind."""

NEAR = 3
"""Maximum number of documents named as the nearest."""

UNAIDED = "Not from your documents."
"""Notice for an answer written without passages."""


def reply(route: Route, retriever: Retriever, pair: ModelPair) -> str | None:
    """Return the reply to a message that needs neither a search nor a model, None for others; blocks."""
    match route.intent:
        case Intent("overview"):
            return overview(retriever.health(), retriever.folder.path)
        case Intent("greets" | "app" as kind, language):
            own, documents = _texts(language), retriever.documents
            holds = own["count"].format(documents=f"{documents:,}") if documents else ""
            opening = own["later" if route.turn.history else "first"]
            return own[kind].format(opening=opening, count=holds, small=pair.small, large=pair.large)
    return None


def needs_a_model(route: Route) -> str:
    """Return the reply to an instruction about the last answer where there is no model."""
    return _texts(route.intent.language if route.intent is not None else "en")["instructs"]


def _texts(language: str) -> dict[str, str]:
    """Return the texts in a language, in English if there are none."""
    texts: dict[str, dict[str, str]]
    texts = json.loads(Path(__file__).with_name("replies.json").read_text(encoding="utf-8"))
    return texts.get(language, texts["en"])


def overview(health: Inventory, corpus: Path) -> str:
    """Describe the contents of the corpus, as Markdown."""
    return "\n\n".join(_overview(health, corpus))


def _overview(health: Inventory, corpus: Path) -> Iterator[str]:
    searchable = [file for file in health.files if file.entry is not None]
    counted = health.languages.most_common()
    languages = ", ".join(f"{name(code)} {number:,}" if counted[1:] else name(code) for code, number in counted)
    changed = f" The index was last changed on {time.strftime('%Y-%m-%d at %H:%M', time.localtime(health.made))}."
    yield (
        f"**{count(len(searchable), 'document')}** in {corpus}, {count(health.passages, 'passage')}"
        f"{f', in {languages}' if languages else ''}.{changed if health.made else ''}"
    )
    folders = Counter(file.name.partition("/")[0] if "/" in file.name else "" for file in searchable)
    if len(searchable) > NAMED and len(folders) > 1:
        folder_names = [f"{folder or 'no folder'} {number:,}" for folder, number in folders.most_common(NAMED)]
        yield f"By folder: {_listed(folder_names, len(folders), ', ')}."
    yield _listed([_titled(file) for file in searchable[:NAMED]], len(searchable), "\n", "- ")
    problems = [f"{label(file.name)}: {file.reason}" for file in health.files if file.reason]
    silent = [label(file.name) for file in searchable if file.entry is not None and file.entry.silent]
    same = [" = ".join(map(label, names[:NAMED])) for names in health.duplicates]
    for head, found in (("Not read", problems), ("With pages that hold no text", silent), ("The same words", same)):
        if found:
            yield f"{head}:\n\n{_listed(found[:NAMED], len(found), chr(10), '- ')}"


def nothing_found(retrieved: Retrieved) -> str:
    """Return the reply to a question that no document answers, with the nearest documents."""
    found = retrieved.found
    near = list(dict.fromkeys(label(hit.passage.file) for hit in found.hits))[:NEAR]
    words = ", ".join(f"“{word}”" for word in found.unknown_words[:8])
    taken = "; ".join(f"{', '.join(others)} for “{word}”" for word, others in list(found.taken_for.items())[:8])
    enough = " well enough" if found.hits else ""
    parts = [
        f"Nothing in your documents matches this question{enough}, so no model was asked to answer it.",
        f"They are still being read: {retrieved.reading}." if retrieved.reading else "",
        f"No document is in {name(found.foreign)}, the language of the question." if found.foreign else "",
        f"These words occur in none of them: {words}." if words else "",
        f"Perhaps you meant: {taken}." if taken else "",
        f"The nearest documents: {', '.join(near)}." if near else "",
        "Ask with words that the documents use, or put a document about it into the corpus folder.",
    ]
    return " ".join(filter(None, parts))


def _titled(file: File) -> str:
    title = file.entry.title if file.entry is not None else ""
    return label(f"{title} ({file.name})" if title and title != file.name else file.name)


def _listed(items: Sequence[str], whole: int, between: str, before: str = "") -> str:
    """Join the items, and say how many more there are."""
    more = [f"and {whole - len(items):,} more"] if whole > len(items) else []
    return between.join(f"{before}{item}" for item in [*items, *more])
