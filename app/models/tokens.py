"""Counts tokens: exactly if tiktoken's vocabulary is on this machine, else with an estimate from above.

The vocabulary is o200k, which gpt-oss uses and on which phi-4-mini's is based. Other models count slightly differently,
which is why a budget keeps a margin. Only `fetch_vocabulary` uses the network: downloads of models and kits call it.
"""

import asyncio
import hashlib
import os
import secrets
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app import files
from app.errors import DownloadFailed

if TYPE_CHECKING:
    import tiktoken

ENCODING = "o200k_base"
SOURCE = f"https://openaipublic.blob.core.windows.net/encodings/{ENCODING}.tiktoken"
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Where tiktoken fetches the vocabulary, and the hash that it expects."""

CACHE_VARIABLE = "TIKTOKEN_CACHE_DIR"
FILE = hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()
"""The environment variable that names tiktoken's cache folder, and the vocabulary's file in it."""

FETCH_SECONDS = 30.0

BYTES_PER_TOKEN = 3
"""Prose of six European languages has at least 3.1 bytes a token, so that the estimate is never too low there."""


class TokenCounter:
    """Counts the tokens of texts, with the vocabulary of `state_dir` if it is there."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def count(self, text: str) -> int:
        """Count the tokens of a text; an estimate from above without the vocabulary.

        The first call starts to load the vocabulary (4 MB, about a second) in a thread. Other threads wait for it; an
        event loop does not and gets estimates meanwhile.
        """
        encoding = self._loading.result() if self._loading.done() or not _on_event_loop() else None
        if encoding is None:
            return -(-len(text.encode("utf-8", errors="replace")) // BYTES_PER_TOKEN)
        # Not `encode`, which raises an error if the text contains "<|endoftext|>".
        return len(encoding.encode_ordinary(text))

    @cached_property
    def _loading(self) -> "Future[tiktoken.Encoding | None]":
        return ThreadPoolExecutor(1, "vocabulary").submit(_load, self._state_dir)


def _load(state_dir: Path) -> "tiktoken.Encoding | None":
    path = vocabulary_path(state_dir)
    with suppress(ImportError):  # there is no wheel for this machine
        if path is not None:
            import tiktoken

            os.environ[CACHE_VARIABLE] = str(path.parent)
            return tiktoken.get_encoding(ENCODING)
    return None


def vocabulary_folders(state_dir: Path) -> list[Path]:
    """List the folders to look for the vocabulary in; a download goes into the first one.

    If TIKTOKEN_CACHE_DIR (or DATA_GYM_CACHE_DIR) is set, its folder is the only one, and none if it is empty. Otherwise
    these are our folder in the state folder and tiktoken's default.
    """
    chosen = os.environ.get(CACHE_VARIABLE, os.environ.get("DATA_GYM_CACHE_DIR"))
    if chosen is not None:
        return [Path(chosen)] if chosen else []
    return [state_dir.absolute() / "tiktoken", Path(tempfile.gettempdir(), "data-gym-cache")]


def vocabulary_path(state_dir: Path) -> Path | None:
    """Return the file of the vocabulary if it is there and whole; reads it.

    With any other file tiktoken would delete it and go to the network, where it may wait for ever.
    """
    paths = [folder / FILE for folder in vocabulary_folders(state_dir)]
    return next((path for path in paths if _is_whole(path)), None)


def fetch_vocabulary(folder: Path) -> Path:
    """Fetch the vocabulary into a folder, through the user's proxy, unless it is there; raises DownloadFailed."""
    import httpx2

    path = folder / FILE
    if _is_whole(path):
        return path
    try:
        response = httpx2.get(SOURCE, timeout=FETCH_SECONDS)
        if response.status_code != 200 or hashlib.sha256(response.content).hexdigest() != SHA256:
            raise OSError(f"HTTP {response.status_code}, and not the expected file")
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{FILE}.{secrets.token_hex(4)}")
        draft.write_bytes(response.content)
        files.retry(lambda: draft.replace(path))
    except (OSError, httpx2.HTTPError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DownloadFailed(
            "The vocabulary for counting tokens could not be fetched ({reason}). Tokens are estimated without it; the "
            "next download of a model tries again.",
            reason=reason,
        ) from error
    return path


def _is_whole(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def _on_event_loop() -> bool:
    with suppress(RuntimeError):
        return bool(asyncio.get_running_loop())
    return False
