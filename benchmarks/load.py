"""How soon the chat answers `/health` while it streams a long draft and ten other conversations ask."""

import asyncio
import http.client
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from app.settings import ROOT
from benchmarks.measuring import Tell, process
from tests.support.chat import Chat, command, environment, free_port, served
from tests.support.servers import EVENTS, Asked, Server, chunk, events, reply

OTHERS = 10
"""Conversations beside the long one."""

TOKENS, SHORT = 4_000, 60
"""Tokens of the long draft, and of an answer to the others."""

PACE = 0.01
"""Seconds between tokens: a fast model."""

ASK_EVERY = 0.02
"""Seconds between two questions to `/health`."""

LONG = "Explain the ferry at length."

WORDS = "the ferry leaves harbour every morning at nine and tickets for crew are sold on board by an officer".split()
UNITS = {"prose": "", "newlines": "\n", "spaces": " "}


class WriterOfDrafts(Server):
    """A model server that writes a long draft for one question, and short answers to all others."""

    def __init__(self, unit: str = "", tokens: int = TOKENS, pace: float = PACE) -> None:
        super().__init__()
        self._unit = unit
        self._tokens = tokens
        self._pace = pace
        self.sent = 0
        self.began = self.ended = 0.0
        """When the first and the last token of the last answer were written, by the monotonic clock."""

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Write a list of models, or an answer, token by token."""
        if asked.method == "GET":
            writer.write(reply(200, {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}))
            return
        long = asked.data["messages"][-1]["content"].rstrip().endswith(LONG)
        chance = random.Random(7)  # noqa: S311
        writer.write(EVENTS)
        self.began = start = time.monotonic()
        for number in range(self._tokens if long else SHORT):
            token = chance.choice(WORDS) + (". " if chance.random() < 0.1 else " ")
            writer.write(events(chunk(self._unit if long and self._unit else token), done=False)[len(EVENTS) :])
            self.sent += 1
            await writer.drain()
            await asyncio.sleep(max(0.0, start + (number + 1) * self._pace - time.monotonic()))
        writer.write(events(chunk("It ends.", "stop"))[len(EVENTS) :])
        self.ended = time.monotonic()


def bench_load(seconds: float, tell: Tell) -> dict[str, Any]:
    """Return a row for each kind of draft: the milliseconds of `/health`, and the processor time of the chat."""
    rows = []
    for name, unit in UNITS.items():
        tell(f"{name}: {seconds:.0f} s")
        model = WriterOfDrafts(unit)
        with TemporaryDirectory() as folder, served(model), running(Path(folder), model.url) as (url, pid):
            rows.append({"draft": name} | asyncio.run(_row(url, pid, model, seconds)))
    return {"rows": rows}


@contextmanager
def running(
    folder: Path, model: str, corpus: Path = ROOT / "corpus", line: Callable[[int], list[str]] = command, **more: str
) -> Iterator[tuple[str, int]]:
    """Start the chat with the models at this address over a corpus; yield its address and its process.

    `line` makes the command for a port; `more` are further settings.
    """
    port = free_port()
    settings = {"FOUNDRY_LOCAL_ENDPOINT": f"{model}/v1/", "SLM_ALIAS": "small", "LLM_ALIAS": "large"}
    started = environment(folder, corpus, **(settings | more))
    quiet = subprocess.DEVNULL
    chat = subprocess.Popen(line(port), cwd=ROOT, env=started, stdout=quiet, stderr=quiet)  # noqa: S603
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}", chat.pid
    finally:
        chat.kill()
        chat.wait()


async def _row(url: str, pid: int, model: WriterOfDrafts, seconds: float) -> dict[str, Any]:
    """Have conversations ask for some time, and measure."""
    chat = psutil.Process(pid)
    async with Chat(url) as first:
        await first.ask("What is BM25?", "small", seconds=120)
        with process(_ask_health, url) as times:
            await asyncio.to_thread(times.recv)  # it has started
            spent, sent, start = sum(chat.cpu_times()[:2]), model.sent, time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(_converse(url, LONG, "small", start + seconds))
                for _ in range(OTHERS):
                    group.create_task(_converse(url, "What is BM25?", "large", start + seconds))
            spent, sent = sum(chat.cpu_times()[:2]) - spent, model.sent - sent
            times.send(None)
            waits = await asyncio.to_thread(times.recv)
    every = quantiles(waits, n=100, method="inclusive")
    figures = {"p50_ms": every[49], "p95_ms": every[94], "p99_ms": every[98], "longest_ms": max(waits)}
    rounded = {name: round(value, 1) for name, value in figures.items()}
    return rounded | {"asked": len(waits), "tokens": sent, "cpu_ms_per_token": round(1_000 * spent / sent, 3)}


def _wait(port: int) -> None:
    """Wait until something listens on a port."""
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)


async def _converse(url: str, question: str, mode: str, until: float) -> None:
    """Ask a question again and again."""
    async with Chat(url) as chat:
        while time.monotonic() < until:
            await chat.ask(question, mode, seconds=600)


def _ask_health(url: str, line: Connection) -> None:
    """Ask until something is sent; then send the milliseconds that each answer took. Runs in a process of its own."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    waits: list[float] = []
    line.send(None)
    while not line.poll():
        start = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        waits.append(1_000 * (time.perf_counter() - start))
        time.sleep(ASK_EVERY)
    line.send(waits)


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for row in result["rows"]:
        waits = ", ".join(f"{name[:-3]} {row[name]}" for name in row if name.endswith("_ms"))
        yield f"{row['draft']:9} /health in ms: {waits}; {row['cpu_ms_per_token']} ms of processor time per token"
