"""Requests that get no answer, in the form of OpenAI's errors."""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import EscalatorError, InputError, ServerBusy

ACCIDENT = "Something went wrong inside Escalator. Its terminal shows the details."


class Refusal(HTTPException):
    """A request that is refused; `param` is the field of its body that is wrong."""

    def __init__(self, status: int, text: str, param: str | None = None, code: str = "", **headers: str) -> None:
        super().__init__(status, text, {name.replace("_", "-"): value for name, value in headers.items()})
        self.param = param
        self.code = code

    @classmethod
    def of(cls, error: EscalatorError) -> "Refusal":
        """Return the refusal for a turn that failed."""
        if isinstance(error, ServerBusy):
            return cls(429, str(error), retry_after=str(max(1, round(error.seconds))))
        return cls(400 if isinstance(error, InputError) else 503, str(error))


def described(error: Exception) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it; of a mistake of ours it says nothing more."""
    status, text = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, ACCIDENT)
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    code = getattr(error, "code", "") or HTTPStatus(status).phrase.lower().replace(" ", "_")
    return {"error": {"message": text, "type": kind, "param": getattr(error, "param", None), "code": code}}


async def refused(_: Request, error: Exception) -> Response:
    """Answer a request that is refused or failed; the server writes the details of a failure to the terminal."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    return JSONResponse(described(error), status, headers)
