"""What can go wrong with a completion, as errors whose message says what happened and what to do."""

import re
from typing import TYPE_CHECKING

from app.errors import AnswerFailed, ContextOverflow, ModelGone, ServerBusy, ServerError
from app.models.client import server_message
from app.models.foundry import Model

if TYPE_CHECKING:
    import openai

# Foundry Local: "requires 9013 total tokens (9005 input + 8 output), which exceeds the model's maximum context length
# of 8192 tokens". OpenAI, vLLM: "maximum context length is 8192 tokens … (9005 in the messages, 8 in the completion)".
# llama.cpp: "Requested tokens (9013) exceed context window of 8192".
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|exceeds? (the )?(available )?context", re.I
)
_PARTS = re.compile(r"(\d+) (?:input|in the messages|in your prompt)[^\d]{1,9}(\d+)")
_LIMIT = re.compile(r"(?:context length (?:of|is)|context window of|context size \(|n_ctx\D{1,4}) ?(\d+)", re.I)

_GONE = re.compile(r"model\b.*\b(not found|not loaded|must be loaded|does not exist)|no model matching", re.I | re.S)


def of(error: Exception, model: Model) -> AnswerFailed:
    """The error of the tree that an exception of the HTTP client stands for."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return _of_status(error, model)
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):  # within the stream
        said = _said(error)
        return _of_text(said, model) or AnswerFailed(
            f"{model} broke off its answer: {said.rstrip('.')}. Ask again, or another model."
        )
    if isinstance(error, ValueError):
        return AnswerFailed(
            f"The stream from {model} cannot be read: an event in it is broken. Ask again; if it stays so, restart "
            "the model server."
        )
    return ServerError(
        f"The connection to {model} was refused or lost. Ask again; if it stays so, restart the model server. "
        "`escalator doctor` shows whether it answers."
    )


def silent(model: Model, seconds: float) -> AnswerFailed:
    """No first token came in time."""
    return AnswerFailed(
        f"{model} did not begin to answer within {seconds:g} seconds. Choose a smaller model, or allow more time with "
        "ESCALATOR_FIRST_TOKEN_SECONDS."
    )


def stalled(model: Model, seconds: float) -> AnswerFailed:
    """The answer began and then stood still."""
    return AnswerFailed(
        f"The answer of {model} stood still for {seconds:g} seconds and was given up. Ask again, or allow more time "
        "with ESCALATOR_STALL_SECONDS."
    )


def unfinished(model: Model, *, began: bool) -> AnswerFailed:
    """The stream ended as if all were well, but without the word that the answer is whole."""
    if began:
        return AnswerFailed(
            f"The stream from {model} ended without a finish reason, so the answer may be incomplete. Ask again."
        )
    return ContextOverflow(
        f"{model} answered with nothing at all, which some servers do when a prompt is too long. Ask a shorter "
        "question, or lower ESCALATOR_EVIDENCE_TOKENS."
    )


def _of_status(error: "openai.APIStatusError", model: Model) -> AnswerFailed:
    status, said = error.status_code, _said(error)
    if known := _of_text(said, model):
        return known
    said = said.rstrip(".")
    if status in (401, 403):
        host = model.service.host
        return AnswerFailed(f"{host} refused the request ({status}): {said}. Set API_KEY to a key it knows.")
    if status == 429 or (status >= 500 and "retry-after" in error.response.headers):
        seconds = _seconds(error.response.headers.get("retry-after", ""))
        return ServerBusy(f"{model} is busy ({status}). Ask again in a moment.", seconds)
    if status >= 500:
        return ServerError(f"The server of {model} failed ({status}): {said}. Ask again; if it stays so, restart it.")
    return AnswerFailed(
        f"{model} did not accept the request ({status}): {said}. `escalator doctor` shows which models it offers."
    )


def _of_text(said: str, model: Model) -> AnswerFailed | None:
    """The two faults that servers report under different statuses, and within a stream under none."""
    if _OVERFLOW.search(said):
        parts, limit = _PARTS.search(said), _LIMIT.search(said)
        return ContextOverflow(
            f"Question and passages are too long for {model}: {said.rstrip('.')}. Ask a shorter question, or lower "
            "ESCALATOR_EVIDENCE_TOKENS.",
            prompt=int(parts[1]) if parts else None,
            output=int(parts[2]) if parts else None,
            limit=int(limit[1]) if limit else None,
        )
    if _GONE.search(said):
        return ModelGone(f"{model} is not loaded any more. Ask again, and it will be loaded.")
    return None


def _said(error: "openai.APIError") -> str:
    """What the server wrote, without what the client wrote around it."""
    import openai

    body = error.body
    code = body.get("code") if isinstance(body, dict) else None
    text = error.response.text if isinstance(error, openai.APIStatusError) else error.message
    said = server_message(body, text)
    return f"{said} ({code})" if isinstance(code, str) and code and code not in said else said


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:  # a date, or nothing
        return 0.0
