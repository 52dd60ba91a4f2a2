"""Finds a model server: the configured one, a running Foundry Local service, else the embedded runtime.

Also asks Foundry Local's command line where its service runs.
"""

import asyncio
import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.errors import NoModel
from app.files import load_json, save_state
from app.models import supervisor
from app.models.catalogue import can_embed, is_installed
from app.models.server import Connect, NotAModelServer, Server, Unreachable, identify
from app.settings import Settings, is_loopback, origin, root_of

log = logging.getLogger(__name__)

COMMAND_SECONDS = 5.0


async def find_server(settings: Settings, connect: Connect, on_start: Callable[[], None]) -> Server:
    """Look for a model server in all places; raises NoModel with the remedies.

    `connect` opens the connection to an address; `on_start` is called when the embedded runtime is about to be started.
    """
    if settings.endpoint is not None:
        server = await _endpoint(settings.endpoint, connect)
    else:
        server = await _service(settings, connect) or await _embedded(settings, connect, on_start)
    log.info("models come from %s (%s)", server.service.host, server.source)
    return server


async def _endpoint(url: str, connect: Connect) -> Server:
    setting, _ = await asyncio.to_thread(origin, "endpoint")
    root = root_of(url)
    try:
        return await identify(connect(root, "endpoint"), "endpoint")
    except Unreachable:
        raise NoModel(
            "Nothing answers at {address} ({setting}). Start the model server there, or unset {setting} to use Foundry "
            "Local on this machine.",
            address=root,
            setting=setting,
        ) from None
    except NotAModelServer as reason:
        raise NoModel(
            "The server at {address} ({setting}) cannot be used: {reason}. Correct {setting}, or unset it to use "
            "Foundry Local on this machine.",
            address=root,
            setting=setting,
            reason=reason,
        ) from None


async def _service(settings: Settings, connect: Connect) -> Server | None:
    """Find a running Foundry Local service; its last address is tried first, because its command line is slow."""
    program = await asyncio.to_thread(shutil.which, "foundry")
    if program is None:
        return None
    file = settings.state_dir / "service.json"
    last = ((await asyncio.to_thread(load_json, file)) or {}).get("root")
    if server := await _verified(last, connect):
        return server
    root = await asyncio.to_thread(service_address, program)
    if server := await _verified(root, connect):
        with suppress(OSError):  # the command line can be asked again
            await asyncio.to_thread(save_state, file, {"root": root})
    return server


async def _verified(root: object, connect: Connect) -> Server | None:
    if not isinstance(root, str) or not is_loopback(root):
        return None
    try:
        server = await identify(connect(root, "service"), "service")
    except (Unreachable, NotAModelServer):
        return None
    return server if server.dialect != "plain" else None


async def _embedded(settings: Settings, connect: Connect, on_start: Callable[[], None]) -> Server:
    cache = settings.model_cache
    if not is_installed():
        raise NoModel(
            "There is no model on this machine: foundry-local-sdk is not installed. Install it, or set "
            "FOUNDRY_LOCAL_ENDPOINT to a running model server."
        )
    if not await asyncio.to_thread(can_embed, cache):
        raise NoModel(
            "There is no model on this machine: choose a pair under Models, or run `escalator models get tiny`."
        )
    on_start()
    lease = await supervisor.acquire(cache, settings.state_dir)
    return Server(connect(lease.url, "embedded"), "foundry", "embedded", lease)


def service_address(program: str) -> str | None:
    """Ask Foundry Local's command line for the address of its service; None if none runs. Blocks for 5 s."""
    fields = service_status(program)
    return root_of(str(fields["webUrls"][0])) if fields and fields["running"] and fields.get("webUrls") else None


def service_status(program: str) -> dict[str, Any] | None:
    """Ask a program named `foundry` for the status of its service; starts nothing, blocks for up to five seconds.

    Returns None for Foundry Local up to 0.8, and for Ethereum's and GNOME's tools, which have this name too.
    """
    output = command_output(program, "server", "status", "-o", "json") or ""
    try:
        fields = json.loads(output[output.index("{") : output.rindex("}") + 1])
    except ValueError:
        return None
    return fields if "running" in fields else None


def command_output(*command: str, seconds: float | None = None) -> str | None:
    """Run a program and return what it prints, None if it cannot be run or takes too long."""
    # A file, not a pipe: a grandchild that outlives the program would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 - found on PATH, fixed arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            timeout=seconds or COMMAND_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        output.seek(0)
        return output.read(100_000).decode("utf-8", errors="replace")
    return None
