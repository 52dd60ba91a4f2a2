"""Finds a model server for this process to use and makes a model ready to answer; knows no prompts and no documents."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from app.errors import NoModel, StaysHere
from app.models import memory, selection
from app.models.catalogue import ModelInfo, ModelPair
from app.models.discovery import endpoints, find_server
from app.models.queue import ModelQueue
from app.models.server import Clients, Model, Notify, Server, Service, Unreachable, ignore
from app.settings import Settings, is_loopback, root_of
from app.translation import _

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

__all__ = ["Foundry", "Model", "Service"]

T = TypeVar("T")

AVAILABLE_SECONDS = 1.0
"""How long a server may take to tell what it has before that counts as no."""


class Foundry(AbstractAsyncContextManager["Foundry"]):
    """Finds the model server for this process and makes models ready; use it from one event loop only.

    `pair` are the models that answer: the configured ones until a server is found. Only a server of the dialect
    "foundry" may then have them replaced by models on its disk, which `substitution` says. A role with an endpoint has
    its model there, and needs no other server.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.pair = ModelPair(settings.small, settings.large)
        self._replaced: Callable[[], str | None] = lambda: None
        self.without_logprobs = set[str]()
        """The addresses of servers that do not report how probable each token was."""
        self._clients = Clients(settings)
        self.streams = Counter[str]()
        """How many answers are being written, by the address of the server: the next goes to the least loaded one."""
        self.endpoints = endpoints(settings, self._clients.connect, self.streams)
        self._current: Server | None = None
        self.starting_since: float | None = None
        """When a runtime with models began to be started, by `time.monotonic`; None while none is."""
        self._models: dict[tuple[str, str], Model] = {}
        """The models that are ready, by the address of the server and the requested name."""
        self._load_seconds: dict[str, float] = {}
        self._search: asyncio.Task[Server] | None = None
        self._tasks = set[asyncio.Task[Any]]()
        self._listeners: list[Notify] = []
        self._message = ""
        self.queues = defaultdict[str, ModelQueue](partial(ModelQueue, settings.parallel))
        """Who waits for a model, by its id; at the endpoint of a role the name of the role comes first."""
        self._loading = defaultdict[str, asyncio.Lock](asyncio.Lock)

    @property
    def alone(self) -> bool:
        """Whether one model at one place has both roles, so that no question can escalate."""
        return self.pair.alone and self.endpoints.get("small") is self.endpoints.get("large")

    def addresses(self, role: str) -> tuple[str, ...]:
        """Return where the model of a role is; empty while no server has been found."""
        if role in self.endpoints:
            return tuple(self.endpoints[role].roots)
        if self._current is not None:
            return (self._current.client.root,)
        return (root_of(self.settings.endpoint),) if self.settings.endpoint else ()

    def elsewhere(self, *roles: str) -> bool:
        """Whether the model of one of these roles is on another machine, perhaps beside this one."""
        return not all(is_loopback(root) for role in roles for root in self.addresses(role))

    def remote(self, role: str) -> bool:
        """Whether the model of a role is on other machines only, so that nothing private may be asked of it."""
        return bool(self.addresses(role)) and not any(map(is_loopback, self.addresses(role)))

    def host(self, role: str) -> str:
        """Return the host of the server that is asked next for a role; empty while no server has been found."""
        if role in self.endpoints:
            return self.endpoints[role].service.host
        return self._current.service.host if self._current else ""

    def named(self, role: str) -> str:
        """Name the model of a role, with its hosts on other machines."""
        model, _other = self.pair.of(role)
        hosts = [urlsplit(it).netloc for it in self.addresses(role) if not is_loopback(it)]
        return _("{model} on {host}", model=model, host=", ".join(hosts)) if hosts else model

    @property
    def substitution(self) -> str | None:
        """A sentence about the models that replace configured ones, in the language of who asks."""
        return self._replaced()

    async def find(self) -> Service:
        """Find the server of roles without an endpoint, once; raises NoModel if there is none, and no endpoint."""
        if (role := self._local) not in self.endpoints:
            try:
                return (await self._server(role)).service
            except NoModel:
                if not self.endpoints:
                    raise
        return next(iter(self.endpoints.values())).service

    async def ready(
        self, alias: str, notify: Notify = ignore, instead_of: str | None = None, *, role: str = "", kept_here: str = ""
    ) -> Model:
        """Load the model of this alias or id, unless it is loaded; raises NoModel, and StaysHere.

        Without a `role` it is the one that the name has. With a rule that has messages `kept_here` the server is on
        this machine. If memory does not suffice for both, `instead_of` is unloaded first, once its answers in this
        process have ended: do not hold a `slot` of it. Models are loaded one at a time, and a load goes on if its
        caller leaves.
        """
        role = role or ("small" if alias == self.pair.small else "large")
        if (private := bool(kept_here)) and self.remote(role):
            raise StaysHere(kept_here)
        if self.endpoints.get("small") is not self.endpoints.get("large"):
            instead_of = None  # it is somewhere else
        several = (number := len(self.addresses(role))) > 1
        for __ in range(2 * max(1, number) + several):
            server = await self._server(role, private=private)
            root = server.client.root
            if model := self._models.get((root, alias)):
                return replace(model, role=role)
            if self._message and self._loading[root].locked():
                notify(self._message)
            self._listeners.append(notify)
            try:
                model = await asyncio.shield(self._start(self._load(server, alias, instead_of)))
                if not several:  # else another server may have less to do by now
                    return replace(model, role=role)
            except Unreachable:  # it has ended since it was found
                self._drop(server)
            except NoModel:
                if role not in self.endpoints or not self.endpoints[role].fail(root, private=private):
                    raise
            finally:
                self._listeners.remove(notify)
        raise NoModel(
            "The model server at {host} ended twice. Start it again, and look into its log.", host=server.service.host
        )

    async def available(self, alias: str, instead_of: str | None = None, *, role: str = "") -> bool:
        """Return whether `ready` could load the model without a download, as far as a quick look tells."""
        endpoint = self.endpoints.get(role)
        try:
            async with asyncio.timeout(AVAILABLE_SECONDS):
                server = await endpoint.server() if endpoint else self._current
                if server is None or not server.alive:
                    return False
                if (server.client.root, alias) in self._models:  # no request to it has failed since it was loaded
                    return True
                fit = await memory.check_fit(server, alias, None if endpoint else instead_of)
                return not (fit and fit.too_big) and await selection.is_available(server, alias)
        except (Unreachable, NoModel, TimeoutError):
            return False

    def forget(self, model: Model, *, private: bool = False) -> bool:
        """Check the server and the model again before the next answer, because a request to them has failed.

        Returns whether another server of the role can be asked at once.
        """
        root = model.service.root
        self._models.pop((root, model.alias), None)
        if model.role in self.endpoints:
            return self.endpoints[model.role].fail(root, private=private)
        if self._current is not None and self._current.lease is None:
            self._drop(self._current)
        return False

    async def refresh(self) -> None:
        """Let go of a runtime that was started before a download, once no answer is written; one call at a time."""
        server = self._current
        if server is None or server.lease is None:
            return
        async with AsyncExitStack() as slots:
            for queue in [*self.queues.values()]:
                await slots.enter_async_context(queue.hold("", alone=True))
            self._drop(server)

    def slot(self, model: Model, notify: Notify = ignore) -> AbstractAsyncContextManager[None]:
        """Hold a model for an answer, `settings.parallel` at a time at each address; whoever waits is told how long."""
        if model.role not in self.endpoints:
            return self.queues[model.id].hold(model.alias, notify)
        width = self.settings.parallel * len(self.addresses(model.role))
        return self.queues.setdefault(f"{model.role} {model.id}", ModelQueue(width)).hold(model.alias, notify)

    def loaded(self, alias: str) -> bool:
        """Whether the model of this alias or id is ready to answer, as far as is known."""
        return any(alias == known for __, known in self._models)

    async def openai(self, service: Service) -> "openai.AsyncOpenAI":
        """Return the openai client of a service."""
        return await self._clients.connect(service).openai()

    async def offered(self) -> tuple[list[str], list[str], dict[str, ModelInfo]]:
        """Return the ids that the server of `find` lists, those loaded, and its models by id; raises NoModel."""
        server = await self._server(self._local)
        try:
            return sorted(await server.listed()), sorted(await server.loaded()), await server.models()
        except Unreachable as error:
            raise NoModel(
                "The model server at {host} does not answer any more ({error}).", host=server.service.host, error=error
            ) from error

    async def use(self, pair: ModelPair) -> None:
        """Answer with a chosen pair, in later chats too, unless SLM_ALIAS and LLM_ALIAS name other models."""
        await asyncio.to_thread(selection.save_choice, self.settings, pair)
        elsewhere: dict[str, Any] = {role: getattr(self.settings, role) for role in self.endpoints}
        self.pair, self._replaced = replace(pair, **elsewhere), lambda: None

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and release the embedded runtime."""
        for task in self._tasks:
            task.cancel()
        await self._clients.close()
        if self._current is not None:
            self._drop(self._current)

    @property
    def _local(self) -> str:
        """A role without an endpoint; the small one if there is none."""
        return next((role for role in ("small", "large") if role not in self.endpoints), "small")

    async def _server(self, role: str, *, private: bool = False) -> Server:
        if role in self.endpoints:
            return await self.endpoints[role].server(private=private)
        if self._current is not None and not self._current.alive:
            log.warning("the model runtime has ended")
            self._drop(self._current)
        if self._current is not None:
            return self._current
        if self._search is None or self._search.done():
            self._search = self._start(self._find())
        return await asyncio.shield(self._search)

    async def _find(self) -> Server:
        try:
            server = await find_server(self.settings, self._clients.connect, self._note_start)
            self.pair, self._replaced = await selection.pair_for(server, self.settings)
        finally:
            self.starting_since = None
        self._current = server
        return server

    def _note_start(self) -> None:
        self.starting_since = time.monotonic()

    def _drop(self, server: Server) -> None:
        """Look for a server again the next time one is needed, unless that has been done already."""
        root = server.client.root
        if self._current is server:
            self._current = None
            if server.lease is not None:
                server.lease.close()
        for endpoint in self.endpoints.values():
            if endpoint.setting == server.service.source:
                endpoint.fail(root)
        self._models = {key: kept for key, kept in self._models.items() if key[0] != root}

    async def _load(self, server: Server, alias: str, instead_of: str | None, waited: bool = False) -> Model:
        # One load at a time: a new id in the list of loaded models is the requested one.
        async with self._loading[server.client.root]:
            fit = await memory.check_fit(server, alias, instead_of)
            if fit and fit.too_big:
                setting = "SLM_ALIAS" if alias == self.pair.small else "LLM_ALIAS"
                raise await selection.too_big(server, self.settings, fit, setting)
            if waited or fit is None or not fit.swap:
                return await self._loaded(server, alias, fit)
        async with AsyncExitStack() as slots:
            held = self.queues[fit.other_id].hold(fit.other, self._notify, alone=True)
            try:
                async with asyncio.timeout(self.settings.first_token_seconds):
                    await slots.enter_async_context(held)
            except TimeoutError:
                raise NoModel(fit.blocked(_("it has not come to the end of its answer"))) from None
            return await self._load(server, alias, instead_of, waited=True)  # the free memory may have changed

    async def _loaded(self, server: Server, alias: str, fit: memory.MemoryFit | None) -> Model:
        root = server.client.root
        if (root, alias) in self._models:  # another caller had it loaded
            return self._models[root, alias]
        notify = self._notify
        if fit and fit.swap:
            notify(fit.swap_notice(self._load_seconds.get(alias)))
            notify = ignore  # the notice remains visible while the model is loaded
            await memory.unload(server, fit)
            self._models = {key: it for key, it in self._models.items() if (key[0], it.id) != (root, fit.other_id)}
        model = await selection.resolve(server, alias, notify)
        if model.load_seconds is not None:
            self._load_seconds[alias] = model.load_seconds
        self._models[root, alias] = model
        return model

    def _notify(self, message: str) -> None:
        """Tell all who wait for a model, also those who come later, what is being waited for."""
        self._message = message
        for listener in self._listeners:
            listener(message)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that goes on when nobody waits for it any more, until `close`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be there to raise it
        return task
