"""Messages that begin with "/": what they ask for, and the replies that need no model."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import chainlit as cl
from chainlit.types import CommandDict

from app.answering.context import Retriever
from app.answering.sanitizer import label, safe
from app.answering.turn import Answer, Metrics, Turn
from app.translation import _, again, figure, mark
from app.ui import buttons, messages, sources
from app.ui.source_viewer import Originals

SEARCH, SOURCES, WHY, COMPARE, EXPORT = "search", "sources", "why", "compare", "export"

ICONS = {SEARCH: "search", SOURCES: "book-open", WHY: "circle-help", COMPARE: "columns-2", EXPORT: "download"}

QUOTED = 300
"""Characters of a source that are quoted."""

_TYPED = re.compile(r"\s*/(\w+)(?:\s+(.*))?\Z", re.DOTALL)


def offered() -> list[CommandDict]:
    """Return the commands for the menu of the composer."""
    about = {
        SEARCH: _("Show what is found for these words, without a model"),
        SOURCES: _("Show what the last answer rests on"),
        WHY: _("Show why the large model was or was not asked"),
        COMPARE: _("Have both models answer this question"),
        EXPORT: _("Save the conversation as a file"),
    }
    return [
        CommandDict(id=name, description=about[name], icon=icon, button=False, persistent=False, selected=False)
        for name, icon in ICONS.items()
    ]


def parse(message: cl.Message) -> tuple[str | None, str]:
    """Return the command of a message, chosen from the menu or typed, and the words that follow it."""
    if message.command in ICONS:
        return message.command, message.content.strip()
    match = _TYPED.match(message.content)
    if match is not None and match[1].lower() in ICONS:
        return match[1].lower(), (match[2] or "").strip()
    return None, message.content


async def reply(
    command: str,
    asked: Turn,
    retriever: Retriever,
    originals: Originals,
    said: Sequence[Mapping[str, Any]],
    last: Answer | None,
) -> None:
    """Answer a command from the documents, the last answer, and the records of all answers of the conversation."""
    if command == EXPORT:
        await messages.open_panel(buttons.EXPORT_PANEL, {"message": ""})
        return
    message, shown = cl.Message("", author="Escalator"), last
    if command == SEARCH and asked.question:
        alone = replace(asked, history=())
        retrieved = await retriever.run(partial(retriever.look_up, alone))
        asked = replace(alone, scope=retrieved.scope)
        shown = Answer(asked, retrieved.found, retrieved.evidence, (), None, None, "", "", (), (), Metrics())
        table = await asyncio.to_thread(sources.table, retrieved, prompted=False)
        message.content = f"{sources.search_summary(retrieved)}\n\n{table}"
    elif command == SEARCH:
        message.content = _("Type what to search for after the command, as in “/search opening hours”.")
    elif not said:
        message.content = _("There is no answer in this conversation yet.")
    else:
        message.content = why(said[-1]) if command == WHY else rests_on(said, last)
    await message.send()
    if command in (SEARCH, SOURCES) and shown is not None:
        await sources.send(shown.sources, message, shown, originals)


def why(record: Mapping[str, Any]) -> str:
    """Say why the large model was or was not asked for the last answer, with the figures of its models."""
    parts = [_(_WHO[_who(record)])]
    if record.get("why"):
        parts.append(messages.escape(again(record["why"])))
    if score := record.get("score"):
        parts.append(_("The score against the draft is {score}, on a scale from 0 to 1.", score=figure(score, 2)))
    figures = "\n".join(f"- {each}" for each in record.get("figures", ()))
    return "\n\n".join(filter(None, [" ".join(parts), figures]))


_WHO = {
    "quotes": mark("No model answered: these are quotes."),
    "escalated": mark("The small model’s draft was set aside, and the large model was asked."),
    "large": mark("You had the large model asked."),
    "compare": mark("You had both models asked."),
    "kept": mark("The small model’s answer was kept."),
}


def _who(record: Mapping[str, Any]) -> str:
    if record.get("role") in ("extractive", None):
        return "quotes"
    if record.get("mode") == "compare":
        return "compare"
    if record["role"] == "large":
        return "escalated" if record.get("decision") not in (None, "requested") else "large"
    return "kept"


def rests_on(said: Sequence[Mapping[str, Any]], answer: Answer | None) -> str:
    """List what the last answer rests on, with the words, and the documents that the conversation has used."""
    lines = []
    for item in answer.sources if answer is not None else ():
        cited = answer.quotes(item) if answer is not None else ()
        words = safe(" … ".join(dict.fromkeys(" ".join(text.split()) for text in cited))[:QUOTED])
        lines.append(f"- {sources.name(item)}" + (f": “{words}”" if words else ""))
    files = dict.fromkeys(each.rpartition("#")[0] for record in said for each in record.get("evidence", ()))
    used = " · ".join(map(label, files))
    head = _("The last answer rests on:") if lines else ""
    every = _("Documents used in this conversation: {files}", files=used) if files else _("No document was used.")
    return "\n\n".join(filter(None, [head, "\n".join(lines), every]))
