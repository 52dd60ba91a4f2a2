"""The panel of models: which pairs fit this machine, which are here, and how far the one is that is being fetched."""

from typing import Any

import chainlit as cl

from app.humanize import gigabytes
from app.models.catalogue import ModelInfo
from app.models.manager import ModelManager
from app.models.presets import ModelPair, Preset, presets_for, recommended

OPEN = "models"
"""What public/escalator.js sends when the button in the header is pressed."""

TELL = "models"
"""The action by which public/elements/Models.jsx asks for what it shows, and says which button was pressed."""


async def show(action: cl.Action | None = None) -> None:
    """Open the panel beside the chat, after a button perhaps; it asks for what it shows by itself."""
    element = cl.CustomElement(name="Models", props={}, display="side")
    await cl.ElementSidebar.set_elements([element], key=element.id)
    await cl.ElementSidebar.set_title("Models")


async def told(manager: ModelManager, pressed: dict[str, Any]) -> dict[str, Any]:
    """Do what was pressed, and tell what the panel shows."""
    here, known = await manager.inventory()
    offered, coming, used = presets_for(here, known), manager.progress, manager.foundry.pair
    match pressed:
        case {"do": "get", "pair": name}:
            for offer in offered:
                if offer.name == name:
                    manager.download(offer.pair)
        case {"do": "look"}:
            manager.update_catalogue()
        case {"do": "cancel"}:
            await manager.cancel()
    machine = (
        f"{gigabytes(here.memory_mb)} of memory, {gigabytes(here.free_mb)} free",
        f"{gigabytes(here.disk_free_mb)} free on the disk",
        ", ".join(here.accelerators) or "no accelerator seen",
    )
    answers = f"{used.small} answers" + ("." if used.alone else f", and {used.large} when it must.")
    if not (manager.foundry.settings.endpoint or any(told.here for told in known.values())):
        answers = "No model is on this disk: answers are quotes from your documents."
    progress = {"percent": coming.percent, "text": str(coming)} if coming else {"percent": 0, "text": "Getting ready …"}
    return {
        "machine": " · ".join(machine),
        "used": manager.foundry.substitution or answers,
        "said": manager.error,
        "busy": manager.busy,
        "coming": progress if manager.busy else None,
        "offers": [_offer(each, used, best=each is recommended(offered)) for each in offered],
        "variants": [{"id": name, "facts": _facts(known[name])} for name in sorted(known, key=str.casefold)],
    }


def _offer(offer: Preset, used: ModelPair, *, best: bool) -> dict[str, Any]:
    pair, missing = offer.pair, gigabytes(offer.missing_mb) if offer.missing_mb else ""
    speeds = " and ".join(f"{speed:.0f}" for speed in offer.tokens_per_s if speed)
    button = f"Get {missing}" if missing else "Use this pair" if pair != used else ""
    return {
        "name": offer.name,
        "title": offer.name.capitalize() + (" · fits this machine best" if best else ""),
        "pair": f"{pair.small}, then {pair.large}",
        "facts": (f"{missing} to download" if missing else "on this disk")
        + (f" · about {speeds} tokens a second" if speeds else ""),
        "why": offer.why,
        "button": button if offer.fits != "no" else "",
    }


def _facts(known: ModelInfo) -> str:
    size = gigabytes(known.size_mb) if known.size_mb else ""
    return " · ".join(filter(None, (known.device, size, "on this disk" if known.here else "", known.licence)))
