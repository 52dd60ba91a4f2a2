"""`escalator compare`: asks models and the cascade, or takes a run that was kept, and shows and reports what came."""

import asyncio
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import Json, Progress, Verbose, show, tell
from app.errors import InputError
from app.settings import load

if TYPE_CHECKING:
    from app.evaluation.results import ComparisonResult


class Retrieval(StrEnum):
    """Whether questions are asked with passages of the documents."""

    WITH = "with"
    WITHOUT = "without"
    BOTH = "both"


SEARCHED = {Retrieval.WITH: (True,), Retrieval.WITHOUT: (False,), Retrieval.BOTH: (True, False)}


class Hybrid(StrEnum):
    """A mode in which two models answer."""

    AUTO = "auto"
    REFINE = "refine"


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
        Retrieval | None, typer.Option(help="With or without passages (default: both for questions).")
    ] = None,
    mode: Annotated[
        list[Hybrid] | None,
        typer.Option(help="Measure the cascade too; may be repeated (default for questions: both)."),
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Prices by model, as JSON (default: ESCALATOR_PRICES).")] = None,
    run: Annotated[Path | None, typer.Option(help="Keep each answer in this file (default: the state folder).")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this file.")] = None,
    export: Annotated[
        str | None, typer.Option(help="Print answers in another form: ragas, or ragas:CONTENDER (default: auto).")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report: .html, with charts, or .md.")] = None,
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
    from app.evaluation import plan as plans
    from app.evaluation import ragas, run_file, summary
    from app.evaluation.changes import changes
    from app.evaluation.compare import Comparison
    from app.evaluation.question_set import SAMPLE, sample_documents
    from app.evaluation.report import page
    from app.evaluation.report_page import form_of

    exported = None if export is None else ragas.contender_named(export)
    asked = (prompt, models, rounds, corpus, questions, retrieval, mode, prices, run)
    form, before = report and form_of(report), against and _kept(against)
    if saved is not None:
        if any((*asked, resume)):
            raise InputError(
                "--from takes a run as it is. Leave out all options but --report, --against, --export and --json."
            )
        result = _kept(saved)
    else:
        done, file = (run_file.read_run(resume), run_file.resumed(resume)) if resume else (None, None)
        if done is not None:
            if any(asked):
                raise InputError("--resume goes on with a run as it was begun. Leave the other options out.")
            settings, plan = load(corpus=done.plan.corpus or None), done.plan
        else:
            settings = load(corpus=corpus or (sample_documents() if questions == SAMPLE else None))
            default = Retrieval.BOTH if questions else Retrieval.WITH if corpus else Retrieval.WITHOUT
            plan = plans.planned(
                settings,
                " ".join(prompt or ()),
                questions,
                models,
                rounds=rounds,
                retrieval=SEARCHED[retrieval or default],
                modes=[each.value for each in (mode or (Hybrid if questions else ()))],
                prices=prices,
            )
            file = run_file.begun(settings, plan, run)
        progress = Progress()
        comparison = Comparison(settings, plan, progress.tell, progress.step, file, done)
        with suppress(KeyboardInterrupt):  # what is there is shown, and what is missing named
            asyncio.run(comparison.measure())
        progress.clear()
        result = comparison.result()
    changed = changes(before, result) if before else ()
    document = summary.document(result) | ({"changes": changed} if before else {})
    since = ["", f"Since {against.name}:", *changed] if against else []
    if exported is not None:
        typer.echo(ragas.export(result, exported), nl=False)
    else:
        show(document, as_json, [*summary.lines(result), *since])
    for problem in result.problems:
        tell(problem)
    if report and form:
        report.write_text(form(page(result, changed)), encoding="utf-8", newline="\n")
    if result.problems:
        raise typer.Exit(1)


def _kept(file: Path) -> "ComparisonResult":
    """Read what `--json` printed, or what a run has kept so far; raises InputError."""
    from app.evaluation import run_file
    from app.evaluation.compare import Comparison
    from app.evaluation.results import read_result

    if file.suffix != ".jsonl":
        return read_result(file)
    done = run_file.read_run(file)
    return Comparison(load(corpus=done.plan.corpus or None), done.plan, tell, lambda *_: None, done=done).result()
