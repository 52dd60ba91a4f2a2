"""The addresses behind a role: which of them is asked next, which have failed, and what to say if none answers."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from app.errors import NoModel
from app.models.server import Connect, NotAModelServer, Server, Service, Source, Unreachable, identify
from app.settings import Settings, is_loopback
from app.translation import _

PAUSE_SECONDS = 15.0
"""After a failure, in which an address is asked only if no other one answers: a server restarts in less."""


class Endpoint:
    """The servers at the addresses that a setting names; each is looked at before its first use, and after a failure.

    An address of this machine is `here`; of the others, nothing private may be asked.
    """

    def __init__(self, setting: Source, roots: Sequence[str], connect: Connect) -> None:
        self.setting, self.roots, self._connect = setting, roots, connect
        self.here = [root for root in roots if is_loopback(root)]
        self._servers: dict[str, Server] = {}
        self._failed: dict[str, float] = {}
        self._running: Counter[str] = Counter()

    @property
    def service(self) -> Service:
        """The address that is asked next, as far as is known."""
        return Service(self._order(self.roots)[0], self.setting)

    async def server(self, *, private: bool = False) -> Server:
        """Return the least loaded server that answers, for what is `private` one of this machine; raises NoModel."""
        problems: dict[str, str] = {}
        while left := self._order(it for it in (self.here if private else self.roots) if it not in problems):
            if (root := left[0]) in self._servers:
                return self._servers[root]
            try:
                self._servers[root] = await identify(self._connect(root, self.setting), self.setting)
            except (Unreachable, NotAModelServer) as error:
                self.fail(root)
                why = _("nothing answers") if isinstance(error, Unreachable) else str(error)
                problems[root] = f"{Service(root, self.setting).host}: {why}"
        raise NoModel(
            "There is no model server where {setting} says ({problems}). Start one there, or correct {setting}.",
            setting=self.setting,
            problems="; ".join(problems.values()),
        )

    def fail(self, root: str, *, private: bool = False) -> bool:
        """Ask the other addresses first for a while, and look at each of them again before it is used.

        Returns whether there is one that has not failed.
        """
        self._failed[root] = time.monotonic()
        self._servers.clear()
        return not all(map(self._paused, self.here if private else self.roots))

    @contextmanager
    def running(self, root: str) -> Iterator[None]:
        """Count a request, by which the least loaded address is known."""
        self._running[root] += 1
        try:
            yield
        finally:
            self._running[root] -= 1

    def _order(self, roots: Iterable[str]) -> list[str]:
        return sorted(roots, key=lambda root: (self._paused(root), self._running[root]))

    def _paused(self, root: str) -> bool:
        return time.monotonic() - self._failed.get(root, float("-inf")) < PAUSE_SECONDS


def endpoints(settings: Settings, connect: Connect) -> dict[str, Endpoint]:
    """Return the endpoints of the roles that have one; roles with equal ones share it."""
    names: dict[str, Source] = {"small": "SLM_ENDPOINT", "large": "LLM_ENDPOINT"}
    given = {role: settings.addresses(role) for role in names}
    made = {role: Endpoint(names[role], roots, connect) for role, roots in given.items() if roots}
    if len(made) == 2 and settings.small_key == settings.large_key and made["small"].roots == made["large"].roots:
        made["large"] = made["small"]
    return made
