"""The speed and memory of search engines, ours and its peers: each in its own process, taking turns in one run."""

import gc
import json
import re
import signal
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app.answering.turn import Stopwatch
from app.documents.language import DEFAULT
from app.errors import EscalatorError, InputError
from app.evaluation.datasets import Collection
from benchmarks import generated
from benchmarks.engines import ENGINES, Engine, missing, opened
from benchmarks.measuring import Tell, median, process, took

ROUNDS = 5
QUESTIONS = 100
WARM_UP = 200
"""Passages that an engine indexes first, so that no time includes what it imports and compiles once."""


def bench_retrieval(sizes: Sequence[int], collection: Collection | None, tell: Tell) -> dict[str, Any]:
    """Return a row for each number of passages, of generated text without a collection; raises EscalatorError."""
    engines = {name: engine for name, engine in ENGINES.items() if not missing(name)}
    for name in [name for name in ENGINES if name not in engines]:
        tell(f"{name} is left out: install {' and '.join(missing(name))} to have it measured too.")
    return {"rows": [_row(size, collection, engines, tell) for size in sizes]}


def sizes(text: str) -> list[int]:
    """Parse numbers separated by commas; raises InputError."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise InputError(f"The passages are {text!r}; give whole numbers above 0 with commas, such as 1000,20000.")
    return numbers


def _row(size: int, collection: Collection | None, engines: Mapping[str, Engine], tell: Tell) -> dict[str, Any]:
    language = statistics.mode(p.language for p in collection.passages) if collection else DEFAULT
    own = [passage.text for passage in collection.passages] if collection else generated.passages(size)
    texts = generated.longer(own, size)
    task = {"texts": texts, "questions": generated.questions(texts, QUESTIONS, language), "language": language}
    built: dict[str, dict[str, Any]] = {}
    times: dict[str, list[list[float]]] = {name: [] for name in engines}  # of rounds, the first of which warms up
    with tempfile.TemporaryDirectory(prefix="escalator-") as folder, ExitStack() as stack:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        engine_lines: dict[str, Connection] = {}
        try:
            for name, engine in engines.items():
                tell(f"{size} passages: {name} builds")
                engine_lines[name] = stack.enter_context(process(_serve, engine, file, Path(folder) / name))
                built[name] = engine_lines[name].recv()
            for number in range(ROUNDS + 1):
                tell(f"{size} passages: round {number} of {ROUNDS}")
                for name, line in engine_lines.items():
                    line.send("again")
                    times[name].append(line.recv())
        except (EOFError, OSError) as error:
            lack = "ended early, perhaps for lack of memory. Give fewer passages with --passages."
            raise EscalatorError(f"{name} {lack}") from error
    return {
        "passages": size,
        **{f"p{n}_ms": {name: _percentile(rounds[1:], n) for name, rounds in times.items()} for n in (50, 95)},
        **{key: {name: figures[key] for name, figures in built.items()} for key in ("build_s", "rss_mb", "peak_mb")},
        "open_ms": built["escalator"]["open_ms"],
    }


def _percentile(rounds: Sequence[Sequence[float]], n: int) -> float:
    """Return the median over the rounds of a percentile over the questions, in milliseconds."""
    return median([sorted(times)[len(times) * n // 100] for times in rounds], 4)


def _serve(engine: Engine, file: Path, folder: Path, line: Connection) -> None:
    """Run in the process of an engine: build its index, then answer all questions for each message."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the parent, which kills this process
    task = json.loads(file.read_text(encoding="utf-8"))
    texts, questions, language = task["texts"], task["questions"], task["language"]
    engine(texts[:WARM_UP], language, folder / "small")(questions[0])
    gc.collect()
    clock = Stopwatch()
    query = engine(texts, language, folder / "all")
    seconds = clock.ms / 1000
    gc.collect()
    built = {"build_s": round(seconds, 3), **_memory()}
    if (folder / "all").exists():
        built["open_ms"] = median([took(opened, folder / "all") for _ in range(ROUNDS)])
    line.send(built)
    with suppress(EOFError):
        while line.recv():
            line.send([took(query, question) for question in questions])


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for row in result["rows"]:
        yield f"{row['passages']} passages, 10 hits{'p50 ms':>17}{'p95 ms':>10}{'build s':>10}{'MB':>10}"
        for name in row["p50_ms"]:
            keys = ("p50_ms", "p95_ms", "build_s", "rss_mb")
            yield f"  {name:30}{''.join(f'{row[key][name]:10}' for key in keys)}"


def _memory() -> dict[str, Any]:
    """Return the resident memory of this process and, where the system reports it, its peak, in MB of 10^6 bytes."""
    import psutil

    memory = psutil.Process().memory_info()
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    peak = int(match[1]) * 1024 if match else getattr(memory, "peak_wset", None)  # Linux, Windows
    return {"rss_mb": round(memory.rss / 1e6, 1), "peak_mb": peak and round(peak / 1e6, 1)}
