"""The buttons below an answer: take the draft back, ask the large model, see both, do without documents, get models."""

import chainlit as cl

from app.answering.turn import Answer

KEEP, ASK, COMPARE, UNAIDED, MODELS = "keep", "ask", "compare", "unaided", "choose"

LABELS = {
    KEEP: ("Keep the small answer", "undo-2"),
    ASK: ("Ask the large model", "arrow-up-right"),
    COMPARE: ("Compare both", "columns-2"),
    MODELS: ("Choose models for this machine", "cpu"),
    UNAIDED: ("Ask the model anyway", "message-circle-question"),
}


def offered(answer: Answer, *, comparing: bool = False) -> list[str]:
    """The buttons that make sense below an answer."""
    kept = answer.attempt
    if kept is None:
        return []
    if kept.role == "extractive":
        return [MODELS]
    take_back = [KEEP] if answer.draft is not None else []
    if comparing:
        return take_back
    if kept.role == "large":
        return [*take_back, COMPARE]
    return [COMPARE] if any(each.role == "large" and each.whole for each in answer.attempts) else [ASK, COMPARE]


def button(name: str, message: str) -> cl.Action:
    """A button that refers to the message of an answer."""
    label, icon = LABELS[name]
    return cl.Action(name=name, payload={"message": message}, label=label, icon=icon)
