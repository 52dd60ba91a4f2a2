"""The panel *Models*: which pairs fit this machine, which are on the disk, and how far a download is."""

from collections.abc import Mapping
from typing import Any

from app.humanize import count, gigabytes
from app.models.catalogue import ModelInfo, ModelPair
from app.models.manager import ModelManager
from app.models.presets import Preset, presets_for, recommended

NAME = "Models"
"""The name of the component and of the message that public/escalator.js sends when its button is pressed."""

PRESS = "models"
"""The action by which public/elements/Models.jsx reports a pressed button and asks for its contents."""


async def press(manager: ModelManager, pressed: dict[str, Any]) -> dict[str, Any]:
    """Do what the pressed button says, if one was pressed, and return what the panel shows."""
    machine, known = await manager.inventory()
    presets, download, pair = presets_for(machine, known), manager.progress, manager.foundry.pair
    match pressed:
        case {"do": "get", "pair": name}:
            for preset in presets:
                if preset.name == name:
                    manager.download(preset.pair)
        case {"do": "look"}:
            manager.update_catalogue()
        case {"do": "cancel"}:
            await manager.cancel()
    facts = (
        f"{gigabytes(machine.memory_mb)} of memory, {gigabytes(machine.free_mb)} free",
        f"{gigabytes(machine.disk_free_mb)} free on the disk",
        count(machine.cores, "core"),
    )
    progress = {"percent": download.percent if download else 0, "text": str(download or "Getting ready …")}
    return {
        "machine": " · ".join(facts),
        "used": _used(manager, known),
        "error": manager.error,
        "busy": manager.busy,
        "download": progress if manager.busy else None,
        "offers": [_offer(each, pair, best=each is recommended(presets)) for each in presets],
        "variants": [{"id": name, "facts": _facts(known[name])} for name in sorted(known, key=str.casefold)],
    }


async def used(manager: ModelManager) -> str:
    """Say which models answer."""
    return _used(manager, (await manager.inventory())[1])


def _used(manager: ModelManager, known: Mapping[str, ModelInfo]) -> str:
    foundry, pair = manager.foundry, manager.foundry.pair
    if foundry.substitution:
        return foundry.substitution
    if foundry.settings.endpoint or any(model.here for model in known.values()):
        return f"{pair.small} answers" + ("." if pair.alone else f", and {pair.large} when needed.")
    return "No model is on this disk: answers are quotes from your documents."


def _offer(preset: Preset, used: ModelPair, *, best: bool) -> dict[str, Any]:
    pair, missing = preset.pair, gigabytes(preset.missing_mb) if preset.missing_mb else ""
    speeds = " and ".join(f"{speed:.0f}" for speed in preset.tokens_per_s if speed)
    button = f"Get {missing}" if missing else "Use this pair" if pair != used else ""
    return {
        "name": preset.name,
        "title": preset.name.capitalize() + (" · fits this machine best" if best else ""),
        "pair": f"{pair.small}, then {pair.large}",
        "facts": (f"{missing} to download" if missing else "on this disk")
        + (f" · on a usual laptop at most {speeds} tokens a second" if speeds else ""),
        "why": preset.why,
        "button": button if preset.fits != "no" else "",
    }


def _facts(known: ModelInfo) -> str:
    size = gigabytes(known.size_mb) if known.size_mb else ""
    return " · ".join(filter(None, (known.device, size, "on this disk" if known.here else "", known.licence)))
