"""Looks for a model server: the one that was set, a Foundry Local service that runs, else the embedded runtime."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.errors import NoModel
from app.models import dialect, discovery, state, supervisor
from app.models.client import Client, Unreachable, host_of
from app.models.dialect import Server, Stranger
from app.settings import Settings, is_loopback, origin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """A model server: its address without `/v1`, and how it was found."""

    root: str
    how: Literal["endpoint", "service", "embedded"]

    @property
    def host(self) -> str:
        """Host and port, as an answer names where it was made."""
        return host_of(self.root)

    @property
    def remote(self) -> bool:
        """Whether it is another machine."""
        return not is_loopback(self.root)


@dataclass(frozen=True, slots=True)
class Found:
    """A service that answers, how it is spoken to, and the hold on it if it is the embedded one."""

    service: Service
    server: Server
    lease: supervisor.Lease | None = None

    @property
    def alive(self) -> bool:
        """False when it is certain that it has ended."""
        return self.lease is None or self.lease.alive

    def close(self) -> None:
        """Let go of it."""
        if self.lease is not None:
            self.lease.close()


class Search:
    """The order in which a model server is looked for; `client` opens the connection to an address."""

    def __init__(self, settings: Settings, client: Callable[[str], Client]):
        self.starting = False
        self._settings = settings
        self._client = client

    async def find(self) -> Found:
        """Look through all places; raises NoModel with the remedies."""
        if self._settings.endpoint is not None:
            found = await self._endpoint(self._settings.endpoint)
        else:
            found = await self._service() or await self._embedded()
        log.info("models come from %s (%s)", found.service.host, found.service.how)
        return found

    async def _endpoint(self, url: str) -> Found:
        name, _ = await asyncio.to_thread(origin, "endpoint")
        service = Service(discovery.root_of(url), "endpoint")
        try:
            return Found(service, await dialect.recognise(self._client(service.root)))
        except Unreachable:
            problem = f"Nothing answers at {service.root} ({name}). Start the model server there"
        except Stranger as why:
            problem = f"What answers at {service.root} ({name}) cannot be used: {why}. Correct {name}"
        raise NoModel(f"{problem}, or unset {name} to have Foundry Local looked for on this machine.")

    async def _service(self) -> Found | None:
        """A running Foundry Local service; its last address is tried first, for asking its command line is slow."""
        program = await asyncio.to_thread(discovery.command)
        if program is None:
            return None
        memory = self._settings.state_dir / "service.json"
        last = ((await asyncio.to_thread(state.read, memory)) or {}).get("root")
        if isinstance(last, str) and (found := await self._verified(last)):
            return found
        root = await asyncio.to_thread(discovery.address, program)
        if root is None or not (found := await self._verified(root)):
            return None
        try:
            await asyncio.to_thread(state.write, memory, {"root": root})
        except OSError:
            log.info("the address of the Foundry Local service cannot be kept in %s", memory)
        return found

    async def _verified(self, root: str) -> Found | None:
        if not is_loopback(root):
            return None
        try:
            server = await dialect.recognise(self._client(root))
        except (Unreachable, Stranger):
            return None
        return Found(Service(root, "service"), server) if server.dialect != "plain" else None

    async def _embedded(self) -> Found:
        cache = self._settings.model_cache_path
        if not await asyncio.to_thread(discovery.can_embed, cache):
            raise NoModel(
                "No model was found: FOUNDRY_LOCAL_ENDPOINT is not set, no Foundry Local service runs, and no list of "
                f"models lies in {cache}. Set FOUNDRY_LOCAL_ENDPOINT to a running model server; or install Foundry "
                f"Local and run `foundry model download {self._settings.small}`, which needs the network once. "
                "`escalator doctor` shows what was looked for."
            )
        self.starting = True
        try:
            lease = await supervisor.acquire(cache, self._settings.state_dir)
        finally:
            self.starting = False
        return Found(Service(lease.url, "embedded"), Server(self._client(lease.url), "foundry"), lease)
