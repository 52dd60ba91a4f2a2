"""The commands that answer other programs: `escalator serve`."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import Verbose, tell
from app.settings import LOOPBACK, load


def serve(
    corpus: Annotated[Path | None, typer.Option("--corpus", help="The folder of documents.")] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="The port.")] = 8001,
    host: Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    verbose: Verbose = False,
) -> None:
    """Answer other programs from the documents, at an address that OpenAI's clients understand."""
    settings = load(corpus=corpus)
    from app.gateway.listener import listen, serve

    listening = listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    tell(f"""Answering from {settings.corpus} at {url}, until Ctrl+C. Try it in another terminal:

    curl -N {url}/chat/completions --json '{{"model": "escalator", "stream": true, "messages": [\\
      {{"role": "user", "content": "What is BM25?"}}]}}'
""")
    if host not in LOOPBACK:
        tell("Other machines can reach this address, and ask what your documents say.")
    serve(settings, host, listening)
