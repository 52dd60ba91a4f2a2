"""Which pair is used: what the settings or a person chose, and what stands in for models that are not on the disk."""

import asyncio
from dataclasses import replace

from app import state
from app.errors import NoModel
from app.models.client import Unreachable
from app.models.hardware import machine
from app.models.memory import Fit
from app.models.pair import Pair
from app.models.presets import standing, substitution, unloaded, way_on
from app.models.server import Server
from app.settings import Settings, origin

CHOICE = "pair.json"
"""The file of the state folder that keeps what a person chose."""


def given(settings: Settings) -> set[str]:
    """The parts, "small" or "large", of which a setting names the model. Blocks."""
    default = {name: Settings.model_fields[name].default for name in ("small", "large")}
    return {name for name in default if origin(name)[1] != "default" or getattr(settings, name) != default[name]}


def wanted(settings: Settings) -> Pair:
    """The pair of the settings, and where they name none the one that a person chose. Blocks."""
    chosen = (state.read(settings.state_dir / CHOICE) or {}) | dict.fromkeys(given(settings))
    return Pair(str(chosen.get("small") or settings.small), str(chosen.get("large") or settings.large))


def choose(settings: Settings, pair: Pair) -> None:
    """Remember what a person chose. Blocks."""
    state.write(settings.state_dir / CHOICE, {"small": pair.small, "large": pair.large})


async def used(server: Server, settings: Settings) -> tuple[Pair, str | None]:
    """The pair that a server is asked for, and a sentence if that is not the one that was wanted."""
    pair = await asyncio.to_thread(wanted, settings)
    if server.dialect != "foundry":
        return pair, None
    try:
        known = await server.known()
        loaded = await server.loaded() if known else []
    except Unreachable:
        return pair, None
    here = await asyncio.to_thread(machine, settings.model_cache_path, closely=False)
    fixed = await asyncio.to_thread(given, settings)
    used = standing(pair, fixed, known, unloaded(here, loaded, known))
    return used, substitution(pair, used, known)


async def too_big(server: Server, settings: Settings, fit: Fit, setting: str) -> NoModel:
    """The error of a model that does not fit into memory, which names a pair that does."""
    here = await asyncio.to_thread(machine, settings.model_cache_path, closely=False)
    return NoModel(fit.refusal(setting) + way_on(replace(here, free_mb=fit.freed_mb), await server.known(), fit.name))
