"""The log in a thread: JSON lines on stderr, and a terminal that stands still holds nothing up."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from app import logs
from app.room import person, request
from tests.support.waiting import until


class Terminal(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on, self.full = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.full.set()
        self.goes_on.wait(10)
        return super().write(text)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """What may be stderr; afterwards the log is as it was."""
    root, app = logging.getLogger(), logging.getLogger("app")
    before, level = root.handlers, app.level
    yield (terminal := Terminal())
    terminal.goes_on.set()
    root.handlers = before
    app.setLevel(level)
    person.set("")
    request.set("")


def test_lines_are_json_and_neither_they_nor_too_many_of_them_wait_for_the_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_LOG", "json")
    monkeypatch.setattr(logs, "MOST_LINES", 5)
    monkeypatch.setattr(sys, "stderr", terminal)
    logs.start()
    person.set("Anna"), request.set("3f2a91")
    begun = time.monotonic()
    logging.getLogger("app.first").info("%s files", 3)
    assert terminal.full.wait(5)
    for _ in range(10):
        logging.getLogger("app.more").info("more", extra={"fields": {"mode": "auto"}})
    assert time.monotonic() - begun < 5

    terminal.goes_on.set()
    assert until(lambda: terminal.getvalue().count("\n") == 6, 5)
    first, *more = map(json.loads, terminal.getvalue().splitlines())
    assert (first["logger"], first["message"], first["request"]) == ("app.first", "3 files", "3f2a91")
    assert first["person"] not in ("", "Anna")
    assert [line["mode"] for line in more] == ["auto"] * 5
