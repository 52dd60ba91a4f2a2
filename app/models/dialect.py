"""What differs between model servers: how they tell which models are loaded, and how one is loaded.

"foundry" is Foundry Local since 0.10 and its SDK, "classic" is Foundry Local up to 0.8, "plain" is any other server
that speaks OpenAI's protocol, such as Ollama or llama.cpp, and loads models by itself.
"""

import asyncio
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from app.models import discovery
from app.models.client import Client, Reply
from app.settings import is_loopback

Dialect = Literal["foundry", "classic", "plain"]

PROBE_SECONDS = 5.0
LIST_SECONDS = 10.0  # the first look into the catalogue takes four seconds without a network
LOAD_SECONDS = 900.0  # twelve gigabytes from a slow disk

_LOADED: dict[Dialect, str] = {"foundry": "/models/loaded", "classic": "/openai/loadedmodels"}


class Stranger(Exception):
    """Something answers, but it is no model server, or it wants a key; never leaves this package."""


class Server:
    """One model server, spoken to in its dialect."""

    def __init__(self, client: Client, dialect: Dialect, prefix: str = ""):
        self.client = client
        self.dialect = dialect
        self.prefix = prefix

    @property
    def root(self) -> str:
        """The address before `/v1`."""
        return self.client.root + self.prefix

    async def loaded(self) -> list[str]:
        """Ids of the models that can answer now; all that are listed where the server loads by itself."""
        if self.dialect == "plain":
            return await self.listed()
        return _names((await self._get(_LOADED[self.dialect])).data)

    async def listed(self) -> list[str]:
        """Ids that the server lists, which says nothing about whether they can answer; empty when it lists none."""
        data = (await self._get("/v1/models", LIST_SECONDS)).data
        entries = data.get("data") if isinstance(data, dict) else None
        return _names([entry.get("id") for entry in entries or [] if isinstance(entry, dict)])

    async def load(self, name: str) -> Reply:
        """Load a model by its alias."""
        path = "/models/load/" if self.dialect == "foundry" else "/openai/load/"
        return await self._get(path + quote(name, safe=""), LOAD_SECONDS)

    async def cached(self) -> list[str]:
        """Ids of the models that are downloaded; only a classic server tells."""
        return _names((await self._get("/openai/models")).data)

    async def aliases(self) -> dict[str, str]:
        """The alias of every known id, as far as that can be learned: `/v1/models` does not tell it."""
        if self.dialect == "classic":
            data = (await self._get("/foundry/list", LIST_SECONDS)).data
            entries = data.get("models", []) if isinstance(data, dict) else data or []
            named = [entry for entry in entries if isinstance(entry, dict)]
            return {str(entry.get("name")): str(entry.get("alias")) for entry in named}
        cache = await self.cache()
        return await asyncio.to_thread(discovery.aliases, cache) if cache and not self.prefix else {}

    async def cache(self) -> Path | None:
        """The server's model cache, if that is a folder of this machine."""
        if self.dialect != "foundry" or not is_loopback(self.client.root):
            return None
        data = (await self.client.get("/status")).data
        path = data.get("modelCachePath") if isinstance(data, dict) else None
        return Path(path) if isinstance(path, str) and path else None

    async def _get(self, path: str, seconds: float = LIST_SECONDS) -> Reply:
        return await self.client.get(self.prefix + path, seconds)


async def recognise(client: Client) -> Server:
    """Find out which dialect a server speaks; raises Unreachable or Stranger."""
    for dialect, path in _LOADED.items():
        if isinstance((await client.get(path, PROBE_SECONDS)).data, list):
            return Server(client, dialect)
    reply = await client.get("/v1/models", LIST_SECONDS)
    if reply.status in (401, 403):
        raise Stranger("it wants a key; set API_KEY")
    # Some servers fail to list their models without a network and answer all the same.
    if reply.status >= 500 or (isinstance(reply.data, dict) and isinstance(reply.data.get("data"), list)):
        return Server(client, "plain")
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


def _names(data: Any) -> list[str]:
    return [str(item) for item in data if item] if isinstance(data, list) else []
