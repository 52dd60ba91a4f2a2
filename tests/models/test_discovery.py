"""The output of three programs named `foundry` is parsed, and none of them does harm."""

import os
import stat
import time
from pathlib import Path

import pytest

from app.models import discovery

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")


def program(folder: Path, script: str) -> str:
    """A program named `foundry`."""
    path = folder / "foundry"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


CURRENT = """
[ "$*" = "server status -o json" ] || exit 2
echo 'Checking ...'
echo '{"running":true,"state":"ready","pid":2828,"webUrls":["http://127.0.0.1:58082/"]}'
"""


def test_the_current_command_line_answers_in_json(tmp_path: Path) -> None:
    assert discovery.service_address(program(tmp_path, CURRENT)) == "http://127.0.0.1:58082"


@pytest.mark.parametrize(
    "script",
    [
        "echo 'foundry 1.0: an IDE toolbox'; exit 1",
        "exit 0",
        "echo 'forge, cast, anvil'",
        "head -c 200000 /dev/zero | tr '\\0' x",
        "printf '\\377\\376{}'",
        "cat; echo '{'",
        """echo '{"running":false,"state":"initializing"}'""",
        """echo '{"running":true,"webUrls":[]}'""",
        """echo '{"running":true}'""",
        """echo '["http"]'""",
    ],
)
def test_another_program_of_that_name_gives_no_address(script: str, tmp_path: Path) -> None:
    assert discovery.service_address(program(tmp_path, script)) is None


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "COMMAND_SECONDS", 0.2)
    begun = time.monotonic()
    # The child of the shell outlives it and keeps what it printed open.
    assert discovery.service_address(program(tmp_path, "sleep 5 & sleep 5")) is None
    assert time.monotonic() - begun < 3


def test_a_program_that_cannot_be_run_gives_no_address(tmp_path: Path) -> None:
    (tmp_path / "foundry").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "foundry").chmod(0o755)
    assert discovery.service_address(str(tmp_path / "foundry")) is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:5273", "http://127.0.0.1:5273/", "http://127.0.0.1:5273/v1", " http://127.0.0.1:5273/v1/ "],
)
def test_an_endpoint_may_be_given_with_and_without_v1(url: str) -> None:
    assert discovery.root_of(url) == "http://127.0.0.1:5273"


OLD = """
[ "$1" = service ] || { echo "Unrecognized command or argument 'server'." >&2; exit 1; }
echo '\U0001f7e2 Model management service is running on http://127.0.0.1:5273/openai/status'
"""


@pytest.mark.parametrize(
    ("script", "current"),
    [
        (CURRENT, True),
        ("""echo '{"running":false,"state":"initializing"}'""", True),
        ("""echo '{"running":false,"state":"initializing"}'; exit 1""", True),
        (OLD, False),
        ("echo 'error: unrecognized subcommand, did you mean forge?' >&2; exit 2", False),
        ("echo 'foundry 1.0: an IDE toolbox'; exit 1", False),
    ],
)
def test_a_program_named_foundry_is_identified_by_its_status(script: str, current: bool, tmp_path: Path) -> None:
    assert (discovery.service_status(program(tmp_path, script)) is not None) == current
