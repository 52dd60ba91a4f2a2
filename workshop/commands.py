"""The command `escalator kit make`, and what `escalator kit check` asks the package registry."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from app.cli.setup_commands import download
from app.cli.terminal import Verbose, tell
from app.errors import InputError
from app.kit.use import platform_name, python_version
from app.models.presets import PRESETS
from app.settings import load
from app.translation import size
from workshop import wheels

Several = str | None
"""Names, separated by commas."""


def make(
    folder: Annotated[Path, Argument(help="The kit's folder.", file_okay=False)],
    models: Annotated[
        Several, Option(help="Presets, aliases or ids; or none (default: the chosen pair, if it is on this disk).")
    ] = None,
    platform: Annotated[
        Several, Option(help="windows-x64, macos-arm64, linux-x64 or linux-arm64 (default: this machine's).")
    ] = None,
    python: Annotated[Several, Option(help="3.11, 3.12 or 3.13 (default: this one).")] = None,
    corpus: Annotated[Path | None, Option(help="Documents in place of the project's.", file_okay=False)] = None,
    extra: Annotated[
        list[Path] | None,
        Option(help="Another file for the kit, such as Python's installer; may be repeated.", exists=True),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Gather packages, models, documents and the project in a folder; run again, it continues where it stopped.

    Separate several models, platforms or Pythons by commas.
    """
    from workshop import make as maker

    platforms = _listed(platform or platform_name(), wheels.PLATFORMS)
    pythons = _listed(python or python_version(), wheels.PYTHONS)
    named = "" if models in (None, "none") else str(models).replace(" ", "")
    names = None if models is None else [it for name in named.split(",") if name for it in _models(name)]
    settings = load()
    asyncio.run(download(settings, names or (), "Models"))
    files = maker.make(folder, settings, tell, names, platforms, pythons, corpus, extra or ())["files"]
    total = size(sum(file["size"] for file in files.values()))
    typer.echo(f"{folder}: {len(files)} files, {total}. CONTENTS.md says what is in it.")


def _models(name: str) -> tuple[str, ...]:
    """Return the models of a preset's preferred pair; any other name is taken as that of a model."""
    return PRESETS[name][0].both if name in PRESETS else (name,)


def check_platforms() -> None:
    """Print whether a kit can be made for each platform and Python; exit with 1 if a supported platform lacks one."""
    pairs = [(platform, python) for platform in wheels.PLATFORMS for python in wheels.PYTHONS]
    lacking = False
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda pair: wheels.report(*pair), pairs)
        for (platform, python), (fits, words) in zip(pairs, answers, strict=True):
            typer.echo(f"{platform:14} {python}  {words}")
            lacking |= not fits and platform in wheels.SUPPORTED
    if lacking:
        raise typer.Exit(1)


def _listed(given: str, known: Iterable[str]) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"There is no kit for {', '.join(unknown)}; there is one for {', '.join(known)}.")
    return names
