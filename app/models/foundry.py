"""Finds a model server and makes a model ready to answer; knows no prompts and no documents."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.errors import NoModel
from app.models import dialect, discovery, state, supervisor
from app.models.client import Client, Unreachable, host_of
from app.models.dialect import Server, Stranger
from app.models.flight import Flights, Progress
from app.models.resolve import resolve
from app.settings import Settings, is_loopback, origin

if TYPE_CHECKING:
    import openai

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
class Model:
    """A model that is loaded and can answer: the name it was asked for, its full id, and where it runs."""

    alias: str
    id: str
    service: Service


@dataclass(frozen=True, slots=True)
class Status:
    """What `escalator doctor` tells about models: the server or why there is none, what it lists, what is loaded."""

    service: Service | None
    problem: str | None
    dialect: str | None = None
    version: str | None = None
    catalogue: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()


class Foundry:
    """The model server of one process; to be used from one event loop."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.starting = False
        """Whether models were found and their runtime is being started, so that waiting is worth while."""
        self._found: tuple[Service, Server] | None = None
        self._lease: supervisor.Lease | None = None
        self._clients: dict[str, Client] = {}
        self._models: dict[str, Model] = {}
        self._searches = Flights[tuple[Service, Server]]()
        self._loads = Flights[Model]()
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._running: Counter[str] = Counter()
        self._loading = asyncio.Lock()

    async def find(self) -> Service:
        """The model server, looked for once; raises NoModel, after which the next call looks again."""
        return (await self._server())[0]

    async def ready(self, alias: str, progress: Progress | None = None) -> Model:
        """The model of this alias or id, loaded; raises NoModel.

        Callers who want the same model share one load, and `progress` is told in a sentence what they wait for.
        """
        service, server = await self._server()
        if alias in self._models:
            return self._models[alias]
        key = f"{service.root} {alias}"
        return await self._loads.share(key, lambda tell: self._load(service, server, alias, tell), progress)

    def forget(self, model: Model) -> None:
        """The server failed, or said that it has no such model: make sure of both before the next answer."""
        if self._models.get(model.alias) == model:
            del self._models[model.alias]
        if self._found is not None and self._found[0].how != "embedded":
            self._found = None

    def running(self, model: Model) -> int:
        """How many answers the model is writing."""
        return self._running[model.id]

    def busy(self, model: Model) -> bool:
        """Whether `slot` would have to wait."""
        return self._gate(model).locked()

    @asynccontextmanager
    async def slot(self, model: Model) -> AsyncIterator[None]:
        """The right to ask the model for one answer; waits while it writes `settings.parallel` of them."""
        async with self._gate(model):
            self._running[model.id] += 1
            try:
                yield
            finally:
                self._running[model.id] -= 1

    async def openai(self, service: Service) -> "openai.AsyncOpenAI":
        """The openai client of a service."""
        return await self._client(service.root).openai()

    async def status(self) -> Status:
        """What there is; raises nothing."""
        try:
            service, server = await self._server()
            listed, loaded = await server.listed(), await server.loaded()
        except (NoModel, Unreachable) as problem:
            return Status(None, str(problem))
        version = await asyncio.to_thread(metadata.version, "foundry-local-sdk") if service.how == "embedded" else None
        return Status(service, None, server.dialect, version, tuple(sorted(listed)), tuple(sorted(loaded)))

    async def close(self) -> None:
        """Close the connections, and let the embedded runtime end."""
        self._searches.cancel()
        self._loads.cancel()
        for client in self._clients.values():
            await client.close()
        if self._lease is not None:
            self._lease.close()
        self._clients, self._models, self._found, self._lease = {}, {}, None, None

    def _gate(self, model: Model) -> asyncio.Semaphore:
        return self._gates.setdefault(model.id, asyncio.Semaphore(self.settings.parallel))

    def _client(self, root: str) -> Client:
        # A key is meant for the server whose address was given with it, not for one that was found.
        key = self.settings.api_key if self.settings.endpoint else "none"
        return self._clients.setdefault(root, Client(root, key))

    async def _server(self) -> tuple[Service, Server]:
        if self._lease is not None and not self._lease.alive:
            log.warning("the model runtime has ended; its log is %s", self._lease.log)
            self._lease.close()
            self._lease = self._found = None
        return self._found or await self._searches.share("", lambda tell: self._search())

    async def _search(self) -> tuple[Service, Server]:
        self._models.clear()
        if self.settings.endpoint is not None:
            self._found = await self._endpoint(self.settings.endpoint)
        else:
            self._found = await self._service() or await self._embedded()
        log.info("models come from %s (%s)", self._found[0].root, self._found[0].how)
        return self._found

    async def _endpoint(self, url: str) -> tuple[Service, Server]:
        name, _ = await asyncio.to_thread(origin, "endpoint")
        service = Service(discovery.root_of(url), "endpoint")
        try:
            return service, await dialect.recognise(self._client(service.root))
        except Unreachable:
            raise NoModel(
                f"Nothing answers at {service.root} ({name}). Start the model server there, or unset {name} to have "
                "Foundry Local looked for on this machine."
            ) from None
        except Stranger as why:
            raise NoModel(
                f"What answers at {service.root} ({name}) cannot be used: {why}. Correct {name}, or unset it to have "
                "Foundry Local looked for on this machine."
            ) from None

    async def _service(self) -> tuple[Service, Server] | None:
        """A running Foundry Local service; its last address is tried first, for asking its command line is slow."""
        program = await asyncio.to_thread(discovery.command)
        if program is None:
            return None
        memory = self.settings.state_dir / "service.json"
        last = ((await asyncio.to_thread(state.read, memory)) or {}).get("root")
        if isinstance(last, str) and is_loopback(last) and (found := await self._verified(last)):
            return found
        root = await asyncio.to_thread(discovery.address, program)
        if root is None or not is_loopback(root) or not (found := await self._verified(root)):
            return None
        try:
            await asyncio.to_thread(state.write, memory, {"root": root})
        except OSError:
            log.info("the address of the Foundry Local service cannot be kept in %s", memory)
        return found

    async def _verified(self, root: str) -> tuple[Service, Server] | None:
        try:
            server = await dialect.recognise(self._client(root))
        except (Unreachable, Stranger):
            return None
        return (Service(root, "service"), server) if server.dialect != "plain" else None

    async def _embedded(self) -> tuple[Service, Server]:
        cache, usable = await asyncio.to_thread(self._cache)
        if not usable:
            raise NoModel(self._nothing(cache))
        self.starting = True
        try:
            self._lease = await supervisor.acquire(cache, self.settings.state_dir)
        finally:
            self.starting = False
        return Service(self._lease.url, "embedded"), Server(self._client(self._lease.url), "foundry")

    async def _load(self, service: Service, server: Server, alias: str, tell: Progress) -> Model:
        try:
            # One at a time: a new id in the list of loaded ones is then known to be the one that was asked for.
            async with self._loading:
                root, found = await resolve(server, alias, tell)
        except Unreachable as error:
            if self._found is not None and service.how != "embedded":
                self._found = None
            where = f" Its log is {self._lease.log}." if self._lease is not None else ""
            raise NoModel(
                f"The model server at {service.host} was lost while {alias} was being made ready ({error}). The model "
                f"may be too large for the free memory; close other programs, or choose a smaller one.{where}"
            ) from error
        model = Model(alias, found, Service(root, service.how))
        self._models[alias] = model
        return model

    def _cache(self) -> tuple[Path, bool]:
        cache = self.settings.model_cache_path
        return cache, discovery.can_embed(cache)

    def _nothing(self, cache: Path) -> str:
        return (
            "No model was found: FOUNDRY_LOCAL_ENDPOINT is not set, no Foundry Local service runs, and no list of "
            f"models lies in {cache}. Set FOUNDRY_LOCAL_ENDPOINT to a running model server; "
            f"or install Foundry Local and run `foundry model download {self.settings.small}`, which needs the "
            "network once. `escalator doctor` shows what was looked for."
        )
