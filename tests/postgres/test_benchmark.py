"""`escalator bench postgres`, small: the ten best places of the local index and of PostgreSQL are the same."""

import json

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from tests.support.postgres import Postgres


@pytest.mark.slow
def test_both_indexes_rank_generated_passages_alike(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_INDEX", server.address)

    done = CliRunner().invoke(cli, ["bench", "postgres", "--passages", "600", "--questions", "20", "--json"])

    result = json.loads(done.stdout)
    assert (result["asked"], result["agreement"], result["overlap"], result["first"]) == (20, 1.0, 1.0, 1.0)
    assert result["places"] > 150
    assert result["found_ms"] < 2000


@pytest.mark.slow
def test_pg_textsearch_names_the_passages_that_rank_best(extended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_INDEX", extended)

    done = CliRunner().invoke(cli, ["bench", "postgres", "--passages", "2000", "--questions", "50", "--json"])

    result = json.loads(done.stdout)
    assert "pg_textsearch" in result["server"]
    assert min(result["agreement"], result["overlap"], result["first"]) >= 0.98


def test_it_asks_for_the_address_of_a_server() -> None:
    done = CliRunner().invoke(cli, ["bench", "postgres"])

    assert (done.exit_code, "Set ESCALATOR_INDEX" in done.output) == (2, True)
