"""What the files of a downloaded model were when they had arrived, so that later damage and bad copies are noticed.

The store tells no checksum that the SDK would compare: this cannot say that what arrived is what was sent.
"""

import hashlib
from pathlib import Path

from app import state

SUMS = "escalator.sha256.json"
"""Lies in a model's folder and goes with it: size and SHA-256 of each file."""


def write(folder: Path) -> None:
    """Take note of the files of a model's folder; raises OSError."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    state.write(folder / SUMS, {"files": {name: _sum(folder / name) for name in names if name != SUMS}})


def checked(folder: Path) -> list[str]:
    """The files that are gone or not as they arrived; none where nothing was taken note of. Reads them all."""
    files = (state.read(folder / SUMS) or {}).get("files") or {}
    return [name for name, known in files.items() if _differs(folder / name, known)]


def _differs(path: Path, known: list[object]) -> bool:
    try:
        return path.stat().st_size != known[0] or _sum(path) != known
    except OSError:
        return True


def _sum(path: Path) -> list[object]:
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]
