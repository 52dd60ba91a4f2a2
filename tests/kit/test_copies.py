"""A file arrives whole or not at all, whatever breaks off and whoever holds it."""

import errno
import hashlib
import io
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import files
from app import kit as bundle
from app.kit import Damaged, KitError, check_room, copy
from tests.test_files import Held

DATA = bytes(range(256)) * 20_000
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


class Breaking(ThreadingHTTPServer):
    """Serves DATA from any byte on, and breaks the first answers off."""

    def __init__(self, breaks: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.breaks, self.starts = breaks, list[int]()


class Answer(BaseHTTPRequestHandler):
    server: Breaking

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        end = self.server.breaks.pop(0) if self.server.breaks else len(DATA)
        self.wfile.write(DATA[start:end])

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaking]:
    monkeypatch.setattr(bundle, "PAUSES", (0, 0, 0, 0))
    with Breaking([]) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()


def test_a_file_that_is_there_is_not_copied_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"

    copy(str(source), target, len(DATA), SUM)
    before = target.stat().st_mtime_ns
    source.unlink()
    copy(str(source), target, len(DATA), SUM)
    assert target.read_bytes() == DATA
    assert target.stat().st_mtime_ns == before


def test_a_copy_goes_on_where_it_stopped(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target.part").write_bytes(DATA[:3_000_000])
    steps: list[int] = []

    copy(str(source), tmp_path / "target", len(DATA), SUM, progress=steps.append)

    assert steps[0] == 3_000_000
    assert sum(steps) == len(DATA)
    assert (tmp_path / "target").read_bytes() == DATA
    assert not (tmp_path / "target.part").exists()


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 9)])
def test_a_part_that_is_of_something_else_is_copied_anew(part: bytes, source: Path, tmp_path: Path) -> None:
    (tmp_path / "target.part").write_bytes(part)

    copy(str(source), tmp_path / "target", len(DATA), SUM)

    assert (tmp_path / "target").read_bytes() == DATA


def test_a_damaged_source_is_an_error_and_leaves_what_was_there(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    source.write_bytes(DATA[:-1] + b"?")

    with pytest.raises(Damaged):
        copy(str(source), tmp_path / "target", len(DATA), SUM)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert not (tmp_path / "target.part").exists()


@pytest.mark.slow
def test_a_server_that_breaks_off_is_asked_for_the_rest(server: Breaking, tmp_path: Path) -> None:
    server.breaks += [1_000_000, 1_000_000, 2_500_000]

    copy(f"http://127.0.0.1:{server.server_port}/x", tmp_path / "target", len(DATA), SUM)

    assert server.starts == [0, 1_000_000, 1_000_000, 2_500_000]
    assert (tmp_path / "target").read_bytes() == DATA


@pytest.mark.slow
def test_a_server_that_is_gone_is_named_with_what_to_do(unused_port: int, server: Breaking, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"cannot be copied .* Run this again to continue"):
        copy(f"http://127.0.0.1:{unused_port}/x", tmp_path / "target", 10, SUM)


def test_a_copy_waits_for_a_file_that_another_program_holds_and_says_why(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "NOTICE", 0.15)
    refusals, real = [1] * 4, Path.replace

    def replace(self: Path, target: Path) -> Path:
        if refusals:
            refusals.pop()
            raise Held(13, "held")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    copy(str(source), tmp_path / "target", len(DATA), SUM)

    assert (tmp_path / "target").read_bytes() == DATA
    assert capsys.readouterr().out.count("antivirus") == 1


def test_a_file_that_is_held_for_good_is_given_up(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(self: Path, target: Path) -> Path:
        raise Held(13, "held")

    monkeypatch.setattr(bundle, "HELD_SECONDS", 0.2)
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Held):
        copy(str(source), tmp_path / "target", len(DATA), SUM)


def test_a_disk_that_is_full_is_said(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle, "open_from", lambda *given: Full())

    with pytest.raises(KitError, match=r"The disk of .* is full\. Free"):
        copy(str(source), tmp_path / "target", len(DATA), SUM)
    with pytest.raises(KitError, match="FAT32"):
        copy(str(source), tmp_path / "target", 5_000_000_000, SUM)


def test_nothing_is_begun_for_which_a_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))

    check_room(tmp_path / "a" / "b", 5_000_000)
    with pytest.raises(KitError, match="has 5 MB free, and 6 MB are needed"):
        check_room(tmp_path / "a" / "b", 6_000_000)
