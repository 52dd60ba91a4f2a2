"""The models of a cache folder: the saved catalogue, and which of its models lie on this disk; asks no server."""

import importlib.util
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATALOGUES = ("foundry.modelinfo.json", "foundry.local.modelinfo.json")
"""The files by which the runtime knows the models of a cache folder: the saved public catalogue, and one's own."""


def can_embed(cache: Path) -> bool:
    """Whether the runtime's package is installed and the folder holds the list of its models."""
    listed = any((cache / name).is_file() for name in CATALOGUES)
    return listed and importlib.util.find_spec("foundry_local_sdk") is not None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one variant of a model: its size on disk (None if unknown), and whether it was downloaded."""

    alias: str
    size_mb: int | None = None
    here: bool = False
    device: str = "CPU"
    licence: str = ""


def known(cache: Path) -> dict[str, Known]:
    """Every model of the folder's catalogue by its id; empty when there is no catalogue that can be read."""
    folders = _folders(cache)
    try:
        entries = json.loads((cache / CATALOGUES[0]).read_text(encoding="utf-8"))["models"]
        return {str(entry["id"]): _known(entry, folders.get(str(entry["id"]))) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _known(entry: dict[str, Any], folder: Path | None) -> Known:
    size = entry.get("fileSizeMb")
    if not isinstance(size, int) or size <= 0:
        files = [file for file in folder.rglob("*") if file.is_file()] if folder else []
        size = sum(file.stat().st_size for file in files) // 1_000_000 if files else None
    device = str((entry.get("runtime") or {}).get("deviceType") or "CPU").upper()
    return Known(str(entry["alias"]), size, folder is not None, device, str(entry.get("license") or ""))


def _folders(cache: Path) -> dict[str, Path]:
    """Where the downloaded models lie, by their ids."""
    found = {}
    for path in cache.rglob("inference_model.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not (path.parent / "download.tmp").exists():
                found[str(json.loads(path.read_text(encoding="utf-8-sig"))["Name"])] = path.parent
    return found
