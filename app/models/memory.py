"""Whether a model fits into the free memory, what is unloaded for it, and what the machine has; sizes in megabytes."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.errors import NoModel
from app.models.catalogue import match
from app.models.server import Server
from app.translation import _, gigabytes

OVERHEAD = 1.15
"""Memory that a model takes, over its size on disk: models of 0.4 and 2 GB took 1.05 times their size, and the cache of
a conversation comes on top, which is 0.3 MB a token for a model of the size of phi-4-mini."""

SPARE_MB = 500
"""What must stay free for the chat, the browser and the system."""

DISK_MB_PER_SECOND = 500
"""How fast a model is read that was not loaded before: the speed of a SATA solid state disk."""

UNLOAD_SECONDS = 5.0
"""How long an answer of another program is waited for; those of this one have ended by then."""


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """Sizes to be compared before a model is loaded; `other` is loaded, and may be unloaded for it."""

    name: str
    size_mb: int
    free_mb: int
    other: str = ""
    other_id: str = ""
    other_mb: int = 0

    @property
    def needed_mb(self) -> int:
        """The memory that must be free before the model is loaded."""
        return round(self.size_mb * OVERHEAD) + SPARE_MB

    @property
    def freed_mb(self) -> int:
        """The memory that is free once the other model is unloaded."""
        return self.free_mb + round(self.other_mb * OVERHEAD)

    @property
    def swap(self) -> bool:
        """Whether the model fits only in place of the other one."""
        return self.free_mb < self.needed_mb <= self.freed_mb

    @property
    def too_big(self) -> bool:
        """Whether the model does not fit even without the other one."""
        return self.freed_mb < self.needed_mb

    def swap_notice(self, seconds: float | None) -> str:
        """Announce a swap; `seconds` is how long loading took the last time."""
        seconds = seconds or self.size_mb / DISK_MB_PER_SECOND
        return _(
            "{name} needs {needed} and {free} are free: {other} is unloaded first, loading takes about {seconds} s",
            other=self.other,
            seconds=max(1, round(seconds)),
            **self._sizes,
        )

    def refusal(self, setting: str) -> str:
        """Say why the model is not loaded; `setting` is the one that names it."""
        remedy = _("Close other programs, or set {setting} to a smaller model.", setting=setting)
        if not self.other:
            return _("{name} needs about {needed} of memory and {free} are free.", **self._sizes) + f" {remedy}"
        without = _(
            "{name} needs about {needed} of memory and {free} are free ({freed} without {other}).",
            freed=gigabytes(self.freed_mb),
            other=self.other,
            **self._sizes,
        )
        return f"{without} {remedy}"

    def blocked(self, reason: str) -> str:
        """Say why the model is not loaded now; `reason` says what keeps the other one in memory."""
        return _(
            "There is not enough memory for {name} beside {other}: {reason}. Ask again in a moment.",
            name=self.name,
            other=self.other,
            reason=reason,
        )

    @property
    def _sizes(self) -> dict[str, str]:
        return {"name": self.name, "needed": gigabytes(self.needed_mb), "free": gigabytes(self.free_mb)}


async def check_fit(server: Server, name: str, instead_of: str | None = None) -> MemoryFit | None:
    """Compare a model's size with the free memory, with and without the model `instead_of`.

    None means there is nothing to compare: the model is loaded, is on another machine, goes into a graphics card, or
    has no known size.
    """
    models = await server.models()
    here = [info for model_id, info in models.items() if info.here and match(name, [model_id], models)]
    sizes = [info.size_mb if info.device == "CPU" else None for info in here]
    if not sizes or None in sizes:
        return None
    loaded = await server.loaded()
    if match(name, loaded, models):
        return None
    size = max(filter(None, sizes), default=0)  # the server chooses which of several variants it loads
    free = await asyncio.to_thread(free_mb)
    if instead_of and (other := match(instead_of, loaded, models)) in models:
        return MemoryFit(name, size, free, instead_of, other, models[other].size_mb or 0)
    return MemoryFit(name, size, free)


async def unload(server: Server, fit: MemoryFit) -> None:
    """Unload the other model; raises NoModel if another program's answer keeps it in memory."""
    alias = (await server.models())[fit.other_id].alias
    end = asyncio.get_running_loop().time() + UNLOAD_SECONDS
    while (reply := await server.unload(alias)).status != 200:
        busy = "still using" in reply.text
        if not busy or asyncio.get_running_loop().time() > end:
            reason = _("another program is using it") if busy else reply.message.rstrip(".")
            raise NoModel(fit.blocked(_("it cannot be unloaded: {reason}", reason=reason)))
        await asyncio.sleep(0.1)


def free_mb() -> int:
    """Return the memory that a new program could take without anything being written to disk."""
    import psutil

    return int(psutil.virtual_memory().available / 1_000_000)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's sizes in megabytes, its cores, and whether it has a graphics card with memory of its own."""

    memory_mb: int
    free_mb: int
    disk_free_mb: int
    cores: int
    graphics: bool = False


def inspect_machine(folder: Path) -> Machine:
    """Inspect this machine, and the disk of a folder. Blocks for milliseconds."""
    import psutil

    total = round(psutil.virtual_memory().total / 1e6)
    # Two threads of one core compute no faster than one; a container may have fewer cores than the processor.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(psutil.cpu_count(logical=False) or allowed, allowed)
    graphics = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    return Machine(total, free_mb(), round(disk_free_mb(folder)), cores, graphics)


def disk_free_mb(folder: Path) -> float:
    """Return the free space of the disk that has, or will have, a folder."""
    existing = next(it for it in (folder.absolute(), *folder.absolute().parents) if it.exists())
    return shutil.disk_usage(existing).free / 1e6
