"""The wait of a turn for the model server: how long it takes, and what it is told meanwhile."""

import asyncio
import sys
import time

from app.errors import NoModel
from app.models.foundry import Foundry
from app.models.server import Notify
from app.translation import _, mark

PROGRESS_SECONDS = 0.5
"""Interval between two looks at what a look-up is doing."""

SLOW_SECONDS = 8.0
STARTING = mark("Starting Foundry Local")
SLOW = mark(
    "Foundry Local is slow to start. An antivirus program may be checking its new files, which happens once: wait, or "
    "exclude {folder} from its checks"
)
"""What is being waited for, in the first SLOW_SECONDS and after them."""


class ServerLookup:
    """A look-up of the model server, begun with this object and awaited when a model is needed.

    `patience` is the wait in seconds, None for the whole look-up; a runtime that is being started is always waited for.
    """

    def __init__(self, foundry: Foundry, patience: float | None) -> None:
        self._foundry, self._patience = foundry, patience
        self._task = asyncio.ensure_future(foundry.find())
        self._task.add_done_callback(lambda done: done.cancelled() or done.exception())  # `wait` raises it

    @property
    def uncertain(self) -> bool:
        """Whether it is still open if any server will answer."""
        return not (self._task.done() or self._starting)

    async def wait(self, notify: Notify) -> None:
        """Wait for the server, a moment only if a role has another one; raises NoModel."""
        message, timeout = "", self._patience or PROGRESS_SECONDS
        while not (await asyncio.wait([self._task], timeout=timeout))[0]:
            now = self._starting or message
            if not now and self._patience is not None:
                if self._foundry.endpoints:
                    return
                raise NoModel("Escalator is still looking for Foundry Local. Ask again in a moment.")
            now, timeout = now or _("Looking for Foundry Local"), PROGRESS_SECONDS
            if now != message:
                notify(message := now)
        self._task.result()

    @property
    def _starting(self) -> str:
        """A sentence about a runtime with models that is being started, which a turn waits for; else empty."""
        if self._foundry.starting_since is None:
            return ""
        soon = time.monotonic() - self._foundry.starting_since < SLOW_SECONDS
        return _(STARTING) if soon else _(SLOW, folder=sys.prefix)
