"""Small JSON files of this machine and user, replaced whole and readable by their owner alone."""

import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

TRIES = 20
PAUSE = 0.02


def read(path: Path) -> dict[str, Any] | None:
    """The file's object; None when there is none, or when it is no JSON object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def write(path: Path, data: dict[str, Any]) -> None:
    """Put the object in place at once, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
    for left in reversed(range(TRIES)):
        try:
            draft.replace(path)
            return
        except OSError as error:
            # Windows refuses while another process has the file open, which a reader does for a moment.
            if not (isinstance(error, PermissionError) and left):
                draft.unlink(missing_ok=True)
                raise
            time.sleep(PAUSE)


def remove(path: Path, data: dict[str, Any]) -> None:
    """Remove the file if it still holds this object."""
    if read(path) == data:
        with suppress(OSError):
            path.unlink()
