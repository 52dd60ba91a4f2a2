"""The commands that measure quality, `escalator eval …`."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal import Corpus, Json, Verbose, add_clone_command, clone_module, show, tell, watch
from app.errors import InputError
from app.settings import Settings, load
from app.translation import count

if TYPE_CHECKING:
    from app.answering.turn import Mode
    from app.evaluation.regression import Expectation, Outcome
    from app.evaluation.rubric import Sample, Values

evaluate = typer.Typer(help="Measure quality on data sets.", no_args_is_help=True)
for command in ("escalation", "citations", "refusals"):
    add_clone_command(evaluate, command, "benchmarks.commands")

Folder = Annotated[Path, typer.Argument(help="A folder with corpus.jsonl, queries.jsonl (.gz or not), qrels.tsv.")]


def fraction(meaning: str) -> Any:
    """Make the option for a number from 0 to 1."""
    return typer.Option(min=0, max=1, help=meaning)


Share = float | None


@evaluate.command()
def evidence(folder: Folder, as_json: Json = False, verbose: Verbose = False) -> None:
    """Measure how often the evidence for a prompt, and the quotes without a model, contain the answer."""
    from app.evaluation.datasets import read_collection
    from app.evaluation.retrieval_eval import evidence

    result = evidence(read_collection(folder), tell)
    show(result, as_json, (f"{name:14} {share}" for name, share in result.items()))


@evaluate.command()
def feedback(as_json: Json = False, verbose: Verbose = False) -> None:
    """Count the thumbs of the chat by who answered and what was decided on the draft, and list the comments.

    Count also which of two models was preferred where their answers were compared.
    """
    from app.history import History

    history = History(load().state_dir)
    opinions, preferences = history.opinions(), history.preferences()
    groups: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for it in opinions:
        why = f"escalated: {it.get('decision')}" if it.get("escalated") else "not escalated"
        groups[f"{it.get('model') or 'no model'}, {why}"][it["value"]] += 1
    rows = [{"answers": name, "down": down, "up": up} for name, (down, up) in sorted(groups.items())]
    told = [f"{row['answers']:50} {row['up']:4} up {row['down']:4} down" for row in rows] or ["No thumbs yet."]
    counted = sorted(Counter((" and ".join(it["models"]), it["preferred"]) for it in preferences).items())
    preferred = [{"models": both, "preferred": model or None, "times": times} for (both, model), times in counted]
    for it in preferred:
        what = f"{it['preferred']} preferred" if it["preferred"] else "no difference"
        told.append(f"{it['models']}: {what} {count(it['times'], 'time')}")
    told += [
        f"{'up' if it['value'] else 'down'}: {it.get('question', '')}\n    {it['comment']}"
        for it in opinions
        if it["comment"]
    ]
    show({"groups": rows, "opinions": opinions, "preferred": preferred}, as_json, told)


@evaluate.command()
def answers(
    questions: Annotated[str | None, typer.Option(help="A file of questions with facts, or sample.")] = None,
    corpus: Corpus = None,
    mode: Annotated[str, typer.Option(help="Who answers: auto, small, large, refine.")] = "auto",
    thumbs: Annotated[bool, typer.Option(help="Ask again what was given a thumb in the chat.")] = True,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
    drafts: Annotated[Path | None, typer.Option(help="Write the judged drafts to this file, for `threshold`.")] = None,
    min_facts: Annotated[float, fraction("Least share of expected facts found.")] = 0.8,
    min_right: Annotated[Share, fraction("Least share of answers as expected.")] = None,
    min_abstained: Annotated[Share, fraction("Least share that declines where the documents lack the answer.")] = None,
    min_citations: Annotated[Share, fraction("Least share of sentences that their source supports.")] = None,
    max_wrong_kept: Annotated[Share, fraction("Largest share of wrong drafts that are kept.")] = None,
    max_right_escalated: Annotated[Share, fraction("Largest share of right drafts that are escalated.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask your own questions again, and compare the answers with what is expected: a regression test.

    What is expected are the facts of a set of questions, and what the thumbs of the chat say. Exit code 1 means that a
    limit was broken, that a disliked answer came again, or that a question got no answer.
    """
    from app.answering.turn import mode as mode_named
    from app.evaluation import regression
    from app.evaluation.datasets import SAMPLE, check_writable, read_questions, sample_documents, write_rows, write_text
    from app.history import History

    check_writable(junit, drafts)
    asked = read_questions(questions) if questions else ()
    settings = load(corpus=corpus or (sample_documents() if questions == SAMPLE else None))
    given = History(settings.state_dir).opinions() if thumbs else []
    judged, left_out = regression.from_thumbs(given, settings.corpus)
    if left_out:
        why = "on follow-up questions, on files that are not in this folder, or on answers that no model wrote"
        tell(f"{count(left_out, 'thumb')} left out: {why}.")
    expected = regression.merged(asked, judged)
    if not expected:
        raise InputError("There is nothing to ask. Give --questions FILE, or thumbs in the chat.")
    named = mode_named(mode)
    outcomes: list[Outcome] = []
    with suppress(KeyboardInterrupt):  # what is done is shown
        asyncio.run(_answered(settings, expected, named, outcomes))
    limits = {"facts": min_facts, "right": min_right, "abstained": min_abstained, "citations": min_citations}
    limits |= {"wrong_kept": max_wrong_kept, "right_escalated": max_right_escalated, "repeated": 0.0}
    result = regression.report(outcomes, named, limits, len(expected) - len(outcomes))
    if junit is not None:
        write_text(junit, regression.junit(result))
    if drafts is not None:
        write_rows(drafts, regression.judged_drafts(outcomes, Path(questions).stem if questions else "thumbs"))
    show(result, as_json, regression.lines(result))
    if not result["passed"]:
        raise typer.Exit(1)


async def _answered(settings: Settings, expected: "Sequence[Expectation]", mode: "Mode", done: "list[Outcome]") -> None:
    from app.answering.pipeline import Assistant
    from app.evaluation.regression import ask_all

    async with Assistant(settings, patience=None, learn=False) as assistant:
        await ask_all(assistant, expected, mode, done.append, watch)


@evaluate.command("retrieval")
def eval_retrieval(
    folder: Folder,
    history: Annotated[bool, typer.Option("--history", help="Search with the conversation before a question.")] = False,
    run: Annotated[Path | None, typer.Option(help="Write the hits of each question to this file.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with the run in this file.")] = None,
    typos: Annotated[bool, typer.Option("--typos", help="Mistype a word of each question.")] = False,
    changed_subject: Annotated[bool, typer.Option("--changed-subject", help="Ask after another conversation.")] = False,
    seed: Annotated[int, typer.Option(help="Draw other typing errors or conversations.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well the search finds the passages that people judged relevant.

    --typos and --changed-subject change the questions; these and --against need a clone of the repository.
    """
    from app.evaluation import retrieval_eval as evaluation
    from app.evaluation.datasets import check_writable, read_collection

    check_writable(run)
    collection = read_collection(folder)
    if changed_subject:
        collection = clone_module("benchmarks.variants").subject_changes(collection, seed)
    if typos:
        collection = clone_module("benchmarks.variants").mistyped(collection, seed)
    for remark in collection.remarks:
        tell(remark)
    with_history = history or changed_subject
    comparison = clone_module("benchmarks.paired").comparison(against) if against else None
    result = evaluation.evaluate(collection, history=with_history, watch=watch, run=run, compare=comparison)
    show(result, as_json, evaluation.lines(result))


@evaluate.command()
def threshold(
    answers: Annotated[
        list[Path] | None,
        typer.Argument(help="Judged answers of the small model, as JSON lines (default: the thumbs)."),
    ] = None,
    share: Annotated[float, fraction("The wished share of large calls.")] = 0.2,
    max_bad: Annotated[Share, fraction("Fewer large calls, while at most this share of the rest is bad.")] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="How sure the bound is.")] = 0.9,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Choose the threshold of the soft score for your documents, from about 50 judged answers of the small model.

    It prints what each threshold would have done, and the line for .env.
    """
    from app.evaluation import threshold as calibration
    from app.evaluation.datasets import read_answers
    from app.history import History

    if answers:
        drafts = list(calibration.judged_rows([row for file in answers for row in read_answers(file)]))
    else:
        drafts, unknown = calibration.judged_thumbs(History(load().state_dir).opinions())
        if unknown:
            tell(f"{count(unknown, 'thumb')} from an earlier version without a score; left out.")
    result = calibration.calibrate(drafts, share, max_bad, confidence)
    show(result, as_json, calibration.lines(result))
    if result["chosen"] is None:
        raise typer.Exit(1)


@evaluate.command()
def rubric(
    run: Annotated[Path, typer.Argument(help="A comparison, as `escalator compare --json` prints it.")],
    judge: Annotated[str | None, typer.Option(help="The model that rates (default: ESCALATOR_JUDGE).")] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page on which a person rates to this file.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="Read ratings that such a page has saved.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the judge's ratings to this file.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Rate the answers of a comparison for coherence, factuality and brevity, from 1 to 5.

    A model rates no answer of its own. The agreement of every two raters is a weighted kappa.
    """
    from app.evaluation import rubric as rating
    from app.evaluation.datasets import check_writable, write_text
    from app.evaluation.results import read_result

    check_writable(page, save)
    settings = load(judge=judge)
    asked = rating.samples(read_result(run))
    if not asked:
        raise InputError(f"{run} has no answers of models. Give a comparison with answers.")
    raters = [rating.read_ratings(file, asked) for file in ratings or ()]
    if page is not None:
        write_text(page, rating.rating_page(run.stem, asked))
        tell(f"{page}: {count(len(asked), 'answer')}. Open it in a browser; --ratings reads what it saves.")
    elif not (settings.judge or raters):
        raise InputError("Nobody rates. Name a model with --judge, write a --page for a person, or read --ratings.")
    if settings.judge:
        known = next((rater for rater in raters if rater.rater == settings.judge), rating.Ratings(settings.judge, {}))
        raters = [rater for rater in raters if rater is not known]
        rated = dict(known.values)
        try:
            remarks = asyncio.run(_judged(settings, asked, rated))
        except KeyboardInterrupt:  # what is done is shown and saved
            remarks = ("Interrupted; with --save, and that file as --ratings, it can go on.",)
        raters.append(judged := rating.Ratings(settings.judge, rated, remarks, judge=True))
        if save is not None:
            write_text(save, json.dumps(rating.as_json(judged), indent=1))
    result = rating.summary(asked, raters)
    show(result, as_json, rating.lines(result))


async def _judged(settings: Settings, asked: "Sequence[Sample]", rated: "dict[str, Values]") -> tuple[str, ...]:
    from app.answering.pipeline import Assistant
    from app.answering.turn import Turn
    from app.documents.document import ANY
    from app.evaluation import rubric

    async with Assistant(settings, patience=None) as assistant:
        rule = await assistant.retriever.run(lambda: assistant.retriever.rule(Turn(""), (ANY,)))
        return await rubric.judge(assistant.models, settings.judge, rule, asked, rated, tell, watch)
