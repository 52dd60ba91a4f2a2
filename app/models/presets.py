"""The ladder of models: which pairs fit a machine, how fast they would be, and which of those on the disk stand in.

Pure: it is told of the machine and of the catalogue, and asks nobody.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.humanize import gigabytes
from app.models.catalogue import Known, downloaded
from app.models.hardware import Machine
from app.models.memory import OVERHEAD, Fit
from app.models.pair import Pair

Fits = Literal["together", "in turns", "after closing programs", "no"]

SIZES = {
    "qwen2.5-0.5b": 859, "qwen2.5-1.5b": 1911, "qwen2.5-7b": 6614, "phi-3.5-mini": 2717, "phi-4-mini": 5154,
    "phi-4": 10909, "gpt-oss-20b": 13164, "mistral-7b": 4370,
}  # fmt: skip
"""Megabytes as `foundry model list` tells them for the processor, for machines on which no catalogue was ever saved."""

STEPS: Mapping[str, tuple[Pair, ...]] = {
    "tiny": (Pair("qwen2.5-0.5b", "qwen2.5-1.5b"),),
    "standard": (Pair("phi-4-mini", "qwen2.5-7b"),),
    "large": (Pair("phi-4-mini", "gpt-oss-20b"), Pair("phi-4-mini", "phi-4")),
}
"""The pairs of each rung, of which the first that fits is offered."""

SYSTEM_MB = 4_000
"""What the system and a browser keep when all other programs are closed."""

ROOM_MB = 500
"""What a download leaves free on the disk."""

READ = {"gpt-oss-20b": 0.2}
"""The part of a model that a token reads, where it is not the whole: 3.6 of 21 billion parameters of this mixture of
experts are active, and what all experts share is read each time."""

NO_CHAT = re.compile("whisper|embed")
"""Parts of the aliases of models that write no answers."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A pair for this machine; for its small and its large model: size in MB, if it is here, tokens a second.

    `missing_mb` is to be downloaded, `why` says in a sentence what the pair takes of memory and disk.
    """

    name: str
    pair: Pair
    sizes: tuple[int, int]
    here: tuple[bool, bool]
    missing_mb: int
    fits: Fits
    why: str
    tokens_per_s: tuple[float | None, float | None]

    @property
    def now(self) -> bool:
        """Whether the pair can be used as things are."""
        return self.fits in ("together", "in turns")


def pair(name: str) -> tuple[str, ...]:
    """The models of a rung, the preferred ones if it has several pairs; any other name is that of a model."""
    return STEPS[name][0].both if name in STEPS else (name,)


def offers(machine: Machine, known: Mapping[str, Known]) -> list[Offer]:
    """A pair for each rung, from the smallest to the largest: the first that fits, else the first."""
    every = [[offer(machine, known, name, pair) for pair in pairs] for name, pairs in STEPS.items()]
    return [min(of_a_rung, key=lambda it: (not it.now, it.fits == "no")) for of_a_rung in every]


def recommended(offered: Sequence[Offer]) -> Offer | None:
    """The largest that can be used as things are, else the smallest that could be after other programs are closed."""
    now = [it for it in offered if it.now]
    return now[-1] if now else next((it for it in offered if it.fits != "no"), None)


def offer(machine: Machine, known: Mapping[str, Known], name: str, pair: Pair) -> Offer:
    """How one pair would do on this machine."""
    small, large = (chosen(known, alias) for alias in pair.both)
    sizes = small.size_mb or 0, large.size_mb or 0
    fits, why = weigh(machine, pair, sizes)
    missing = sum(told.size_mb or 0 for told in {small, large} if not told.here)
    if missing and machine.disk_free_mb < missing + ROOM_MB:
        fits = "no"
        why = (
            f"{gigabytes(missing)} are to be downloaded and {gigabytes(machine.disk_free_mb)} are free on the disk. "
            "Make room, or set ESCALATOR_MODEL_CACHE to a folder on another disk."
        )
    if not all(variants(known, alias) for alias in pair.both):
        why += " (Sizes as Foundry Local lists them, not asked now.)"
    speeds = speed(machine, small), speed(machine, large)
    return Offer(name, pair, sizes, (small.here, large.here), missing, fits, why, speeds)


def weigh(machine: Machine, pair: Pair, sizes: tuple[int, int]) -> tuple[Fits, str]:
    """Whether models of these sizes fit into memory beside each other, or one at a time, and a sentence about it."""
    larger = Fit(pair.large if sizes[1] >= sizes[0] else pair.small, max(sizes), machine.free_mb)
    both = larger.needed_mb + (0 if pair.alone else round(min(sizes) * OVERHEAD))
    needs, free = f"{larger.name} needs {gigabytes(larger.needed_mb)} of memory", gigabytes(machine.free_mb)
    if both <= machine.free_mb:
        together = "It needs" if pair.alone else "Both are loaded beside each other, which needs"
        return "together", f"{together} {gigabytes(both)} of memory, and {free} are free."
    if not larger.too_big:
        return "in turns", f"One is unloaded for the other: {needs} and {free} are free."
    if larger.needed_mb <= machine.memory_mb - SYSTEM_MB:
        whole = gigabytes(machine.memory_mb)
        return "after closing programs", f"{needs} and {free} of {whole} are free: close other programs."
    return "no", f"{needs}, more than this machine has left beside its system."


def speed(machine: Machine, model: Known) -> float | None:
    """About how many tokens a second the model writes on the processor; None where memory was not measured.

    All weights that a token takes are read once from memory for it, which is what limits a single answer (the memory
    term of the roofline model: Williams, Waterman, Patterson 2009). A slow processor and a long prompt make it slower.
    """
    if not machine.gb_per_s or not model.size_mb:
        return None
    return round(1000 * machine.gb_per_s / (model.size_mb * READ.get(model.alias, 1.0)), 1)


def variants(known: Mapping[str, Known], alias: str) -> list[tuple[str, Known]]:
    """The variants of a model with their ids: for the processor first, then for graphics cards and others."""
    found = [(model, told) for model, told in known.items() if told.alias == alias]
    return sorted(found, key=lambda one: (one[1].device != "CPU", one[1].device, one[0]))


def chosen(known: Mapping[str, Known], alias: str) -> Known:
    """What counts of a model: the variant that is here, else that for the processor, else our own table."""
    every = [told for _, told in variants(known, alias)] or [Known(alias)]
    first = next((told for told in every if told.here), every[0])
    return first if first.size_mb else replace(first, size_mb=SIZES.get(alias))


def standing(wanted: Pair, given: Collection[str], known: Mapping[str, Known], machine: Machine) -> Pair:
    """What is used of `wanted`: what is on the disk and not too large for the machine, else the best model that is.

    `given` are the parts ("small", "large") that a person has set: they stay. The largest model that fits into free
    memory answers last; before it the one that was wanted, or the next smaller one. One alone stands in for both, but
    where it is one of the two, the pair stays, for then a turn says what is missing and goes on with the one.
    """
    models = [told for told in known.values() if told.here and not NO_CHAT.search(told.alias)]
    models.sort(key=lambda told: told.size_mb or 0)
    sizes = {told.alias: told.size_mb or 0 for told in models}
    fitting = list(dict.fromkeys(told.alias for told in models if _fits(told, machine.free_mb))) or list(sizes)[:1]
    stays = {role for role in ("small", "large") if role in given or usable(wanted.of(role)[0], known, machine)}
    if len(stays) == 2 or not fitting:
        return wanted
    large = wanted.large if "large" in stays else fitting[-1]
    if "small" in given:
        return Pair(wanted.small, large) if sizes[large] > sizes.get(wanted.small, 0) else wanted
    under = [alias for alias in fitting if sizes[alias] < sizes.get(large, 1_000_000)]
    if under:
        return Pair(wanted.small if wanted.small in under else under[-1], large)
    return wanted if wanted.small == large or "large" in stays else Pair(large, large)


def usable(name: str, known: Mapping[str, Known], machine: Machine) -> bool:
    """Whether a model is on the disk and would fit, were other programs closed."""
    found = downloaded(name, known)
    return found is not None and _fits(known[found], max(machine.free_mb, machine.memory_mb - SYSTEM_MB))


def substitution(wanted: Pair, used: Pair, known: Mapping[str, Known]) -> str | None:
    """What is said of models that stand in for others."""
    if used == wanted:
        return None
    missing = [alias for alias in wanted.both if alias not in used.both]
    absent = ", ".join(alias for alias in missing if not downloaded(alias, known))
    large = ", ".join(alias for alias in missing if downloaded(alias, known))
    parts = [f"Not downloaded: {absent}." if absent else "", f"Too large for this machine: {large}." if large else ""]
    how = f"{used.small} answers {'alone' if used.alone else f'first and {used.large} when it must'}"
    return " ".join([*filter(None, parts), f"So {how}; `escalator models` shows which pairs fit."])


def way_on(machine: Machine, known: Mapping[str, Known], name: str) -> str:
    """Where a model is too large for the memory: the pair that fits instead, as a sentence; empty if none does."""
    best = recommended([it for it in offers(machine, known) if it.now and name not in it.pair.both])
    return f" {best.pair.small} and {best.pair.large} fit: run `escalator models get {best.name}`." if best else ""


def unloaded(machine: Machine, loaded: Collection[str], known: Mapping[str, Known]) -> Machine:
    """The machine as it is without the models that are loaded."""
    taken = sum(_taken(known[model]) for model in loaded if model in known)
    return replace(machine, free_mb=machine.free_mb + round(taken * OVERHEAD))


def _fits(model: Known, free_mb: int) -> bool:
    return not Fit(model.alias, _taken(model), free_mb).too_big


def _taken(model: Known) -> int:
    """What it takes of the machine's memory over all, before `OVERHEAD`: nothing on an accelerator."""
    return model.size_mb or 0 if model.device == "CPU" else 0
