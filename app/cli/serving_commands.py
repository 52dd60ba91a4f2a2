"""The commands that answer other programs: `escalator serve` and `escalator mcp`."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import ssl
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from app import processes
from app.cli.terminal import Corpus, Verbose, tell
from app.errors import InputError
from app.room import Room, own_addresses
from app.settings import LOOPBACK, ROOT, Settings, load

EVERYWHERE = "0.0.0.0"  # noqa: S104
"""The address to listen on in all networks."""

ROOM_CONNECTIONS = 900
"""Each tab has up to seven, and a process may have 1,024 files open."""

File = Annotated[Path | None, typer.Option(help="With --lan: a file in PEM format.")]


def serve(
    corpus: Corpus = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; else 8001, or 8000 with --lan.")] = 0,
    host: Annotated[list[str], typer.Option(help="Where to listen; 0.0.0.0 for all. With --lan also names.")] = [],  # noqa: B006
    lan: Annotated[bool, typer.Option("--lan", help="Start the chat for everyone in this network.")] = False,
    tls_cert: File = None,
    tls_key: File = None,
    organiser_code: Annotated[bool, typer.Option("--organiser-code", help="With --lan: print it.")] = False,
    verbose: Verbose = False,
) -> None:
    """Answer other programs from the documents, as OpenAI's services do; with --lan, people in the chat as well."""
    settings = load(corpus=corpus)
    if lan:
        _serve_room(settings, host, port or 8000, tls_cert, tls_key, organised=organiser_code)
    elif tls_cert or tls_key or organiser_code:
        raise InputError("--tls-cert, --tls-key and --organiser-code need --lan.")
    else:
        _serve_programs(settings, [LOOPBACK[0], *host][-1], port or 8001)


def _serve_programs(settings: Settings, host: str, port: int) -> None:
    listening = _listen(host, port)
    from app.web.application import serve

    url = f"{_link(host, port)}/v1"
    tell(f"Answering from {settings.corpus} at {url}, until Ctrl+C. Try it in another terminal:\n")
    asked = {"model": "escalator", "stream": True, "messages": [{"role": "user", "content": "What is BM25?"}]}
    tell(f"    curl -N {url}/chat/completions --json '{json.dumps(asked)}'\n")
    if host not in LOOPBACK:
        who = "that send the key" if settings.gateway_key else "(with ESCALATOR_GATEWAY_KEY only those that send it)"
        tell(f"Other machines {who} can ask what your documents say.")
    serve(settings, host, listening)


def _serve_room(
    settings: Settings, hosts: list[str], port: int, cert: Path | None, key: Path | None, *, organised: bool
) -> None:
    """Serve the chat to a network until Ctrl+C, and print how people come in."""
    address = next((each for each in hosts if re.fullmatch(r"[\d.]+|.*:.*", each)), EVERYWHERE)
    own = [each for each in own_addresses() if not each.startswith(("127.", "169.254."))]
    reached = [each for each in hosts if each != address] + (own if address == EVERYWHERE else [address])
    _check_certificate(cert, key)
    room = Room.current = Room(settings.state_dir, reached, settings.password.get_secret_value(), organised=organised)
    room.proxies = settings.proxy
    listening = _listen(address, port)
    typer.echo("The chat is open to this network, until Ctrl+C. People log in with a name of their own and the code.")
    for each in reached or LOOPBACK[:1]:
        _tell_link(_link(each, port, "https" if cert else "http"))
    typer.echo("Code: the password of ESCALATOR_PASSWORD" if settings.password else f"Code: {room.code}")
    if organised:
        typer.echo(f"Code of the organiser, who may change documents and models: {room.organiser_code}")
    sys.stdout.flush()
    os.environ["CORPUS_DIR"] = str(settings.corpus)
    os.environ.setdefault("CHAINLIT_APP_ROOT", str(ROOT))  # before the import, from whatever folder this was started
    from chainlit.config import config, load_module
    from chainlit.server import app

    from app.web.application import run

    config.run.host, config.run.port, config.run.headless = address, port, True
    config.run.module_name = str(ROOT / "app" / "main.py")
    load_module(config.run.module_name)
    ours = {"loop": "asyncio", "proxy_headers": False, "limit_concurrency": ROOM_CONNECTIONS}
    run(app, listening, ssl_certfile=cert, ssl_keyfile=key, **ours)


def _check_certificate(cert: Path | None, key: Path | None) -> None:
    """Raise InputError if the files of HTTPS cannot be used; the key may be in the file of the certificate."""
    if key and not cert:
        raise InputError(f"--tls-key {key} needs --tls-cert, the file of its certificate.")
    files = [each for each in (cert, key) if each]
    for each in files:
        if not each.is_file():
            raise InputError(f"There is no file {each}. Name the certificate and its key, both in PEM format.")
    try:
        if cert:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        named = " and ".join(map(str, files))
        text = f"{named}: HTTPS needs a certificate and its key in PEM format, without a password ({error})."
        raise InputError(text) from None


def _tell_link(link: str) -> None:
    """Print a link, with its QR code where the output can show one."""
    import segno

    drawn = io.StringIO()
    segno.make(link, micro=False).terminal(drawn, compact=True)
    typer.echo(f"\n    {link}\n")
    with suppress(UnicodeEncodeError):
        typer.echo(drawn.getvalue())


def _link(host: str, port: int, scheme: str = "http") -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


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
    from app.mcp import serve_stdio

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
