"""Counts tokens: exactly where the vocabulary lies on this machine, else from above; never asks the network.

The vocabulary is o200k, which gpt-oss uses and which phi-4-mini's is built on. Other models count a little otherwise,
for which a budget keeps a margin.
"""

import hashlib
import os
import tempfile
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

ENCODING = "o200k_base"
SOURCE = f"https://openaipublic.blob.core.windows.net/encodings/{ENCODING}.tiktoken"
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

BYTES_PER_TOKEN = 3
"""Prose of six European languages has 3.1 bytes a token at the least, so that this never counts too few there."""


class TokenCounter:
    """Counts the tokens of a text; the first count may read four megabytes, so make it away from the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def count(self, text: str) -> int:
        """Tokens of the text; an estimate from above when the vocabulary is not there."""
        with self._lock:
            encoding = self._encoding
        if encoding is None:
            return -(-len(text.encode("utf-8", errors="replace")) // BYTES_PER_TOKEN)
        # Not `encode`, which raises an error when the text holds "<|endoftext|>".
        return len(encoding.encode_ordinary(text))

    @cached_property
    def _encoding(self) -> "tiktoken.Encoding | None":
        if vocabulary() is not None:
            with suppress(ImportError):  # no wheel for this machine
                import tiktoken

                return tiktoken.get_encoding(ENCODING)
        return None


def vocabulary() -> Path | None:
    """The file in which tiktoken keeps the vocabulary, if it is there and whole.

    With any other file tiktoken would delete it and go to the network, where it may wait without end.
    """
    given = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if given == "":  # the way to switch tiktoken's cache off
        return None
    folder = Path(given) if given else Path(tempfile.gettempdir(), "data-gym-cache")
    path = folder / hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()
    with suppress(OSError):
        if hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
            return path
    return None
