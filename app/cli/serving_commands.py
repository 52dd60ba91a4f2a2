"""The commands that answer other programs: `escalator serve` and `escalator mcp`."""

import asyncio
import json
import signal
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from app import processes
from app.cli.terminal import Verbose, tell
from app.errors import InputError
from app.settings import LOOPBACK, Settings, load

Corpus = Annotated[Path | None, typer.Option("--corpus", help="The folder of documents (default: CORPUS_DIR).")]


def serve(
    corpus: Corpus = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="The port.")] = 8001,
    host: Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    verbose: Verbose = False,
) -> None:
    """Answer other programs from the documents, at an address that OpenAI's clients understand."""
    settings = load(corpus=corpus)
    listening = _listen(host, port)
    from app.web.application import serve

    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    tell(f"Answering from {settings.corpus} at {url}, until Ctrl+C. Try it in another terminal:\n")
    asked = {"model": "escalator", "stream": True, "messages": [{"role": "user", "content": "What is BM25?"}]}
    tell(f"    curl -N {url}/chat/completions --json '{json.dumps(asked)}'\n")
    if host not in LOOPBACK:
        who = "that send the key" if settings.gateway_key else "(with ESCALATOR_GATEWAY_KEY only those that send it)"
        tell(f"Other machines {who} can ask what your documents say.")
    serve(settings, host, listening)


def _listen(host: str, port: int) -> socket.socket:
    """Open a port; raises InputError if it cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while attempting")[0]  # to bind on the address that is named
        text = f"Port {port} of {host} cannot be used: {why}. Name another one with --port."
        raise InputError(text) from None


def mcp(corpus: Corpus = None, verbose: Verbose = False) -> None:
    """Let the program that starts this search and ask the documents, by the Model Context Protocol."""
    settings = load(corpus=corpus)
    if sys.stdin.isatty():
        tell("Waiting for a program that speaks the Model Context Protocol (docs/mcp.md). Ctrl+C ends this.")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a thread that waits for a message would hold Ctrl+C up
    asyncio.run(_serve_stdio(settings, *processes.pipes()))


async def _serve_stdio(settings: Settings, source: BinaryIO, sink: BinaryIO) -> None:
    from app.answering.pipeline import Assistant
    from app.mcp.tool_server import serve_stdio

    async def begin() -> Assistant:
        assistant = await asyncio.to_thread(Assistant, settings)
        assistant.warm()
        return assistant

    begun = cache(lambda: asyncio.create_task(begin()))
    try:
        await serve_stdio(lambda: asyncio.shield(begun()), source, sink)
    finally:
        if begun.cache_info().currsize:
            await (await begun()).close()
