"""What may go into a prompt: documents and questions are data, and must not look like the model's own markup."""

import hashlib
import re

CONTROL = re.compile(r"<(?=\|)|(?<=\|)>|<(?=/?(?:think|passages|draft)\b)", re.IGNORECASE)
"""Openings of chat-template tokens (`<|user|>`), of reasoning and of our own fence."""

INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
"""Zero-width and direction characters, and Unicode tags: they can hide words from a reader but not from a model."""


def defused(text: str) -> str:
    """The text with template tokens broken and invisible characters removed; otherwise unchanged."""
    return CONTROL.sub(lambda match: "‹" if match.group() == "<" else "›", INVISIBLE.sub("", text))


def fence_token(*parts: str) -> str:
    """A token that no passage can contain: it depends on the question and on all passages.

    It is the same for the same prompt, so that a question asked again gets the same answer at temperature 0.
    """
    return hashlib.blake2s("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
