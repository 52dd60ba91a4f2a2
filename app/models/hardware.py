"""What the machine has for models: memory, disk and cores."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.models import memory


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's sizes in megabytes, and its cores."""

    memory_mb: int
    free_mb: int
    disk_free_mb: int
    cores: int


def inspect_machine(folder: Path) -> Machine:
    """Inspect this machine, and the disk of a folder. Blocks for milliseconds."""
    import psutil

    total = round(psutil.virtual_memory().total / 1e6)
    return Machine(total, memory.free_mb(), round(disk_free_mb(folder)), os.cpu_count() or 1)


def disk_free_mb(folder: Path) -> float:
    """Return the free space of the disk that has, or will have, a folder."""
    existing = next(it for it in (folder.absolute(), *folder.absolute().parents) if it.exists())
    return shutil.disk_usage(existing).free / 1e6
