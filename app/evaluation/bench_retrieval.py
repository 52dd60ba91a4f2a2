"""How fast searches are, ours beside its peers: each engine in a process of its own, in turns, in one run."""

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

from app.answering.usage import Stopwatch
from app.documents.language import DEFAULT
from app.errors import EscalatorError, InputError
from app.evaluation import generated
from app.evaluation.collections import Collection
from app.evaluation.measuring import Tell, median, process, took
from app.evaluation.peers import ENGINES, Engine, missing, opened

ROUNDS = 5
QUESTIONS = 100
WARM_UP = 200
"""Passages that an engine indexes first, so that what it imports and compiles once is in no figure of time."""


def bench_retrieval(sizes: Sequence[int], collection: Collection | None, tell: Tell) -> dict[str, Any]:
    """A row for each number of passages; made-up text unless there is a collection. Raises EscalatorError."""
    engines = {name: engine for name, engine in ENGINES.items() if not missing(name)}
    for name in [name for name in ENGINES if name not in engines]:
        tell(f"{name} is left out: install {' and '.join(missing(name))} to have it measured too.")
    return {"rows": [_row(size, collection, engines, tell) for size in sizes]}


def sizes(text: str) -> list[int]:
    """Numbers with commas between them; raises InputError."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise InputError(f"The passages are {text!r}; give whole numbers above 0 with commas, such as 1000,20000.")
    return numbers


def _row(size: int, collection: Collection | None, engines: Mapping[str, Engine], tell: Tell) -> dict[str, Any]:
    language = statistics.mode(p.language for p in collection.passages) if collection else DEFAULT
    own = [passage.text for passage in collection.passages] if collection else generated.passages(size)
    texts = generated.longer(own, size)
    told = {"texts": texts, "questions": generated.questions(texts, QUESTIONS, language), "language": language}
    built: dict[str, dict[str, Any]] = {}
    times: dict[str, list[list[float]]] = {name: [] for name in engines}  # of rounds, the first of which warms up
    with tempfile.TemporaryDirectory(prefix="escalator-") as folder, ExitStack() as stack:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(told), encoding="utf-8")
        lines: dict[str, Connection] = {}
        try:
            for name, engine in engines.items():
                tell(f"{size} passages: {name} builds")
                lines[name] = stack.enter_context(process(_serve, engine, file, Path(folder) / name))
                built[name] = lines[name].recv()
            for number in range(ROUNDS + 1):
                tell(f"{size} passages: round {number} of {ROUNDS}")
                for name, line in lines.items():
                    line.send("again")
                    times[name].append(line.recv())
        except (EOFError, OSError) as error:
            lack = "ended early, perhaps for lack of memory. Give fewer passages with --passages."
            raise EscalatorError(f"{name} {lack}") from error
    return {
        "passages": size,
        **{f"p{n}_ms": {name: _percentile(rounds[1:], n) for name, rounds in times.items()} for n in (50, 95)},
        **{key: {name: found[key] for name, found in built.items()} for key in ("build_s", "rss_mb", "peak_mb")},
        "open_ms": built["escalator"]["open_ms"],
    }


def _percentile(rounds: Sequence[Sequence[float]], n: int) -> float:
    """The median over the rounds of a percentile over the questions, in milliseconds."""
    return median([sorted(times)[len(times) * n // 100] for times in rounds], 4)


def _serve(engine: Engine, file: Path, folder: Path, line: Connection) -> None:
    """What runs in the process of an engine: it builds, and answers until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the one who asks
    told = json.loads(file.read_text(encoding="utf-8"))
    texts, questions, language = told["texts"], told["questions"], told["language"]
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


def table(result: dict[str, Any]) -> Iterator[str]:
    """The same for a person to read."""
    for row in result["rows"]:
        yield f"{row['passages']} passages, 10 hits{'p50 ms':>17}{'p95 ms':>10}{'build s':>10}{'MB':>10}"
        for name in row["p50_ms"]:
            keys = ("p50_ms", "p95_ms", "build_s", "rss_mb")
            yield f"  {name:30}{''.join(f'{row[key][name]:10}' for key in keys)}"


def _memory() -> dict[str, Any]:
    """What the process has in memory, and the most it had, where the system tells that, in MB of 10^6 bytes."""
    import psutil

    found = psutil.Process().memory_info()
    status = Path("/proc/self/status")
    told = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    peak = int(told[1]) * 1024 if told else getattr(found, "peak_wset", None)  # Linux, Windows
    return {"rss_mb": round(found.rss / 1e6, 1), "peak_mb": peak and round(peak / 1e6, 1)}
