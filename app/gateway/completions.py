"""The endpoints under /v1, which speak as OpenAI's chat completions do."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.answering.pipeline import Assistant
from app.answering.turn import Mode
from app.settings import Settings

MODES: dict[str, Mode] = {"escalator": "auto", "escalator-small": "small", "escalator-large": "large"}
"""The models that answer from the documents, by the mode of their turns."""


def routes(settings: Settings, assistant: Callable[[], Awaitable[Assistant]]) -> list[BaseRoute]:
    """Return the routes of the API."""

    async def models(_: Request) -> Response:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "escalator"} for name in MODES]
        return JSONResponse({"object": "list", "data": listed})

    return [Route("/v1/models", models)]


async def refusal(_: Request, error: Exception) -> Response:
    """Answer a request that cannot be served."""
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def accident(_: Request, error: Exception) -> Response:
    """Answer a request that failed inside; the terminal shows the details."""
    return _error(500, "Something went wrong inside Escalator. Its terminal shows the details.")


def _error(status: int, message: str) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)
