"""How fast a folder of documents becomes searchable, and what reading its formats takes beside bare libraries."""

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

from app.answering.usage import Stopwatch
from app.documents import readers
from app.documents.folder import Folder
from app.errors import EscalatorError
from app.evaluation import formats, generated
from app.evaluation.measuring import Tell, median, process, took
from app.evaluation.peers import opened
from app.retrieval.corpus import Retriever
from app.retrieval.search import Found, search
from app.retrieval.watcher import Sync

ROUNDS = 5
BATCHES = 3
MAX_BYTES = 40_000_000
SECTIONS = 3
"""Of a file among many; each is one passage."""

LONG = 100
"""Sections of a file of a corpus that is measured in passages."""

DROPPED_BYTES = 1_000_000
PATIENCE_SECONDS = 60
_WORDS = [f"quetzal{first}{second}" for first in "abdegikmou" for second in "lnrst"]
"""In no text that is made up; one for each change."""

Ask = Callable[[str], Found]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: files, passages of the corpora that a file is dropped into, seconds of a batch."""

    files: int = 10_000
    passages: tuple[int, ...] = (1_000, 100_000)
    seconds: float = 2.0
    large: bool = True


QUICK = Size(200, (100, 1_000), 0.02, large=False)


def bench_corpus(size: Size, tell: Tell) -> dict[str, Any]:
    """All figures; those with {median, worst} are of five rounds. Raises EscalatorError.

    formats    rows of format, kind ("decoder" or "same purpose"), library, compared (what the library reads), bytes,
               escalator_ms, bare_ms and ratio, which is bare_ms / escalator_ms; processor time of one reading, medians
               of three pairs of batches in turns
    index      the first indexing of many Markdown files: files, mb, passages, seconds, files_per_s, and peak_mb, the
               most memory that the process and those it started had, where shared memory counts more than once
    open_ms    until an index that exists answers; look_ms: a look at the folder that finds nothing new
    change_ms  one file among many added, edited, renamed or deleted, until a question is answered rightly; by
               Retriever.search and by Sync
    drop_s     rows of passages and, for 1 MB of text in one new file, the seconds from the end of writing it until a
               question finds its last word: asked by Retriever.search, by Sync, and "watched", without a question
    """
    samples = formats.SAMPLES if formats.FILES.is_dir() else ()
    if not samples:
        tell(f"The formats are left out, their files are not there: {formats.FILES}")
    result: dict[str, Any] = {"formats": [row for sample in samples for row in _reading(sample, size, tell)]}
    with tempfile.TemporaryDirectory(prefix="escalator-", ignore_cleanup_errors=True) as home:
        corpus, state = Path(home) / "corpus", Path(home) / "state"
        written = generated.folder(corpus, size.files * SECTIONS, SECTIONS)
        tell(f"{size.files} files: indexing")
        result["index"] = {"files": size.files, "mb": round(written / 1e6, 1)} | _indexed(corpus, state)
        result["index"]["files_per_s"] = round(size.files / result["index"]["seconds"])
        (index,) = (state / "index").iterdir()
        retriever = Retriever(Folder(corpus, MAX_BYTES), state)
        retriever.refresh()
        result["open_ms"] = _figures([took(opened, index) for _ in range(ROUNDS)])
        result["look_ms"] = _figures([took(retriever.refresh) for _ in range(ROUNDS)])
        tell(f"{size.files} files: changes")
        words = iter(_WORDS)
        result["change_ms"] = {"search": _changes(corpus, retriever.search, words)}
        with _followed(retriever) as ask:
            result["change_ms"]["sync"] = _changes(corpus, ask, words)
    result["drop_s"] = [_drops(count, tell) for count in size.passages]
    return result


def table(result: dict[str, Any]) -> Iterator[str]:
    """The same for a person to read."""
    yield f"{'format':8}{'kind':14}{'library':24}{'MB':>8}{'our ms':>10}{'bare ms':>10}{'ratio':>8}"
    columns = "{format:8}{kind:14}{library:24}{mb:8.2f}{escalator_ms:10.1f}{bare_ms:10.1f}{ratio:8.2f}  {compared}"
    for row in result["formats"]:
        yield columns.format_map(row | {"mb": row["bytes"] / 1e6})
    text = "{files} files, {passages} passages: {seconds} s, {files_per_s} files/s, at most {peak_mb} MB"
    yield text.format_map(result["index"])
    figures = {"open it, ms": result["open_ms"], "look, ms": result["look_ms"]}
    figures |= {f"{act}, {way}, ms": found for way, acts in result["change_ms"].items() for act, found in acts.items()}
    for row in result["drop_s"]:
        figures |= {f"drop into {row['passages']}, {way}, s": row[way] for way in ("search", "sync", "watched")}
    yield from (f"{name:32}{found['median']:10} worst {found['worst']}" for name, found in figures.items())


def _reading(sample: formats.Sample, size: Size, tell: Tell) -> Iterator[dict[str, Any]]:
    """One format beside each of its libraries, in one process."""
    data = sample.data(sample.times if size.large else 1)
    for bare in sample.bare:
        if bare.missing:
            tell(f"{sample.suffix} is not compared with {bare.library}, which is not installed.")
            continue
        tell(f"{sample.suffix} beside {bare.library}")
        calls: tuple[Callable[[bytes], object], ...] = (readers.SUFFIXES[sample.suffix].read, bare.read)
        for call in calls:
            call(data)  # imports
        pairs = [[_batch(call, data, size.seconds) for call in calls] for _ in range(BATCHES)]
        ours, theirs = map(median, zip(*pairs, strict=True))
        yield {
            "format": sample.suffix, "kind": bare.kind, "library": bare.library, "compared": bare.compared,
            "bytes": len(data), "escalator_ms": ours, "bare_ms": theirs,
            "ratio": median([their / our for our, their in pairs]),
        }  # fmt: skip


def _batch(call: Callable[[bytes], object], data: bytes, seconds: float) -> float:
    """Milliseconds of processor time of one call, the mean of as many as take so many seconds."""
    calls, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds or not calls:
        call(data)
        calls += 1
    return spent / calls * 1000


def _indexed(corpus: Path, state: Path) -> dict[str, Any]:
    """The first indexing, in a process of its own."""
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
    """What runs in that process."""
    clock = Stopwatch()
    snapshot = Retriever(Folder(corpus, MAX_BYTES), state).refresh()
    line.send((clock.ms / 1000, len(snapshot.index)))


def _memory() -> int:
    """Bytes in memory of that process and of all that it has started."""
    total = 0
    with suppress(psutil.Error):  # one has just ended
        for child in multiprocessing.active_children():
            indexing = psutil.Process(child.pid)
            total += sum(each.memory_info().rss for each in (indexing, *indexing.children(recursive=True)))
    return total


@contextmanager
def _followed(retriever: Retriever) -> Iterator[Ask]:
    """Asks a corpus that is kept in step."""
    kept = Sync(retriever)
    kept.current()
    yield lambda question: search(kept.current().index, question)
    kept.stop()


def _changes(corpus: Path, ask: Ask, words: Iterator[str]) -> dict[str, Any]:
    """One file that comes, changes, gets another name and goes, a few times; two words for each time."""
    path, moved = corpus / "new.md", corpus / "moved.md"
    times: dict[str, list[float]] = {"add": [], "edit": [], "rename": [], "delete": []}
    for _ in range(ROUNDS):
        first, second = next(words), next(words)
        path.write_text(f"The {first} is here.", encoding="utf-8")
        times["add"].append(_found(ask, first, {path.name}))
        path.write_text(f"The {second} is here instead.", encoding="utf-8")
        times["edit"].append(_found(ask, second, {path.name}))
        path.rename(moved)
        times["rename"].append(_found(ask, second, {moved.name}))
        moved.unlink()
        times["delete"].append(_found(ask, second, set()))
    return {act: _figures(took) for act, took in times.items()}


def _drops(passages: int, tell: Tell) -> dict[str, Any]:
    """A large file that comes to so many passages."""
    tell(f"{passages} passages: a file of 1 MB is dropped")
    with tempfile.TemporaryDirectory(prefix="escalator-", ignore_cleanup_errors=True) as home:
        corpus = Path(home) / "corpus"
        generated.folder(corpus, passages, min(LONG, passages))
        retriever = Retriever(Folder(corpus, MAX_BYTES), Path(home) / "state")
        row: dict[str, Any] = {"passages": len(retriever.refresh().index)}
        words = iter(_WORDS)
        row["search"] = _dropped(corpus, retriever.search, words)
        with _followed(retriever) as ask:
            row["sync"] = _dropped(corpus, ask, words)
            row["watched"] = _dropped(corpus, lambda question: search(retriever.latest().index, question), words)
    return row


def _dropped(corpus: Path, ask: Ask, words: Iterator[str]) -> dict[str, float]:
    path, times = corpus / "dropped.txt", []
    text = "\n\n".join(generated.passages(DROPPED_BYTES // 250, seed=1))[: DROPPED_BYTES - 100]
    for word in islice(words, ROUNDS):
        path.write_text(f"{text}\n\nThe {word} is the end.\n", encoding="utf-8")
        times.append(_found(ask, word, {path.name}) / 1000)
        path.unlink()
        _found(ask, word, set())
    return _figures(times)


def _found(ask: Ask, word: str, expected: set[str]) -> float:
    """Milliseconds until a question for a word finds it in just these files; raises EscalatorError."""
    clock = Stopwatch()
    while (spent := clock.ms / 1000) < PATIENCE_SECONDS:
        if {hit.passage.file for hit in ask(word).hits if word in hit.passage.text} == expected:
            return clock.ms
        time.sleep(0.005)
    raise EscalatorError(f"After {spent:.0f} s a change of the folder was not searchable; the log says more.")


def _figures(times: Sequence[float]) -> dict[str, float]:
    return {"median": median(times), "worst": round(max(times), 3)}
