"""What the machine has for models: memory, disk, cores, accelerators, and how fast memory is read; fetches nothing."""

import os
import platform
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from app.models import memory
from app.models.discovery import run

SAMPLE_MB = 32
"""What is copied to measure memory: more than a laptop's caches hold, and done in milliseconds."""

THREADS = 4
"""Threads that copy at a time: one does not fill the memory's channels, more than four seldom gain anything."""

VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
DEVICE_CLASSES = {
    "GPU": "{4d36e968-e325-11ce-bfc1-08002be10318}",  # display adapters
    "NPU": "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}",  # compute accelerators
}
"""Where Windows' registry lists the devices of a kind."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Sizes in megabytes; `accelerators` are those that were seen, `gb_per_s` what a copy reads and writes."""

    memory_mb: int
    free_mb: int
    disk_free_mb: int
    cores: int
    accelerators: tuple[str, ...] = ()
    gb_per_s: float | None = None


def machine(cache: Path, *, closely: bool = True) -> Machine:
    """This machine; `closely` also looks for accelerators and measures, which takes up to two seconds. Blocks."""
    import psutil

    total, left, cores = round(psutil.virtual_memory().total / 1e6), round(disk_free_mb(cache)), os.cpu_count() or 1
    seen, speed = (accelerators(sys.platform, platform.machine()), bandwidth()) if closely else ([], None)
    return Machine(total, memory.free_mb(), left, cores, tuple(seen), speed)


def disk_free_mb(folder: Path) -> float:
    """What is free on the disk on which a folder lies, or will."""
    place = next(it for it in (folder.absolute(), *folder.absolute().parents) if it.exists())
    return shutil.disk_usage(place).free / 1e6


def accelerators(system: str, processor: str) -> list[str]:
    """Graphics and neural processors as the system names them; empty where it names none."""
    if system == "darwin":
        return ["Apple silicon GPU (Metal)"] if processor == "arm64" else []
    found = _nvidia()
    others = _windows() if system == "win32" else _linux(Path("/sys/class"))
    return found + [name for name in others if not (found and "NVIDIA" in name)]


def bandwidth() -> float | None:
    """Gigabytes a second between processor and memory, the best of three copies; None without memory for them."""
    if memory.free_mb() < memory.SPARE_MB:
        return None
    import numpy as np

    threads = min(THREADS, os.cpu_count() or 1)
    parts = [np.ones(SAMPLE_MB * 1_000_000 // 8 // threads) for _ in range(threads)]
    copies = [np.zeros_like(part) for part in parts]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(4):  # the first one starts the threads
            begun = time.perf_counter()
            list(pool.map(np.copyto, copies, parts))
            best = min(best, time.perf_counter() - begun)
    return round(2 * SAMPLE_MB / 1000 / best, 1)


def _nvidia() -> list[str]:
    program = shutil.which("nvidia-smi")
    said = run(program, "--query-gpu=name,memory.total", "--format=csv,noheader", seconds=2.0) if program else None
    return [line.strip() for line in (said or "").splitlines() if "MiB" in line]


def _linux(devices: Path) -> list[str]:
    found = set()
    for kind, pattern in (("GPU", "drm/card*[0-9]/device/vendor"), ("NPU", "accel/accel*/device/vendor")):
        for file in devices.glob(pattern):
            with suppress(OSError):
                found.add((VENDORS.get(file.read_text(encoding="utf-8").strip()), kind))
    return sorted(f"{vendor} {kind}" for vendor, kind in found if vendor)


def _windows() -> list[str]:
    registry = import_module("winreg")  # which is there on Windows alone
    found = []
    for kind, name in DEVICE_CLASSES.items():
        for number in range(16):
            device = rf"SYSTEM\CurrentControlSet\Control\Class\{name}\{number:04}"
            with suppress(OSError), registry.OpenKey(registry.HKEY_LOCAL_MACHINE, device) as told:
                found.append(f"{registry.QueryValueEx(told, 'DriverDesc')[0]} ({kind})")
    return [name for name in dict.fromkeys(found) if "Basic" not in name]  # what Windows draws with where no driver is
