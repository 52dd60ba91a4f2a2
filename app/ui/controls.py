"""The sample questions of an empty chat, and the buttons below an answer."""

import json
from pathlib import Path

import chainlit as cl

from app.answering.turn import Answer, Mode

KEEP, ASK, COMPARE, UNAIDED, MODELS, FIGURES = "keep", "ask", "compare", "unaided", "choose", "figures"

LABELS = {
    KEEP: ("Keep the small answer", "undo-2"),
    ASK: ("Ask the large model", "arrow-up-right"),
    COMPARE: ("Compare both", "columns-2"),
    MODELS: ("Choose models for this machine", "cpu"),
    UNAIDED: ("Ask the model anyway", "message-circle-question"),
    FIGURES: ("Times and tokens", "receipt"),
}

MODES: dict[str, Mode] = {ASK: "large", COMPARE: "compare"}
"""The mode in which a button has a question answered again."""


def starters(corpus: Path) -> list[cl.Starter]:
    """Return the sample questions whose document is in the corpus; none for a corpus of other documents."""
    samples = json.loads(Path(__file__).with_name("starters.json").read_text(encoding="utf-8"))
    return [
        cl.Starter(label=sample["question"], message=sample["question"])
        for sample in samples
        if (corpus / sample["file"]).is_file()
    ]


def badge(answer: Answer) -> str:
    """Say who wrote an answer, as a badge in Markdown."""
    if answer.attempt is None:
        return ""
    model, role = answer.attempt.model, answer.attempt.role
    return "`quotes · no model`" if role == "extractive" else f"`{model} · {role} model`"


def buttons(answer: Answer, *, comparing: bool, usage: bool) -> list[str]:
    """Choose the buttons that make sense below an answer; `usage` offers the times and tokens of models."""
    chosen = answer.attempt
    if chosen is None:
        return []
    if chosen.role == "extractive":
        return [MODELS]
    keep = [KEEP] if answer.draft is not None and (comparing or chosen.role == "large") else []
    ask = [] if any(each.role == "large" and each.whole for each in answer.attempts) else [ASK]
    return [*keep, *([] if comparing else [*ask, COMPARE]), *([FIGURES] if usage else [])]


def button(name: str, message: str) -> cl.Action:
    """Make a button that refers to the message of an answer."""
    label, icon = LABELS[name]
    return cl.Action(name=name, payload={"message": message}, label=label, icon=icon)
