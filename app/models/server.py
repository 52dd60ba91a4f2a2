"""A model server, and what differs between servers: how they tell which models are loaded, and how one is loaded.

"foundry" is Foundry Local since 0.10 and its SDK, "classic" is Foundry Local up to 0.8, "plain" is any other server
that speaks OpenAI's protocol, such as Ollama or llama.cpp, and loads models by itself.
"""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from app.models import catalogue
from app.models.catalogue import Known
from app.models.client import Client, Reply
from app.models.supervisor import Lease
from app.settings import is_loopback

Dialect = Literal["foundry", "classic", "plain"]
How = Literal["endpoint", "service", "embedded"]

PROBE_SECONDS = 5.0
LIST_SECONDS = 10.0  # the first look into the catalogue takes four seconds without a network
LOAD_SECONDS = 900.0  # twelve gigabytes from a slow disk

_LOADED: dict[Dialect, str] = {"foundry": "/models/loaded", "classic": "/openai/loadedmodels"}


class Stranger(Exception):
    """Something answers, but it is no model server, or it wants a key; never leaves this package."""


@dataclass(frozen=True, slots=True)
class Service:
    """The address of a model server, without `/v1`, and how it was found."""

    root: str
    how: How

    @property
    def host(self) -> str:
        """Host and port, as an answer names where it was made; without a user name and password."""
        return urlsplit(self.root).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is loaded and can answer: the name it was asked for, its full id, and where it runs.

    `took` is how many seconds loading it took, if it had to be loaded.
    """

    alias: str
    id: str
    service: Service
    took: float | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.alias} at {self.service.host}"


@dataclass(frozen=True, slots=True)
class Server:
    """One model server, spoken to in its dialect; `lease` is the hold on it if it is the embedded one."""

    client: Client
    dialect: Dialect
    how: How
    lease: Lease | None = None
    prefix: str = ""

    @property
    def service(self) -> Service:
        """What others need to know of it."""
        return Service(self.client.root + self.prefix, self.how)

    @property
    def alive(self) -> bool:
        """False when it is certain that it has ended."""
        return self.lease is None or self.lease.alive

    async def loaded(self) -> list[str]:
        """Ids of the models that can answer now; all that are listed where the server loads by itself."""
        if self.dialect == "plain":
            return await self.listed()
        return _names((await self._get(_LOADED[self.dialect])).data)

    async def listed(self) -> list[str]:
        """Ids that the server lists, which says nothing about whether they can answer; empty when it lists none."""
        reply = await self._get("/v1/models")
        return _names([entry.get("id") for entry in _objects(reply.fields.get("data"))])

    async def load(self, name: str) -> Reply:
        """Load a model: of a classic service by its id, of all others by its alias."""
        path = "/models/load/" if self.dialect == "foundry" else "/openai/load/"
        return await self._get(path + quote(name, safe=""), LOAD_SECONDS)

    async def unload(self, alias: str) -> Reply:
        """Give the model's memory back, which is refused while the model writes an answer."""
        return await self._get("/models/unload/" + quote(alias, safe=""))

    async def known(self) -> dict[str, Known]:
        """The models by their ids, as far as something can be learned of them: `/v1/models` does not tell it."""
        if self.dialect == "classic":
            listed = await self._get("/foundry/list")
            entries = _objects(listed.fields.get("models", listed.data))
            aliases = {str(entry.get("name")): str(entry.get("alias")) for entry in entries}
            here = _names((await self._get("/openai/models")).data)
            return {name: Known(aliases.get(name, name), None, name in here) for name in [*here, *aliases]}
        if self.dialect == "plain" or self.prefix or not is_loopback(self.client.root):
            return {}
        cache = (await self._get("/status")).fields.get("modelCachePath")
        return await asyncio.to_thread(catalogue.known, Path(cache)) if isinstance(cache, str) and cache else {}

    def registered(self) -> "Server":
        """The same server where it serves, with all the same routes, the models that were registered by hand."""
        return replace(self, prefix="/catalogs/local")

    async def _get(self, path: str, seconds: float = LIST_SECONDS) -> Reply:
        return await self.client.get(self.prefix + path, seconds)


async def recognise(client: Client, how: How) -> Server:
    """Find out which dialect a server speaks; raises Unreachable or Stranger."""
    for dialect, path in _LOADED.items():
        if isinstance((await client.get(path, PROBE_SECONDS)).data, list):
            return Server(client, dialect, how)
    reply = await client.get("/v1/models", LIST_SECONDS)
    if reply.status in (401, 403):
        raise Stranger("it wants a key; set API_KEY")
    # Some servers fail to list their models without a network and answer all the same.
    if reply.status >= 500 or isinstance(reply.fields.get("data"), list):
        return Server(client, "plain", how)
    raise Stranger(f"it is no model server: GET /v1/models gave {reply.status}")


def same_name(alias: str, ids: list[str]) -> str | None:
    """The id that an alias most likely means where nobody tells: equal, or the alias with a longer name behind it.

    An instruct model goes before others, a reasoning model is never guessed.
    """
    wanted = alias.casefold()
    for model in ids:
        if model.casefold() == wanted:
            return model
    longer = [model for model in ids if model.casefold().startswith((wanted + "-", wanted + ":"))]
    longer = [model for model in longer if "reasoning" in wanted or "reasoning" not in model.casefold()]
    return min(longer, key=lambda model: ("-instruct" not in model.casefold(), len(model)), default=None)


def _objects(data: Any) -> list[dict[str, Any]]:
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _names(data: Any) -> list[str]:
    return [str(item) for item in data if item] if isinstance(data, list) else []
