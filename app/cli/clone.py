"""What only a clone of the repository has: `benchmarks/` and `workshop/`, which are not installed."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from app.errors import InputError
from app.settings import ROOT

EXTRAS = {"benchmarks": "bench", "workshop": "kit"}
"""The folders, and the extra with the packages that each one needs."""


def clone_module(name: str) -> Any:
    """Import a module of a clone, such as `benchmarks.variants`; raises InputError elsewhere."""
    folder = name.partition(".")[0]
    if not _path(name).is_file():
        raise InputError(
            f"This needs the folder “{folder}” of the repository, which is not installed. "
            f'Clone the repository, run pip install -e ".[{EXTRAS[folder]}]" there, and then this command.'
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module(name)


def add_clone_command(group: typer.Typer, name: str, module: str) -> None:
    """Add a command, or a group of commands, that a module of a clone has; elsewhere, one that explains."""
    if not _path(module).is_file():

        def explain() -> None:
            """Say how to get this command, which only a clone of the repository has."""
            clone_module(module)

        group.command(name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(explain)
        return
    command = getattr(clone_module(module), name)
    if isinstance(command, typer.Typer):
        group.add_typer(command, name=name)
    else:
        group.command(name)(command)


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
