"""Who asks, in a room of several people, and who organises the room."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

person: ContextVar[str] = ContextVar("person", default="")
"""Whose event is being handled, also in the tasks that it begins; "" is the one person at this machine."""

FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
"""Headers by which a proxy on this machine says that it passes on a request of another one."""


def is_here(scope: "Scope") -> bool:
    """Whether a request comes from a program on the machine of this server."""
    client, _ = scope.get("client") or ("", 0)
    here = client.removeprefix("::ffff:").startswith("127.") or client == "::1"
    return here and not any(name.lower() in FORWARDED for name, _ in scope["headers"])


def organises(scope: "Scope") -> bool:
    """Whether a request may see what all people ask of the models: it comes from the machine of this server."""
    return is_here(scope)
