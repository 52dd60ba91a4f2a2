"""Who asks, in a room of several people, and who organises the room."""

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

person: ContextVar[str] = ContextVar("person", default="")
"""Whose event is being handled, also in the tasks that it begins; "" is the one person at this machine."""

organiser: ContextVar[bool] = ContextVar("organiser", default=True)
"""Whether that person may change what all share: the documents and the models."""

request: ContextVar[str] = ContextVar("request", default="")
"""The id of what is being handled, such as a question: errors that people see have it, and the log."""

FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
"""Headers by which a proxy on this machine says that it passes on a request of another one."""


def begin_request() -> str:
    """Give what is being handled an id, and return it."""
    request.set(name := secrets.token_hex(3))
    return name


def sits_here() -> bool:
    """Whether the event is of the person at this machine, for whom programs of it may be started."""
    return not person.get() and organiser.get()


def is_here(scope: "Scope") -> bool:
    """Whether a request comes from a program on the machine of this server."""
    client, _ = scope.get("client") or ("", 0)
    here = client.removeprefix("::ffff:").startswith("127.") or client == "::1"
    return here and not any(name.lower() in FORWARDED for name, _ in scope["headers"])


def organises(scope: "Scope") -> bool:
    """Whether a request may see what all people ask of the models: it is the organiser's, or of this machine."""
    return is_here(scope) or scope.get("organiser") is True
