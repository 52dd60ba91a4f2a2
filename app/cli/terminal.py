"""What all commands share: options, errors as sentences on stderr, JSON with stable keys, and what only a clone has."""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Self, TextIO, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

from app.answering.turn import Answer, Attempt, Metrics
from app.answering.usage import Prices, blend
from app.errors import EscalatorError, InputError, SettingsError
from app.retrieval.search import Hit, SearchResult
from app.settings import ROOT, Settings, origin
from app.translation import time_left

log = logging.getLogger(__name__)

WIDEST = 10_000
"""Columns of a pipe: no table is as wide, so that none is cut or wrapped."""

GAP = 2
"""Columns between those of a table."""

Corpus = Annotated[Path | None, typer.Option("--corpus", help="The folder of documents (default: CORPUS_DIR).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _start_log(verbose: bool) -> bool:
    """Write the log to stderr; that of `--verbose` begins with the settings that count, without their values."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, stream=sys.stderr)
    if verbose:
        with suppress(UnicodeDecodeError):  # which `load` names
            given = [f"{name} ({where})" for name, where in map(origin, Settings.model_fields) if where != "default"]
            log.debug("settings that are not the defaults: %s", ", ".join(given) or "none")
    return verbose


Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Log what happens; may show document text.", callback=_start_log)
]

Item = TypeVar("Item")


def tell(text: str) -> None:
    """Print a line for the person who waits, on stderr."""
    sys.stderr.write(f"{text}\n")  # above a progress bar, if there is one


def print_json(value: dict[str, Any]) -> None:
    """Print JSON, records as objects; in ASCII unless stdout is UTF-8: a pipe on Windows often is not."""
    everything = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    typer.echo(json.dumps(value, ensure_ascii=not everything, indent=2, default=asdict))


def show(value: dict[str, Any], as_json: bool, lines: Iterable[str | Table]) -> None:
    """Print a result as JSON, or in lines and tables for a person; tables in a pipe are as wide as their texts."""
    if as_json:
        print_json(value)
        return
    console = _console(sys.stdout)
    for line in lines:
        if isinstance(line, str):
            typer.echo(line)
            continue
        if not console.is_terminal:
            console.width, line.box, line.padding = WIDEST, None, (0, 2, 0, 0)
        for number, part in enumerate(_fitting(line, console)):
            console.print(*[""] * (number > 0), part, sep="\n")


def _console(stream: TextIO) -> Console:
    """Return what draws on a stream: colours and bars only where that is a terminal, whatever the variables say."""
    return Console(file=stream, force_terminal=stream.isatty(), markup=False, emoji=False)


def _fitting(table: Table, console: Console) -> Iterator[Table]:
    """Wrap the cells of a table between words until it fits, and cut it into several, each with its first column.

    Rich alone would wrap within words and figures.
    """
    wide = console.options.update(width=WIDEST)
    sizes = [console.measure(Table(it, box=None, padding=0), options=wide) for it in table.columns]
    rest = list(range(1, len(sizes)))
    while rest:
        part = [0, *rest]
        while len(part) > 2 and sum(sizes[at].minimum + GAP for at in part) - GAP > console.width:
            part.pop()
        if len(part) <= len(rest):  # of two parts, none is to be much smaller
            part = part[: (len(rest) + 3) // 2]
        excess = sum(sizes[at].maximum + GAP for at in part) - GAP - console.width
        columns = {at: replace(table.columns[at]) for at in part}
        for at in sorted(part, key=lambda at: sizes[at].minimum - sizes[at].maximum):
            columns[at].width = width = max(sizes[at].minimum, sizes[at].maximum - max(0, excess))
            excess -= sizes[at].maximum - width
        cut = Table(*columns.values(), box=table.box, padding=table.padding, show_edge=False, pad_edge=False)
        cut.rows.extend(table.rows)
        yield cut
        rest = [at for at in rest if at not in part]


def watch(items: Sequence[Item]) -> Iterator[Item]:
    """Pass items on, with a progress bar on stderr."""
    from rich.progress import track

    console = _console(sys.stderr)
    disable = not console.is_interactive
    yield from track(items, "Measuring", console=console, disable=disable, auto_refresh=False)  # without a thread


class Progress:
    """A progress bar on stderr with the time left, while it is entered; elsewhere than in a terminal, a line a step."""

    def __enter__(self) -> Self:
        """Show the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[left]}", markup=False)
        what = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        console = _console(sys.stderr)
        self._bar = Bar(
            *columns, what, console=console, transient=True, expand=True, disable=not console.is_interactive
        )
        self._task = self._bar.add_task("Getting ready", total=None, left="")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._bar.stop()

    def step(self, what: str, done: int, total: int, seconds_left: float | None) -> None:
        """Show what is being done, and how much is left."""
        left = "" if seconds_left is None else time_left(seconds_left)
        if self._bar.disable:
            tell(f"{what} ({', '.join(filter(None, [f'{done} of {total} done', left]))})")
        self._bar.update(self._task, description=what, completed=done, total=total, left=left)


class Commands(TyperGroup):
    """Ends a command that fails with a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors become a message on stderr."""
        try:
            return super().invoke(ctx)
        except EscalatorError as error:
            log.debug("the command failed", exc_info=True)
            tell(str(error))
            raise typer.Exit(2 if isinstance(error, InputError | SettingsError) else 1) from None
        except BrokenPipeError:  # the reader is gone, which typer handles
            raise
        except OSError as error:
            log.debug("the system refused", exc_info=True)
            tell(f"The system refuses what this needs: {error}. Make room, or name another file or folder.")
            raise typer.Exit(1) from None


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
    elif isinstance(command := getattr(clone_module(module), name), typer.Typer):
        group.add_typer(command, name=name)
    else:
        group.command(name)(command)


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


SPAN = ("file", "place", "start", "end")
"""Where a text is in a document; offsets count characters of the document's text."""


def search_json(result: SearchResult) -> dict[str, Any]:
    """Build what `escalator search --json` prints."""
    words = _fields(result, "unknown_words", "taken_for", "earlier_words", "foreign", "translation")
    took = {"took_ms": round(result.took_ms, 3)}
    return _fields(result, "query", "engine") | took | words | {"hits": [_hit(hit) for hit in result.hits]}


def answer_json(result: Answer, prices: Prices) -> dict[str, Any]:
    """Build what `escalator ask --json` prints; the ledger covers this one turn, with costs in US dollars."""
    decision = result.decision
    escalated = {"code": decision.code, "why": decision.why} if decision is not None and decision.escalate else None
    return {
        "answer": result.text,
        "rendered": result.rendered,
        "mode": result.turn.mode,
        "scope": result.turn.scope or (),
        "model": result.author,
        "escalated": result.escalated,
        "reason": escalated,
        "attempts": [_attempt(attempt, prices) for attempt in result.attempts],
        "citations": [_fields(it, "sentence", *SPAN, "supported") for it in result.citations],
        "evidence": [{"n": it.number} | _fields(it, *SPAN, "text") for it in result.evidence],
        "unknown_words": result.found.unknown_words,
        "notices": result.notices,
        "metrics": _metrics(result.metrics),
        "ledger": {"prices_of": prices.date, **asdict(blend([result], prices))},
    }


def _metrics(result: Metrics) -> dict[str, float | int | None]:
    """Round times (in milliseconds), tokens, and tokens per second."""
    return {name: None if value is None else round(value, 1) for name, value in asdict(result).items()}


def _hit(hit: Hit) -> dict[str, Any]:
    passage = _fields(hit.passage, *SPAN, "text")
    return {"rank": hit.rank, "score": round(hit.score, 4)} | passage | asdict(hit.explanation)


def _attempt(attempt: Attempt, prices: Prices) -> dict[str, Any]:
    cost = prices.cost(attempt, attempt.role) if attempt.role != "extractive" else 0.0
    fields = _fields(attempt, "role", "model", "host", "text", "finish")
    return fields | {"metrics": _metrics(attempt.metrics), "cost": cost}


def _fields(record: object, *names: str) -> dict[str, Any]:
    """Pick some fields and properties of a record."""
    return {name: getattr(record, name) for name in names}
