"""Pairs of models: the presets, whether a pair fits a machine, and how fast it would be.

Pure: works on what is known of the machine and the catalogue, and asks nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.humanize import gigabytes
from app.models.catalogue import ModelInfo, ModelPair
from app.models.memory import OVERHEAD, Machine, MemoryFit

Fits = Literal["together", "in turns", "after closing programs", "no"]

SYSTEM_MB = 4_000
"""Memory that the system and a browser take when all other programs are closed."""

DISK_RESERVE_MB = 500
"""What a download leaves free on the disk."""

SIZES = {
    "qwen2.5-0.5b": 859, "qwen2.5-1.5b": 1911, "qwen2.5-7b": 6614, "phi-3.5-mini": 2717, "phi-4-mini": 5154,
    "phi-4": 10909, "gpt-oss-20b": 13164, "mistral-7b": 4370,
}  # fmt: skip
"""Megabytes for the processor as `foundry model list` shows them, for machines on which no catalogue was saved yet."""

MEMORY_GB_PER_S = 50
"""How fast a usual laptop reads its memory: two channels of DDR4-3200. Measured on the spot it depends on the load."""

ACTIVE_SHARE = {"gpt-oss-20b": 0.2}
"""The share of a model's weights that is read for a token, if it is not all: 3.6 of the 21 billion parameters of this
mixture of experts are active, and what all experts share is read each time."""


PRESETS: Mapping[str, tuple[ModelPair, ...]] = {
    "tiny": (ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b"),),
    "standard": (ModelPair("phi-4-mini", "qwen2.5-7b"),),
    "large": (ModelPair("phi-4-mini", "gpt-oss-20b"), ModelPair("phi-4-mini", "phi-4")),
}
"""The pairs of each preset, of which the first that fits is offered."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair on this machine; `sizes` (MB), `here` (downloaded) and `tokens_per_s` are of its small and large model.

    `missing_mb` has to be downloaded; `why` is a sentence about the memory and disk space that the pair takes.
    """

    name: str
    pair: ModelPair
    sizes: tuple[int, int]
    here: tuple[bool, bool]
    missing_mb: int
    fits: Fits
    why: str
    tokens_per_s: tuple[float | None, float | None]

    @property
    def now(self) -> bool:
        """Whether the pair can be used without closing other programs."""
        return self.fits in ("together", "in turns")


def presets_for(machine: Machine, models: Mapping[str, ModelInfo]) -> list[Preset]:
    """Return one pair for each preset, smallest first: the first pair that fits, else the first."""
    rows = [[assess(machine, models, name, pair) for pair in pairs] for name, pairs in PRESETS.items()]
    return [min(row, key=lambda preset: (not preset.now, preset.fits == "no")) for row in rows]


def recommended(presets: Sequence[Preset]) -> Preset | None:
    """Choose the largest preset that can be used now, else the smallest that could be after closing programs."""
    now = [preset for preset in presets if preset.now]
    return now[-1] if now else next((preset for preset in presets if preset.fits != "no"), None)


def assess(machine: Machine, models: Mapping[str, ModelInfo], name: str, pair: ModelPair) -> Preset:
    """Assess how one pair would do on this machine."""
    small, large = (preferred_variant(models, alias) for alias in pair.both)
    sizes = small.size_mb or 0, large.size_mb or 0
    fits, why = fit_in_memory(machine, pair, sizes)
    missing = sum(info.size_mb or 0 for info in {small, large} if not info.here)
    if missing and machine.disk_free_mb < missing + DISK_RESERVE_MB:
        fits = "no"
        why = (
            f"{gigabytes(missing)} must be downloaded and {gigabytes(machine.disk_free_mb)} are free on the disk. "
            "Free some space, or set ESCALATOR_MODEL_CACHE to a folder on another disk."
        )
    if not all(variants(models, alias) for alias in pair.both):
        why += " (Sizes as listed by Foundry Local, not looked up now.)"
    speeds = tokens_per_second(small), tokens_per_second(large)
    return Preset(name, pair, sizes, (small.here, large.here), missing, fits, why, speeds)


def fit_in_memory(machine: Machine, pair: ModelPair, sizes: tuple[int, int]) -> tuple[Fits, str]:
    """Say whether models of these sizes (MB) fit into memory together or one at a time, and why, in a sentence."""
    larger = MemoryFit(pair.large if sizes[1] >= sizes[0] else pair.small, max(sizes), machine.free_mb)
    both = larger.needed_mb + (0 if pair.alone else round(min(sizes) * OVERHEAD))
    needs, free = f"{larger.name} needs {gigabytes(larger.needed_mb)} of memory", gigabytes(machine.free_mb)
    if both <= machine.free_mb:
        together = "It needs" if pair.alone else "Both stay loaded together, which needs"
        return "together", f"{together} {gigabytes(both)} of memory, and {free} are free."
    if not larger.too_big:
        return "in turns", f"One is unloaded for the other: {needs} and {free} are free."
    if larger.needed_mb <= machine.memory_mb - SYSTEM_MB:
        total = gigabytes(machine.memory_mb)
        return "after closing programs", f"{needs} and {free} of {total} are free: close other programs."
    return "no", f"{needs}, more than this machine has left beside its system."


def tokens_per_second(model: ModelInfo) -> float | None:
    """Estimate how many tokens a second a usual laptop's processor generates at most; None if the size is unknown.

    All weights that a token needs are read once from memory for it, which is what limits a single answer (the memory
    term of the roofline model: Williams, Waterman, Patterson 2009). A slow processor and a long prompt make it slower.
    """
    read_mb = (model.size_mb or 0) * ACTIVE_SHARE.get(model.alias, 1.0)
    return round(1000 * MEMORY_GB_PER_S / read_mb, 1) if read_mb else None


def variants(models: Mapping[str, ModelInfo], alias: str) -> list[tuple[str, ModelInfo]]:
    """List the variants of a model with their ids: those for the processor first, then for other devices."""
    rows = [(model_id, info) for model_id, info in models.items() if info.alias == alias]
    return sorted(rows, key=lambda row: (row[1].device != "CPU", row[1].device, row[0]))


def preferred_variant(models: Mapping[str, ModelInfo], alias: str) -> ModelInfo:
    """Choose the variant that is downloaded, else the one for the processor, else our own table's size."""
    infos = [info for _, info in variants(models, alias)] or [ModelInfo(alias)]
    first = next((info for info in infos if info.here), infos[0])
    return first if first.size_mb else replace(first, size_mb=SIZES.get(alias))


def alternative(machine: Machine, models: Mapping[str, ModelInfo], name: str) -> str:
    """Name the preset that fits where the model `name` is too large, in a sentence; empty if none does."""
    best = recommended([it for it in presets_for(machine, models) if it.now and name not in it.pair.both])
    return f" {best.pair.small} and {best.pair.large} fit: run `escalator models get {best.name}`." if best else ""


def without_loaded(machine: Machine, loaded: Collection[str], models: Mapping[str, ModelInfo]) -> Machine:
    """Return the machine as it would be without the loaded models."""
    taken = sum(cpu_size_mb(models[model_id]) for model_id in loaded if model_id in models)
    return replace(machine, free_mb=machine.free_mb + round(taken * OVERHEAD))


def cpu_size_mb(model: ModelInfo) -> int:
    """Return the size that counts against the machine's memory: nothing for a model on an accelerator."""
    return model.size_mb or 0 if model.device == "CPU" else 0
