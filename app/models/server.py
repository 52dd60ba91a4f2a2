"""A model server: HTTP to it, its dialect (how it lists and loads models), and the lease on the embedded one.

"foundry" is Foundry Local since 0.10 and its SDK, "plain" is any other server with OpenAI's protocol that loads models
by itself, such as Ollama, llama.cpp or an older Foundry Local.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from app.errors import ModelError
from app.models.catalogue import ModelInfo, load_catalogue
from app.models.runtime import Lease
from app.settings import Settings, is_loopback
from app.translation import mark

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

Dialect = Literal["foundry", "plain"]
Source = Literal["endpoint", "service", "embedded", "SLM_ENDPOINT", "LLM_ENDPOINT"]

Notify = Callable[[str], None]
"""Receives a sentence about what is being waited for."""

CONNECT_SECONDS = 5.0  # a server that is there accepts at once, but a busy event loop may see it late
PROBE_SECONDS = 5.0
LIST_SECONDS = 10.0  # the first look into the catalogue takes four seconds without a network
LOAD_SECONDS = 900.0  # twelve gigabytes from a slow disk


class Unreachable(Exception):
    """No answer from a server; never leaves this package."""


class NotAModelServer(ModelError):
    """An answer from something else than a model server, or from one that wants a key; never leaves this package."""


def ignore(message: str) -> None:
    """Ignore a message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The status and the whole body of an HTTP answer."""

    status: int
    text: str

    @property
    def data(self) -> Any:
        """The body parsed as JSON, None if it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def fields(self) -> dict[str, Any]:
        """The body as a JSON object, empty if it is not one."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def message(self) -> str:
        """The server's error message, one line of at most 200 characters."""
        return server_message(self.data, self.text)


@dataclass(frozen=True, slots=True)
class Service:
    """The address of a model server, without `/v1`, and how it was found."""

    root: str
    source: Source

    @property
    def host(self) -> str:
        """Host and port as an answer shows them, without user name and password."""
        return urlsplit(self.root).netloc.rpartition("@")[2]

    @property
    def key(self) -> str:
        """The setting with the key that belongs to this address."""
        return self.source.replace("ENDPOINT", "API_KEY") if self.source.isupper() else "API_KEY"


class Client:
    """The connections of one event loop to one model server: the openai client for answers, GET for the rest.

    Proxies of the environment are ignored on this machine: with HTTP_PROXY set, 127.0.0.1 would be requested from the
    proxy. Redirects are not followed: they could carry a prompt to another machine.
    """

    def __init__(self, service: Service, api_key: SecretStr):
        self.service, self.root, self.is_local = service, service.root, is_loopback(service.root)
        self._api_key = api_key.get_secret_value() or "none"  # the openai client wants one
        self._opening: asyncio.Future[tuple[AsyncClient, AsyncOpenAI]] | None = None

    async def openai(self) -> "AsyncOpenAI":
        """Return the openai client, with the base `root`/v1 and no retries of its own."""
        return (await self._open())[1]

    async def get(self, path: str, seconds: float = LIST_SECONDS) -> Reply:
        """GET `root` + `path`; raises Unreachable without a whole answer within `seconds`."""
        http, _ = await self._open()
        import httpx2

        headers = {"Authorization": f"Bearer {self._api_key}"}
        try:
            async with asyncio.timeout(seconds):  # httpx would allow as much for each piece
                response = await http.get(self.root + path, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        return Reply(response.status_code, response.text.replace(self._api_key, "hidden"))

    async def close(self) -> None:
        """Close the connections."""
        if self._opening is not None:
            await (await self.openai()).close()
            self._opening = None

    async def _open(self) -> "tuple[AsyncClient, AsyncOpenAI]":
        if self._opening is None:
            # Importing openai takes half a second, and a client reads certificates: neither belongs on the event loop.
            self._opening = asyncio.get_running_loop().run_in_executor(None, self._make)
        return await asyncio.shield(self._opening)

    def _make(self) -> "tuple[AsyncClient, AsyncOpenAI]":
        import httpx2
        import openai

        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        http = openai.DefaultAsyncHttpxClient(trust_env=not self.is_local, follow_redirects=False, timeout=timeout)
        base = self.root + "/v1"
        return http, openai.AsyncOpenAI(base_url=base, api_key=self._api_key, http_client=http, max_retries=0)


class Clients:
    """The connections of one event loop, by the address and how it was found: a key is sent to its own addresses."""

    def __init__(self, settings: Settings) -> None:
        self._keys: dict[Source, SecretStr] = {
            "endpoint": settings.api_key,
            "SLM_ENDPOINT": settings.small_key,
            "LLM_ENDPOINT": settings.large_key,
        }
        self._open: dict[Service, Client] = {}

    def connect(self, service: Service) -> Client:
        """Return the client for an address."""
        if service not in self._open:
            self._open[service] = Client(service, self._keys.get(service.source, SecretStr("")))
        return self._open[service]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._open.values():
            await client.close()
        self._open.clear()


Connect = Callable[[Service], Client]
"""Opens the connection to an address."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: the requested name, its full id, its server, and how long loading took, if it did.

    `role` is the one that it was made ready for.
    """

    alias: str
    id: str
    service: Service
    load_seconds: float | None = field(default=None, compare=False)
    role: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.alias} at {self.service.host}"


@dataclass(frozen=True, slots=True)
class Server:
    """One model server; `lease` holds it if it is the embedded one."""

    client: Client
    dialect: Dialect
    lease: Lease | None = None

    @property
    def service(self) -> Service:
        """The server's address for other modules."""
        return self.client.service

    @property
    def alive(self) -> bool:
        """False if the server has certainly ended."""
        return self.lease is None or self.lease.alive

    async def loaded(self) -> list[str]:
        """List the ids of the models that can answer now; all listed ones if the server loads models by itself."""
        if self.dialect == "plain":
            # Azure lists what could be deployed, and is asked by the names of what is.
            return [] if self.service.host.endswith(".azure.com") else await self.listed()
        return _strings((await self.client.get("/models/loaded")).data)

    async def listed(self) -> list[str]:
        """List the ids of `/v1/models`, which says nothing about whether they can answer; empty if that fails."""
        entries = (await self.client.get("/v1/models")).fields.get("data")
        return _strings([entry.get("id") for entry in entries if isinstance(entry, dict)] if entries else [])

    async def load(self, alias: str) -> Reply:
        """Load a model."""
        return await self.client.get("/models/load/" + quote(alias, safe=""), LOAD_SECONDS)

    async def unload(self, alias: str) -> Reply:
        """Unload a model, which the server refuses while the model writes an answer."""
        return await self.client.get("/models/unload/" + quote(alias, safe=""))

    async def models(self) -> dict[str, ModelInfo]:
        """Describe the models by id, if the server's catalogue is on this machine."""
        if self.dialect == "plain" or not self.client.is_local:
            return {}
        cache = (await self.client.get("/status")).fields.get("modelCachePath")
        return await asyncio.to_thread(load_catalogue, Path(cache)) if isinstance(cache, str) and cache else {}


async def identify(client: Client) -> Server:
    """Find out a server's dialect; raises Unreachable or NotAModelServer."""
    if isinstance((await client.get("/models/loaded", PROBE_SECONDS)).data, list):
        return Server(client, "foundry")
    reply = await client.get("/v1/models")
    if reply.status in (401, 403):
        raise NotAModelServer(mark("it wants a key; set {setting}"), setting=client.service.key)
    # Some servers fail to list their models without a network, or are busy, and answer all the same.
    if reply.status == 429 or reply.status >= 500 or isinstance(reply.fields.get("data"), list):
        return Server(client, "plain")
    raise NotAModelServer(mark("it is not a model server: GET /v1/models returned {status}"), status=reply.status)


def guess_id(alias: str, ids: list[str]) -> str | None:
    """Guess which id an alias means where nothing says so: an equal id, or one that continues the alias.

    An instruct model is preferred; a reasoning model is never guessed.
    """
    wanted = alias.casefold()
    for model_id in ids:
        if model_id.casefold() == wanted:
            return model_id
    longer = [model_id for model_id in ids if model_id.casefold().startswith((wanted + "-", wanted + ":"))]
    longer = [model_id for model_id in longer if "reasoning" in wanted or "reasoning" not in model_id.casefold()]
    return min(longer, key=lambda model_id: ("-instruct" not in model_id.casefold(), len(model_id)), default=None)


def server_message(body: object, text: str) -> str:
    """Extract the message of an error body of any usual shape, else `text`, cut to 200 characters."""
    message: object = body
    for key in ("error", "message", "detail"):
        if isinstance(message, dict) and message.get(key):
            message = message[key]
    line = " ".join((message if isinstance(message, str) else text).split())
    return line if len(line) <= 200 else line[:199] + "…"


def _strings(data: Any) -> list[str]:
    return [str(item) for item in data if item] if isinstance(data, list) else []
