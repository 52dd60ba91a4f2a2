"""What the gateway adds to the pipeline: how much later the first token comes, and how far a fast stream falls behind.

A model server in a process of its own writes at a given pace and notes when it wrote each token. The same question is
asked of `escalator serve` and of the pipeline in this process, in turns.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil

from app.answering.events import Token
from app.answering.pipeline import Assistant
from app.answering.turn import Turn
from app.settings import ROOT, load
from benchmarks.load import WORDS
from benchmarks.measuring import Tell, process
from tests.support.chat import environment, free_port
from tests.support.servers import EVENTS, Asked, Server, chunk, events, reply

QUESTION = "What is BM25?"

FAST = 2_000
"""Tokens per second that are to pass without lag."""

TOKENS = 2_000
"""Of the fast answer: about as many as the settings allow a model."""

MOST_MS = 30.0
"""By which the first token may come later than the pipeline's own."""

Times = list[float]


class Writer(Server):
    """A model server that writes so many tokens at a pace, and notes when."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.pace = 1, 0.0
        self.written: Times = []

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Write a list of models, or an answer."""
        if asked.method == "GET":
            writer.write(reply(200, {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}))
            return
        chance = random.Random(7)  # noqa: S311
        said = [events(chunk(f"{chance.choice(WORDS)} "), done=False)[len(EVENTS) :] for _ in range(self.tokens)]
        writer.write(EVENTS)
        self.written, start = [], time.monotonic()
        while (number := len(self.written)) < self.tokens:
            due = min(self.tokens, number + 1 + int((time.monotonic() - start) / self.pace) - number)
            writer.writelines(said[number : max(due, number + 1)])
            self.written += [time.monotonic()] * (max(due, number + 1) - number)
            await writer.drain()
            await asyncio.sleep(max(0.0, start + len(self.written) * self.pace - time.monotonic()))
        writer.write(events(chunk("It ends.", "stop"))[len(EVENTS) :])


def bench_gateway(rounds: int, tell: Tell) -> dict[str, Any]:
    """Measure both; returns milliseconds, and the tokens per second that a client of the gateway has received."""
    with TemporaryDirectory() as folder, process(_write) as model:
        return asyncio.run(_measure(Path(folder), model, rounds, tell))


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    first, lag = result["first_token_ms"], result["lag_ms"]
    yield f"first token: pipeline {first['pipeline']:.1f} ms, gateway {first['gateway']:.1f} ms"
    yield f"that is {first['added']:.1f} ms later, where at most {MOST_MS:.0f} ms are wanted"
    for face in ("pipeline", "gateway"):
        spent = result["cpu_ms_per_token"][face]
        late = f"p50 {lag[face]['p50']:.1f} ms, p99 {lag[face]['p99']:.1f} ms late"
        yield f"{result['tokens_per_s']} tokens/s, {face}: {late}, {spent} ms of processor per token"
    yield f"the gateway's last token came {lag['gateway']['last']:.1f} ms after it was written"


async def _measure(folder: Path, model: Connection, rounds: int, tell: Tell) -> dict[str, Any]:
    port = await asyncio.to_thread(model.recv)
    settings = load(
        corpus=ROOT / "corpus",
        endpoint=f"http://127.0.0.1:{port}",
        small="small",
        large="large",
        state_dir=folder / "own",
        max_tokens=TOKENS,
    )
    assistant = Assistant(settings, patience=None)
    try:
        async with _serving(folder, port) as (url, server), httpx2.AsyncClient(timeout=60) as client:
            faces: dict[str, Callable[[], AsyncIterator[str]]] = {
                "pipeline": lambda: _pipeline(assistant),
                "gateway": lambda: _gateway(client, url),
            }
            firsts: dict[str, Times] = {face: [] for face in faces}
            for number in range(rounds + 1):
                tell(f"first token: round {number} of {rounds}")
                for face, ask in faces.items():
                    start = time.monotonic()
                    received, _ = await _received(ask, model, 20, 0.01)
                    firsts[face].append(1_000 * (received[0] - start))
            lags: dict[str, Times] = {}
            spent: dict[str, float] = {}
            for face, ask in faces.items():
                tell(f"{FAST} tokens/s: {face}")
                worker = server if face == "gateway" else psutil.Process()
                before = sum(worker.cpu_times()[:2])
                received, written = await _received(ask, model, TOKENS, 1 / FAST)
                spent[face] = round((sum(worker.cpu_times()[:2]) - before) * 1_000 / TOKENS, 3)
                lags[face] = [1_000 * (got - sent) for got, sent in zip(received, written, strict=False)]
                speed = len(written) / (received[len(written) - 1] - received[0])
    finally:
        await assistant.close()
    first = {face: round(median(times[1:]), 1) for face, times in firsts.items()}  # the first round warms up
    added = round(median(ours - own for own, ours in zip(*(each[1:] for each in firsts.values()), strict=True)), 1)
    return {
        "rounds": rounds,
        "first_token_ms": first | {"added": added},
        "tokens_per_s": FAST,
        "tokens": TOKENS,
        "lag_ms": {face: _figures(lags[face]) for face in lags},
        "cpu_ms_per_token": spent,
        "received_per_s": round(speed),
    }


async def _received(
    ask: Callable[[], AsyncIterator[str]], model: Connection, tokens: int, pace: float
) -> tuple[Times, Times]:
    """Ask once; return when each token was received, and when it was written."""
    model.send((tokens, pace))
    received: Times = []
    async for text in ask():  # ends by itself
        received += [time.monotonic()] * text.count(" ")
    model.send(None)
    return received, await asyncio.to_thread(model.recv)


async def _pipeline(assistant: Assistant) -> AsyncIterator[str]:
    async with aclosing(assistant.answer(Turn(QUESTION, mode="small"))) as stream:
        async for event in stream:
            if isinstance(event, Token):
                yield event.text


async def _gateway(client: httpx2.AsyncClient, url: str) -> AsyncIterator[str]:
    """Yield the text in each piece of the stream, as its bytes are: parsing would be a delay of this process."""
    asked = {"model": "escalator-small", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    mark, held = b'"delta":{"content":"', b""
    async with client.stream("POST", f"{url}/v1/chat/completions", json=asked) as response:
        async for data in response.aiter_raw():
            *whole, held = (held + data).split(b"\n\n")
            yield "".join(each.partition(mark)[2].partition(b'"')[0].decode() for each in whole)


@asynccontextmanager
async def _serving(folder: Path, model: int) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Start `escalator serve` over the sample corpus; yield its address and its process."""
    port = free_port()
    settings = {"FOUNDRY_LOCAL_ENDPOINT": f"http://127.0.0.1:{model}", "SLM_ALIAS": "small", "LLM_ALIAS": "large"}
    started = environment(folder, ROOT / "corpus", **settings, ESCALATOR_MAX_TOKENS=str(TOKENS), PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", "from app.cli.commands import main; main()", "serve", "--port", str(port)]
    quiet = subprocess.DEVNULL
    server = await asyncio.to_thread(lambda: subprocess.Popen(command, env=started, stdout=quiet, stderr=quiet))  # noqa: S603
    try:
        async with httpx2.AsyncClient() as client:
            while server.poll() is None:
                with suppress(httpx2.HTTPError):
                    await client.get(f"http://127.0.0.1:{port}/v1/models")
                    break
                await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    finally:
        server.kill()
        server.wait()


def _figures(lags: Times) -> dict[str, float]:
    every = quantiles(lags, n=100, method="inclusive")
    return {"p50": round(every[49], 1), "p99": round(every[98], 1), "last": round(lags[-1], 1)}


def _write(line: Connection) -> None:
    """Serve models as the other end of a line says: (tokens, pace) before an answer, None for its times."""

    async def serve() -> None:
        async with Writer() as writer:
            line.send(writer.port)
            while True:
                told = await asyncio.to_thread(line.recv)
                if told is None:
                    line.send(writer.written)
                else:
                    writer.tokens, writer.pace = told

    with suppress(EOFError, OSError):
        asyncio.run(serve())
