"""Escalator as a library: search and ask a folder of documents. In a notebook:

    from app import answer, search

    for hit in search("prefill", corpus="corpus"):
        print(hit.passage.file, hit.passage.text)
    print((await answer("What is prefill?", corpus="corpus")).rendered)

In a script, `asyncio.run(answer(…))` does the same. Importing this package imports nothing else.
"""

import importlib
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.answering.citations import cite
    from app.answering.pipeline import Assistant
    from app.answering.turn import Answer, Mode, Turn
    from app.retrieval.search import Hit

__all__ = ["Assistant", "Turn", "answer", "cite", "search"]

_MODULES = {"Assistant": "app.answering.pipeline", "Turn": "app.answering.turn", "cite": "app.answering.citations"}


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
    from app.documents.folder import Folder
    from app.retrieval.corpus import Corpus
    from app.settings import load

    Turn(question).check()
    settings = load(corpus=corpus)
    return Corpus(Folder.of(settings), settings.state_dir).search(question, k=k).hits


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
    assistant = Assistant(load(corpus=corpus, **given), patience=None)
    try:
        async with aclosing(assistant.answer(turn)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.answer
    finally:
        await assistant.close()
    raise AssertionError("a turn always finishes")
