"""How soon `escalator mcp` answers its first message, beside what its package alone takes to be imported."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.answering.turn import Stopwatch
from app.processes import environment
from benchmarks.measuring import Tell, median

BARE = "import mcp.server.fastmcp"

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}

MOST = 1.5
"""The start may take so many times as long as the import alone."""


def bench_mcp(corpus: Path, rounds: int, tell: Tell) -> dict[str, Any]:
    """Measure both in turns; returns medians in milliseconds."""
    times: list[tuple[float, ...]] = []
    for number in range(rounds + 1):
        tell(f"round {number} of {rounds}")
        clock = Stopwatch()
        subprocess.run([sys.executable, "-c", BARE], check=True)  # noqa: S603
        times.append((clock.ms, *_started(corpus)))
    bare, first, end = (median(each, 0) for each in zip(*times[1:], strict=True))  # the first round warms the disk up
    return {
        "rounds": rounds,
        "import_ms": bare,
        "first_answer_ms": first,
        "ratio": round(first / bare, 2),
        "end_ms": end,
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    yield f'python -c "{BARE}": {result["import_ms"]:.0f} ms'
    yield f"escalator mcp to its first answer: {result['first_answer_ms']:.0f} ms"
    yield f"that is {result['ratio']:.2f} times as long, where at most {MOST} is wanted"
    yield f"from the end of its input to its end: {result['end_ms']:.0f} ms"


def _started(corpus: Path) -> tuple[float, float]:
    """Start the server, and return the milliseconds to its first answer, and from there to its end."""
    command = [sys.executable, "-c", "from app.cli.commands import main; main()", "mcp", "--corpus", str(corpus)]
    clock = Stopwatch()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment(), **pipes) as server:  # type: ignore[call-overload] # noqa: S603
        server.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        server.stdin.flush()
        answer, first = server.stdout.readline(), clock.ms
        assert b'"result"' in answer, answer
        server.stdin.close()
        server.wait()
    return first, clock.ms - first
