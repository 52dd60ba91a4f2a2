"""Which models answer: the pair that settings or a person chose, or a replacement, and their ids at a server.

Requests need full ids, and most servers load a model by its alias.
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

from app.errors import NoModel
from app.files import load_json, write_json
from app.models.catalogue import ModelInfo, ModelPair, downloaded, match
from app.models.memory import DISK_MB_PER_SECOND, Machine, MemoryFit, inspect_machine
from app.models.presets import SYSTEM_MB, alternative, cpu_size_mb, without_loaded
from app.models.server import Model, Notify, Reply, Server, Unreachable, guess_id
from app.settings import Settings, origin
from app.translation import _, gigabytes

CHOICE = "pair.json"
"""The file of the state folder that keeps what a person chose."""

NOT_CHAT = re.compile("whisper|embed")
"""Parts of the aliases of models that write no answers."""


def fixed_roles(settings: Settings) -> set[str]:
    """Return the roles ("small", "large") whose model a setting names, or which have an endpoint. Blocks."""
    default = {role: Settings.model_fields[role].default for role in ("small", "large")}
    named = {role for role in default if origin(role)[1] != "default" or getattr(settings, role) != default[role]}
    return named | {role for role in default if settings.addresses(role)}


def configured_pair(settings: Settings) -> ModelPair:
    """Return the pair of the settings, and for roles without a setting what a person chose. Blocks."""
    choice = (load_json(settings.state_dir / CHOICE) or {}) | dict.fromkeys(fixed_roles(settings))
    return ModelPair(str(choice.get("small") or settings.small), str(choice.get("large") or settings.large))


def save_choice(settings: Settings, pair: ModelPair) -> None:
    """Remember the pair that a person chose. Blocks."""
    write_json(settings.state_dir / CHOICE, {"small": pair.small, "large": pair.large})


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
    elsewhere = {configured.of(role)[0] for role in ("small", "large") if settings.addresses(role)}
    models = {name: info for name, info in models.items() if info.alias not in elsewhere}
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


async def resolve(server: Server, name: str, notify: Notify) -> Model:
    """Find the model of this alias or full id, and load it if it is not loaded.

    Raises NoModel, or Unreachable if the server was lost before it was asked to load anything.
    """
    before = await server.loaded()
    if server.dialect == "plain":  # it loads by itself; if it lists nothing the configured name is used as it is
        model_id = guess_id(name, before) if before else name
        if model_id is None:
            raise _unknown(server, name, before)
        return Model(name, model_id, server.service)
    models = await server.models()
    if model_id := match(name, before, models):
        return Model(name, model_id, server.service)
    here = downloaded(name, models)
    size = (models[here].size_mb if here else None) or 0
    if seconds := round(size / DISK_MB_PER_SECOND):
        size_and_time = {"size": gigabytes(size), "seconds": seconds}
        notify(_("Loading {model} into memory ({size}, about {seconds} s)", model=name, **size_and_time))
    else:
        notify(_("Loading {model} into memory", model=name))
    started = time.monotonic()
    try:
        reply = await server.load(models[name].alias if name in models else name)
    except Unreachable as error:
        raise NoModel(
            "The model server at {host} was lost while it loaded {model}. The model may be too large for the free "
            "memory; close other programs, or choose a smaller one.",
            host=server.service.host,
            model=name,
        ) from error
    seconds_taken = time.monotonic() - started
    if reply.status == 200:
        model_id = _loaded_id(server, name, before, await server.loaded(), models)
        return Model(name, model_id, server.service, seconds_taken)
    raise await _refused(server, name, reply, models)


async def is_available(server: Server, name: str) -> bool:
    """Return whether the model is loaded or downloaded, as far as the server tells; raises Unreachable."""
    loaded = await server.loaded()
    if server.dialect == "plain":
        return not loaded or guess_id(name, loaded) is not None
    models = await server.models()
    return match(name, loaded, models) is not None or downloaded(name, models) is not None


def _loaded_id(server: Server, name: str, before: list[str], after: list[str], models: Mapping[str, ModelInfo]) -> str:
    """Tell which of the loaded models was requested, after the server has reported that it is loaded."""
    if model_id := match(name, after, models):
        return model_id
    new = [model_id for model_id in after if model_id not in before]
    # A server that had it loaded already lists nothing new; then the name has to do.
    model_id = new[0] if len(new) == 1 else guess_id(name, after) or (after[0] if len(after) == 1 else None)
    if model_id is None or name in models:  # a known id, but another variant of its alias is loaded
        raise NoModel(
            "The server at {host} was asked to load {model} and does not tell which of these it is: {names}. Set "
            "SLM_ALIAS or LLM_ALIAS to the right one.",
            host=server.service.host,
            model=name,
            names=", ".join(after) or "–",
        )
    return model_id


async def _refused(server: Server, name: str, reply: Reply, models: Mapping[str, ModelInfo]) -> NoModel:
    if "not cached" in reply.text.lower():
        return NoModel(
            "{model} is known at {host} but has not been downloaded. Run `escalator models get {model}`, or set "
            "SLM_ALIAS or LLM_ALIAS to a downloaded model.",
            model=name,
            host=server.service.host,
        )
    if reply.status == 404:
        here = {info.alias for info in models.values() if info.here}
        return _unknown(server, name, here or {info.alias for info in models.values()} or await server.listed())
    return NoModel(
        "{model} could not be loaded at {host}: {message}. It may be too large for the free memory: choose a smaller "
        "model. Or its files are damaged: delete its folder and download it again.",
        model=name,
        host=server.service.host,
        message=reply.message.rstrip("."),
    )


def _unknown(server: Server, name: str, there: Iterable[str]) -> NoModel:
    names = sorted(set(there), key=str.casefold)
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return NoModel(
        "There is no model {model} at {host}; there are: {names}. Set SLM_ALIAS or LLM_ALIAS to one of them, or run "
        "`escalator models get {model}`.",
        model=name,
        host=server.service.host,
        names=some or "–",
    )
