"""Finds a model server for this process to use and makes a model ready to answer; knows no prompts and no documents."""

import asyncio
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from app.errors import NoModel
from app.models import memory, selection
from app.models.catalogue import ModelInfo, ModelPair
from app.models.discovery import find_server
from app.models.server import Client, Model, Notify, Server, Service, Unreachable, ignore
from app.settings import Settings
from app.translation import _, mark

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

__all__ = ["Foundry", "Model", "ServerLookup", "Service"]

T = TypeVar("T")

AVAILABLE_SECONDS = 1.0
"""How long a server may take to tell what it has before that counts as no."""

PROGRESS_SECONDS = 0.5
"""Interval between two looks at what a look-up is doing."""

SLOW_SECONDS = 8.0
STARTING = mark("Starting Foundry Local")
SLOW = mark(
    "Foundry Local is slow to start. An antivirus program may be checking its new files, which happens once: wait, or "
    "exclude {folder} from its checks"
)
"""What is being waited for, in the first SLOW_SECONDS and after them."""


class Foundry:
    """Finds the model server for this process and makes models ready; use it from one event loop only.

    `pair` are the models that answer: the configured ones until a server is found. Only a server of the dialect
    "foundry" may then have them replaced by models on its disk, which `substitution` says.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.pair = ModelPair(settings.small, settings.large)
        self._replaced: Callable[[], str | None] = lambda: None
        self.without_logprobs = set[str]()
        """The addresses of servers that do not report how probable each token was."""
        self._current: Server | None = None
        self._starting_since: float | None = None
        self._clients: dict[str, Client] = {}
        self._models: dict[str, Model] = {}
        self._load_seconds: dict[str, float] = {}
        self._search: asyncio.Task[Server] | None = None
        self._tasks = set[asyncio.Task[Any]]()
        self._listeners: list[Notify] = []
        self._message = ""
        self._slots = defaultdict[str, asyncio.Semaphore](partial(asyncio.Semaphore, settings.parallel))
        self._loading = asyncio.Lock()

    @property
    def substitution(self) -> str | None:
        """A sentence about the models that replace configured ones, in the language of who asks."""
        return self._replaced()

    @property
    def starting(self) -> str:
        """A sentence about a runtime with models that is being started, which a turn waits for; else empty."""
        if self._starting_since is None:
            return ""
        soon = time.monotonic() - self._starting_since < SLOW_SECONDS
        return _(STARTING) if soon else _(SLOW, folder=sys.prefix)

    async def find(self) -> Service:
        """Find the model server, once; raises NoModel, after which the next call looks again."""
        return (await self._server()).service

    async def ready(self, alias: str, notify: Notify = ignore, instead_of: str | None = None) -> Model:
        """Load the model of this alias or id, unless it is loaded; raises NoModel.

        If memory does not suffice for both, `instead_of` is unloaded first, once its answers in this process have
        ended: do not hold a `slot` of it. Models are loaded one at a time, and a load goes on if its caller leaves.
        """
        for __ in range(2):
            server = await self._server()
            if alias in self._models:
                return self._models[alias]
            if self._message and self._loading.locked():
                notify(self._message)
            self._listeners.append(notify)
            try:
                return await asyncio.shield(self._start(self._load(server, alias, instead_of)))
            except Unreachable:  # it has ended since it was found
                self._drop(server)
            finally:
                self._listeners.remove(notify)
        raise NoModel(
            "The model server at {host} ended twice. Start it again, and look into its log.", host=server.service.host
        )

    async def available(self, alias: str, instead_of: str | None = None) -> bool:
        """Return whether `ready` could load the model without a download, as far as a quick look tells."""
        server = self._current
        if server is None or not server.alive:
            return False
        try:
            async with asyncio.timeout(AVAILABLE_SECONDS):
                fit = await memory.check_fit(server, alias, instead_of)
                return not (fit and fit.too_big) and await selection.is_available(server, alias)
        except (Unreachable, TimeoutError):
            return False

    def forget(self, model: Model) -> None:
        """Check the server and the model again before the next answer, because a request to them has failed."""
        if self._models.get(model.alias) == model:
            del self._models[model.alias]
        if self._current is not None and self._current.lease is None:
            self._drop(self._current)

    async def refresh(self) -> None:
        """Let go of a runtime that was started before a download, once no answer is written; one call at a time."""
        server = self._current
        if server is None or server.lease is None:
            return
        async with AsyncExitStack() as slots:
            for model_id in list(self._slots):
                await self._take_slots(slots, model_id)
            self._drop(server)

    def slot(self, model: Model) -> asyncio.Semaphore:
        """Return the semaphore that a model's answers hold; `settings.parallel` of them at a time."""
        return self._slots[model.id]

    async def openai(self, service: Service) -> "openai.AsyncOpenAI":
        """Return the openai client of a service."""
        return await self._client(service.root).openai()

    async def offered(self) -> tuple[list[str], list[str], dict[str, ModelInfo]]:
        """Return the listed ids, the loaded ids and what is known of models by id; raises NoModel."""
        server = await self._server()
        try:
            return sorted(await server.listed()), sorted(await server.loaded()), await server.models()
        except Unreachable as error:
            raise NoModel(
                "The model server at {host} does not answer any more ({error}).", host=server.service.host, error=error
            ) from error

    async def use(self, pair: ModelPair) -> None:
        """Answer with a chosen pair, in later chats too, unless SLM_ALIAS and LLM_ALIAS name other models."""
        await asyncio.to_thread(selection.save_choice, self.settings, pair)
        self.pair, self._replaced = pair, lambda: None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and release the embedded runtime."""
        for task in self._tasks:
            task.cancel()
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        if self._current is not None:
            self._drop(self._current)

    async def _take_slots(
        self, slots: AsyncExitStack, model_id: str, on_wait: Callable[[], None] = lambda: None
    ) -> None:
        """Take all slots of a model, so that it writes no answer in this process until `slots` is closed."""
        for __ in range(self.settings.parallel):
            if self._slots[model_id].locked():
                on_wait()
            await slots.enter_async_context(self._slots[model_id])

    def _client(self, root: str) -> Client:
        if root not in self._clients:
            # The key belongs to the configured server, not to one that was found.
            self._clients[root] = Client(root, self.settings.api_key if self.settings.endpoint else "none")
        return self._clients[root]

    async def _server(self) -> Server:
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
            server = await find_server(self.settings, self._client, self._note_start)
            self.pair, self._replaced = await selection.pair_for(server, self.settings)
        finally:
            self._starting_since = None
        self._current = server
        return server

    def _note_start(self) -> None:
        self._starting_since = time.monotonic()

    def _drop(self, server: Server) -> None:
        """Look for a server again the next time one is needed, unless that has been done already."""
        if self._current is server:
            self._current = None
            self._models.clear()
            server.release()

    async def _load(self, server: Server, alias: str, instead_of: str | None, waited: bool = False) -> Model:
        async with self._loading:  # one load at a time: a new id in the list of loaded models is the requested one
            fit = await self._fit(server, alias, instead_of)
            if waited or fit is None or not fit.swap:
                return await self._loaded(server, alias, fit)
        async with AsyncExitStack() as slots:
            await self._wait_for_other(slots, fit)
            return await self._load(server, alias, instead_of, waited=True)  # the free memory may have changed

    async def _wait_for_other(self, slots: AsyncExitStack, fit: memory.MemoryFit) -> None:
        busy = _("Waiting for {model}: it is answering another question.", model=fit.other)
        try:
            async with asyncio.timeout(self.settings.first_token_seconds):
                await self._take_slots(slots, fit.other_id, partial(self._notify, busy))
        except TimeoutError:
            raise NoModel(fit.blocked(_("it has not come to the end of its answer"))) from None

    async def _fit(self, server: Server, alias: str, instead_of: str | None) -> memory.MemoryFit | None:
        fit = await memory.check_fit(server, alias, instead_of)
        if fit and fit.too_big:
            setting = "SLM_ALIAS" if alias == self.pair.small else "LLM_ALIAS"
            raise await selection.too_big(server, self.settings, fit, setting)
        return fit

    async def _loaded(self, server: Server, alias: str, fit: memory.MemoryFit | None) -> Model:
        if alias in self._models:  # another caller had it loaded
            return self._models[alias]
        notify = self._notify
        if fit and fit.swap:
            notify(fit.swap_notice(self._load_seconds.get(alias)))
            notify = ignore  # the notice remains visible while the model is loaded
            await memory.unload(server, fit)
            self._models = {name: kept for name, kept in self._models.items() if kept.id != fit.other_id}
        model = await selection.resolve(server, alias, notify)
        if model.load_seconds is not None:
            self._load_seconds[alias] = model.load_seconds
        if self._current is server:
            self._models[alias] = model
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


class ServerLookup:
    """A look-up of the model server, begun with this object and awaited when a model is needed.

    `patience` is the wait in seconds, None for the whole look-up; a runtime that is being started is always waited for.
    """

    def __init__(self, foundry: Foundry, patience: float | None) -> None:
        self._foundry, self._patience = foundry, patience
        self._task = asyncio.ensure_future(foundry.find())
        self._task.add_done_callback(lambda done: done.cancelled() or done.exception())  # `wait` raises it

    @property
    def uncertain(self) -> bool:
        """Whether it is still open if any server will answer."""
        return not (self._task.done() or self._foundry.starting)

    async def wait(self, notify: Notify) -> Service:
        """Return the server; raises NoModel."""
        message, timeout = "", self._patience or PROGRESS_SECONDS
        while not (await asyncio.wait([self._task], timeout=timeout))[0]:
            now = self._foundry.starting or message
            if not now and self._patience is not None:
                raise NoModel("Escalator is still looking for Foundry Local. Ask again in a moment.")
            now, timeout = now or _("Looking for Foundry Local"), PROGRESS_SECONDS
            if now != message:
                notify(message := now)
        return self._task.result()
