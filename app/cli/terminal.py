"""What all commands share: options, JSON on stdout, errors as sentences on stderr."""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer

from app.errors import EscalatorError, InputError, SettingsError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log what happens; may show document text.")]

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


@contextmanager
def errors(verbose: bool) -> Iterator[None]:
    """Turn errors into a message and an exit code; `verbose` logs everything."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, stream=sys.stderr)
    try:
        yield
    except EscalatorError as error:
        tell(str(error))
        raise typer.Exit(2 if isinstance(error, InputError | SettingsError) else 1) from None
    except BrokenPipeError:  # the reader is gone, which typer handles
        raise
    except OSError as error:
        logging.getLogger(__name__).debug("the system refused", exc_info=True)
        tell(f"The system refuses what this needs: {error}. Make room, or name another file or folder.")
        raise typer.Exit(1) from None
