"""What all commands share: options, JSON on stdout, errors as sentences on stderr."""

import json
import logging
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from app.errors import EscalatorError, InputError, SettingsError
from app.humanize import time_left

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _start_log(verbose: bool) -> bool:
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, stream=sys.stderr)
    return verbose


Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Log what happens; may show document text.", callback=_start_log)
]

Item = TypeVar("Item")


def tell(text: str) -> None:
    """Print a line for the person who waits, on stderr."""
    typer.echo(text, err=True)


def print_json(value: dict[str, Any]) -> None:
    """Print JSON, records as objects; in ASCII unless stdout is UTF-8: a pipe on Windows often is not."""
    everything = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    typer.echo(json.dumps(value, ensure_ascii=not everything, indent=2, default=asdict))


def show(value: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Print a result as JSON, or in lines for a person."""
    if as_json:
        print_json(value)
    else:
        typer.echo("\n".join(lines))


def watch(items: Sequence[Item]) -> Iterator[Item]:
    """Pass items on, with a progress bar on stderr."""
    with typer.progressbar(items, label="Measuring", file=sys.stderr) as bar:
        yield from bar


class Progress:
    """A line on stderr about work in steps: rewritten in a terminal, else a line for each step."""

    def __init__(self) -> None:
        self._width = 0

    def step(self, what: str, done: int, total: int, seconds_left: float | None) -> None:
        """Show what is being done, and how much is left."""
        left = "" if seconds_left is None else f", {time_left(seconds_left)}"
        text = f"{what} ({done} of {total} done{left})"
        if sys.stderr.isatty():
            self._rewrite(text)
        else:
            tell(text)

    def tell(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        tell(text)

    def clear(self) -> None:
        """Remove the line, at the end."""
        if self._width:
            self._rewrite("")

    def _rewrite(self, text: str) -> None:
        shown = text[: shutil.get_terminal_size().columns - 1]
        typer.echo(f"\r{shown:{self._width}}\r{shown}", err=True, nl=False)
        self._width = len(shown)


class Commands(TyperGroup):
    """Ends a command that fails with a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors become a message on stderr."""
        try:
            return super().invoke(ctx)
        except EscalatorError as error:
            tell(str(error))
            raise typer.Exit(2 if isinstance(error, InputError | SettingsError) else 1) from None
        except BrokenPipeError:  # the reader is gone, which typer handles
            raise
        except OSError as error:
            logging.getLogger(__name__).debug("the system refused", exc_info=True)
            tell(f"The system refuses what this needs: {error}. Make room, or name another file or folder.")
            raise typer.Exit(1) from None
