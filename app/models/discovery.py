"""Finds a model server: the configured one, a running Foundry Local service, else the embedded runtime.

Also asks Foundry Local's command line where its service runs, and which generation of it is installed.
"""

import asyncio
import json
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from app.errors import NoModel
from app.files import load_json, save_state
from app.models import supervisor
from app.models.catalogue import can_embed
from app.models.server import Client, NotAModelServer, Server, Unreachable, identify
from app.settings import Settings, is_loopback, origin

log = logging.getLogger(__name__)

COMMAND_SECONDS = 5.0

Generation = Literal["current", "old", "unrelated"]
"""Foundry Local since 0.10, up to 0.8, or another program: Ethereum's tools and GNOME's have this name too."""

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]*:\d+")


async def find_server(settings: Settings, connect: Callable[[str], Client], on_start: Callable[[], None]) -> Server:
    """Look for a model server in all places; raises NoModel with the remedies.

    `connect` opens the connection to an address; `on_start` is called when the embedded runtime is about to be started.
    """
    if settings.endpoint is not None:
        server = await _endpoint(settings.endpoint, connect)
    else:
        server = await _service(settings, connect) or await _embedded(settings, connect, on_start)
    log.info("models come from %s (%s)", server.service.host, server.source)
    return server


async def _endpoint(url: str, connect: Callable[[str], Client]) -> Server:
    setting, _ = await asyncio.to_thread(origin, "endpoint")
    root = root_of(url)
    try:
        return await identify(connect(root), "endpoint")
    except Unreachable:
        problem = f"Nothing answers at {root} ({setting}). Start the model server there"
    except NotAModelServer as reason:
        problem = f"The server at {root} ({setting}) cannot be used: {reason}. Correct {setting}"
    raise NoModel(f"{problem}, or unset {setting} to use Foundry Local on this machine.")


async def _service(settings: Settings, connect: Callable[[str], Client]) -> Server | None:
    """Find a running Foundry Local service; its last address is tried first, because its command line is slow."""
    program = await asyncio.to_thread(shutil.which, "foundry")
    if program is None:
        return None
    memory = settings.state_dir / "service.json"
    last = ((await asyncio.to_thread(load_json, memory)) or {}).get("root")
    if server := await _verified(last, connect):
        return server
    root = await asyncio.to_thread(service_address, program)
    if server := await _verified(root, connect):
        with suppress(OSError):  # the command line can be asked again
            await asyncio.to_thread(save_state, memory, {"root": root})
    return server


async def _verified(root: object, connect: Callable[[str], Client]) -> Server | None:
    if not isinstance(root, str) or not is_loopback(root):
        return None
    try:
        server = await identify(connect(root), "service")
    except (Unreachable, NotAModelServer):
        return None
    return server if server.dialect != "plain" else None


async def _embedded(settings: Settings, connect: Callable[[str], Client], on_start: Callable[[], None]) -> Server:
    cache = settings.model_cache_path
    if not await asyncio.to_thread(can_embed, cache):
        raise NoModel(
            f"There is no model on this machine: no Foundry Local service is running, and {cache} holds none. Choose a "
            "pair under Models, run `escalator models get tiny` or use a trainer's kit; or set "
            "FOUNDRY_LOCAL_ENDPOINT to a running model server. `escalator doctor` shows more."
        )
    on_start()
    lease = await supervisor.acquire(cache, settings.state_dir)
    return Server(connect(lease.url), "foundry", "embedded", lease)


def root_of(url: str) -> str:
    """Strip trailing slashes and `/v1` from an address."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def service_address(program: str) -> str | None:
    """Ask the command line for the address of a running service; blocks for up to ten seconds."""
    status = command_output(program, "server", "status", "-o", "json") or command_output(program, "service", "status")
    return address_in(status or "")


def generation(program: str) -> Generation:
    """Tell which program is named `foundry`, from its status; starts nothing, blocks as `service_address` does."""
    if '"running"' in (command_output(program, "server", "status", "-o", "json", strict=False) or ""):
        return "current"
    status = (command_output(program, "service", "status", strict=False) or "").casefold()
    if "unknown command: 'service'" in status:  # printed by 0.10 when its `server status` failed
        return "current"
    return "old" if "model management service" in status or "foundry service" in status else "unrelated"


def address_in(status: str) -> str | None:
    """Extract the address from a status in JSON or text; None if the service does not run."""
    try:
        fields = json.loads(status[status.index("{") : status.rindex("}") + 1])
        return root_of(str(fields["webUrls"][0])) if fields.get("running") else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        address = _ADDRESS.search(status)
        return address[0] if address else None


def command_output(*command: str, seconds: float | None = None, strict: bool = True) -> str | None:
    """Run a program and return its output, None on a timeout.

    With `strict`, a failure returns None and error output is dropped; without, both are returned as output.
    """
    # A file, not a pipe: a grandchild that outlives the program would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 - found on PATH, fixed arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL if strict else output,
            timeout=seconds or COMMAND_SECONDS,
            check=strict,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        output.seek(0)
        return output.read(100_000).decode("utf-8", errors="replace")
    return None
