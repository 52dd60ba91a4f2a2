"""The models of a cache folder: the saved catalogue, which of its models are on this disk, and what a pair of them is.

Asks no server.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATALOGUE = "foundry.modelinfo.json"
"""The file in which the runtime finds the models of a cache folder: the saved public catalogue."""

MEBIBYTE = 1.048576
"""In megabytes: the catalogue counts mebibytes and calls them MB."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One variant of a model: its size on disk in MB (None if unknown), and `here` if it has been downloaded."""

    alias: str
    size_mb: int | None = None
    here: bool = False
    device: str = "CPU"
    licence: str = ""


def load_catalogue(cache: Path) -> dict[str, ModelInfo]:
    """Load every model of the folder's catalogue, by id; empty if there is no readable catalogue."""
    folders = model_folders(cache)
    try:
        entries = json.loads((cache / CATALOGUE).read_text(encoding="utf-8"))["models"]
        return {str(entry["id"]): _info(entry, folders.get(str(entry["id"]))) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def match(name: str, ids: Iterable[str], models: Mapping[str, ModelInfo]) -> str | None:
    """Return the id that a name certainly means: an equal id, with or without its version, or one with this alias."""
    for model_id in ids:
        if name in (model_id, model_id.rpartition(":")[0]) or (model_id in models and models[model_id].alias == name):
            return model_id
    return None


def downloaded(name: str, models: Mapping[str, ModelInfo]) -> str | None:
    """Return the id of the model with this name if it is on the disk."""
    return match(name, [model_id for model_id, info in models.items() if info.here], models)


def folder_size_mb(folder: Path) -> int:
    """Add up a folder's files, in megabytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1_000_000


def model_folders(cache: Path) -> dict[str, Path]:
    """Find the folders of the downloaded models, by id."""
    folders = {}
    for path in cache.rglob("inference_model.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not any((folder / "download.tmp").exists() for folder in (path.parent, path.parent.parent)):
                folders[str(json.loads(path.read_text(encoding="utf-8-sig"))["Name"])] = path.parent
    return folders


def _info(entry: dict[str, Any], folder: Path | None) -> ModelInfo:
    size = round((entry.get("fileSizeMb") or 0) * MEBIBYTE)
    if folder and not size:
        size = folder_size_mb(folder)
    device = str((entry.get("runtime") or {}).get("deviceType") or "CPU").upper()
    return ModelInfo(str(entry["alias"]), size or None, folder is not None, device, str(entry.get("license") or ""))


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Aliases or ids of the small model, which answers first, and of the large one, to which questions escalate."""

    small: str
    large: str

    @property
    def both(self) -> tuple[str, str]:
        """The small model and the large one."""
        return self.small, self.large

    @property
    def alone(self) -> bool:
        """Whether one model has both roles, so that no question can escalate."""
        return self.small == self.large

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that have a model of their own."""
        return ("small",) if self.alone else ("small", "large")

    def of(self, role: str) -> tuple[str, str]:
        """Return the model of this role, and the other one, which may be unloaded for it."""
        return (self.small, self.large) if role == "small" else (self.large, self.small)
