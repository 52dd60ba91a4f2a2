"""The buttons below an answer: which of them it has, what they say, and the badge that tells who wrote it."""

from collections.abc import Iterable, Mapping
from typing import Any

import chainlit as cl

from app.answering.turn import Answer, Attempt, Mode
from app.history import remembered
from app.room import organiser
from app.translation import _, mark
from app.ui import cascade

KEEP, ASK, COMPARE, UNAIDED, MODELS, FIGURES = "keep", "ask", "compare", "unaided", "choose", "figures"
CONTINUE, AGAIN, FOLLOW = "continue", "again", "follow"
PREFER, EXPORT, SENT = "prefer", "export", "sent"

LOOKING = (MODELS, FIGURES, EXPORT, SENT)
"""Buttons that only open a panel, also while an answer is written; public/escalator.js knows them by their icons."""

PRESSED = (CONTINUE, AGAIN, FOLLOW, KEEP, ASK, COMPARE, UNAIDED, PREFER, *LOOKING)
"""Buttons that a conversation handles."""

LAST = (CONTINUE, AGAIN, FOLLOW)
"""Buttons that only the last answer of a conversation has."""

EXPORT_PANEL, SAVE = "Export", "export-file"
"""The component of public/elements that *Export* opens, and the action by which it asks for a file."""

LABELS = {
    CONTINUE: (mark("Continue"), "chevrons-right"),
    AGAIN: (mark("Answer again"), "refresh-cw"),
    KEEP: (mark("Keep the small answer"), "undo-2"),
    ASK: (mark("Ask the large model"), "arrow-up-right"),
    COMPARE: (mark("Compare both"), "columns-2"),
    MODELS: (mark("Choose models for this machine"), "cpu"),
    UNAIDED: (mark("Ask the model anyway"), "message-circle-question"),
    FIGURES: (mark("Times and tokens"), "receipt"),
    EXPORT: (mark("Export"), "download"),
    SENT: (mark("What was sent"), "upload"),
}

MODE_OF: dict[str, Mode] = {ASK: "large", COMPARE: "compare"}
"""The mode in which a button has a question answered again."""


def badge(attempt: Attempt) -> str:
    """Say who wrote an answer, as a badge in Markdown."""
    model, role = cascade.placed(attempt), attempt.role
    if role == "extractive":
        return _("`quotes · no model`")
    return _("`{model} · small model`", model=model) if role == "small" else _("`{model} · large model`", model=model)


def choose(answer: Answer, chosen: Attempt, *, comparing: bool, usage: bool) -> list[str]:
    """Choose the buttons that make sense below a chosen attempt; `usage` offers the times and tokens of models.

    In a comparison the columns have buttons of their own.
    """
    sent = [SENT] if answer.sent else []
    if chosen.role == "extractive":
        return [AGAIN, *([MODELS] if organiser.get() else []), *sent, EXPORT]
    first = [CONTINUE, AGAIN] if chosen.finish in ("length", "error") and not comparing else [AGAIN]
    keep = [KEEP] if answer.draft is not None and chosen.role == "large" else []
    ask = [] if any(each.role == "large" and each.whole for each in answer.attempts) else [ASK]
    return [*first, *([] if comparing else [*keep, *ask, COMPARE]), *([FIGURES] if usage else []), *sent, EXPORT]


def make(name: str, message: str) -> cl.Action:
    """Make a button that refers to the message of an answer."""
    label, icon = LABELS[name]
    return cl.Action(name=name, payload={"message": message}, label=_(label), icon=icon)


def kept(rows: Iterable[Mapping[str, Any]], *, usage: bool) -> list[dict[str, Any]]:
    """Make the buttons below answers from the history, most of them below the last one, as Chainlit sends them.

    `usage` offers the times and tokens, where the record has them: those of earlier versions do not.
    """
    offered: list[dict[str, Any]] = []
    answers = {row["id"]: record for row in rows if (record := remembered(row))}
    for message, record in answers.items():
        measured = record.get("role") != "extractive" and any(it["metrics"] for it in record.get("attempts", ()))
        looking = {FIGURES: usage and measured, SENT: record.get("sent"), EXPORT: True}
        made = [make(name, message) for name, offered_here in looking.items() if offered_here]
        if message == [*answers][-1]:
            names = {"small": [AGAIN, ASK, COMPARE], "large": [AGAIN, COMPARE]}.get(str(record.get("role")), [AGAIN])
            names = [CONTINUE, *names] if record.get("broken") else names
            made = [*(make(name, message) for name in names), *made, *map(follow, record.get("next", ()))]
        offered += [{**each.to_dict(), "forId": message} for each in made]
    return offered


def follow(question: str) -> cl.Action:
    """Make a button that asks a question."""
    return cl.Action(name=FOLLOW, payload={"question": question}, label=question, icon="corner-down-right")
