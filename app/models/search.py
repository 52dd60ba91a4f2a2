"""Looks for a model server: the one that was set, a Foundry Local service that runs, else the embedded runtime."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress

from app import state
from app.errors import NoModel
from app.models import catalogue, discovery, supervisor
from app.models.client import Client, Unreachable
from app.models.server import Server, Stranger, recognise
from app.settings import Settings, is_loopback, origin

log = logging.getLogger(__name__)


class Search:
    """The order in which a model server is looked for; `client` opens the connection to an address."""

    def __init__(self, settings: Settings, client: Callable[[str], Client]):
        self.starting = ""
        self._settings = settings
        self._client = client

    async def find(self) -> Server:
        """Look through all places; raises NoModel with the remedies."""
        if self._settings.endpoint is not None:
            found = await self._endpoint(self._settings.endpoint)
        else:
            found = await self._service() or await self._embedded()
        log.info("models come from %s (%s)", found.service.host, found.how)
        return found

    async def _endpoint(self, url: str) -> Server:
        name, _ = await asyncio.to_thread(origin, "endpoint")
        root = discovery.root_of(url)
        try:
            return await recognise(self._client(root), "endpoint")
        except Unreachable:
            problem = f"Nothing answers at {root} ({name}). Start the model server there"
        except Stranger as why:
            problem = f"What answers at {root} ({name}) cannot be used: {why}. Correct {name}"
        raise NoModel(f"{problem}, or unset {name} to have Foundry Local looked for on this machine.")

    async def _service(self) -> Server | None:
        """A running Foundry Local service; its last address is tried first, for asking its command line is slow."""
        program = await asyncio.to_thread(shutil.which, "foundry")
        if program is None:
            return None
        memory = self._settings.state_dir / "service.json"
        last = ((await asyncio.to_thread(state.read, memory)) or {}).get("root")
        if found := await self._verified(last):
            return found
        root = await asyncio.to_thread(discovery.address, program)
        if found := await self._verified(root):
            with suppress(OSError):  # it can be asked for again
                await asyncio.to_thread(state.write, memory, {"root": root})
        return found

    async def _verified(self, root: object) -> Server | None:
        if not isinstance(root, str) or not is_loopback(root):
            return None
        try:
            server = await recognise(self._client(root), "service")
        except (Unreachable, Stranger):
            return None
        return server if server.dialect != "plain" else None

    async def _embedded(self) -> Server:
        cache = self._settings.model_cache_path
        if not await asyncio.to_thread(catalogue.can_embed, cache):
            raise NoModel(
                f"There is no model on this machine: no Foundry Local service runs, and none lies in {cache}. Choose a "
                "pair under Models, run `escalator models get tiny` or use a trainer's kit; or set "
                "FOUNDRY_LOCAL_ENDPOINT to a running model server. `escalator doctor` tells more."
            )
        self.starting = supervisor.STARTING
        slow = asyncio.get_running_loop().call_later(
            supervisor.SLOW_SECONDS, setattr, self, "starting", supervisor.SLOW
        )
        try:
            lease = await supervisor.acquire(cache, self._settings.state_dir)
        finally:
            slow.cancel()
            self.starting = ""
        return Server(self._client(lease.url), "foundry", "embedded", lease)
