"""Where a model server may be: addresses from Foundry Local's command line, models on this disk; asks no server."""

import importlib.util
import json
import re
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 5.0

CATALOGUES = ("foundry.modelinfo.json", "foundry.local.modelinfo.json")
"""The files by which the runtime knows the models of a cache folder: the saved public catalogue, and one's own."""

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]*:\d+")


def root_of(url: str) -> str:
    """An address as it was given, without trailing slashes and `/v1`."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def address(program: str) -> str | None:
    """The address that the command line tells of a running service; blocks for up to ten seconds."""
    said = _run(program, "server", "status", "-o", "json") or _run(program, "service", "status")  # the latter to 0.8
    return address_in(said or "")


def address_in(said: str) -> str | None:
    """The address in a status, as JSON or as text; None when the service does not run."""
    try:
        status = json.loads(said[said.index("{") : said.rindex("}") + 1])
        return root_of(str(status["webUrls"][0])) if status.get("running") else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        found = _ADDRESS.search(said)
        return found[0] if found else None


def _run(*line: str) -> str | None:
    """What a command printed, None when it failed or took too long."""
    # A file, not a pipe: a grandchild that outlives the command would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 - found on PATH, fixed arguments
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        output.seek(0)
        return output.read(100_000).decode("utf-8", errors="replace")
    return None


def can_embed(cache: Path) -> bool:
    """Whether the runtime's package is installed and the folder holds the list of its models."""
    listed = any((cache / name).is_file() for name in CATALOGUES)
    return listed and importlib.util.find_spec("foundry_local_sdk") is not None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model: its alias, its size (None if unknown) and whether it has been downloaded."""

    alias: str
    size_mb: int | None = None
    here: bool = False


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
    if (entry.get("runtime") or {}).get("deviceType") == "GPU":
        size = None  # it goes into the memory of a graphics card, of which nothing is known here
    elif not isinstance(size, int) or size <= 0:
        files = [file for file in folder.rglob("*") if file.is_file()] if folder else []
        size = sum(file.stat().st_size for file in files) // 1_000_000 if files else None
    return Known(str(entry["alias"]), size, folder is not None)


def _folders(cache: Path) -> dict[str, Path]:
    """Where the downloaded models lie, by their ids."""
    found = {}
    for path in cache.rglob("inference_model.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not (path.parent / "download.tmp").exists():
                found[str(json.loads(path.read_text(encoding="utf-8-sig"))["Name"])] = path.parent
    return found
