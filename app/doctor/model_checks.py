"""What the doctor looks at for models: the machine, where models come from, which are there, if they answer."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator, Mapping

from app import state
from app.doctor.check import Check
from app.errors import ModelError
from app.humanize import ago, count, gigabytes
from app.models import discovery, presets
from app.models.catalogue import CATALOGUES, ModelInfo, load_catalogue
from app.models.chat import warm_up
from app.models.downloads import Downloader
from app.models.foundry import Foundry
from app.models.hardware import Machine, measured
from app.models.memory import MemoryFit
from app.settings import Settings

PROVIDERS = "import os; os.environ['CI'] = 'true'; import onnxruntime as it; print(*it.get_available_providers())"
"""Asked in a process of its own, whose telemetry CI switches off."""

PROGRAMS: Mapping[discovery.Generation, tuple[str, str]] = {
    "current": ("is Foundry Local's, 0.10 or later", ""),
    "old": (
        "is an old one of Foundry Local, up to 0.8",
        "Its service is used if it runs, else our own runtime. Update: `winget upgrade Microsoft.FoundryLocal`.",
    ),
    "unrelated": (
        "is not Foundry Local's: Ethereum's and GNOME's tools have the same name",
        "Our own runtime is used. Where a guide says `foundry model download`, run `escalator models get`.",
    ),
}
"""What is said of a program of the name `foundry`, and what to do."""

LITTLE_DISK_MB = 3_600
"""Less than the tiny pair takes, with what a download leaves free."""


async def checks(settings: Settings, online: bool) -> list[Check]:
    """Everything about models; loads the pair, and asks the public catalogue only if `online`."""
    here = await asyncio.to_thread(measured, settings.model_cache_path)
    found = [*_machine(here)]
    found += await asyncio.to_thread(lambda: [_command_line(), _providers(), _catalogue(settings)])
    found += [await _reached(settings)] if online else []
    async with Foundry(settings) as foundry:
        return found + await _server(foundry, here)


def _machine(here: Machine) -> Iterator[Check]:
    speed = f", read and written at {here.gb_per_s:.0f} GB/s" if here.gb_per_s else ""
    yield Check("memory", True, f"{gigabytes(here.memory_mb)}, {gigabytes(here.free_mb)} free{speed}")
    seen = ", ".join(here.accelerators) or f"none seen: models run on the {count(here.cores, 'core')}"
    yield Check("accelerators", True, seen)
    remedy = "Make room, or set ESCALATOR_MODEL_CACHE to a folder on another disk."
    enough = here.disk_free_mb >= LITTLE_DISK_MB or None
    yield Check("disk", enough, f"{gigabytes(here.disk_free_mb)} free for models", remedy)


def _command_line() -> Check:
    """Foundry Local's command line, if it is the one that is found by its name; it is asked, never started."""
    name, program = "foundry command line", shutil.which("foundry")
    if program is None:
        return Check(name, True, "not on the PATH, and not needed")
    kind = discovery.generation(program)
    said, remedy = PROGRAMS[kind]
    return Check(name, True if kind == "current" else None, f"{program} {said}", remedy)


def _providers() -> Check:
    names = (discovery.command_output(sys.executable, "-c", PROVIDERS, seconds=20) or "").split()
    said = ", ".join(name.removesuffix("ExecutionProvider") for name in names if name != "AzureExecutionProvider")
    return Check("runtime's providers", None, said or "unknown")


def _catalogue(settings: Settings) -> Check:
    saved = (state.read(settings.model_cache_path / CATALOGUES[0]) or {}).get("savedAtUnix")
    models = load_catalogue(settings.model_cache_path)
    how = "`escalator doctor --online` asks the public one."
    if not models:
        remedy = "`escalator models --look` fetches it, which needs the network."
        return Check("catalogue", None, f"none was saved. {how}", remedy)
    age = f", saved {ago(time.time() - saved)}" if isinstance(saved, int | float) else ""
    return Check("catalogue", True, f"{count(len(models), 'model')}{age}. {how}")


async def _reached(settings: Settings) -> Check:
    name = "public catalogue"
    try:
        return Check(name, True, f"reached, {count(len(await Downloader(settings).update_catalogue()), 'model')}")
    except ModelError as error:
        remedy = f"{error} Only downloads need it: models on the disk answer without, and a kit brings them along."
        return Check(name, False, "cannot be reached", remedy)


async def _server(foundry: Foundry, here: Machine) -> list[Check]:
    try:
        service, (listed, loaded, models) = await foundry.find(), await foundry.offered()
    except ModelError as error:
        models = await asyncio.to_thread(load_catalogue, foundry.settings.model_cache_path)
        return [_offer(here, models), Check("model server", False, "none", str(error))]
    pair, here = foundry.pair, presets.without_loaded(here, loaded, models)
    found = [
        Check("model server", True, f"{service.root}, found as: {service.source}"),
        _models(listed, loaded, models, here.free_mb),
        _offer(here, models),
    ]
    if foundry.substitution:
        found.append(Check("pair", None, f"{pair.small}, {pair.large}", foundry.substitution))
    return found + [await _answers(foundry, role) for role in pair.roles]


def _offer(here: Machine, models: Mapping[str, ModelInfo]) -> Check:
    best = presets.recommended(presets.presets_for(here, models))
    if best is None:
        remedy = "Answers are quotes from your documents. Set FOUNDRY_LOCAL_ENDPOINT to a model server elsewhere."
        return Check("pair that fits", None, "none of the ladder", remedy)
    said = f"{best.name}: {best.pair.small} and {best.pair.large}. {best.why}"
    return Check("pair that fits", all(best.here) or None, said, f"`escalator models get {best.name}` downloads it.")


def _models(listed: list[str], loaded: list[str], models: Mapping[str, ModelInfo], free: int) -> Check:
    if not models:
        return Check("models", bool(listed), ", ".join(listed) or "none", "Load a model in this server.")
    said = []
    for model, told in models.items():
        if told.here:
            needs = f", needs {gigabytes(MemoryFit(model, told.size_mb, free).needed_mb)}" if told.size_mb else ""
            said.append(f"{model} ({told.device}{needs}{', loaded' if model in loaded else ''})")
    found = f"{'; '.join(said) or 'none downloaded'}. {gigabytes(free)} of memory are free for them"
    return Check("models", bool(said), found, "`escalator models get tiny` downloads a pair for every machine.")


async def _answers(foundry: Foundry, role: str) -> Check:
    alias, other = foundry.pair.of(role)
    try:
        warm = await warm_up(foundry, alias, other)
    except ModelError as error:
        return Check(f"{role} model", False, alias, str(error))
    return Check(f"{role} model", True, f"{alias} is {warm.model.id}; {warm}")
