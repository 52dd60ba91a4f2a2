"""Escalator as a library: search and ask a folder of documents. In a notebook:

    from app import answer, search

    for hit in search("prefill", corpus="corpus"):
        print(hit.passage.file, hit.passage.text)
    print((await answer("What is prefill?", corpus="corpus")).rendered)

In a script, `asyncio.run(answer(…))` does the same. Importing this package imports nothing else.
"""

import importlib
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.answering.citations import cite
    from app.answering.pipeline import Assistant
    from app.answering.turn import Answer, Mode, Turn
    from app.evaluation.datasets import Question
    from app.evaluation.report_page import Page
    from app.evaluation.results import ComparisonResult
    from app.retrieval.search import Hit

__all__ = ["Assistant", "Question", "Turn", "answer", "cite", "compare", "report", "search"]

_MODULES = {
    "Assistant": "app.answering.pipeline",
    "Question": "app.evaluation.datasets",
    "Turn": "app.answering.turn",
    "cite": "app.answering.citations",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def search(question: str, *, corpus: str | Path | None = None, k: int = 10) -> "tuple[Hit, ...]":
    """Find the passages of a folder that match a question, best first; reads what is new there before.

    Raises InputError, SettingsError, CorpusError.
    """
    from app.answering.turn import Turn
    from app.postgres import corpus_of
    from app.settings import load

    Turn(question).check()
    settings = load(corpus=corpus)
    return corpus_of(settings).search(question, k=k).hits


async def answer(question: str, *, corpus: str | Path | None = None, mode: "Mode" = "auto", **given: Any) -> "Answer":
    """Answer a question from a folder, and give the model server back; further settings by field name.

    Without a model the answer is quotes. Raises InputError, SettingsError; other failures are in `Answer.notices`.
    """
    from app.answering.events import Finished
    from app.answering.pipeline import Assistant
    from app.answering.turn import Turn
    from app.settings import load

    turn = Turn(question, mode=mode)
    turn.check()
    made = Assistant(load(corpus=corpus, **given), patience=None)
    async with made as assistant, aclosing(assistant.answer(turn)) as events:
        async for event in events:
            if isinstance(event, Finished):
                return event.answer
    raise AssertionError("a turn always finishes")


async def compare(
    asked: "str | Sequence[Question]",
    *,
    corpus: str | Path | None = None,
    models: Sequence[str] = (),
    modes: "Sequence[Mode]" = (),
    rounds: int = 1,
    **given: Any,
) -> "ComparisonResult":
    """Ask two models or more the same, and in `modes` the cascade of both; with passages of a folder if one is given.

    What is missing is in `problems` of the result. Raises InputError, SettingsError, ModelError, CorpusError.
    """
    from app.evaluation.compare import Comparison
    from app.evaluation.datasets import Question
    from app.evaluation.plan import Plan
    from app.settings import load

    questions = (Question("1", asked),) if isinstance(asked, str) else tuple(asked)
    plan = Plan(questions, rounds, tuple(models), tuple(modes), (corpus is not None,), str(corpus or ""))
    comparison = Comparison(load(corpus=corpus, **given), plan, _silent, _silent)
    await comparison.measure()
    return comparison.result()


def report(
    result: "ComparisonResult", *, against: "ComparisonResult | None" = None, ratings: Sequence[str | Path] = ()
) -> "Page":
    """Make the report of a comparison, and say what has changed beyond noise against another one.

    `ratings` are files that `escalator eval rubric` or its page has saved. Raises InputError.
    """
    from app.evaluation.report import page
    from app.evaluation.rubric import read_ratings, samples
    from app.evaluation.summary import changes

    changed = changes(against, result) if against is not None else ()
    return page(result, changed, [read_ratings(Path(file), samples(result)) for file in ratings])


def _silent(*_progress: object) -> None:
    """Take what is told while a comparison goes on, of which a notebook shows nothing."""
