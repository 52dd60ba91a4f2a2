"""What the machine has for models: memory, disk, cores, accelerators, and how fast its memory is. Downloads nothing."""

import os
import platform
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

from app.models import memory
from app.models.discovery import command_output

SAMPLE_MB = 32
"""What is copied to measure the memory: more than a laptop's caches hold, and done in milliseconds."""

THREADS = 4
"""Threads that copy at a time: one does not use all channels of the memory, more than four seldom gain anything."""

VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
DEVICE_CLASSES = {
    "GPU": "{4d36e968-e325-11ce-bfc1-08002be10318}",  # display adapters
    "NPU": "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}",  # compute accelerators
}
"""Where the Windows registry lists the devices of a kind."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's sizes in megabytes; `measured` adds its accelerators and the speed of a copy in its memory."""

    memory_mb: int
    free_mb: int
    disk_free_mb: int
    cores: int
    accelerators: tuple[str, ...] = ()
    gb_per_s: float | None = None


def inspect_machine(folder: Path) -> Machine:
    """Inspect this machine, and the disk of a folder. Blocks for milliseconds."""
    import psutil

    total = round(psutil.virtual_memory().total / 1e6)
    return Machine(total, memory.free_mb(), round(disk_free_mb(folder)), os.cpu_count() or 1)


def measured(folder: Path) -> Machine:
    """Inspect this machine, look for accelerators and measure its memory, the latter once. Blocks for two seconds."""
    devices, speed = _measured()
    return replace(inspect_machine(folder), accelerators=devices, gb_per_s=speed)


def disk_free_mb(folder: Path) -> float:
    """Return the free space of the disk that has, or will have, a folder."""
    existing = next(it for it in (folder.absolute(), *folder.absolute().parents) if it.exists())
    return shutil.disk_usage(existing).free / 1e6


def accelerators(system: str, processor: str) -> list[str]:
    """List graphics and neural processors by the names that the system gives them."""
    if system == "darwin":
        return ["Apple silicon GPU (Metal)"] if processor == "arm64" else []
    nvidia = _nvidia()
    others = _windows() if system == "win32" else _linux(Path("/sys/class"))
    return nvidia + [name for name in others if not (nvidia and "NVIDIA" in name)]


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


@cache
def _measured() -> tuple[tuple[str, ...], float | None]:
    return tuple(accelerators(sys.platform, platform.machine())), bandwidth()


def _nvidia() -> list[str]:
    program = shutil.which("nvidia-smi")
    query = ("--query-gpu=name,memory.total", "--format=csv,noheader")
    output = command_output(program, *query, seconds=2.0) if program else None
    return [line.strip() for line in (output or "").splitlines() if "MiB" in line]


def _linux(devices: Path) -> list[str]:
    names = set()
    for kind, pattern in (("GPU", "drm/card*[0-9]/device/vendor"), ("NPU", "accel/accel*/device/vendor")):
        for file in devices.glob(pattern):
            with suppress(OSError):
                names.add((VENDORS.get(file.read_text(encoding="utf-8").strip()), kind))
    return sorted(f"{vendor} {kind}" for vendor, kind in names if vendor)


def _windows() -> list[str]:
    registry = import_module("winreg")  # exists on Windows only
    names = []
    for kind, device_class in DEVICE_CLASSES.items():
        for number in range(16):
            key = rf"SYSTEM\CurrentControlSet\Control\Class\{device_class}\{number:04}"
            with suppress(OSError), registry.OpenKey(registry.HKEY_LOCAL_MACHINE, key) as opened:
                names.append(f"{registry.QueryValueEx(opened, 'DriverDesc')[0]} ({kind})")
    return [name for name in dict.fromkeys(names) if "Basic" not in name]  # Windows' fallback where no driver is
