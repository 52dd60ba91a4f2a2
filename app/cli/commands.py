"""The command line: `escalator ask`, `search`, `index` and others. It prints what happens and decides nothing.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 the work failed,
2 the command line or a setting was wrong.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from app.answering.turn import Answer, Citation, Mode, Turn
from app.answering.turn import mode as mode_named
from app.answering.usage import Prices
from app.cli.compare_command import compare
from app.cli.evaluation_commands import evaluate
from app.cli.serving_commands import mcp, serve
from app.cli.setup_commands import browser, kit, models
from app.cli.terminal import (
    Commands,
    Corpus,
    Json,
    Verbose,
    add_clone_command,
    answer_json,
    print_json,
    search_json,
    show,
    tell,
)  # fmt: skip
from app.errors import InputError
from app.export import from_items
from app.postgres import corpus_of
from app.retrieval.corpus import Reading
from app.retrieval.search import plain
from app.settings import ROOT, load
from app.translation import count, size

if TYPE_CHECKING:
    from app.answering.pipeline import Assistant

LONGEST_SENTENCE = 100
"""Characters to which a sentence of the answer is shortened below its source."""

cli = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)

add_clone_command(cli, "bench", "benchmarks.commands")
cli.add_typer(evaluate, name="eval")
cli.command()(compare)
cli.add_typer(models, name="models")
cli.add_typer(kit, name="kit")
cli.add_typer(browser, name="browser")
cli.command()(mcp)
cli.command()(serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"escalator {version('escalator-chat')}")
        raise typer.Exit


@cli.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask a folder of documents, on your own machine."""


@cli.command()
def chat(
    corpus: Corpus = None,
    port: Annotated[int, typer.Option("--port", help="The port of the page.")] = 8000,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
) -> None:
    """Open the chat in a browser, as `chainlit run app/main.py` does in the project's folder."""
    load(corpus=corpus)  # whose errors end the start
    if corpus is not None:
        os.environ["CORPUS_DIR"] = str(corpus.absolute())
    os.chdir(ROOT)  # before the import, which makes files in the working folder
    from chainlit.cli import cli as chainlit

    chainlit(["run", "app/main.py", "--port", str(port), *(["--headless"] if headless else [])])


def main() -> None:
    """Run the command line; characters that the terminal's encoding lacks are replaced."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    cli()


@cli.command()
def ask(
    question: Annotated[list[str], typer.Argument(help="The question.")],
    corpus: Corpus = None,
    mode: Annotated[str, typer.Option("--mode", help=f"One of {', '.join(get_args(Mode))}.")] = "auto",
    within: Annotated[
        list[str] | None, typer.Option("--in", help="A folder or file to search alone; may be repeated.")
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Answer a question from the documents, with its sources."""
    from app.answering.pipeline import Assistant

    turn = Turn(" ".join(question), (), mode_named(mode), scope=tuple(within or ()))
    settings = load(corpus=corpus)
    answer = asyncio.run(_ask(Assistant(settings, patience=None), turn, as_json))
    if as_json:
        print_json(answer_json(answer, Prices.parse(settings.prices)))
    else:
        _print_sources(answer)
    if answer.attempt is None and answer.notices:
        raise typer.Exit(1)


@cli.command()
def search(
    query: Annotated[list[str], typer.Argument(help="The words to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many passages.")] = 10,
    corpus: Corpus = None,
    only_bm25: Annotated[bool, typer.Option("--plain", help="Rank by BM25 alone, with the rank-bm25 package.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the passages that match a question, and why."""
    settings = load(corpus=corpus)
    words = " ".join(query)
    Turn(words).check()
    searcher = corpus_of(settings)
    result = plain(searcher.refresh().index, words, k) if only_bm25 else searcher.search(words, k=k)
    if searcher.notice:
        tell(str(searcher.notice))
    if as_json:
        print_json(search_json(result))
        return
    for hit in result.hits:
        typer.echo(f"{hit.rank:2}. {hit.passage.file}, {hit.passage.place.label}  ({hit.score:.2f})")
        typer.echo(f"    {hit.explanation}")
        typer.echo(f"    {' '.join(hit.passage.text.split())[:200]}\n")
    if result.unknown_words:
        tell(f"In no document: {', '.join(result.unknown_words)}")
    for word, others in result.taken_for.items():
        tell(f"{word} was taken for {', '.join(others)}")
    if not result.hits:
        tell("Nothing in the documents matches.")


@cli.command()
def index(
    corpus: Corpus = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Delete the index, and read every file again.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Index new and changed documents now, so that no question waits for it."""
    documents = corpus_of(load(corpus=corpus))
    if rebuild:
        documents.forget()
    with typer.progressbar(length=1, label="Reading", file=sys.stderr, show_pos=True) as bar:

        def show_progress(reading: Reading) -> None:
            bar.length, bar.label = reading.total, f"Reading, {reading.passages:,} passages"
            bar.update(reading.done - bar.pos)

        snapshot = documents.refresh(show_progress)
    documents.settle()
    if documents.notice:
        tell(str(documents.notice))
    passages = sum(document.passages for document in snapshot.documents.values())
    problems = [{"file": problem.file, "reason": problem.reason} for problem in snapshot.problems.values()]
    result = {"documents": len(snapshot.documents), "passages": passages, "problems": problems}
    counts = f"{len(snapshot.documents)} documents, {passages} passages, {len(problems)} problems"
    show(result, as_json, [counts, *(f"{it['file']}: {it['reason']}" for it in problems)])


@cli.command()
def doctor(
    corpus: Corpus = None,
    as_json: Json = False,
    online: Annotated[bool, typer.Option("--online", help="Also ask the public catalogue of models.")] = False,
    to_report: Annotated[bool, typer.Option("--report", help="Print Markdown without names, to send on.")] = False,
    verbose: Verbose = False,
) -> None:
    """Check everything that an answer needs, and say how to mend what is missing."""
    from app.doctor import checks, lines, markdown

    settings = load(corpus=corpus)
    result = asyncio.run(checks(settings, online=online, named=not to_report))
    show(result, as_json, markdown(result, settings) if to_report else lines(result))


@cli.command()
def history(
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete all of them, and the thumbs, of everyone.")] = False,
    export: Annotated[
        str | None,
        typer.Option("--export", metavar="ID", help="Print one: its id, as in the page's address, or latest."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="md (Markdown) or html.")] = "md",
    figures: Annotated[bool, typer.Option("--figures", help="Export times and tokens too.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Export to this file.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show where the conversations of the chat are kept, and how many, or export one; also while the chat runs."""
    from app.history import History
    from app.room import folders

    histories = [History(folder) for folder in folders(load().state_dir)]
    kept, *people = histories
    if export is not None:
        found = next(iter(kept.latest(most=1)), None) if export == "latest" else kept.find(export)
        if found is None:
            raise InputError(
                f"There is no conversation {export!r} in {kept.path}. Its id is in the address of its page."
            )
        text = from_items(found.title, kept.items(found.id)).write(form, figures=figures).encode()
        output.write_bytes(text) if output is not None else typer.echo(text, nl=False)
        return
    deleted = sum(each.wipe() for each in histories) if wipe else None
    number, thumbs = len(kept.latest(most=-1)), len(kept.opinions())
    of_people = sum(len(each.latest(most=-1)) for each in people)
    result = {"file": str(kept.path), "thumbs": str(kept.thumbs), "conversations": number, "opinions": thumbs}
    result |= {"files": str(kept.dropped), "bytes": sum(kept.files())}
    result |= {"people": len(people), "conversations_of_people": of_people}
    told = [f"{kept.path}: {count(number, 'conversation')}", f"{kept.thumbs}: {count(thumbs, 'thumb')}"]
    if sizes := kept.files():
        told.append(f"{kept.dropped}: {count(len(sizes), 'dropped file')}, {size(sum(sizes))}")
    if people:
        told.append(f"People of a room: {len(people)}, with {count(of_people, 'conversation')}")
    told += [f"{count(deleted, 'conversation')} deleted."] if deleted is not None else []
    told += [each.notice for each in histories if each.notice]
    show(result | ({"deleted": deleted} if wipe else {}), as_json, told)


async def _ask(assistant: "Assistant", turn: Turn, as_json: bool) -> Answer:
    """Answer a question; the texts of the models go to stdout unless `as_json`, all else to stderr."""
    from app.answering import events

    failure = ""
    async with assistant, aclosing(assistant.answer(turn)) as stream:
        async for event in stream:
            match event:
                case events.Retrieved(found, evidence, problems, scope=scope):
                    if scope:
                        tell(f"Searched in {', '.join(scope)} only.")
                    if problems:
                        tell(f"{len(problems)} files were not read; `escalator doctor` names them.")
                    if evidence and found.missing:
                        tell(f"{found.missing}.")
                case events.Progress(text) | events.Abstained(text):
                    tell(text)
                case events.Failed(InputError() as error, _):
                    raise error
                case events.Failed(error, _):
                    failure = str(error)
                    tell(failure if as_json else f"\n{failure}")
                case events.Finished(answer):
                    for notice in answer.notices:
                        if not (as_json or notice == failure):
                            tell(f"\n{notice}")
                    return answer
                case _ if as_json:
                    pass
                case events.Previewed(quote, text):
                    tell(f"Until the answer comes, from {quote.file}:\n{text}\n")
                case events.Token(_, text) if turn.mode != "compare":
                    typer.echo(text, nl=False)
                case events.Retracted() if turn.mode != "compare":
                    tell("\n\nSo far the model was thinking. The answer:\n")
                case events.AttemptEnded(attempt) if turn.mode == "compare":  # whose tokens interleave
                    typer.echo(f"{attempt.model}:\n{attempt.text}\n")
                case events.Escalated():
                    typer.echo()
                    tell(f"\nAsking {assistant.models.pair.large}: {event.why}\n")
    raise AssertionError("a turn always finishes")


def _print_sources(answer: Answer) -> None:
    """Print the sources, with the sentences that rest on each if their marks were not streamed, and what has none."""
    from app.answering.citations import NOT_COMPARED, NOT_FOUND
    from app.answering.run import BEST

    typer.echo("")
    if quote := answer.rendered.partition(f"\n\n{BEST}\n\n")[2]:
        typer.echo(f"\n{BEST}\n{quote}\n")
    citations = [each for each in answer.citations if answer.rendered != answer.text and each.shown != (0, 0)]
    for item in answer.sources:
        typer.echo(f"[{item.number}] {item.file}, {item.place.label}")
        _print_sentences(citation for citation in citations if citation.number == item.number)
    if unfounded := [citation for citation in citations if citation.number is None]:
        typer.echo(f"{NOT_FOUND.capitalize()}:")
        _print_sentences(unfounded)
    if f"*({NOT_COMPARED})*" in answer.rendered:
        typer.echo(f"{NOT_COMPARED.capitalize()}.")
    usage = answer.metrics
    if answer.attempt is not None and usage.first_token_ms is not None and usage.total_ms is not None:
        parts = [answer.attempt.model, f"first token {usage.first_token_ms / 1000:.2f} s"]
        parts += [f"{usage.tokens_per_s:.0f} tokens/s"] if usage.tokens_per_s else []
        tell(" · ".join([*parts, f"all {usage.total_ms / 1000:.2f} s"]))


def _print_sentences(citations: Iterable[Citation]) -> None:
    for citation in citations:
        missing = f" (not in [{citation.number}]: {', '.join(citation.missing)})" if citation.missing else ""
        typer.echo(f"    {shorten(citation.sentence, LONGEST_SENTENCE, placeholder=' …')}{missing}")


if __name__ == "__main__":
    main()
