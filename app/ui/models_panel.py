"""The panel *Models*: which pairs fit this machine, which are on the disk, and how far a download is."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.models.catalogue import ModelInfo, ModelPair
from app.models.downloads import ModelManager
from app.models.presets import Preset, first_steps, in_words, presets_for, recommended
from app.room import organiser
from app.translation import _, count, gigabytes, mark

NAME = mark("Models")
"""The name of the component and of the message that public/escalator.js sends when its button is pressed."""

PRESS = "models"
"""The action by which public/elements/Models.jsx reports a pressed button and asks for its contents."""


async def press(manager: ModelManager, pressed: dict[str, Any]) -> dict[str, Any]:
    """Do what the pressed button says, if one was pressed, and return what the panel shows."""
    machine, known = await manager.inventory()
    presets = presets_for(machine, known)
    steps = first_steps(machine, presets)
    match pressed if organiser.get() else {}:
        case {"do": "get", "pair": name}:
            for preset in presets:
                if preset.name == name:
                    manager.download(preset.pair)
        case {"do": "start"} if steps:
            manager.download(*(preset.pair for preset in steps))
        case {"do": "resume"}:
            manager.download(*await manager.plan())
        case {"do": "look"}:
            manager.update_catalogue()
        case {"do": "cancel"}:
            await manager.cancel()
    facts = (
        _("{size} of memory, {free} free", size=gigabytes(machine.memory_mb), free=gigabytes(machine.free_mb)),
        _("{size} free on the disk", size=gigabytes(machine.disk_free_mb)),
        count(machine.cores, "core"),
    )
    plan, download, best = await manager.plan(), manager.progress, recommended(presets)
    progress = {"percent": download.percent if download else 0, "text": str(download or _("Getting ready …"))}
    return {
        "machine": " · ".join(facts),
        "used": _used(manager, known),
        "error": manager.error,
        "busy": manager.busy,
        "free": organiser.get(),
        "download": progress | {"plan": _plan(plan, presets)} if manager.busy else None,
        "start": _start(*steps) if steps and not plan else None,
        "interrupted": _("The download of {name} was interrupted.", name=_name(plan[0], presets))
        if plan and not manager.busy
        else "",
        "offers": [_offer(each, manager.foundry.pair, best=each is best) for each in presets],
        "variants": [{"id": name, "facts": _facts(known[name])} for name in sorted(known, key=str.casefold)],
    }


async def used(manager: ModelManager) -> str:
    """Say which models answer, and whether a download waits to be continued."""
    machine, known = await manager.inventory()
    said, plan = _used(manager, known), await manager.plan()
    if manager.busy or not plan:
        return said
    name = _name(plan[0], presets_for(machine, known))
    return said + " " + _("The download of {name} was interrupted: open Models to continue.", name=name)


def _used(manager: ModelManager, known: Mapping[str, ModelInfo]) -> str:
    foundry = manager.foundry
    if foundry.substitution:
        return foundry.substitution
    here = foundry.settings.endpoint or any(model.here for model in known.values())
    roles = [role for role in ("small", "large") if here or role in foundry.endpoints]
    if len(roles) == 1 or (roles and foundry.alone):
        return _("{small} answers.", small=foundry.named(roles[0]))
    if roles:
        small, large = map(foundry.named, roles)
        return _("{small} answers, and {large} when needed.", small=small, large=large)
    return _("No model is on this disk: answers are quotes from your documents.")


def _start(first: Preset, later: Preset) -> dict[str, str]:
    return {
        "button": _("Start with {small}, get {large} meanwhile", small=_(first.name), large=_(later.name)),
        "text": _(
            "You can ask as soon as {small} ({small_size}) is here; {large} ({large_size}) takes over once it has "
            "arrived.",
            small=_(first.name),
            small_size=gigabytes(first.missing_mb),
            large=_(later.name),
            large_size=gigabytes(later.missing_mb),
        ),
    }


def _plan(plan: Sequence[ModelPair], presets: Sequence[Preset]) -> str:
    match [_name(pair, presets) for pair in plan]:
        case [name, later, *_rest]:
            return _("First {name}, then {later}, which then takes over.", name=name, later=later)
        case [name]:
            return _("{name} is used as soon as it is here.", name=name.capitalize())
    return ""


def _name(pair: ModelPair, presets: Sequence[Preset]) -> str:
    return next((_(preset.name) for preset in presets if preset.pair == pair), " + ".join(pair.both))


def _offer(preset: Preset, used: ModelPair, *, best: bool) -> dict[str, Any]:
    pair, missing = preset.pair, gigabytes(preset.missing_mb) if preset.missing_mb else ""
    button = _("Get {size}", size=missing) if missing else _("Use this pair") if pair != used else ""
    title = "{name}"
    if best:
        title = (
            _("{name} · the fastest that fits this machine") if preset.slow else _("{name} · fits this machine best")
        )
    elif preset.slow and preset.now:
        title = _("{name} · fits, but is slow on this machine")
    facts = [_("{size} to download", size=missing) if missing else _("on this disk"), in_words(preset.tokens_per_s)]
    return {
        "name": preset.name,
        "title": title.format(name=_(preset.name).capitalize()),
        "pair": _("{small}, then {large}", small=pair.small, large=pair.large),
        "facts": " · ".join(filter(None, facts)),
        "why": preset.why,
        "button": button if preset.fits != "no" else "",
    }


def _facts(known: ModelInfo) -> str:
    size = gigabytes(known.size_mb) if known.size_mb else ""
    return " · ".join(filter(None, (known.device, size, _("on this disk") if known.here else "", known.licence)))
