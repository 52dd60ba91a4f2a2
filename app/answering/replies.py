"""Replies written without a model: to small talk, about the app and the corpus, and where nothing was found."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from app.answering.context import Retriever
from app.answering.events import Retrieved
from app.answering.router import REPLIED, Route
from app.answering.sanitizer import label
from app.documents.language import shown_name
from app.models.catalogue import ModelPair
from app.retrieval.packing import Evidence
from app.retrieval.snapshot import File, Snapshot, notes, summary
from app.translation import _, count, figure, mark, plural, quoted

NAMED = 20
"""Maximum number of files named of one kind."""

NEAR = 3
"""Maximum number of documents named as the nearest."""

UNAIDED = mark("Not from your documents.")
"""Notice for an answer written without passages."""

T = TypeVar("T")


def reply(route: Route, retriever: Retriever, pair: ModelPair) -> str | None:
    """Return the reply to a message that needs neither a search nor a model, None for others; blocks."""
    if route.kind == "overview":
        return overview(retriever.latest(), retriever.folder.path, route.turn.scope or ())
    if route.kind not in REPLIED:
        return None
    texts, documents = _texts(route.language), len(retriever.available(route.turn).documents)
    holds = texts["count"].format(documents=figure(documents)) if documents else ""
    return texts[route.kind].format(count=holds, small=pair.small, large=pair.large)


def needs_a_model(route: Route) -> str:
    """Return the reply to an instruction about the last answer or the conversation where there is no model."""
    return _texts(route.language)["no model"]


def _texts(language: str) -> dict[str, str]:
    """Return the texts in a language, in English if there are none."""
    texts: dict[str, dict[str, str]]
    texts = json.loads(Path(__file__).with_name("replies.json").read_text(encoding="utf-8"))
    return texts.get(language, texts["en"])


def limited(documents: int, scope: Sequence[str]) -> str:
    """Return the reply to a message that only says in which folders to search."""
    if not scope:
        return _("Your questions are answered from all documents again.")
    there = count(documents, "document")
    return _(
        "Your questions are now answered from {folders} alone: {documents}. “in: all” ends that.",
        folders=", ".join(map(label, scope)),
        documents=there,
    )


def overview(snapshot: Snapshot, corpus: Path, scope: tuple[str, ...] = ()) -> str:
    """Describe the contents of the corpus, or of a part of it, as Markdown."""
    snapshot = snapshot.within(scope)
    searchable = [file for file in snapshot.files if file.entry is not None]
    place = ", ".join(map(label, scope)) or corpus
    parts = [f"{place}: {', '.join(summary(snapshot))}."]
    folders = Counter(file.name.partition("/")[0] if "/" in file.name else _("no folder") for file in searchable)
    if len(searchable) > NAMED and len(folders) > 1:
        most = ", ".join(f"{folder} {figure(number)}" for folder, number in folders.most_common(NAMED))
        parts.append(_("By folder: {folders}.", folders=f"{most}, …" if len(folders) > NAMED else most))
    parts.append(_listed(searchable, _titled))
    if remarks := [f"{file}: {'; '.join(texts)}" for file, texts in notes(snapshot).items()]:
        parts.append(f"{_('Notes:')}\n\n{_listed(remarks, label)}")
    return "\n\n".join(parts)


def summarised(route: Route, evidence: Sequence[Evidence]) -> str:
    """Say which documents of a route a summary is from, and which others there are."""
    taken = list(dict.fromkeys(item.file for item in evidence))
    files = [*taken, *(file for file in route.files or () if file not in taken)]
    named = ", ".join([*map(label, files[:NAMED]), *(["…"] if len(files) > NAMED else [])])
    there = f"{count(len(files), 'document')}: {named}."
    if route.folder:
        there = plural(
            "{number} document in {folder}: {names}.",
            "{number} documents in {folder}: {names}.",
            len(files),
            folder=label(route.folder),
            names=named,
        )
    if len(taken) == len(files):
        return there
    return f"{there} {_('The summary is from the beginnings of the first {number}.', number=len(taken))}"


def nothing_found(retrieved: Retrieved) -> str:
    """Return the reply to a question that no document answers, with the nearest documents."""
    found = retrieved.found
    near = list(dict.fromkeys(label(hit.passage.file) for hit in found.hits))[:NEAR]
    words = ", ".join(quoted(word) for word in found.unknown_words[:8])
    taken = [
        _("{others} for {word}", others=", ".join(others), word=quoted(word))
        for word, others in list(found.taken_for.items())[:8]
    ]
    parts = [
        _("Nothing in your documents matches this question well enough, so no model was asked to answer it.")
        if found.hits
        else _("Nothing in your documents matches this question, so no model was asked to answer it.")
    ]
    if retrieved.reading:
        parts.append(_("They are still being read: {how_far}.", how_far=retrieved.reading))
    if found.foreign:
        language = shown_name(found.foreign)
        parts.append(_("No document is in {language}, the language of the question.", language=language))
    if words:
        parts.append(_("These words occur in none of them: {words}.", words=words))
    if taken:
        parts.append(_("Perhaps you meant: {words}.", words="; ".join(taken)))
    if near:
        parts.append(_("The nearest documents: {names}.", names=", ".join(near)))
    return " ".join(
        [*parts, _("Ask with words that the documents use, or put a document about it into the corpus folder.")]
    )


def _titled(file: File) -> str:
    title = file.entry.title if file.entry is not None else ""
    return label(f"{title} ({file.name})" if title and title != file.name else file.name)


def _listed(items: Sequence[T], written: Callable[[T], str]) -> str:
    """List the first items, and say how many more there are."""
    more = [_("and {number} more", number=figure(len(items) - NAMED))] if len(items) > NAMED else []
    return "\n".join(f"- {each}" for each in [*map(written, items[:NAMED]), *more])
