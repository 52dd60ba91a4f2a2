"""`escalator browser get`: the files that run models in a browser, out of npm's archives, checked."""

import os
import shutil
import ssl
import tarfile
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import Verbose, tell
from app.errors import InputError
from app.humanize import size
from app.kit.bundle import Damaged, check_room, copy, is_whole, patiently
from app.models.browser_models import PACKAGES, Package, browser_models, public, runtime

REGISTRY = "https://registry.npmjs.org/"

browser = typer.Typer(help="Let models run in the browser, on the page /browser of the chat.", no_args_is_help=True)


@browser.callback()
def explain() -> None:
    """Let models run in the browser, on the page /browser of the chat."""


@browser.command()
def get(
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
    lines = (line.partition("=") for path in (Path(".npmrc"), user) for line in _lines(path))
    told = (value.strip(" \"'") for name, _, value in lines if name.strip() == "registry")
    return (environment.get("npm_config_registry") or next(told, REGISTRY)).rstrip("/") + "/"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses, through the proxy of the system."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # not every Python finds the system's
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def _copied(package: Package, source: Path, folder: Path) -> bool:
    """Copy the unpacked files of a package out of a folder, if it has them all."""
    found = {name: next(_named(source, name), None) for name in package.files}
    for name, path in found.items():
        if path is None:
            return False
        copy(str(path), folder / name, *package.files[name])
    return True


def _found(source: Path, name: str) -> Path:
    """Return a file in a folder, or below it; raises InputError."""
    if (path := next(_named(source, name), None)) is None:
        raise InputError(f"There is no {name} in {source}. `npm pack` makes it, or copy public/browser/runtime.")
    return path


def _named(source: Path, name: str) -> Iterator[Path]:
    return iter([source] if source.name == name else [*source.rglob(name)])


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
