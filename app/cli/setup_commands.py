"""The commands that set a machine up: `escalator models`, `escalator browser get` and `escalator kit …`.

They show and download models, get the files that run models in a browser out of npm's archives, checked, and use, offer
and check the kit of a trainer.
"""

import asyncio
import os
import shutil
import ssl
import tarfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Option

from app.cli.terminal import Json, Verbose, add_clone_command, clone_module, show, tell
from app.errors import InputError, ModelError, NoModel
from app.kit import Damaged, Kit, Traffic, addresses, application, check_room, copy, is_whole, patiently
from app.kit.use import main as use_kit
from app.models import catalogue, presets
from app.models.browser_models import PACKAGES, Package, browser_models, public, runtime
from app.models.catalogue import ModelPair
from app.models.chat import warm_up
from app.models.downloads import Downloader
from app.models.foundry import Foundry
from app.models.memory import inspect_machine
from app.settings import Settings, load
from app.translation import gigabytes, size

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


@models.command("get")
def get_models(
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
        for alias, megabytes, here in zip(it["pair"].values(), it["sizes"], it["here"], strict=True):
            yield f"      {alias}: {gigabytes(megabytes)}, {'downloaded' if here else 'not downloaded'}"
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


REGISTRY = "https://registry.npmjs.org/"

browser = typer.Typer(help="Let models run in the browser, on the page /browser of the chat.", no_args_is_help=True)


@browser.command("get")
def get_browser(
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Where the files or npm's archives are, such as a stick; no network."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Get transformers.js and ONNX Runtime Web; continues an interrupted download."""
    folder = runtime()
    lacking = [it for it in PACKAGES if not all(is_whole(folder / name, *told) for name, told in it.files.items())]
    place = str(source) if source else registry()
    for package in lacking:
        tell(
            f"{package.name} {package.version} from {place}: {size(package.size)}, {size(package.kept)} of it unpacked."
        )
    check_room(folder, sum(package.size + package.kept for package in lacking))
    for package in lacking:
        if source is None or not _copied(package, source, folder):
            archive = _found(source, package.archive) if source else place + package.path
            with typer.progressbar(length=package.size, label=package.archive) as bar:
                copy(str(archive), folder / package.archive, package.size, package.sha256, _opener(), bar.update)
            _unpack(folder / package.archive, package)
    tell(f"Everything is there: {folder}")
    if not any(browser_models()):
        tell(f"A model is still missing: put its folder into {public() / 'models'}, as docs/browser.md says.")


def registry() -> str:
    """Return the address of the registry that npm would use: of the environment, else of .npmrc, else its own."""
    environment = {name.lower(): value for name, value in os.environ.items()}
    user = Path(environment.get("npm_config_userconfig") or Path.home() / ".npmrc")
    lines = (line.partition("=") for path in (Path(".npmrc"), user) for line in _lines_of(path))
    told = (value.strip(" \"'") for name, _, value in lines if name.strip() == "registry")
    return (environment.get("npm_config_registry") or next(told, REGISTRY)).rstrip("/") + "/"


def _lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses, through the proxy of the system."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # not every Python finds the system's
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def _copied(package: Package, source: Path, folder: Path) -> bool:
    """Copy the unpacked files of a package out of a folder, if it has them all."""
    for name, told in package.files.items():
        if (path := _named(source, name)) is None:
            return False
        copy(str(path), folder / name, *told)
    return True


def _found(source: Path, name: str) -> Path:
    """Return a file in a folder, or below it; raises InputError."""
    if (path := _named(source, name)) is None:
        raise InputError(f"There is no {name} in {source}. `npm pack` makes it, or copy public/browser/runtime.")
    return path


def _named(source: Path, name: str) -> Path | None:
    return source if source.name == name else next(source.rglob(name), None)


def _unpack(archive: Path, package: Package) -> None:
    """Take the files out of an archive, each at once, and delete the archive."""
    with tarfile.open(archive) as packed:
        for name, (length, sha256) in package.files.items():
            part, member = archive.with_name(f"{name}.part"), packed.extractfile(f"package/dist/{name}")
            assert member is not None, f"{name} is a file of {archive}"
            with member, part.open("wb") as file:
                shutil.copyfileobj(member, file)
            if not is_whole(part, length, sha256):
                raise Damaged(f"{name} in {archive} is damaged.")
            patiently(partial(part.replace, archive.with_name(name)))
    patiently(archive.unlink)


kit = typer.Typer(help="Set up a room of laptops without internet.", no_args_is_help=True)
add_clone_command(kit, "make", "workshop.commands")


@kit.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def use(context: typer.Context) -> None:
    """Set this machine up from a kit, as its start script does; `use KIT --help` lists the options."""
    use_kit(context.args)


@kit.command()
def serve(
    folder: Annotated[Path, Argument(help="The kit's folder.", file_okay=False)],
    host: Annotated[str, Option(help="The address to listen at; 0.0.0.0 is every one.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[int, Option(min=1, max=65535)] = 8080,
    verbose: Verbose = False,
) -> None:
    """Offer a kit to everyone on the room's network, until Ctrl+C."""
    import uvicorn

    app, digest = application(folder)
    tell("Everyone on this network can read the kit now. Open one of these addresses on the laptops:")
    tell("\n".join(f"  {address}" for address in addresses(host, port)))
    tell(f"The connection is not encrypted. To be sure that the kit is yours, participants add --sum {digest[:16]}")
    uvicorn.run(Traffic(app, tell), host=host, port=port, log_level="warning", server_header=False)


@kit.command()
def check(
    folder: Annotated[Path | None, Argument(help="A kit's folder.", file_okay=False)] = None,
    verbose: Verbose = False,
) -> None:
    """Compare the files of a kit with their checksums; without a kit, ask the registry what kits can be made for."""
    if folder is None:
        clone_module("workshop.commands").check_platforms()
    else:
        typer.echo(f"{folder}: {Kit(str(folder)).check()} files, none changed.")
