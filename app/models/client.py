"""HTTP to one model server: the openai client for answers, plain requests for everything else, over one pool."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2
    import openai

CONNECT_SECONDS = 2.0


class Unreachable(Exception):
    """Nothing answered; never leaves this package."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer of the server."""

    status: int
    text: str

    @property
    def data(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """What the server says went wrong, in one line of at most 200 characters."""
        return server_message(self.data, self.text)


class Client:
    """The connections of one event loop to one model server.

    Proxies of the environment are ignored: with HTTP_PROXY set, 127.0.0.1 would be asked of the proxy. Redirects are
    not followed: they could carry a prompt to another machine.
    """

    def __init__(self, root: str, api_key: str):
        self.root = root
        self._api_key = api_key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Future[None] | None = None
        self._http: httpx2.AsyncClient
        self._openai: openai.AsyncOpenAI

    @property
    def host(self) -> str:
        """Host and port."""
        return host_of(self.root)

    async def openai(self) -> "openai.AsyncOpenAI":
        """The openai client, whose base is `root`/v1; it never tries again by itself."""
        await self._open()
        return self._openai

    async def get(self, path: str, seconds: float = 10.0) -> Reply:
        """GET `root` + `path`; raises Unreachable when there is no whole answer within `seconds`."""
        await self._open()
        import httpx2

        try:
            response = await self._http.get(
                self.root + path,
                headers={"Authorization": f"Bearer {self._api_key}"},
                timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        return Reply(response.status_code, response.text)

    async def close(self) -> None:
        """Close the connections; a client of a loop that has ended has none."""
        if self._opening is not None and self._loop is asyncio.get_running_loop():
            await self._opening
            await self._openai.close()
        self._opening = None

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._opening is None or self._loop is not loop:
            self._loop = loop
            # Importing openai takes half a second, and a client reads certificates: neither belongs on the event loop.
            self._opening = loop.run_in_executor(None, self._make)
        await asyncio.shield(self._opening)

    def _make(self) -> None:
        import httpx2
        import openai

        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        self._http = openai.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False, timeout=timeout)
        self._openai = openai.AsyncOpenAI(
            base_url=self.root + "/v1", api_key=self._api_key, http_client=self._http, max_retries=0
        )


def host_of(url: str) -> str:
    """Host and port of an address, without a user name and password in it."""
    return urlsplit(url).netloc.rpartition("@")[2]


def server_message(body: object, text: str) -> str:
    """The sentence in an error body of any of the usual shapes, else the text itself, trimmed to 200 characters."""
    found: object = body
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    line = " ".join((found if isinstance(found, str) else text).split())
    return line if len(line) <= 200 else line[:199] + "…"
