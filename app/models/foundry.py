"""Finds a model server and makes a model ready to answer; knows no prompts and no documents."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from app.errors import NoModel
from app.models import memory, selection
from app.models.catalogue import Known
from app.models.client import Client, Unreachable
from app.models.pair import Pair
from app.models.resolve import obtainable, resolve
from app.models.search import Search
from app.models.server import Model, Server, Service
from app.models.singleflight import Flights, Progress, silent
from app.models.supervisor import STARTING
from app.settings import Settings

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

__all__ = ["Foundry", "Model", "Service"]

PRESENT_SECONDS = 1.0
"""How long a server may take to tell what it has before that counts as no."""


class Foundry:
    """The model server of one process; to be used from one event loop.

    `pair` are the models that answer. Once a server was found they are some that are on its disk, if any is, and
    `standing_in` says in a sentence what stands in for what.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.pair = Pair(settings.small, settings.large)
        self.standing_in: str | None = None
        self._search = Search(settings, self._client)
        self._found: Server | None = None
        self._clients: dict[str, Client] = {}
        self._models: dict[str, Model] = {}
        self._took: dict[str, float] = {}
        self._searches = Flights[Server]()
        self._loads = Flights[Model]()
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._loading = asyncio.Lock()
        self._refreshing = asyncio.Lock()

    @property
    def starting(self) -> str:
        """A sentence if models were found and their runtime is being started, so that waiting is worth while."""
        return self._search.starting

    async def find(self) -> Service:
        """The model server, looked for once; raises NoModel, after which the next call looks again."""
        return (await self._server()).service

    async def ready(self, alias: str, progress: Progress = silent, instead_of: str | None = None) -> Model:
        """The model of this alias or id, loaded; raises NoModel.

        Where memory does not suffice for both, `instead_of` is unloaded first, once its answers of this process have
        ended: so hold no `slot` of it. Callers who want the same share one load, and `progress` is told in a sentence
        what they wait for.
        """
        for _ in range(2):
            found = await self._server()
            if alias in self._models:
                return self._models[alias]
            try:
                key = f"{found.service.root} {alias} {instead_of}"
                return await self._loads.share(key, partial(self._load, found, alias, instead_of), progress)
            except Unreachable:  # it has ended since it was found
                self._drop(found)
        raise NoModel(f"The model server at {found.service.host} ended twice. Start it again, and look into its log.")

    async def present(self, alias: str, instead_of: str | None = None) -> bool:
        """Whether `ready` could have the model without a download, as far as can be told in a moment; loads nothing."""
        found = self._found
        if found is None or not found.alive:
            return False
        try:
            async with asyncio.timeout(PRESENT_SECONDS):
                fit = await memory.fit(found, alias, instead_of)
                return not (fit and fit.too_big) and await obtainable(found, alias)
        except (Unreachable, TimeoutError):
            return False

    def forget(self, model: Model) -> None:
        """The server failed, or said that it has no such model: make sure of both before the next answer."""
        if self._models.get(model.alias) == model:
            del self._models[model.alias]
        if self._found is not None and self._found.lease is None:
            self._drop(self._found)

    async def refresh(self) -> None:
        """Have a runtime that knows what was downloaded since this one started, once nobody is being answered."""
        found = self._found
        if found is None or found.lease is None:
            return
        async with self._refreshing, AsyncExitStack() as permits:
            for gate in list(self._gates.values()):
                for _ in range(self.settings.parallel):
                    await permits.enter_async_context(gate)
            self._drop(found)

    def busy(self, model: Model) -> bool:
        """Whether `slot` would have to wait."""
        return self.slot(model).locked()

    def slot(self, model: Model) -> asyncio.Semaphore:
        """The right to ask the model for one answer; waits while it writes `settings.parallel` of them."""
        return self._gate(model.id)

    async def openai(self, service: Service) -> "openai.AsyncOpenAI":
        """The openai client of a service."""
        return await self._client(service.root).openai()

    async def offered(self) -> tuple[list[str], list[str], dict[str, Known]]:
        """Ids of the models that the server lists, of those that are loaded, and what it tells; raises NoModel."""
        server = await self._server()
        try:
            return sorted(await server.listed()), sorted(await server.loaded()), await server.known()
        except Unreachable as error:
            raise NoModel(f"The model server at {server.service.host} does not answer any more ({error}).") from error

    async def use(self, pair: Pair) -> None:
        """Answer with the pair that a person chose, in later chats too, as far as SLM_ALIAS and LLM_ALIAS name none."""
        await asyncio.to_thread(selection.choose, self.settings, pair)
        self.pair, self.standing_in = pair, None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, and let the embedded runtime end."""
        self._searches.cancel()
        self._loads.cancel()
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        if self._found is not None:
            self._drop(self._found)

    def _gate(self, model_id: str) -> asyncio.Semaphore:
        return self._gates.setdefault(model_id, asyncio.Semaphore(self.settings.parallel))

    def _client(self, root: str) -> Client:
        # A key is meant for the server whose address was given with it, not for one that was found.
        key = self.settings.api_key if self.settings.endpoint else "none"
        return self._clients.setdefault(root, Client(root, key))

    async def _server(self) -> Server:
        if self._found is not None and not self._found.alive:
            log.warning("the model runtime has ended")
            self._drop(self._found)
        return self._found or await self._searches.share("", self._look)

    async def _look(self, tell: Progress) -> Server:
        found = await self._search.find()
        self._search.starting = STARTING if found.lease is not None else ""
        try:
            self.pair, self.standing_in = await selection.used(found, self.settings)
        except asyncio.CancelledError:
            if found.lease is not None:
                found.lease.close()
            raise
        finally:
            self._search.starting = ""
        self._found = found
        return found

    def _drop(self, found: Server) -> None:
        """Look for a server anew, the next time one is needed, unless that has been done already."""
        if self._found is found:
            self._found = None
            self._models.clear()
            if found.lease is not None:
                found.lease.close()

    async def _load(self, found: Server, alias: str, instead_of: str | None, tell: Progress) -> Model:
        resting: memory.Fit | None = None
        while True:
            # One at a time: a new id in the list of loaded ones is then known to be the one that was asked for.
            async with self._at_rest(resting, tell), self._loading:
                fit = await memory.fit(found, alias, instead_of)
                if fit and fit.too_big:
                    setting = "SLM_ALIAS" if alias == self.pair.small else "LLM_ALIAS"
                    raise await selection.too_big(found, self.settings, fit, setting)
                if fit and fit.swap and resting is None:
                    resting = fit  # the other model ends its answers first, then what is free is looked at again
                    continue
                if fit and fit.swap:
                    tell(fit.price(self._took.get(alias)))
                    await memory.unload(found, fit)
                    self._models = {name: kept for name, kept in self._models.items() if kept.id != fit.other_id}
                    tell = silent  # the price is what shall be read while the model is loaded
                model = await resolve(found, alias, tell)
            break
        if model.took is not None:
            self._took[alias] = model.took
        if self._found is found:
            self._models[alias] = model
        return model

    @asynccontextmanager
    async def _at_rest(self, fit: memory.Fit | None, tell: Progress) -> AsyncIterator[None]:
        """Keeps the other model from answering anybody of this process, once it has written what it is writing."""
        if fit is None:
            yield
            return
        gate = self._gate(fit.other_id)
        async with AsyncExitStack() as permits:
            try:
                async with asyncio.timeout(self.settings.first_token_seconds):
                    for _ in range(self.settings.parallel):
                        if gate.locked():
                            tell(f"Waiting for {fit.other}: it is answering another question.")
                        await permits.enter_async_context(gate)
            except TimeoutError:
                raise NoModel(fit.blocked("has not come to the end of its answer")) from None
            yield
