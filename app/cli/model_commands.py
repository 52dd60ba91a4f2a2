"""The commands about models: `escalator models` shows what fits this machine, `escalator models get` downloads it."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from app.cli.terminal import Json, Verbose, show, tell
from app.errors import ModelError, NoModel
from app.humanize import gigabytes
from app.models import catalogue, presets
from app.models.catalogue import ModelPair
from app.models.chat import warm_up
from app.models.downloads import Downloader
from app.models.foundry import Foundry
from app.models.memory import inspect_machine
from app.settings import Settings, load

models = typer.Typer(help="List the models that fit this machine, and download them.", invoke_without_command=True)


@models.callback()
def show_models(
    context: typer.Context,
    look: Annotated[bool, typer.Option("--look", help="Ask the public catalogue; needs the network.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the pairs of models for this machine, and all known models."""
    if context.invoked_subcommand is None:
        result = asyncio.run(_listed(load(), look))
        show(result, as_json, _lines(result))


@models.command()
def get(
    name: Annotated[str, typer.Argument(help="tiny, standard or large; or the alias or id of one model.")],
    verbose: Verbose = False,
) -> None:
    """Download a pair of models, which the chat then uses, or one model; continues an interrupted download."""
    try:
        asyncio.run(_get(load(), name))
    except KeyboardInterrupt:
        raise NoModel(f"Stopped. What has arrived is kept: `escalator models get {name}` continues.") from None


async def _listed(settings: Settings, look: bool) -> dict[str, Any]:
    cache, loaded = settings.model_cache, list[str]()
    if look:
        await Downloader(settings).update_catalogue()
    known = await asyncio.to_thread(catalogue.load_catalogue, cache)
    async with Foundry(settings) as foundry:
        try:
            _, loaded, told = await foundry.offered()
            known = told or known
        except ModelError as error:
            if len(foundry.endpoints) != 1:  # with one, a role has its model there, and this machine may have none
                tell(str(error))
    offered = presets.presets_for(await asyncio.to_thread(inspect_machine, cache), known)
    best = presets.recommended(offered)
    every = [one for alias in sorted({told.alias for told in known.values()}) for one in presets.variants(known, alias)]
    return {
        "pair": asdict(foundry.pair),
        "places": {role: foundry.named(role) for role in ("small", "large")},
        "standing_in": foundry.substitution,
        "recommended": best.name if best else None,
        "offers": [asdict(it) for it in offered],
        "models": [{"id": model, "loaded": model in loaded} | asdict(told) for model, told in every],
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for it in result["offers"]:
        mark, fast = "*" if it["name"] == result["recommended"] else " ", presets.in_words(it["tokens_per_s"])
        yield f"{mark} {it['name']}: {', then '.join(it['pair'].values())}{f', {fast}' if fast else ''}"
        yield f"      {it['why']}"
        for alias, size, here in zip(it["pair"].values(), it["sizes"], it["here"], strict=True):
            yield f"      {alias}: {gigabytes(size)}, {'downloaded' if here else 'not downloaded'}"
    if result["recommended"]:
        yield f"\n* recommended for this machine: `escalator models get {result['recommended']}`"
    chosen = f"Chosen: {' and '.join(dict.fromkeys(result['places'].values()))}."
    yield " ".join(filter(None, [f"\n{chosen}", result["standing_in"]])) + "\n"
    for it in result["models"]:
        state = "loaded" if it["loaded"] else "downloaded" if it["here"] else "not downloaded"
        size = gigabytes(it["size_mb"]) if it["size_mb"] else "size unknown"
        yield " · ".join((it["alias"], it["device"], size, state, it["licence"] or "licence unknown", it["id"]))


async def _get(settings: Settings, name: str) -> None:
    known = await asyncio.to_thread(catalogue.load_catalogue, settings.model_cache)
    here = await asyncio.to_thread(inspect_machine, settings.model_cache)
    alias = known[name].alias if name in known else name
    pair = next((it.pair for it in presets.presets_for(here, known) if it.name == name), ModelPair(alias, alias))
    offer = presets.assess(here, known, name, pair)
    if not offer.now:
        tell(offer.why + presets.alternative(here, known, pair.large))
    if offer.fits == "no":
        raise NoModel(f"{name} was not downloaded.")
    await download(settings, pair.both, f"{name}: asking the catalogue")
    async with Foundry(settings) as foundry:
        if not pair.alone:
            await foundry.use(pair)
        for role in pair.roles:
            tell(f"{pair.of(role)[0]} answers: {await warm_up(foundry, *pair.of(role), tell)}.")


async def download(settings: Settings, names: Iterable[str], title: str) -> None:
    """Download the models of these aliases and ids that are not on this disk; shows every step on stderr."""
    known = await asyncio.to_thread(catalogue.load_catalogue, settings.model_cache)
    with Console(stderr=True).status(title) as status:
        for name in dict.fromkeys(names):
            if not catalogue.downloaded(name, known):
                async with aclosing(Downloader(settings).download(name)) as progress:
                    async for step in progress:
                        status.update(str(step))
