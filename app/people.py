"""Who asks, in a room of several people, and who organises the room."""

import secrets
from contextvars import ContextVar

person: ContextVar[str] = ContextVar("person", default="")
"""Whose event is being handled, also in the tasks that it begins; "" is the one person at this machine."""

organiser: ContextVar[bool] = ContextVar("organiser", default=True)
"""Whether that person may change what all share: the documents and the models."""

request: ContextVar[str] = ContextVar("request", default="")
"""The id of what is being handled, such as a question: errors that people see have it, and the log."""


def begin_request() -> str:
    """Give what is being handled an id, and return it."""
    request.set(name := secrets.token_hex(3))
    return name


def sits_here() -> bool:
    """Whether the event is of the person at this machine, for whom programs of it may be started."""
    return not person.get() and organiser.get()
