"""What a model server takes of the machine, where the system tells it: memory, and energy. Every call blocks."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from app.settings import is_loopback

RAPL = Path("/sys/class/powercap")
"""Where Linux has the energy counters of Intel and AMD processors; most systems let only root read them."""

NVIDIA = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")

NVIDIA_SECONDS = 5.0
"""How long nvidia-smi may take."""


class Memory(NamedTuple):
    """Megabytes that a process holds now, and the most that it ever held."""

    now_mb: float
    peak_mb: float | None


def machine() -> str:
    """Describe this machine without its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def server_memory(url: str) -> Memory | None:
    """Return the memory of the process that listens at an address of this machine; None where it cannot be seen."""
    import psutil

    port = urlsplit(url).port
    if not is_loopback(url) or port is None:
        return None
    with suppress(psutil.Error, OSError, StopIteration):  # macOS tells others' connections to root only
        connections = psutil.net_connections("tcp")
        pid = next(it.pid for it in connections if it.laddr and it.laddr.port == port and it.status == "LISTEN")
        held = psutil.Process(pid).memory_info()
        return Memory(held.rss / 1e6, _peak_mb(pid, held))
    return None


def _peak_mb(pid: int | None, held: object) -> float | None:
    if (peak := getattr(held, "peak_wset", None)) is not None:  # Windows
        return float(peak) / 1e6
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
    return None


class Energy:
    """Joules that the machine uses, by the counters of the processor, else by the power of the graphics card."""

    source = ""
    """The meter, in words; empty where the system has none."""

    def __init__(self) -> None:
        self._read: Callable[[], list[float]] = list
        self._wraps: list[float] = []
        self._began: tuple[float, list[float]] = (0.0, [])
        zones = [zone for zone in sorted(RAPL.glob("*-rapl:?")) if _number(zone / "energy_uj") is not None]
        if zones:
            self.source = "RAPL, the whole processor"
            self._wraps = [_number(zone / "max_energy_range_uj") or 0.0 for zone in zones]
            self._read = lambda: [_number(zone / "energy_uj") or 0.0 for zone in zones]
        elif shutil.which(NVIDIA[0]) and _watts():
            self.source = "nvidia-smi, estimated from the power before and after each answer"
            self._read = _watts

    def start(self) -> None:
        """Note the counters now."""
        if self.source:
            self._began = time.perf_counter(), self._read()

    def joules(self) -> float | None:
        """Return the energy since `start`, that of everything else on the machine included; None without a meter."""
        if not self.source:
            return None
        began, before = self._began
        if self._wraps:
            used = (now - then for now, then in zip(self._read(), before, strict=True))
            return sum(it + wrap if it < 0 else it for it, wrap in zip(used, self._wraps, strict=True)) / 1e6
        watts = (sum(before) + sum(self._read())) / 2
        return watts * (time.perf_counter() - began)


def _watts() -> list[float]:
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - fixed arguments
            NVIDIA, capture_output=True, text=True, encoding="utf-8", check=True, timeout=NVIDIA_SECONDS
        )
        return [float(line) for line in done.stdout.splitlines() if line.strip()]
    return []


def _number(file: Path) -> float | None:
    with suppress(OSError, ValueError):
        return float(file.read_text(encoding="ascii"))
    return None
