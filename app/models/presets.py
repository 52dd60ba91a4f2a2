"""Pairs of models: the presets, whether a pair fits a machine, and how fast it would be.

Pure: works on what is known of the machine and the catalogue, and asks nothing.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.models.catalogue import ModelInfo, ModelPair
from app.models.memory import OVERHEAD, Machine, MemoryFit
from app.translation import _, figure, gigabytes, mark

Fits = Literal["together", "in turns", "after closing programs", "no"]

SYSTEM_MB = 4_000
"""Memory that the system and a browser take when all other programs are closed."""

DISK_RESERVE_MB = 500
"""What a download leaves free on the disk."""

SIZES = {
    "qwen2.5-0.5b": 859, "qwen2.5-1.5b": 1911, "qwen2.5-7b": 6614, "phi-3.5-mini": 2717, "phi-4-mini": 5154,
    "phi-4": 10909, "gpt-oss-20b": 13164, "mistral-7b": 4370, "qwen3.5-0.8b": 1088, "qwen3.5-2b": 2251,
    "qwen3.5-2b-text": 1536, "qwen3.5-4b": 3235, "qwen3.5-9b": 8470, "gemma-4-e2b-it": 6325,
}  # fmt: skip
"""Megabytes for the processor as the catalogue has them, for machines on which none was saved yet."""

MEMORY_GB_PER_S = 50
"""How fast a usual laptop reads its memory: two channels of DDR4-3200. Measured on the spot it depends on the load."""

CORE_GB_PER_S = 10
"""How much of a model one core computes with in a second, an estimate: four cores nearly use up a laptop's memory."""

GRAPHICS_GB_PER_S = 200
"""How fast a graphics card reads memory of its own: 192 GB/s is a small card for laptops (GeForce RTX 3050)."""

FAST_ENOUGH = 5
"""Tokens a second below which a pair counts as slow: about four words, the speed at which people read."""

WORDS_PER_TOKEN = 0.75

ACTIVE_SHARE = {"gpt-oss-20b": 0.2, "gemma-4-e2b-it": 0.5}
"""The share of a model's weights that is read for a token, if it is not all. Of gpt-oss-20b, a mixture of experts, 3.6
of 21 billion parameters are active, and what all experts share is read each time. Of the 5.1 billion of gemma-4-e2b-it
2.3 are; the others are tables of which a token needs one row in each layer."""


PRESETS: Mapping[str, tuple[ModelPair, ...]] = {
    mark("tiny"): (ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b"),),
    mark("standard"): (ModelPair("phi-4-mini", "qwen2.5-7b"),),
    mark("large"): (ModelPair("phi-4-mini", "gpt-oss-20b"), ModelPair("phi-4-mini", "phi-4")),
}
"""The pairs of each preset, of which the first that fits is offered."""

NEWER: Mapping[str, tuple[ModelPair, ...]] = {
    "tiny": (ModelPair("qwen3.5-0.8b", "qwen3.5-2b-text"), ModelPair("qwen3.5-0.8b", "qwen3.5-2b")),
    "standard": (
        ModelPair("qwen3.5-4b", "qwen3.5-9b"),
        ModelPair("qwen3.5-2b", "qwen3.5-4b"),
        ModelPair("qwen3.5-2b", "gemma-4-e2b-it"),
    ),
}
"""Pairs that stand before those of `PRESETS` where the machine's catalogue lists both models: what is offered before it
has been read must be there, and older servers have none of these."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair on this machine; `sizes` (MB), `here` (downloaded) and `tokens_per_s` are of its small and large model.

    `missing_mb` has to be downloaded; `why` says what the pair takes of memory and disk, and if it is slow.
    """

    name: str
    pair: ModelPair
    sizes: tuple[int, int]
    here: tuple[bool, bool]
    missing_mb: int
    fits: Fits
    why: str
    tokens_per_s: tuple[float | None, float | None]
    slow: bool = False

    @property
    def now(self) -> bool:
        """Whether the pair can be used without closing other programs."""
        return self.fits in ("together", "in turns")


def presets_for(machine: Machine, models: Mapping[str, ModelInfo]) -> list[Preset]:
    """Return one pair for each preset, smallest first: of those that fit one that is here, else the first."""
    listed = {info.alias for info in models.values()}
    offered = {
        name: (*(pair for pair in NEWER.get(name, ()) if listed.issuperset(pair.both)), *pairs)
        for name, pairs in PRESETS.items()
    }
    rows = [[assess(machine, models, name, pair) for pair in pairs] for name, pairs in offered.items()]
    return [min(row, key=lambda it: (not it.now, it.fits == "no", not all(it.here))) for row in rows]


def recommended(presets: Sequence[Preset]) -> Preset | None:
    """Choose the largest preset that can be used now and is not slow, else the fastest that can be used now.

    Where none can, it is the fastest of those that could be used after closing programs.
    """
    now = [preset for preset in presets if preset.now]
    quick = [preset for preset in now if not preset.slow]
    possible = now or [preset for preset in presets if preset.fits != "no"]
    return quick[-1] if quick else max(possible, key=lambda preset: slowest(preset.tokens_per_s), default=None)


def first_steps(machine: Machine, presets: Sequence[Preset]) -> tuple[Preset, Preset] | None:
    """Return a small pair to begin with and the recommended one, which is larger; None where that is no advantage."""
    smallest, best = presets[0], recommended(presets)
    if best in (None, smallest) or not smallest.now or any(here for preset in presets for here in preset.here):
        return None
    room = machine.disk_free_mb - DISK_RESERVE_MB
    return (smallest, best) if best and smallest.missing_mb + best.missing_mb <= room else None


def assess(machine: Machine, models: Mapping[str, ModelInfo], name: str, pair: ModelPair) -> Preset:
    """Assess how one pair would do on this machine."""
    small, large = (preferred_variant(models, alias) for alias in pair.both)
    sizes = small.size_mb or 0, large.size_mb or 0
    fits, why = fit_in_memory(machine, pair, sizes)
    missing = sum(info.size_mb or 0 for info in {small, large} if not info.here)
    if missing and machine.disk_free_mb < missing + DISK_RESERVE_MB:
        fits = "no"
        why = _(
            "{size} must be downloaded and {free} are free on the disk. Free some space, or set ESCALATOR_MODEL_CACHE "
            "to a folder on another disk.",
            size=gigabytes(missing),
            free=gigabytes(machine.disk_free_mb),
        )
    speeds = tokens_per_second(machine, small), tokens_per_second(machine, large)
    slow = slowest(speeds) < FAST_ENOUGH
    if slow and fits != "no":
        seconds = 100 / WORDS_PER_TOKEN / slowest(speeds)
        why += " " + _("Slow on this machine: 100 words take about {seconds} s.", seconds=f"{seconds:.0f}")
    if not all(variants(models, alias) for alias in pair.both):
        why += " " + _("Sizes are approximate until the online catalogue has been read.")
    return Preset(name, pair, sizes, (small.here, large.here), missing, fits, why, speeds, slow)


def fit_in_memory(machine: Machine, pair: ModelPair, sizes: tuple[int, int]) -> tuple[Fits, str]:
    """Say whether models of these sizes (MB) fit into memory together or one at a time, and why, in a sentence."""
    larger = MemoryFit(pair.large if sizes[1] >= sizes[0] else pair.small, max(sizes), machine.free_mb)
    both = larger.needed_mb + (0 if pair.alone else round(min(sizes) * OVERHEAD))
    known = {"name": larger.name, "needed": gigabytes(larger.needed_mb), "free": gigabytes(machine.free_mb)}
    if both <= machine.free_mb:
        if pair.alone:
            return "together", _("It needs {needed} of memory, and {free} are free.", **known)
        needed = known | {"needed": gigabytes(both)}
        return "together", _("Both stay loaded together, which needs {needed} of memory; {free} are free.", **needed)
    if not larger.too_big:
        return "in turns", _(
            "Only one of the two fits into memory at a time: {name} needs {needed}, and {free} are free.", **known
        )
    if larger.needed_mb <= machine.memory_mb - SYSTEM_MB:
        return "after closing programs", _(
            "Close other programs first: {name} needs {needed} of memory, and {free} of {total} are free.",
            total=gigabytes(machine.memory_mb),
            **known,
        )
    return "no", _("Too large for this machine: {name} needs {needed} of memory beside the system.", **known)


def tokens_per_second(machine: Machine, model: ModelInfo) -> float | None:
    """Estimate how many tokens a second a model generates at most on a machine; None if its size is unknown.

    All weights that a token needs are read once from memory for it, which is what limits a single answer (the memory
    term of the roofline model: Williams, Waterman, Patterson 2009), or a few cores do, which read less than memory
    gives. What the machine is decides, not its load: the figure stays.
    """
    gb_per_s = min(MEMORY_GB_PER_S, machine.cores * CORE_GB_PER_S) if model.device == "CPU" else MEMORY_GB_PER_S
    if model.device == "GPU" and machine.graphics:
        gb_per_s = GRAPHICS_GB_PER_S
    read_mb = (model.size_mb or 0) * ACTIVE_SHARE.get(model.alias, 1.0)
    return round(1000 * gb_per_s / read_mb, 1) if read_mb else None


def slowest(speeds: Iterable[float | None]) -> float:
    """Return the lower of the known speeds of a pair, infinity if none is known."""
    return min((speed for speed in speeds if speed is not None), default=math.inf)


def in_words(speeds: Iterable[float | None]) -> str:
    """Say how fast the models of a pair write, as exactly as it is known; empty if it is not."""
    known = [it for it in speeds if it is not None]
    if known and max(known) < 1:
        return _("less than 1 token a second")
    match [_("less than 1") if it < 1 else _("about {number}", number=figure(_rounded(it))) for it in known]:
        case [small, large] if small != large:
            return _("{small} and {large} tokens a second", small=small, large=large)
        case [speed, *_both]:
            return _("{speed} tokens a second", speed=speed)
    return ""


def _rounded(speed: float) -> int:
    return int(speed) if speed < 10 else 5 * round(speed / 5)


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
    if best is None:
        return ""
    return " " + _(
        "{small} and {large} fit: run `escalator models get {name}`.",
        small=best.pair.small,
        large=best.pair.large,
        name=best.name,
    )


def without_loaded(machine: Machine, loaded: Collection[str], models: Mapping[str, ModelInfo]) -> Machine:
    """Return the machine as it would be without the loaded models."""
    taken = sum(cpu_size_mb(models[model_id]) for model_id in loaded if model_id in models)
    return replace(machine, free_mb=machine.free_mb + round(taken * OVERHEAD))


def cpu_size_mb(model: ModelInfo) -> int:
    """Return the size that counts against the machine's memory: nothing for a model on an accelerator."""
    return model.size_mb or 0 if model.device == "CPU" else 0
