"""The models of a cache folder: the saved catalogue, and which of its models lie on this disk; asks no server."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATALOGUES = ("foundry.modelinfo.json", "foundry.local.modelinfo.json")
"""The files by which the runtime knows the models of a cache folder: the saved public catalogue, and one's own."""

MEBIBYTE = 1.048576
"""In megabytes: the catalogue counts the former and calls them MB."""


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
    folders = folders_of(cache)
    try:
        entries = json.loads((cache / CATALOGUES[0]).read_text(encoding="utf-8"))["models"]
        return {str(entry["id"]): _known(entry, folders.get(str(entry["id"]))) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def among(name: str, ids: Iterable[str], known: Mapping[str, Known]) -> str | None:
    """The id that is certainly meant: the name itself, with or without its version, or one known by it as its alias."""
    for model in ids:
        if name in (model, model.rpartition(":")[0]) or (model in known and known[model].alias == name):
            return model
    return None


def downloaded(name: str, known: Mapping[str, Known]) -> str | None:
    """The id of the model that is meant, if it lies on the disk."""
    return among(name, [model for model, told in known.items() if told.here], known)


def _known(entry: dict[str, Any], folder: Path | None) -> Known:
    size = round((entry.get("fileSizeMb") or 0) * MEBIBYTE)
    if folder and not size:
        size = size_mb(folder)
    device = str((entry.get("runtime") or {}).get("deviceType") or "CPU").upper()
    return Known(str(entry["alias"]), size or None, folder is not None, device, str(entry.get("license") or ""))


def size_mb(folder: Path) -> int:
    """What a model's files take, in megabytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1_000_000


def folders_of(cache: Path) -> dict[str, Path]:
    """Where the downloaded models lie, by their ids."""
    found = {}
    for path in cache.rglob("inference_model.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not any((folder / "download.tmp").exists() for folder in (path.parent, path.parent.parent)):
                found[str(json.loads(path.read_text(encoding="utf-8-sig"))["Name"])] = path.parent
    return found
