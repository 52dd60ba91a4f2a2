"""Finds model servers: those of a role's endpoint, a running Foundry Local service, else the embedded runtime.

Also asks Foundry Local's command line where its service runs, and has a turn wait for a server that is being found.
"""

import asyncio
import importlib.util
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from app.errors import NoModel
from app.files import load_json, write_json
from app.models import runtime
from app.models.catalogue import CATALOGUE
from app.models.server import Connect, NotAModelServer, Notify, Server, Service, Source, Unreachable, identify
from app.settings import Settings, is_loopback, origin, root_of
from app.translation import _, mark

log = logging.getLogger(__name__)

COMMAND_SECONDS = 5.0

PAUSE_SECONDS = 15.0
"""After a failure, in which an address is asked only if no other one answers: a server restarts in less."""

PROGRESS_SECONDS = 0.5
"""Interval between two looks at what a look-up is doing."""

SLOW_SECONDS = 8.0
STARTING = mark("Starting Foundry Local")
SLOW = mark(
    "Foundry Local is slow to start. An antivirus program may be checking its new files, which happens once: wait, or "
    "exclude {folder} from its checks"
)
"""What is being waited for, in the first SLOW_SECONDS and after them."""


async def find_server(settings: Settings, connect: Connect, on_start: Callable[[], None]) -> Server:
    """Look for a model server in all places; raises NoModel with the remedies.

    `connect` opens the connection to an address; `on_start` is called when the embedded runtime is about to be started.
    """
    if settings.endpoint is not None:
        name, __ = await asyncio.to_thread(origin, "endpoint")
        server = await Endpoint("endpoint", [root_of(settings.endpoint)], connect, Counter(), name).server()
    else:
        server = await _service(settings, connect) or await _embedded(settings, connect, on_start)
    log.info("models come from %s (%s)", server.service.host, server.service.source)
    return server


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
            await asyncio.to_thread(write_json, file, {"root": root})
    return server


async def _verified(root: object, connect: Connect) -> Server | None:
    if isinstance(root, str) and is_loopback(root):
        with suppress(Unreachable, NotAModelServer):
            server = await identify(connect(Service(root, "service")))
            return server if server.dialect != "plain" else None
    return None


async def _embedded(settings: Settings, connect: Connect, on_start: Callable[[], None]) -> Server:
    cache = settings.model_cache
    if importlib.util.find_spec("foundry_local_sdk") is None:
        raise NoModel(
            "There is no model on this machine: foundry-local-sdk is not installed. Install it, or set "
            "FOUNDRY_LOCAL_ENDPOINT to a running model server."
        )
    if not await asyncio.to_thread((cache / CATALOGUE).is_file):
        raise NoModel(
            "There is no model on this machine: choose a pair under Models, or run `escalator models get tiny`."
        )
    on_start()
    lease = await asyncio.to_thread(runtime.acquire, cache, settings.state_dir)
    return Server(connect(Service(lease.url, "embedded")), "foundry", lease)


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


class Endpoint:
    """The servers at the addresses that a setting names; each is looked at before its first use, and after a failure.

    An address of this machine is `here`; of the others, nothing private may be asked.
    """

    def __init__(self, setting: Source, roots: Sequence[str], connect: Connect, running: Counter[str], name: str = ""):
        """Take how many answers are `running` at each address, and the `name` of the setting, if it has others."""
        self.setting, self.roots, self._connect, self._name = setting, roots, connect, name or setting
        self.here = [root for root in roots if is_loopback(root)]
        self._servers: dict[str, Server] = {}
        self._failed: dict[str, float] = {}
        self._running = running

    @property
    def service(self) -> Service:
        """The address that is asked next, as far as is known."""
        return Service(self._order(self.roots)[0], self.setting)

    async def server(self, *, private: bool = False) -> Server:
        """Return the least loaded server that answers, for what is `private` one of this machine; raises NoModel."""
        problems: dict[str, str] = {}
        while left := self._order(it for it in (self.here if private else self.roots) if it not in problems):
            if (root := left[0]) in self._servers:
                return self._servers[root]
            try:
                self._servers[root] = await identify(self._connect(Service(root, self.setting)))
            except (Unreachable, NotAModelServer) as error:
                self.fail(root)
                why = _("nothing answers") if isinstance(error, Unreachable) else str(error)
                problems[root] = f"{Service(root, self.setting).host}: {why}"
        raise NoModel(
            "There is no model server where {setting} says ({problems}). Start one there, or correct or unset "
            "{setting}.",
            setting=self._name,
            problems="; ".join(problems.values()),
        )

    def fail(self, root: str, *, private: bool = False) -> bool:
        """Ask the other addresses first for a while, and look at each of them again before it is used.

        Returns whether there is one that has not failed.
        """
        self._failed[root] = time.monotonic()
        self._servers.clear()
        return not all(map(self._paused, self.here if private else self.roots))

    def _order(self, roots: Iterable[str]) -> list[str]:
        return sorted(roots, key=lambda root: (self._paused(root), self._running[root]))

    def _paused(self, root: str) -> bool:
        return time.monotonic() - self._failed.get(root, float("-inf")) < PAUSE_SECONDS


def endpoints(settings: Settings, connect: Connect, running: Counter[str]) -> dict[str, Endpoint]:
    """Return the endpoints of the roles that have one, by how many answers are running; equal ones are shared."""
    names: dict[str, Source] = {"small": "SLM_ENDPOINT", "large": "LLM_ENDPOINT"}
    given = {role: settings.addresses(role) for role in names}
    made = {role: Endpoint(names[role], roots, connect, running) for role, roots in given.items() if roots}
    if len(made) == 2 and settings.small_key == settings.large_key and made["small"].roots == made["large"].roots:
        made["large"] = made["small"]
    return made


class Finder(Protocol):
    """Finds the server of this process, as Foundry does; `starting_since` says when a runtime began to be started."""

    endpoints: dict[str, Endpoint]
    starting_since: float | None

    async def find(self) -> Service: ...


class ServerLookup:
    """A look-up of the model server, begun with this object and awaited when a model is needed.

    `patience` is the wait in seconds, None for the whole look-up; a runtime that is being started is always waited for.
    """

    def __init__(self, foundry: Finder, patience: float | None) -> None:
        self._foundry, self._patience = foundry, patience
        self._task = asyncio.ensure_future(foundry.find())
        self._task.add_done_callback(lambda done: done.cancelled() or done.exception())  # `wait` raises it

    @property
    def uncertain(self) -> bool:
        """Whether it is still open if any server will answer."""
        return not (self._task.done() or self._starting)

    async def wait(self, notify: Notify) -> None:
        """Wait for the server, a moment only if a role has another one; raises NoModel."""
        message, timeout = "", self._patience or PROGRESS_SECONDS
        while not (await asyncio.wait([self._task], timeout=timeout))[0]:
            now = self._starting or message
            if not now and self._patience is not None:
                if self._foundry.endpoints:
                    return
                raise NoModel("Escalator is still looking for Foundry Local. Ask again in a moment.")
            now, timeout = now or _("Looking for Foundry Local"), PROGRESS_SECONDS
            if now != message:
                notify(message := now)
        self._task.result()

    @property
    def _starting(self) -> str:
        """A sentence about a runtime with models that is being started, which a turn waits for; else empty."""
        if self._foundry.starting_since is None:
            return ""
        soon = time.monotonic() - self._foundry.starting_since < SLOW_SECONDS
        return _(STARTING) if soon else _(SLOW, folder=sys.prefix)
