"""Which pair answers: what the settings or a person chose, and replacements for models that are not on the disk."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from app.errors import NoModel
from app.files import load_json, save_state
from app.models.catalogue import ModelInfo, ModelPair, downloaded
from app.models.memory import Machine, MemoryFit, inspect_machine
from app.models.presets import SYSTEM_MB, alternative, cpu_size_mb, without_loaded
from app.models.server import Server, Unreachable
from app.settings import Settings, origin
from app.translation import _

CHOICE = "pair.json"
"""The file of the state folder that keeps what a person chose."""

NOT_CHAT = re.compile("whisper|embed")
"""Parts of the aliases of models that write no answers."""


def fixed_roles(settings: Settings) -> set[str]:
    """Return the roles ("small", "large") whose model a setting names. Blocks."""
    default = {role: Settings.model_fields[role].default for role in ("small", "large")}
    return {role for role in default if origin(role)[1] != "default" or getattr(settings, role) != default[role]}


def configured_pair(settings: Settings) -> ModelPair:
    """Return the pair of the settings, and for roles without a setting what a person chose. Blocks."""
    choice = (load_json(settings.state_dir / CHOICE) or {}) | dict.fromkeys(fixed_roles(settings))
    return ModelPair(str(choice.get("small") or settings.small), str(choice.get("large") or settings.large))


def save_choice(settings: Settings, pair: ModelPair) -> None:
    """Remember the pair that a person chose. Blocks."""
    save_state(settings.state_dir / CHOICE, {"small": pair.small, "large": pair.large})


async def pair_for(server: Server, settings: Settings) -> tuple[ModelPair, Callable[[], str | None]]:
    """Choose the pair to request from a server, and what says why if it is not the configured one."""
    configured = await asyncio.to_thread(configured_pair, settings)
    if server.dialect != "foundry":
        return configured, lambda: None
    try:
        models = await server.models()
        loaded = await server.loaded() if models else []
    except Unreachable:
        return configured, lambda: None
    machine = await asyncio.to_thread(inspect_machine, settings.model_cache)
    fixed = await asyncio.to_thread(fixed_roles, settings)
    pair = select_pair(configured, fixed, models, without_loaded(machine, loaded, models))
    return pair, partial(substitution, configured, pair, models)


async def too_big(server: Server, settings: Settings, fit: MemoryFit, setting: str) -> NoModel:
    """Return the error for a model that does not fit into memory, which names a pair that does."""
    machine = await asyncio.to_thread(inspect_machine, settings.model_cache)
    remedy = alternative(replace(machine, free_mb=fit.freed_mb), await server.models(), fit.name)
    return NoModel(fit.refusal(setting) + remedy)


def select_pair(
    configured: ModelPair, fixed: Collection[str], models: Mapping[str, ModelInfo], machine: Machine
) -> ModelPair:
    """Select the pair to use: configured models that are on the disk and can fit, else the best ones that do.

    Roles in `fixed` keep their model. The large role gets the largest model that fits into free memory; the small role
    the configured model, or the next smaller one. If there is one model only it takes both roles; but if it is one of
    the configured pair, the pair stays: a turn then says what is missing and goes on with that one.
    """
    here = [info for info in models.values() if info.here and not NOT_CHAT.search(info.alias)]
    here.sort(key=lambda info: info.size_mb or 0)
    sizes = {info.alias: info.size_mb or 0 for info in here}
    fitting = list(dict.fromkeys(info.alias for info in here if _fits(info, machine.free_mb))) or list(sizes)[:1]
    kept = {role for role in ("small", "large") if role in fixed or _usable(configured.of(role)[0], models, machine)}
    if len(kept) == 2 or not fitting:
        return configured
    large = configured.large if "large" in kept else fitting[-1]
    if "small" in fixed:
        return ModelPair(configured.small, large) if sizes[large] > sizes.get(configured.small, 0) else configured
    smaller = [alias for alias in fitting if sizes[alias] < sizes.get(large, 1_000_000)]
    if smaller:
        return ModelPair(configured.small if configured.small in smaller else smaller[-1], large)
    return configured if configured.small == large or "large" in kept else ModelPair(large, large)


def substitution(configured: ModelPair, pair: ModelPair, models: Mapping[str, ModelInfo]) -> str | None:
    """Describe which models replace configured ones, and why; None if none do."""
    if pair == configured:
        return None
    missing = [alias for alias in configured.both if alias not in pair.both]
    absent = ", ".join(alias for alias in missing if not downloaded(alias, models))
    large = ", ".join(alias for alias in missing if downloaded(alias, models))
    said = [
        _("Not downloaded: {models}.", models=absent) if absent else "",
        _("Too large for this machine: {models}.", models=large) if large else "",
        _("So {small} answers alone; `escalator models` shows which pairs fit.", small=pair.small)
        if pair.alone
        else _(
            "So {small} answers first and {large} when needed; `escalator models` shows which pairs fit.",
            small=pair.small,
            large=pair.large,
        ),
    ]
    return " ".join(filter(None, said))


def _usable(name: str, models: Mapping[str, ModelInfo], machine: Machine) -> bool:
    """Return whether a model is on the disk and would fit if other programs were closed."""
    model_id = downloaded(name, models)
    return model_id is not None and _fits(models[model_id], max(machine.free_mb, machine.memory_mb - SYSTEM_MB))


def _fits(model: ModelInfo, free_mb: int) -> bool:
    return not MemoryFit(model.alias, cpu_size_mb(model), free_mb).too_big
