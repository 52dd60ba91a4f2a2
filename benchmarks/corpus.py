"""The time until documents are searchable: first indexing, opening an index, changed files, a dropped file."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from app.answering.turn import Stopwatch
from app.documents.folder import Folder
from app.errors import EscalatorError
from app.retrieval.corpus import Corpus, Watcher
from app.retrieval.search import SearchResult, search
from benchmarks import generated
from benchmarks.engines import opened
from benchmarks.measuring import Tell, median, process, took

ROUNDS = 5
MAX_BYTES = 40_000_000
SECTIONS = 3
"""Sections of each file among many; a section is one passage."""

LONG = 100
"""Sections of each file of a corpus that is measured in passages."""

DROPPED_BYTES = 1_000_000
PATIENCE_SECONDS = 60
_WORDS = [f"quetzal{first}{second}" for first in "abdegikmou" for second in "lnrst"]
"""Words that no generated text contains; one for each change."""

Search = Callable[[str], SearchResult]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: files, and passages of the corpora that a file is dropped into."""

    files: int = 10_000
    passages: tuple[int, ...] = (1_000, 100_000)


QUICK = Size(200, (100, 1_000))


def bench_corpus(size: Size, tell: Tell) -> dict[str, Any]:
    """Measure everything; figures with {median, worst} are of five rounds. Raises EscalatorError.

    index      the first indexing of many Markdown files: files, mb, passages, seconds, files_per_s, and peak_mb, the
               largest memory of the process and of those it started, where shared memory counts more than once
    open_ms    opening an existing index until it answers; look_ms: a scan of the folder that finds nothing new
    change_ms  one file among many added, edited, renamed or deleted, until a search returns the right result; by
               Corpus.search and by Watcher
    drop_s     rows of passages and, for 1 MB of text in one new file, the seconds from the end of writing it until a
               search finds its last word: by Corpus.search, by Watcher, and "watched", without a question
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="escalator-", ignore_cleanup_errors=True) as home:
        corpus, state = Path(home) / "corpus", Path(home) / "state"
        written = generated.folder(corpus, size.files * SECTIONS, SECTIONS)
        tell(f"{size.files} files: indexing")
        result["index"] = {"files": size.files, "mb": round(written / 1e6, 1)} | _indexed(corpus, state)
        result["index"]["files_per_s"] = round(size.files / result["index"]["seconds"])
        (index,) = (state / "index").iterdir()
        retriever = Corpus(Folder(corpus, MAX_BYTES), state)
        retriever.refresh()
        result["open_ms"] = _figures([took(opened, index) for _ in range(ROUNDS)])
        result["look_ms"] = _figures([took(retriever.refresh) for _ in range(ROUNDS)])
        tell(f"{size.files} files: changes")
        words = iter(_WORDS)
        result["change_ms"] = {"search": _changes(corpus, retriever.search, words)}
        with _followed(retriever) as search_for:
            result["change_ms"]["sync"] = _changes(corpus, search_for, words)
    result["drop_s"] = [_drops(count, tell) for count in size.passages]
    return result


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    text = "{files} files, {passages} passages: {seconds} s, {files_per_s} files/s, at most {peak_mb} MB"
    yield text.format_map(result["index"])
    figures = {"open it, ms": result["open_ms"], "look, ms": result["look_ms"]}
    figures |= {f"{act}, {way}, ms": found for way, acts in result["change_ms"].items() for act, found in acts.items()}
    for row in result["drop_s"]:
        figures |= {f"drop into {row['passages']}, {way}, s": row[way] for way in ("search", "sync", "watched")}
    yield from (f"{name:32}{found['median']:10} worst {found['worst']}" for name, found in figures.items())


def _indexed(corpus: Path, state: Path) -> dict[str, Any]:
    """Index the corpus for the first time, in a process of its own."""
    peak = 0
    try:
        with process(_index, corpus, state) as line:
            while not line.poll(0.05):
                peak = max(peak, _memory())
            seconds, passages = line.recv()
    except (EOFError, OSError) as error:
        raise EscalatorError("Indexing ended early, perhaps for lack of memory; the log says more.") from error
    return {"seconds": round(seconds, 3), "passages": passages, "peak_mb": round(peak / 1e6, 1)}


def _index(corpus: Path, state: Path, line: Connection) -> None:
    """Run in that process: index, then send the seconds and the number of passages."""
    clock = Stopwatch()
    snapshot = Corpus(Folder(corpus, MAX_BYTES), state).refresh()
    line.send((clock.ms / 1000, len(snapshot.index)))


def _memory() -> int:
    """Return the resident bytes of that process and of all processes that it started."""
    total = 0
    with suppress(psutil.Error):  # a process has just ended
        for child in multiprocessing.active_children():
            indexing = psutil.Process(child.pid)
            total += sum(each.memory_info().rss for each in (indexing, *indexing.children(recursive=True)))
    return total


@contextmanager
def _followed(retriever: Corpus) -> Iterator[Search]:
    """Search a corpus that a Watcher keeps up to date."""
    kept = Watcher(retriever)
    kept.current()
    yield lambda question: search(kept.current().index, question)
    kept.close()


def _changes(corpus: Path, search_for: Search, words: Iterator[str]) -> dict[str, Any]:
    """Measure adding, editing, renaming and deleting one file; each round takes two words."""
    path, moved = corpus / "new.md", corpus / "moved.md"
    times: dict[str, list[float]] = {"add": [], "edit": [], "rename": [], "delete": []}
    for _ in range(ROUNDS):
        first, second = next(words), next(words)
        path.write_text(f"The {first} is here.", encoding="utf-8")
        times["add"].append(_searchable(search_for, first, {path.name}))
        path.write_text(f"The {second} is here instead.", encoding="utf-8")
        times["edit"].append(_searchable(search_for, second, {path.name}))
        path.rename(moved)
        times["rename"].append(_searchable(search_for, second, {moved.name}))
        moved.unlink()
        times["delete"].append(_searchable(search_for, second, set()))
    return {act: _figures(took) for act, took in times.items()}


def _drops(passages: int, tell: Tell) -> dict[str, Any]:
    """Measure how soon a large file is searchable in a corpus of this many passages."""
    tell(f"{passages} passages: a file of 1 MB is dropped")
    with tempfile.TemporaryDirectory(prefix="escalator-", ignore_cleanup_errors=True) as home:
        corpus = Path(home) / "corpus"
        generated.folder(corpus, passages, min(LONG, passages))
        retriever = Corpus(Folder(corpus, MAX_BYTES), Path(home) / "state")
        row: dict[str, Any] = {"passages": len(retriever.refresh().index)}
        words = iter(_WORDS)
        row["search"] = _dropped(corpus, retriever.search, words)
        with _followed(retriever) as search_for:
            row["sync"] = _dropped(corpus, search_for, words)
            row["watched"] = _dropped(corpus, lambda question: search(retriever.latest().index, question), words)
    return row


def _dropped(corpus: Path, search_for: Search, words: Iterator[str]) -> dict[str, float]:
    path, times = corpus / "dropped.txt", []
    text = "\n\n".join(generated.passages(DROPPED_BYTES // 250, seed=1))[: DROPPED_BYTES - 100]
    for word in islice(words, ROUNDS):
        path.write_text(f"{text}\n\nThe {word} is the end.\n", encoding="utf-8")
        times.append(_searchable(search_for, word, {path.name}) / 1000)
        path.unlink()
        _searchable(search_for, word, set())
    return _figures(times)


def _searchable(search_for: Search, word: str, expected: set[str]) -> float:
    """Return the milliseconds until a search for a word finds it in exactly these files; raises EscalatorError."""
    clock = Stopwatch()
    while (spent := clock.ms / 1000) < PATIENCE_SECONDS:
        if {hit.passage.file for hit in search_for(word).hits if word in hit.passage.text} == expected:
            return clock.ms
        time.sleep(0.005)
    raise EscalatorError(f"After {spent:.0f} s a change of the folder was not searchable; the log says more.")


def _figures(times: Sequence[float]) -> dict[str, float]:
    return {"median": median(times), "worst": round(max(times), 3)}
