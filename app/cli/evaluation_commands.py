"""The commands that measure: `escalator bench …` for speed, `escalator eval …` for quality, `escalator compare`."""

import asyncio
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.terminal import Json, Verbose, errors, show, tell
from app.errors import InputError

bench = typer.Typer(help="Measure speed.", no_args_is_help=True)
evaluate = typer.Typer(help="Measure quality on data sets.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(help="A folder with corpus.jsonl, queries.jsonl (.gz or not), qrels.tsv.")]


def compare(
    prompt: Annotated[list[str] | None, typer.Argument(help="What both are asked (default: COMPARE_PROMPT).")] = None,
    models: Annotated[str | None, typer.Option(help="Two models with a comma (default: SLM_ALIAS,LLM_ALIAS).")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Answers of each model; medians are told.")] = 1,
    corpus: Annotated[Path | None, typer.Option(help="Ask with the passages that this folder has for it.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask both models the same, and tell what each takes and says."""
    from app.evaluation import compare as comparison
    from app.settings import load

    with errors(verbose):
        pair = comparison.pair_named(models) if models is not None else None
        settings = load(corpus=corpus, small=pair and pair.small, large=pair and pair.large)
        asked = " ".join(prompt or ()) or settings.compare_prompt
        result = asyncio.run(comparison.compare(settings, asked, rounds, tell, passages=corpus is not None))
    show(result, as_json, comparison.lines(result))
    if any("error" in row for row in result["models"]):
        raise typer.Exit(1)


@bench.command()
def chat(as_json: Json = False, verbose: Verbose = False) -> None:
    """Measure the time that Escalator adds to a bare request for the same answer."""
    from app.settings import load

    with errors(verbose):
        benchmark = _benchmark("chat")
        result = asyncio.run(benchmark.bench_chat(load(), tell))
    show(result, as_json, benchmark.lines(result))


@bench.command()
def retrieval(
    passages: Annotated[str, typer.Option(help="Numbers of passages, separated by commas.")] = "1000,20000,100000",
    collection: Annotated[
        Path | None, typer.Option(help="A folder as for `eval retrieval`, to take text from.")
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare the search with other libraries, on generated text unless a collection is given."""
    from app.evaluation.collections import read

    with errors(verbose):
        benchmark = _benchmark("retrieval")
        sizes = benchmark.sizes(passages)
        result = benchmark.bench_retrieval(sizes, read(collection) if collection else None, tell)
    show(result, as_json, benchmark.lines(result))


@bench.command()
def corpus(
    quick: Annotated[bool, typer.Option("--quick", help="Few and small files, for a first look.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how soon documents are searchable: first indexing, changed files, a dropped file."""
    with errors(verbose):
        benchmark = _benchmark("corpus")
        result = benchmark.bench_corpus(benchmark.QUICK if quick else benchmark.Size(), tell)
    show(result, as_json, benchmark.lines(result))


def _benchmark(name: str) -> Any:
    """Import a module of `benchmarks/` in the clone that this program runs from; raises InputError outside a clone."""
    from app.settings import ROOT

    if not (ROOT / "benchmarks").is_dir():
        raise InputError(
            "The benchmarks are not installed; they are in the folder “benchmarks” of the repository. "
            'Clone it, run pip install -e ".[bench]" there, and then this command.'
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module(f"benchmarks.{name}")


@evaluate.command()
def escalation(
    file: Annotated[Path, typer.Argument(help="Answers with labels, as JSON lines, gzipped or not.")],
    scores: Annotated[Path | None, typer.Option(help="Write the score of every row to this file.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the decision to escalate tells bad answers from good ones."""
    from app.evaluation import escalation_eval as evaluation
    from app.evaluation import rows

    with errors(verbose):
        answers = evaluation.read(file)
        sets = evaluation.grounded(answers)
        with typer.progressbar(answers, label="Judging", file=sys.stderr) as watched:
            judged = list(evaluation.judge(watched, sets))
        result = evaluation.figures(judged, sets)
        if scores is not None:
            rows.write(scores, ({"id": answer["id"], "score": decision.score} for answer, decision in judged))
    show(result, as_json, evaluation.lines(result))


@evaluate.command()
def citations(
    data: Annotated[Path, typer.Argument(help="A folder as for `eval retrieval`, or answers with “halluc_spans”.")],
    passages: Annotated[int, typer.Option(min=1, help="How many each sentence is compared with.")] = 8,
    beside: Annotated[Path | None, typer.Option(help="The same in a language whose capitals tell names.")] = None,
    seed: Annotated[int, typer.Option(help="Other sentences, other words.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well sentences are tied to what they were made from, and what was made up is marked."""
    from app.evaluation import citation_eval as evaluation
    from app.evaluation.collections import read

    with errors(verbose):
        if data.is_file():
            result = evaluation.support(data)
        else:
            made = list(evaluation.probes(read(data), passages, seed, read(beside) if beside else None))
            with typer.progressbar(made, label="Citing", file=sys.stderr) as watched:
                result = evaluation.figures(map(evaluation.judge, watched))
    show(result, as_json, evaluation.lines(result))


@evaluate.command()
def evidence(directory: Directory, as_json: Json = False, verbose: Verbose = False) -> None:
    """Measure how often the evidence for a prompt, and the quotes without a model, hold the answer."""
    from app.evaluation import collections
    from app.evaluation import retrieval_eval as evaluation

    with errors(verbose):
        result = evaluation.evidence(collections.read(directory), tell)
    show(result, as_json, (f"{name:14} {share}" for name, share in result.items()))


@evaluate.command("retrieval")
def eval_retrieval(
    directory: Directory,
    history: Annotated[bool, typer.Option("--history", help="Search with the conversation before a question.")] = False,
    run: Annotated[Path | None, typer.Option(help="Write what each question found to this file.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with the run in this file.")] = None,
    typos: Annotated[bool, typer.Option("--typos", help="Put a typing error into each question.")] = False,
    changed_subject: Annotated[bool, typer.Option("--changed-subject", help="Ask after another conversation.")] = False,
    seed: Annotated[int, typer.Option(help="Other typing errors, other conversations.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the search finds what people judged to be relevant."""
    from app.evaluation import collections, rows, variants
    from app.evaluation import retrieval_eval as evaluation

    with errors(verbose):
        collection = collections.read(directory)
        if changed_subject:
            collection = variants.subject_changes(collection, seed)
        if typos:
            collection = variants.mistyped(collection, seed)
        for remark in collection.remarks:
            tell(remark)
        before = evaluation.earlier(against) if against else []
        index, cost = evaluation.indexed(collection)
        with typer.progressbar(collection.queries, label="Asking", file=sys.stderr) as watched:
            asked = list(evaluation.judge(index, watched, collection, history=history or changed_subject))
        result = evaluation.summary(asked) | cost
        if run is not None:
            rows.write(run, asked)
        if against is not None:
            result["against"] = evaluation.compare(asked, before)
    show(result, as_json, evaluation.lines(result))
