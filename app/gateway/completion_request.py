"""The body of a request for a completion, as JSON, and the turn that it asks for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.answering.scope import LONGEST_REFERENCE, about_text
from app.answering.turn import Sampling, Turn
from app.gateway.refusals import Refusal
from app.retrieval.search import Exchange

SIDE_CALL = "### Task:"
"""How the requests of Open WebUI begin that want a title, tags or further questions for a conversation."""

ESCALATED, RETRACTED = "*Escalated to {model}: {why}*", "*So far the model was thinking. The answer:*"
"""Our lines above what replaces a text that was sent: a draft, or reasoning that came as if it were the answer."""

NOTE, SOURCES, RULE = "*Note: {text}*", "*Sources: {listed}*", "\n\n---\n\n"
"""Our lines below an answer, and what parts them from it."""

_BELOW = re.compile(rf"{RULE}\*(?:Note|Sources): .*\Z", re.DOTALL)
_ABOVE = re.compile(rf"^(?:\*Escalated to [^\n]*\*|{re.escape(RETRACTED)})$", re.MULTILINE)


class Part(BaseModel):
    """A part of a message; what is not text is left out."""

    type: str
    text: str = ""


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """The message without pictures and the like."""
        if isinstance(self.content, list):
            return "\n\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream has beside the answer."""

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a completion; fields that are not listed are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=2_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    reference: str | None = Field(None, max_length=LONGEST_REFERENCE)
    """An extension: a text to answer from in place of the documents; empty for none."""

    @property
    def sampling(self) -> Sampling:
        """How the model is to write."""
        texts = [self.stop] if isinstance(self.stop, str) else self.stop or []
        limit = self.max_completion_tokens or self.max_tokens
        return Sampling(limit, self.temperature or 0.0, tuple(filter(None, texts)), self.seed)

    def turn(self, models: Mapping[str, Turn]) -> Turn:
        """Return the turn of the model that is asked, of `models` by name; blocks, raises Refusal."""
        if self.model not in models:
            known = ", ".join(models)
            text = f"There is no model {self.model}. Name one of these: {known}."
            raise Refusal(404, text, "model", "model_not_found")
        question, history = conversation(self.messages)
        turn = replace(models[self.model], question=question, history=history, sampling=self.sampling)
        if question.startswith(SIDE_CALL):
            return replace(turn, mode="small", history=(), unaided=True, scope=())
        return turn if self.reference is None else about_text(turn, self.reference)


def conversation(messages: Sequence[Message]) -> tuple[str, tuple[Exchange, ...]]:
    """Return the last question and the exchanges before it; raises Refusal if there is no question.

    Rules of ours take the place of system messages. Of messages of one side in a row, the texts are put together.
    """
    asked = [number for number, message in enumerate(messages) if message.role == "user"]
    if not asked:
        raise Refusal(400, "No message has the role user, so there is nothing to answer.", "messages")
    exchanges: list[Exchange] = []
    for message in messages[: asked[-1] + 1]:
        if message.role == "user":
            before = exchanges.pop().question if exchanges and not exchanges[-1].answer else ""
            exchanges.append(Exchange(f"{before}\n\n{message.text}".strip(), ""))
        elif message.role == "assistant" and exchanges:
            question, answer = exchanges[-1]
            exchanges[-1] = Exchange(question, f"{answer}\n\n{without_additions(message.text)}".strip())
    *earlier, last = exchanges
    return last.question, tuple(earlier)


def without_additions(text: str) -> str:
    """Take our own lines out of an answer that comes back, and what another text has replaced."""
    texts = [part.strip() for part in _ABOVE.split(_BELOW.sub("", text))]
    return next(filter(None, reversed(texts)), "")
