"""Connections to PostgreSQL: which server is asked, how long it may take, and what is said if it does not answer."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

_LIMITS: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "escalator"}
_LIMITS |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""What each connection is given: a server that has vanished without a word is given up, too."""

_PRIMARY = {"target_session_attrs": "read-write"}
_REPLICA = {"target_session_attrs": "prefer-standby", "load_balance_hosts": "random"}
"""Which one of several servers is asked, to change something or to read."""

_SPLIT = re.compile(r",(?=postgres(?:ql)?://)")
_HOSTS = re.compile(r"(?<=://)(?:[^/?]*@)?([^/?]*)")

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
        """Close it: a connection ends when nobody keeps it any more."""
        self.close()


class Server:
    """The servers of an address: the one that takes writes, or for reading a replica if there is one.

    Raises IndexAway for all that goes wrong, and for a while at once.
    """

    def __init__(self, address: str, schema: str, *, writes: bool = False):
        """Take several addresses as the hosts of one, which has the user and the database of the first."""
        self.schema = schema
        self._idle: list[Connection] = []
        self._failed: tuple[float, str] = (0.0, "")
        first, *others = _SPLIT.split(address)
        hosts = [host for each in others for host in _HOSTS.findall(each)]
        try:
            given = conninfo_to_dict(_HOSTS.sub(lambda found: ",".join([found[0], *hosts]), first))
        except psycopg.Error:  # whose text may quote a part of the address
            raise _away("?", "it is not an address such as postgresql://user:password@host:5432/database") from None
        self._parameters = given | _LIMITS
        if "," in str(given.get("host")):
            self._parameters |= _PRIMARY if writes else _REPLICA
        named = ", ".join([*_HOSTS.findall(first), *hosts]) or given.get("host", "localhost")
        self.name = f"{named}/{given.get('dbname', '')}"
        """The servers and the database, without user and password."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that may be done twice, on a connection that no other thread uses meanwhile."""
        with self.checked():
            begun = time.monotonic()
            try:
                return self._done(work)
            except psycopg.OperationalError:
                if time.monotonic() - begun >= AT_ONCE:  # it is slow, and not what broke while nobody used it
                    raise
                self._idle.clear()
            return self._done(work)

    def connect(self, *, changes: bool = False) -> Connection:
        """Connect to the server, to read or to change something; raises errors of psycopg."""
        connection = Connection.connect(**self._parameters, autocommit=True, prepare_threshold=None)
        seconds = LONGEST_CHANGE if changes else READ_SECONDS
        connection.execute(f"set search_path to {self.schema}, public; set statement_timeout to '{seconds}s'")
        connection.autocommit, connection.isolation_level = not changes, psycopg.IsolationLevel.REPEATABLE_READ
        return connection

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Raise IndexAway for errors of psycopg, and after one for a while at once."""
        until, why = self._failed
        if time.monotonic() < until:
            raise _away(self.name, why)
        try:
            yield
        except psycopg.Error as error:
            self._idle.clear()
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            if password := str(self._parameters.get("password") or ""):
                why = why.replace(password, "…").replace(quote(password, safe=""), "…")
            logger.warning("the index in PostgreSQL at %s cannot be used: %s", self.name, why)
            self._failed = time.monotonic() + PAUSE_SECONDS, why
            raise _away(self.name, why) from None

    def _done(self, work: Callable[[Connection], T]) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connect()
        try:
            result = work(connection)
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < KEPT:
            self._idle.append(connection)
        return result


def _away(server: str, why: str) -> IndexAway:
    return IndexAway(
        "The index in PostgreSQL at {server} cannot be used ({reason}). Start the server, or correct or remove "
        "ESCALATOR_INDEX. Escalator tries again by itself.",
        server=server,
        reason=why,
    )
