"""Connections to PostgreSQL: which server is asked, how long it may take, and what is said if it does not answer."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.errors import IndexAway

CONNECT_SECONDS = 3
"""The longest wait for a connection to one server; libpq rounds less than 2 up."""

READ_SECONDS, WRITE_SECONDS = 5, 300
"""The longest wait for one statement; 20,000 rows for the extension took over 30 s on a busy machine."""

PAUSE_SECONDS = 5.0
"""Time after a failure in which no other question waits for a server that is away."""

AT_ONCE = 1.0
"""Seconds within which a connection fails that the server has closed, because it was restarted."""

KEPT = 8
"""Idle connections that are kept: as many questions as two processors can search for at once, and some more."""

LONGEST_CHANGE = 600
"""Seconds after which the server gives up a statement of a change by itself."""

_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds and tries after which a server that has vanished without a word is given up."""

_SPLIT = re.compile(r",(?=postgres(?:ql)?://)")

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which nothing waits for ever, also if the server is stopped or the network swallows it."""

    seconds: float = READ_SECONDS

    def execute(self, query: Any, params: Any = None, **named: Any) -> Any:
        """Execute a query in which a question mark stands for a value, as in those for SQLite."""
        return super().execute(query.replace("?", "%s") if params is not None else query, params, **named)

    def executemany(self, query: str, rows: Any) -> None:
        """Execute a query for each row."""
        self.cursor().executemany(query.replace("?", "%s"), rows)

    @property
    def in_transaction(self) -> bool:
        """Whether something was changed since the last commit."""
        return bool(self.execute("select txid_current_if_assigned() is not null").fetchone()[0])

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for what libpq does, no longer than `seconds`."""
        return super().wait(gen, interval, timeout or self.seconds)

    def __del__(self, *_: Any) -> None:
        """Close it: a connection ends with the corpus that it belongs to, which nobody closes."""
        self.close()


class Server:
    """The servers of an address: the one that takes writes, or for reading a replica if there is one.

    Raises IndexAway for all that goes wrong, and for a while at once.
    """

    def __init__(self, address: str, schema: str, *, writes: bool = False):
        self._address, self.schema, self._writes = address, schema, writes
        self._idle: list[Connection] = []
        self._failed: tuple[float, str] = (0.0, "")

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        """What libpq is told; several addresses are the hosts of one, which has the user and database of the first."""
        every = [conninfo_to_dict(each) for each in _SPLIT.split(self._address)]
        hosts = [str(each.get("host") or "localhost") for each in every]
        ports = [str(each.get("port") or "," * host.count(",")) for each, host in zip(every, hosts, strict=True)]
        given = {**every[0], "connect_timeout": CONNECT_SECONDS, "application_name": "escalator", **_KEEPALIVE}
        if "," not in (names := ",".join(hosts)):
            return given
        role = {"target_session_attrs": "read-write" if self._writes else "prefer-standby"}
        balance = {} if self._writes else {"load_balance_hosts": "random"}
        return {**given, "host": names, "port": ",".join(ports), **role, **balance}

    @property
    def name(self) -> str:
        """The servers and the database, without user and password."""
        with suppress(psycopg.Error):
            given = self._parameters
            hosts, ports = str(given.get("host") or "localhost").split(","), f"{given.get('port') or ''},".split(",")
            named = [f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=False)]
            return f"{', '.join(named)}/{given.get('dbname', '')}"
        return "?"

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that may be done twice, on a connection that no other thread uses meanwhile."""
        with self.checked():
            begun = time.monotonic()
            if (idle := self._taken()) is not None:
                try:
                    return self._done(idle, work)
                except psycopg.OperationalError:
                    if time.monotonic() - begun >= AT_ONCE:  # it is slow, and not what broke while nobody used it
                        raise
                    self.close()
            return self._done(self.connect(), work)

    def connect(self, *, changes: bool = False) -> Connection:
        """Connect to the server, to read or to change something; raises errors of psycopg."""
        connection = Connection.connect(**self._parameters, autocommit=True, prepare_threshold=None)
        seconds = LONGEST_CHANGE if changes else READ_SECONDS
        connection.execute(f"set search_path to {self.schema}, public; set statement_timeout to '{seconds}s'")
        connection.autocommit = not changes
        return connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (idle := self._taken()) is not None:
            idle.close()

    def _taken(self) -> Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Raise IndexAway for errors of psycopg, and after one for a while at once."""
        until, why = self._failed
        if time.monotonic() < until:
            raise self._away(why)
        try:
            yield
        except psycopg.Error as error:
            self.close()
            why = self._without_password(str(error).strip().partition("\n")[0]) or type(error).__name__
            logger.warning("the index in PostgreSQL at %s cannot be used: %s", self.name, why)
            self._failed = time.monotonic() + PAUSE_SECONDS, why
            raise self._away(why) from None

    def _done(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            result = work(connection)
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return result

    def _away(self, why: str) -> IndexAway:
        return IndexAway(
            "The index in PostgreSQL at {server} cannot be used ({reason}). Start the server, or correct or remove "
            "ESCALATOR_INDEX. Escalator tries again by itself.",
            server=self.name,
            reason=why,
        )

    def _without_password(self, text: str) -> str:
        """Return what libpq said, or nothing of it if it may quote a part of the address."""
        try:
            password = str(self._parameters.get("password") or "")
        except psycopg.Error:
            return "it is not an address such as postgresql://user:password@host:5432/database"
        return text.replace(password, "…").replace(quote(password, safe=""), "…") if password else text
