"""HTTP to one model server: the openai client for answers, plain requests for everything else, over one pool."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

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
    def fields(self) -> dict[str, Any]:
        """The body as a JSON object, empty when it is none."""
        return self.data if isinstance(self.data, dict) else {}

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
        self._opening: asyncio.Future[tuple[AsyncClient, AsyncOpenAI]] | None = None

    async def openai(self) -> "AsyncOpenAI":
        """The openai client, whose base is `root`/v1; it never tries again by itself."""
        return (await self._open())[1]

    async def get(self, path: str, seconds: float) -> Reply:
        """GET `root` + `path`; raises Unreachable when there is no whole answer within `seconds`."""
        http, _ = await self._open()
        import httpx2

        try:
            response = await http.get(
                self.root + path,
                headers={"Authorization": f"Bearer {self._api_key}"},
                timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        return Reply(response.status_code, response.text)

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
        http = openai.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False, timeout=timeout)
        base = self.root + "/v1"
        return http, openai.AsyncOpenAI(base_url=base, api_key=self._api_key, http_client=http, max_retries=0)


def server_message(body: object, text: str) -> str:
    """The sentence in an error body of any of the usual shapes, else the text itself, trimmed to 200 characters."""
    found: object = body
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    line = " ".join((found if isinstance(found, str) else text).split())
    return line if len(line) <= 200 else line[:199] + "…"
