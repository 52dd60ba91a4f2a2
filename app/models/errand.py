"""One run of the process that asks the catalogue and fetches models, as its starter sees it."""

import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

from app.models import supervisor

FETCHER = (sys.executable, "-P", "-X", "utf8", "-m", "app.models.download_worker")

REPORT_SECONDS = 0.2
END_SECONDS = 5.0


class Errand:
    """A run of `app.models.download_worker`; a thread listens to it. What is public blocks."""

    def __init__(self, *arguments: str):
        self._said: dict[str, Any] = {}
        self._silent = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - our own module, run by our own interpreter
            [*FETCHER, *arguments],
            env=supervisor.environment(),  # with the user's proxy
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **supervisor.detached(sys.platform),
        )
        threading.Thread(target=self._listen, name="fetcher", daemon=True).start()

    def hear(self) -> dict[str, Any]:
        """All it has said, the last of each; waits a moment for more."""
        self._silent.wait(REPORT_SECONDS)
        return dict(self._said)

    def end(self) -> None:
        """Have it take note of what has arrived, and end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._silent.wait(END_SECONDS)

    def _listen(self) -> None:
        words = ""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    self._said |= json.loads(line)
                except (ValueError, TypeError):  # no line of its own, but one of the SDK
                    words = line.decode("utf-8", errors="replace").strip() or words
        self._process.wait()
        if not self._said.keys() & {"done", "damaged", "failed"} and not self._said.get("looked"):
            unsaid = "it names no model for this machine" if "looked" in self._said else "it ended without a word"
            self._said |= {"failed": words or unsaid}
        self._silent.set()
