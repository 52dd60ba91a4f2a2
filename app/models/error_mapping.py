"""What can go wrong with a completion, as errors whose message says what happened and what to do."""

import re
from typing import TYPE_CHECKING

from app.errors import AnswerFailed, ContextOverflow, ModelGone, ServerBusy, ServerError
from app.models.client import server_message
from app.models.foundry import Model
from app.settings import Settings

if TYPE_CHECKING:
    import openai

AGAIN = "Ask again; if it stays so, restart the model server."
SHORTER = "Ask a shorter question, or lower ESCALATOR_EVIDENCE_TOKENS."

# Foundry Local: "requires 9013 total tokens (9005 input + 8 output), which exceeds the model's maximum context length
# of 8192 tokens". OpenAI, vLLM: "maximum context length is 8192 tokens … (9005 in the messages, 8 in the completion)".
# llama.cpp: "Requested tokens (9013) exceed context window of 8192".
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|exceeds? (the )?(available )?context", re.I
)
_PARTS = re.compile(r"(\d+) (?:input|in the messages|in your prompt)[^\d]{1,9}(\d+)")
_LIMIT = re.compile(r"(?:context length (?:of|is)|context window of|context size \(|n_ctx\D{1,4}) ?(\d+)", re.I)

_SECONDS = re.compile(r"\d+(\.\d+)?")

_GONE = re.compile(r"model\b.*\b(not found|not loaded|must be loaded|does not exist)|no model matching", re.I | re.S)


def of(error: Exception, model: Model, silence: float | None, settings: Settings) -> AnswerFailed:
    """The error of the tree that a failed request stands for; `silence` is what was allowed since the last token."""
    import openai

    if isinstance(error, TimeoutError) and silence is None:
        return AnswerFailed(
            f"{model} did not begin to answer within {settings.first_token_seconds:g} seconds. Choose a smaller model, "
            "or allow more time with ESCALATOR_FIRST_TOKEN_SECONDS."
        )
    if isinstance(error, TimeoutError):
        return AnswerFailed(
            f"The answer of {model} stood still for {silence:g} seconds and was given up. Ask again, or allow more "
            "time with ESCALATOR_STALL_SECONDS."
        )
    if isinstance(error, ValueError):
        return AnswerFailed(f"The stream from {model} cannot be read: an event in it is broken. {AGAIN}")
    if not isinstance(error, openai.APIError) or isinstance(error, openai.APIConnectionError):
        doctor = "`escalator doctor` shows whether it answers."
        return ServerError(f"The connection to {model} was refused or lost. {AGAIN} {doctor}")
    said = _said(error)
    if _OVERFLOW.search(said):
        return _overflow(said, model)
    if _GONE.search(said):
        return ModelGone(f"{model} is not loaded any more. Ask again, and it will be loaded.")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, said, model)
    return AnswerFailed(f"{model} broke off its answer: {said}. Ask again, or another model.")


def unfinished(model: Model, *, began: bool) -> AnswerFailed:
    """The stream ended as if all were well, but without the word that the answer is whole."""
    if began:
        return AnswerFailed(
            f"The stream from {model} ended without a finish reason, so the answer may be incomplete. Ask again."
        )
    return ContextOverflow(
        f"{model} answered with nothing at all, which some servers do when a prompt is too long. {SHORTER}"
    )


def _overflow(said: str, model: Model) -> ContextOverflow:
    parts, limit = _PARTS.search(said), _LIMIT.search(said)
    return ContextOverflow(
        f"Question and passages are too long for {model}: {said}. {SHORTER}",
        prompt=int(parts[1]) if parts else None,
        output=int(parts[2]) if parts else None,
        limit=int(limit[1]) if limit else None,
    )


def _of_status(error: "openai.APIStatusError", said: str, model: Model) -> AnswerFailed:
    status, after = error.status_code, error.response.headers.get("retry-after")
    if status in (401, 403):
        host = model.service.host
        return AnswerFailed(f"{host} refused the request ({status}): {said}. Set API_KEY to a key it knows.")
    if status == 429 or (status >= 500 and after is not None):
        seconds = float(after) if after and _SECONDS.fullmatch(after) else 0.0  # else it is a date, or nothing
        return ServerBusy(f"{model} is busy ({status}). Ask again in a moment.", seconds)
    if status >= 500:
        return ServerError(f"The server of {model} failed ({status}): {said}. {AGAIN}")
    return AnswerFailed(
        f"{model} did not accept the request ({status}): {said}. `escalator doctor` shows which models it offers."
    )


def _said(error: "openai.APIError") -> str:
    """What the server wrote, without what the client wrote around it."""
    import openai

    body = error.body
    code = body.get("code") if isinstance(body, dict) else None
    text = error.response.text if isinstance(error, openai.APIStatusError) else error.message
    said = server_message(body, text).rstrip(".")
    return f"{said} ({code})" if isinstance(code, str) and code and code not in said else said
