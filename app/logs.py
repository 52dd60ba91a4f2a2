"""The log as lines of text or JSON, written by a thread, so that a terminal that stands still holds nothing up."""

import atexit
import hashlib
import json
import logging
import queue
import secrets
import traceback
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from app.room import person, request
from app.settings import load

MOST_LINES = 10_000
"""As many lines wait to be written; later ones are dropped."""

_KEY = secrets.token_bytes(16)


class JsonFormatter(logging.Formatter):
    """Makes objects of lines; of an exception they have the kind and the places, as its text may quote a document."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        who = hashlib.blake2s(person.get().encode(), key=_KEY, digest_size=4).hexdigest() if person.get() else ""
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        line |= {"request": request.get(), "person": who}
        line |= getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info and (error := record.exc_info[1]):
            places = [f"{it.filename}:{it.lineno}" for it in traceback.extract_tb(error.__traceback__)]
            line |= {"error": type(error).__name__, "places": places}
        return json.dumps(line, ensure_ascii=False)


class _Lines(QueueHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Drop a line for which there is no room."""


def start() -> None:
    """Have the log written by a thread, to stderr, in the form that the settings say."""
    root, lines = logging.getLogger(), _Lines(queue.Queue(MOST_LINES))
    targets = root.handlers or [logging.StreamHandler()]
    if load().log == "json":
        targets = [logging.StreamHandler()]
        lines.setFormatter(JsonFormatter())
        logging.getLogger("app").setLevel(logging.INFO)
        for logger in (logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")):
            logger.handlers, logger.propagate = [], True
    listener = QueueListener(lines.queue, *targets)
    root.handlers = [lines]
    listener.start()
    atexit.register(listener.stop)
