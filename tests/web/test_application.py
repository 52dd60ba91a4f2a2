"""The gateway answers its own paths before the chat, and is open from before the chat's start until after its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from app.answering.pipeline import Assistant
from app.settings import load
from app.web.application import Gateway, application


async def nobody() -> Assistant:
    raise AssertionError("nobody asks")


async def chat(_: Any) -> PlainTextResponse:
    return PlainTextResponse("the chat")


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("the chat")
    await websocket.close()


def test_only_paths_of_the_gateway_are_taken_from_the_chat() -> None:
    routes = [WebSocketRoute("/v1/ws", greet), Route("/{path:path}", chat)]
    with TestClient(Gateway(Starlette(routes=routes), nobody)) as client:
        assert {client.get(path).text for path in ("/", "/v1x", "/public/v1", "/project/v1/models")} == {"the chat"}
        with client.websocket_connect("/v1/ws") as websocket:
            assert websocket.receive_text() == "the chat"
        described = client.get("/v1/openapi.json").json()
        missing = client.get("/v1/nothing")

    assert "/v1/chat/completions" in described["paths"]
    assert missing.status_code == 404
    assert missing.json()["error"]["type"] == "invalid_request_error"


def test_what_a_face_needs_is_open_while_the_server_runs() -> None:
    happened = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        happened.append("opened")
        yield
        happened.append("closed")

    with TestClient(application(load(), nobody, opened)) as client:
        client.get("/v1/openapi.json")
        assert happened == ["opened"]
    assert happened == ["opened", "closed"]
