"""Small JSON files of this machine and user, replaced whole and readable by their owner alone."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from app import files


def read(path: Path) -> dict[str, Any] | None:
    """Load the object that a file holds; None if there is no file, or no JSON object in it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def write(path: Path, data: dict[str, Any]) -> None:
    """Replace a file with an object in one step, so that no reader sees half of it; raises OSError."""
    files.write_json(path, data, private=True)


def remove(path: Path, data: dict[str, Any]) -> None:
    """Delete a file if it still holds this object."""
    if read(path) == data:
        with suppress(OSError):
            path.unlink()
