"""Maps the failures of a completion to errors whose message says what happened and what to do."""

import re
from typing import TYPE_CHECKING

from app.errors import AnswerFailed, ContextOverflow, ModelGone, ServerBusy, ServerError
from app.models.server import Model, server_message
from app.settings import Settings

if TYPE_CHECKING:
    import openai

# Foundry Local: "requires 9013 total tokens (9005 input + 8 output), which exceeds the model's maximum context length
# of 8192 tokens". OpenAI, vLLM: "maximum context length is 8192 tokens … (9005 in the messages, 8 in the completion)".
# llama.cpp: "Requested tokens (9013) exceed context window of 8192".
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|exceeds? (the )?(available )?context", re.I
)
_PARTS = re.compile(r"(?<!\d)(\d++) (?:input|in the messages|in your prompt)[^\d]{1,9}\d")
_LIMIT = re.compile(r"(?:context length (?:of|is)|context window of|context size \(|n_ctx\D{1,4}) ?(\d+)", re.I)

_SECONDS = re.compile(r"\d+(\.\d+)?")

_GONE = re.compile(r"model\b.*\b(not found|not loaded|must be loaded|does not exist)|no model matching", re.I | re.S)


def mapped(error: Exception, model: Model, silence: float | None, settings: Settings) -> AnswerFailed:
    """Return the error of our tree for a failed request; `silence` is the allowed pause, None before a token."""
    import openai

    if isinstance(error, TimeoutError) and silence is None:
        return AnswerFailed(
            "{model} did not begin to answer within {seconds} seconds. Choose a smaller model, or allow more time with "
            "ESCALATOR_FIRST_TOKEN_SECONDS.",
            model=model,
            seconds=f"{settings.first_token_seconds:g}",
        )
    if isinstance(error, TimeoutError):
        return AnswerFailed(
            "The answer of {model} stopped for {seconds} seconds and was given up. Ask again, or allow more time with "
            "ESCALATOR_STALL_SECONDS.",
            model=model,
            seconds=f"{silence:g}",
        )
    if isinstance(error, ValueError):
        return AnswerFailed(
            "The stream from {model} cannot be read: it contains a broken event. Ask again; if that does not help, "
            "restart the model server.",
            model=model,
        )
    if not isinstance(error, openai.APIError) or isinstance(error, openai.APIConnectionError):
        return ServerError(
            "The connection to {model} was refused or lost. Ask again; if that does not help, restart the model "
            "server. `escalator doctor` shows whether it answers.",
            model=model,
        )
    message = settings.hidden(_message(error))  # some servers repeat the key
    if _OVERFLOW.search(message):
        return _overflow(message, model)
    if _GONE.search(message):
        return ModelGone("{model} is not loaded any more. Ask again, and it will be loaded.", model=model)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, message, model)
    return AnswerFailed(
        "{model} broke off its answer: {message}. Ask again, or use another model.", model=model, message=message
    )


def unfinished(model: Model, *, began: bool) -> AnswerFailed:
    """Return the error for a stream that ended without a finish reason."""
    if began:
        return AnswerFailed(
            "The stream from {model} ended without a finish reason, so the answer may be incomplete. Ask again.",
            model=model,
        )
    return ContextOverflow(
        "{model} returned an empty answer, as some servers do when a prompt is too long. Ask a shorter question, or "
        "lower ESCALATOR_EVIDENCE_TOKENS.",
        model=model,
    )


def _overflow(message: str, model: Model) -> ContextOverflow:
    parts, limit = _PARTS.search(message), _LIMIT.search(message)
    return ContextOverflow(
        "Question and passages are too long for {model}: {message}. Ask a shorter question, or lower "
        "ESCALATOR_EVIDENCE_TOKENS.",
        model=model,
        message=message,
        prompt=int(parts[1]) if parts else None,
        limit=int(limit[1]) if limit else None,
    )


def _of_status(error: "openai.APIStatusError", message: str, model: Model) -> AnswerFailed:
    status, after = error.status_code, error.response.headers.get("retry-after")
    if status in (401, 403):
        return AnswerFailed(
            "{host} refused the request ({status}): {message}. Set {setting} to a key that it accepts.",
            host=model.service.host,
            setting=model.service.key,
            status=status,
            message=message,
        )
    if status == 429 or (status >= 500 and after is not None):
        seconds = float(after) if after and _SECONDS.fullmatch(after) else 0.0  # else it is a date, or nothing
        return ServerBusy("{model} is busy ({status}). Ask again in a moment.", seconds, model=model, status=status)
    if status >= 500:
        return ServerError(
            "The server of {model} failed ({status}): {message}. Ask again; if that does not help, restart the model "
            "server.",
            model=model,
            status=status,
            message=message,
        )
    return AnswerFailed(
        "{model} did not accept the request ({status}): {message}. `escalator doctor` shows which models it offers.",
        model=model,
        status=status,
        message=message,
    )


def _message(error: "openai.APIError") -> str:
    """Return what the server wrote, without what the client added."""
    import openai

    body = error.body
    code = body.get("code") if isinstance(body, dict) else None
    text = error.response.text if isinstance(error, openai.APIStatusError) else error.message
    message = server_message(body, text).rstrip(".")
    return f"{message} ({code})" if isinstance(code, str) and code and code not in message else message
