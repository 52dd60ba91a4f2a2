"""A kit on the room's network: its files, from any byte on, and nothing else."""

import html
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from app import kit as bundle
from app.cli.commands import cli
from app.kit import Kit, use
from app.models.catalogue import load_catalogue
from tests.support.runtime import SMALL


@contextmanager
def offered(kit: Path, port: int) -> Iterator[bundle.Traffic]:
    counter = bundle.Traffic(bundle.application(kit)[0], lambda text: None)
    server = uvicorn.Server(uvicorn.Config(counter, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield counter
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def address(kit: Path, unused_port: int) -> Iterator[str]:
    with offered(kit, unused_port):
        yield f"http://127.0.0.1:{unused_port}"


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def test_a_file_can_be_had_from_any_byte_on(kit: Path, address: str) -> None:
    whole = (kit / "use.pyz").read_bytes()

    assert get(f"{address}/use.pyz") == (200, whole)
    assert get(f"{address}/use.pyz", Range="bytes=1000-") == (206, whole[1000:])


@pytest.mark.parametrize(
    "path", ["secret.txt", "../secret.txt", "%2e%2e/secret.txt", "models", "wheels/", "//etc/passwd"]
)
def test_what_is_not_listed_is_not_there(path: str, kit: Path, address: str) -> None:
    for folder in (kit, kit.parent):
        (folder / "secret.txt").write_text("mine", encoding="utf-8")

    assert get(f"{address}/{path}")[0] == 404


def test_nothing_can_be_written(address: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{address}/kit.json", b"x", method=method), timeout=10)
        with refused.value as answer:
            assert answer.code == 405


def test_models_come_over_the_network_and_each_machine_is_counted(kit: Path, unused_port: int, tmp_path: Path) -> None:
    with offered(kit, unused_port) as counter:
        read = Kit(f"http://127.0.0.1:{unused_port}/", Kit(str(kit)).digest)
        cache = tmp_path / "cache"
        use.copy_models(read, cache)

    assert {key for key, model in load_catalogue(cache).items() if model.here} == {SMALL.id}
    assert counter.bytes["127.0.0.1"] > sum(path.stat().st_size for path in cache.rglob("*.onnx"))


@pytest.mark.slow
def test_the_line_of_the_page_runs_where_nothing_but_python_is(address: str, tmp_path: Path) -> None:
    page = html.unescape(get(address)[1].decode())
    code = re.findall(r'python3 -c "(.*)" http', page)[0]
    assert re.search(r"<code>[0-9a-f]{64}</code>", page)

    done = subprocess.run(
        [sys.executable, "-I", "-c", code, address, "--sum", "0123"],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip

    assert f"The kit at {address} has the checksum" in done.stderr


def test_a_host_that_is_markup_is_shown_as_text(address: str) -> None:
    assert b"<script>" not in get(address, Host="<script>")[1]


def test_what_is_no_kit_is_not_offered(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["kit", "serve", str(tmp_path)])

    assert result.exit_code == 1
    assert "There is no readable kit at" in result.output


def test_every_address_of_this_machine_is_named() -> None:
    assert bundle.addresses("127.0.0.1", 8080) == ["http://127.0.0.1:8080"]
    assert "http://127.0.0.1:8080" in bundle.addresses("0.0.0.0", 8080)
