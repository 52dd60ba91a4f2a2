"""The way of one question through `app/`: the files that it passes and the lines that run.

`python -m tests.support.tracing [QUESTION]` prints them. The models are scripted ones on the genuine runtime; indexing,
the start of the runtime and the browser's face are not counted.
"""

import asyncio
import sys
import tempfile
import threading
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from types import FrameType
from typing import Any

from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.settings import ROOT

QUESTION = "Explain how BM25 keeps long documents from winning."
"""A question about the sample documents that the tests' small model answers too badly."""

APP = f"{ROOT / 'app'}"


async def trace(cache: Path, question: str = QUESTION) -> tuple[Counter[str], bool]:
    """Ask over the sample documents with the models of a cache.

    Returns the lines that ran in each file, and whether the question escalated.
    """
    from tests.support.runtime import settings_for

    lines: set[tuple[str, int]] = set()
    counting = False

    def tracer(frame: FrameType, event: str, _: Any) -> Any:
        if not counting or not frame.f_code.co_filename.startswith(APP):
            return None
        if event == "line":
            lines.add((Path(frame.f_code.co_filename).relative_to(APP).as_posix(), frame.f_lineno))
        return tracer

    threading.settrace(tracer)  # before any thread of the assistant starts
    sys.settrace(tracer)
    assistant = Assistant(settings_for(cache, ROOT / "corpus"), patience=None)
    try:
        await _answer(assistant, "What is BM25?")  # reads the documents, and loads the small model
        counting = True
        escalated = await _answer(assistant, question)
        counting = False
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        await assistant.close()
    return Counter(name for name, _ in lines), escalated


async def _answer(assistant: Assistant, question: str) -> bool:
    """Ask, and return whether the answer is the large model's."""
    async with aclosing(assistant.answer(Turn(question))) as events:
        last: Any = [event async for event in events][-1]
    return bool(last.answer.escalated)


if __name__ == "__main__":
    from tests.support import scripted
    from tests.support.runtime import LARGE, SMALL

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        cache = scripted.make(Path(home) / "models" / "cache", SMALL, LARGE)
        files, escalated = asyncio.run(trace(cache, *sys.argv[1:]))
    for name, count in files.most_common():
        print(f"{count:5} {name}")
    print(f"{len(files)} files, {files.total()} lines, {'' if escalated else 'not '}escalated")
