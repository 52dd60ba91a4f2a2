"""The commands that measure: `escalator bench …` for speed, `escalator eval …` for quality, `escalator compare`."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.cli.terminal import Json, Verbose, errors, show, tell
from app.errors import InputError
from app.settings import ROOT, load

Item = TypeVar("Item")

evaluate = typer.Typer(help="Measure quality on data sets.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="A folder with corpus.jsonl, queries.jsonl (.gz or not), qrels.tsv.")]
Seed = Annotated[int, typer.Option(help="Draw other words, typing errors or conversations.")]


def compare(
    prompt: Annotated[list[str] | None, typer.Argument(help="The prompt for both (default: COMPARE_PROMPT).")] = None,
    models: Annotated[str | None, typer.Option(help="Two models, as A,B (default: SLM_ALIAS,LLM_ALIAS).")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Answers of each model; medians are shown.")] = 1,
    corpus: Annotated[Path | None, typer.Option(help="Add the passages that this folder has for the prompt.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Send the same prompt to two models, and show the time and the answer of each."""
    from app.evaluation import compare as comparison

    with errors(verbose):
        pair = comparison.pair_named(models) if models is not None else None
        settings = load(corpus=corpus, small=pair and pair.small, large=pair and pair.large)
        text = " ".join(prompt or ()) or settings.compare_prompt
        result = asyncio.run(comparison.compare(settings, text, rounds, tell, passages=corpus is not None))
    show(result, as_json, comparison.lines(result))
    if any("error" in row for row in result["models"]):
        raise typer.Exit(1)


def add_bench(cli: typer.Typer, root: Path) -> None:
    """Add `bench` from the folder `benchmarks` of a clone; elsewhere a command that explains where that is."""
    if (root / "benchmarks").is_dir():
        cli.add_typer(_benchmarks("commands", root).bench, name="bench")
    else:

        @cli.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
        def bench() -> None:
            """Measure speed, in a clone of the repository."""
            with errors(verbose=False):
                _benchmarks("commands", root)


def _benchmarks(module: str, root: Path) -> Any:
    """Import a module of the folder `benchmarks`, which only a clone has; raises InputError elsewhere."""
    if not (root / "benchmarks").is_dir():
        raise InputError(
            "The benchmarks are not installed; they are in the folder “benchmarks” of the repository. "
            'Clone it, run pip install -e ".[bench]" there, and then this command.'
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(f"benchmarks.{module}")


@evaluate.command()
def escalation(
    file: Annotated[Path, typer.Argument(help="Answers with labels, as JSON lines, gzipped or not.")],
    scores: Annotated[Path | None, typer.Option(help="Write the score of every answer to this file.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the decision to escalate separates bad answers from good ones."""
    from app.evaluation import escalation_eval as evaluation

    with errors(verbose):
        result = evaluation.evaluate(file, _watch, scores)
    show(result, as_json, evaluation.lines(result))


@evaluate.command()
def citations(
    data: Annotated[Path, typer.Argument(help="A folder as for `eval retrieval`, or answers with “halluc_spans”.")],
    passages: Annotated[int, typer.Option(min=1, help="Passages that each sentence is compared with.")] = 8,
    beside: Annotated[Path | None, typer.Option(help="The same in a language that capitalises names only.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how often sentences are tied to their passages, and invented ones marked (in a clone)."""
    from app.evaluation.datasets import read_collection as read

    with errors(verbose):
        evaluation = _benchmarks("citations", ROOT)
        if data.is_file():
            result = evaluation.support(data)
        else:
            probes = evaluation.probes(read(data), passages, seed, read(beside) if beside else None)
            result = evaluation.evaluate(list(probes), _watch)
    show(result, as_json, evaluation.lines(result))


@evaluate.command()
def evidence(folder: Folder, as_json: Json = False, verbose: Verbose = False) -> None:
    """Measure how often the evidence for a prompt, and the quotes without a model, contain the answer."""
    from app.evaluation.datasets import read_collection
    from app.evaluation.retrieval_eval import evidence

    with errors(verbose):
        result = evidence(read_collection(folder), tell)
    show(result, as_json, (f"{name:14} {share}" for name, share in result.items()))


@evaluate.command("retrieval")
def eval_retrieval(
    folder: Folder,
    history: Annotated[bool, typer.Option("--history", help="Search with the conversation before a question.")] = False,
    run: Annotated[Path | None, typer.Option(help="Write the hits of each question to this file.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with the run in this file.")] = None,
    typos: Annotated[bool, typer.Option("--typos", help="Mistype a word of each question.")] = False,
    changed_subject: Annotated[bool, typer.Option("--changed-subject", help="Ask after another conversation.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the search finds the passages that people judged relevant.

    --typos and --changed-subject change the questions; they need a clone of the repository.
    """
    from app.evaluation import retrieval_eval as evaluation
    from app.evaluation.datasets import read_collection

    with errors(verbose):
        collection = read_collection(folder)
        if changed_subject:
            collection = _benchmarks("variants", ROOT).subject_changes(collection, seed)
        if typos:
            collection = _benchmarks("variants", ROOT).mistyped(collection, seed)
        for remark in collection.remarks:
            tell(remark)
        with_history = history or changed_subject
        result = evaluation.evaluate(collection, history=with_history, watch=_watch, run=run, against=against)
    show(result, as_json, evaluation.lines(result))


def _watch(items: Sequence[Item]) -> Iterator[Item]:
    """Pass items on, with a progress bar on stderr."""
    with typer.progressbar(items, label="Measuring", file=sys.stderr) as bar:
        yield from bar
