"""The commands `escalator bench` and `escalator eval escalation|citations|refusals`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import Json, Verbose, show, tell, watch

bench = typer.Typer(help="Measure speed, and what readers lose.", no_args_is_help=True)


@bench.command()
def chat(as_json: Json = False, verbose: Verbose = False) -> None:
    """Measure the time that Escalator adds to a bare request for the same answer."""
    from app.settings import load
    from benchmarks import chat

    result = asyncio.run(chat.bench_chat(load(), tell))
    show(result, as_json, chat.lines(result))


@bench.command()
def load(
    seconds: Annotated[float, typer.Option(help="How long the conversations ask, for each kind of draft.")] = 30.0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how soon the chat answers `/health` while a long draft streams and ten other conversations ask."""
    from benchmarks import load

    result = load.bench_load(seconds, tell)
    show(result, as_json, load.lines(result))


@bench.command()
def room(
    users: Annotated[str, typer.Option(help="Numbers of people, separated by commas.")] = "100",
    turns: Annotated[int, typer.Option(min=1, help="Questions of a person in one conversation.")] = 20,
    minutes: Annotated[float, typer.Option(min=0, help="How long they go on, in new conversations.")] = 0.0,
    bare: Annotated[bool, typer.Option(help="Compare with a chat that only passes questions on.")] = True,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure a room of people who ask one chat: turns a second, mixed answers, a loop that is held up, memory."""
    from benchmarks import retrieval, room

    result = room.bench_room(retrieval.sizes(users), turns, minutes, tell, bare=bare)
    show(result, as_json, room.lines(result))


@bench.command()
def gateway(
    rounds: Annotated[int, typer.Option(min=1, help="How often the first token is measured.")] = 20,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure what `escalator serve` adds to the first token, and how far it falls behind 2,000 tokens a second."""
    from benchmarks import gateway

    result = gateway.bench_gateway(rounds, tell)
    show(result, as_json, gateway.lines(result))


@bench.command()
def privacy(
    turns: Annotated[int, typer.Option(min=1, help="How many turns are asked.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Ask other turns.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask random turns over a server elsewhere that keeps every byte, and look for private passages in them."""
    from benchmarks import privacy

    result = asyncio.run(privacy.bench_privacy(turns, seed, tell))
    show(result, as_json, privacy.lines(result))


@bench.command()
def mcp(
    corpus: Annotated[Path, typer.Option("--corpus", help="The folder of documents.")] = Path("corpus"),
    rounds: Annotated[int, typer.Option(min=1, help="How often each start is measured.")] = 5,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how soon `escalator mcp` answers its first message."""
    from benchmarks import mcp_start

    result = mcp_start.bench_mcp(corpus, rounds, tell)
    show(result, as_json, mcp_start.lines(result))


@bench.command()
def page(
    rounds: Annotated[int, typer.Option(min=1, help="How often the long answer is asked for.")] = 3,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how soon the page shows an answer of 2,000 tokens, in an empty chat and below 40 turns."""
    from benchmarks import page

    result = page.bench_page(rounds, tell)
    show(result, as_json, page.lines(result))


@bench.command()
def retrieval(
    passages: Annotated[str, typer.Option(help="Numbers of passages, separated by commas.")] = "1000,20000,100000",
    collection: Annotated[Path | None, typer.Option(help="Take text from a folder as for `eval retrieval`.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare the search with other libraries, on generated text unless a collection is given."""
    from app.evaluation.datasets import read_collection
    from benchmarks import retrieval

    sizes = retrieval.sizes(passages)
    result = retrieval.bench_retrieval(sizes, read_collection(collection) if collection else None, tell)
    show(result, as_json, retrieval.lines(result))


@bench.command()
def postgres(
    passages: Annotated[int, typer.Option(min=10, help="Number of generated passages.")] = 20_000,
    questions: Annotated[int, typer.Option(min=1, help="Number of questions.")] = 300,
    collection: Annotated[Path | None, typer.Option(help="Take text from a folder as for `eval retrieval`.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare the index in the PostgreSQL of ESCALATOR_INDEX with the local one: ranks, times, sizes."""
    from app.evaluation.datasets import read_collection
    from benchmarks import postgres

    given = read_collection(collection) if collection else None
    result = postgres.bench_postgres(passages, questions, given, tell)
    show(result, as_json, postgres.lines(result))


@bench.command()
def corpus(
    quick: Annotated[bool, typer.Option("--quick", help="Few and small files, for a first look.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how soon documents are searchable: first indexing, changed files, a dropped file."""
    from benchmarks import corpus

    result = corpus.bench_corpus(corpus.QUICK if quick else corpus.Size(), tell)
    show(result, as_json, corpus.lines(result))


@bench.command()
def readers(
    folder: Annotated[Path, typer.Argument(help="Files of any kind.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare the words that our readers find in files with those that independent extractors find."""
    from benchmarks import readers

    result = readers.compare(folder, tell)
    show(result, as_json, readers.lines(result))


def escalation(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Answers with labels: JSON lines, gzipped or not; a checkout of BEGIN or ExpertQA; a folder as for "
            "`eval retrieval` with answers."
        ),
    ],
    scores: Annotated[Path | None, typer.Option(help="Write the score of every answer to this file.")] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Judge each set by constants chosen on the others, too.")
    ] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the decision to escalate separates bad answers from good ones."""
    from benchmarks import escalation as evaluation
    from benchmarks.leave_out import left_out

    result = evaluation.evaluate(sources, watch, scores, left_out if leave_out else None)
    show(result, as_json, evaluation.lines(result))


def citations(
    data: Annotated[Path, typer.Argument(help="A folder as for `eval retrieval`, or answers with “halluc_spans”.")],
    passages: Annotated[int, typer.Option(min=1, help="Passages that each sentence is compared with.")] = 8,
    beside: Annotated[Path | None, typer.Option(help="The same in a language that capitalises names only.")] = None,
    seed: Annotated[int, typer.Option(help="Draw other words.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how often sentences are tied to the passages they come from, and invented ones are marked."""
    from app.evaluation.datasets import read_collection as read
    from benchmarks import citations

    if data.is_file():
        result = citations.support(data)
    else:
        probes = citations.probes(read(data), passages, seed, read(beside) if beside else None)
        result = citations.evaluate(list(probes), watch)
    show(result, as_json, citations.lines(result))


def refusals(
    data: Annotated[Path, typer.Argument(help="A folder as for `eval retrieval`.")],
    corpus: Annotated[Path | None, typer.Option(help="Documents on other subjects (default: CORPUS_DIR).")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how often a question is refused without asking a model, by small corpora and by one on other subjects."""
    from app.documents.folder import Folder
    from app.evaluation.datasets import read_collection
    from app.retrieval.corpus import Corpus
    from app.settings import load
    from benchmarks.refusals import refusals

    settings = load(corpus=corpus)
    other = Corpus(Folder.of(settings), settings.state_dir).refresh().index
    result = refusals(read_collection(data), other, tell)
    show(result, as_json, (f"{name:14} {share}" for name, share in result.items()))
