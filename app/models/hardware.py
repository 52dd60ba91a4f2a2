"""What the machine has for models: memory, disk, cores, and how fast its memory is."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from app.models import memory

SAMPLE_MB = 32
"""What is copied to measure the memory: more than a laptop's caches hold, and done in milliseconds."""

THREADS = 4
"""Threads that copy at a time: one does not use all channels of the memory, more than four seldom gain anything."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's sizes in megabytes; `measured` adds the speed of a copy in its memory."""

    memory_mb: int
    free_mb: int
    disk_free_mb: int
    cores: int
    gb_per_s: float | None = None


def inspect_machine(folder: Path) -> Machine:
    """Inspect this machine, and the disk of a folder. Blocks for milliseconds."""
    import psutil

    total = round(psutil.virtual_memory().total / 1e6)
    return Machine(total, memory.free_mb(), round(disk_free_mb(folder)), os.cpu_count() or 1)


def measured(folder: Path) -> Machine:
    """Inspect this machine and measure the speed of its memory, the latter once. Blocks for a tenth of a second."""
    return replace(inspect_machine(folder), gb_per_s=bandwidth())


def disk_free_mb(folder: Path) -> float:
    """Return the free space of the disk that has, or will have, a folder."""
    existing = next(it for it in (folder.absolute(), *folder.absolute().parents) if it.exists())
    return shutil.disk_usage(existing).free / 1e6


@cache
def bandwidth() -> float | None:
    """Measure gigabytes a second between processor and memory, the best of three copies; None if memory is short."""
    if memory.free_mb() < memory.SPARE_MB:
        return None
    import numpy as np

    threads = min(THREADS, os.cpu_count() or 1)
    parts = [np.ones(SAMPLE_MB * 1_000_000 // 8 // threads) for _ in range(threads)]
    copies = [np.zeros_like(part) for part in parts]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(4):  # the first one starts the threads
            started = time.perf_counter()
            list(pool.map(np.copyto, copies, parts))
            best = min(best, time.perf_counter() - started)
    return round(2 * SAMPLE_MB / 1000 / best, 1)
