"""`escalator compare`: asks models and the cascade, or takes a run that was kept, and shows and reports what came."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.terminal import Json, Progress, Verbose, show, tell
from app.errors import InputError
from app.settings import RouteName, Settings, load

if TYPE_CHECKING:
    from app.answering.turn import Mode
    from app.evaluation.plan import Done, Plan, RunFile
    from app.evaluation.results import ComparisonResult


class Hybrid(StrEnum):
    """A mode in which two models answer, or a route of the mode "auto"."""

    AUTO = "auto"
    REFINE = "refine"
    LOCAL_FIRST = "local-first"
    CLOUD_FIRST = "cloud-first"
    TASK = "task"


SEARCHED = {None: None, "with": (True,), "without": (False,), "both": (True, False)}
"""Whether questions are asked with passages of the documents, by the option for that."""


def compare(
    prompt: Annotated[list[str] | None, typer.Argument(help="The prompt for all (default: COMPARE_PROMPT).")] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Two models or more, as A,B, the small one first (default: BENCH_MODELS, else the pair)."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Answers to each question (default: BENCH_ROUNDS if set, or 1).")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Add the passages that this folder has for the prompt.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="Ask a set of questions instead: a file of JSON lines, or “sample”.")
    ] = None,
    retrieval: Annotated[
        Literal["with", "without", "both"] | None,
        typer.Option(help="With or without passages (default: both for questions)."),
    ] = None,
    mode: Annotated[
        list[Hybrid] | None,
        typer.Option(
            "--mode", "--route", help="A mode or route of both models; may be repeated (default: auto and refine)."
        ),
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Prices by model, as JSON (default: ESCALATOR_PRICES).")] = None,
    run: Annotated[Path | None, typer.Option(help="Keep each answer in this file (default: the state folder).")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this file.")] = None,
    export: Annotated[
        str | None, typer.Option(help="Print answers in another form: ragas, or ragas:CONTENDER (default: auto).")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report: .html, with charts, or .md.")] = None,
    ratings: Annotated[
        list[Path] | None, typer.Option(help="Add ratings of `eval rubric` to the report of --from; may be repeated.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Say what has changed since a run that --json or --run kept.")
    ] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", help="Ask nothing: take a run that --json or --run kept.")
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask models the same, a prompt or a set of questions, and show how fast and how well each answers."""
    from app.evaluation import summary
    from app.evaluation.datasets import check_writable
    from app.evaluation.plan import planned, read_run
    from app.evaluation.report import page
    from app.evaluation.report_page import form_of
    from app.evaluation.rubric import read_ratings, samples

    exported = None if export is None else summary.contender_named(export)
    form, before = report and form_of(report), against and _kept(against)
    check_writable(report)
    if ratings and not (saved and report):
        raise InputError("--ratings adds to the report of a run that was kept. Give --from and --report too.")
    modes: list[Mode | RouteName] = [each.value for each in mode or ()]
    wanted = (" ".join(prompt or ()), models, rounds, corpus, questions, SEARCHED[retrieval], modes, prices)
    if saved is not None and any((*wanted, run, resume)):
        raise InputError(
            "--from takes a run as it is. Leave out all options but --report, --against, --export and --json."
        )
    done = read_run(resume) if resume else None
    if done and any((*wanted, run)):
        raise InputError("--resume goes on with a run as it was begun. Leave the other options out.")
    result = _kept(saved) if saved else _asked(resume or run, done, exported, partial(planned, *wanted))
    changed = summary.changes(before, result) if before else ()
    raters = [read_ratings(file, samples(result)) for file in ratings or ()]
    if exported is not None:
        typer.echo(summary.export(result, exported), nl=False)
    else:
        document = summary.document(result) | ({"changes": changed} if before else {})
        since = ["", f"Since {against.name}:", *changed] if against else []
        show(document, as_json, [*summary.lines(result), *since])
    for problem in result.problems:
        tell(problem)
    if report and form:
        report.write_text(form(page(result, changed, raters)), encoding="utf-8", newline="\n")
    if result.problems:
        raise typer.Exit(1)


def _asked(
    path: Path | None, done: "Done | None", exported: str | None, planned: Callable[[], "tuple[Plan, Settings]"]
) -> "ComparisonResult":
    """Ask all of a plan, or what a run has not done yet, with the progress on stderr; raises InputError."""
    from app.evaluation import summary
    from app.evaluation.compare import Comparison
    from app.evaluation.datasets import check_writable
    from app.evaluation.plan import begun, resumed

    plan, settings = (done.plan, load(corpus=done.plan.corpus or None)) if done else planned()
    if exported:
        summary.check_contender(exported, [it.id for it in plan.contenders(plan.models or ("", ""))])
    if done and path:
        check_writable(path)
        file: RunFile | None = resumed(path)
    else:
        file = begun(settings, plan, path)
    progress = Progress()
    comparison = Comparison(settings, plan, tell, progress.step, file, done)
    with suppress(KeyboardInterrupt), progress:  # what is there is shown, and what is missing named
        asyncio.run(comparison.measure())
    return comparison.result()


def _kept(file: Path) -> "ComparisonResult":
    """Read what `--json` printed, or what a run has kept so far; raises InputError."""
    from app.evaluation.compare import Comparison
    from app.evaluation.plan import read_run
    from app.evaluation.results import read_result

    if file.suffix != ".jsonl":
        return read_result(file)
    done = read_run(file)
    return Comparison(load(corpus=done.plan.corpus or None), done.plan, tell, lambda *_: None, done=done).result()
