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

from app.kit import carry
from app.kit.carry import Damaged, Problem, allowed, bring, long_name, retried, room

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
    monkeypatch.setattr(carry, "PAUSES", (0, 0, 0, 0))
    with Breaking([]) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()


def test_a_file_that_is_there_is_not_copied_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"

    assert bring(str(source), target, len(DATA), SUM)
    assert not bring(str(source), target, len(DATA), SUM)
    assert target.read_bytes() == DATA


def test_a_copy_goes_on_where_it_stopped(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target.part").write_bytes(DATA[:3_000_000])
    steps: list[int] = []

    bring(str(source), tmp_path / "target", len(DATA), SUM, done=steps.append)

    assert steps[0] == 3_000_000
    assert sum(steps) == len(DATA)
    assert (tmp_path / "target").read_bytes() == DATA
    assert not (tmp_path / "target.part").exists()


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 9)])
def test_a_part_that_is_of_something_else_is_copied_anew(part: bytes, source: Path, tmp_path: Path) -> None:
    (tmp_path / "target.part").write_bytes(part)

    bring(str(source), tmp_path / "target", len(DATA), SUM)

    assert (tmp_path / "target").read_bytes() == DATA


def test_a_damaged_source_is_an_error_and_leaves_what_was_there(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    source.write_bytes(DATA[:-1] + b"?")

    with pytest.raises(Damaged):
        bring(str(source), tmp_path / "target", len(DATA), SUM)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert not (tmp_path / "target.part").exists()


def test_a_server_that_breaks_off_is_asked_for_the_rest(server: Breaking, tmp_path: Path) -> None:
    server.breaks += [1_000_000, 1_000_000, 2_500_000]

    bring(f"http://127.0.0.1:{server.server_port}/x", tmp_path / "target", len(DATA), SUM)

    assert server.starts == [0, 1_000_000, 1_000_000, 2_500_000]
    assert (tmp_path / "target").read_bytes() == DATA


def test_a_server_that_is_gone_is_named_with_what_to_do(unused_port: int, server: Breaking, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"cannot be copied .* Run this again; it goes on there"):
        bring(f"http://127.0.0.1:{unused_port}/x", tmp_path / "target", 10, SUM)


class Held(PermissionError):
    winerror = 32


def test_a_file_that_another_program_holds_is_waited_for_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(carry, "SCAN_AFTER", 0.15)
    tries: list[int] = []

    def action() -> str:
        tries.append(1)
        if len(tries) < 5:
            raise Held(13, "held")
        return "done"

    assert retried(action) == "done"
    assert capsys.readouterr().out.count("antivirus") == 1


def test_a_file_that_is_held_for_good_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "HELD_FOR", 0.2)

    def action() -> None:
        raise Held(13, "held")

    with pytest.raises(Held):
        retried(action)


def test_what_is_forbidden_for_another_reason_is_not_tried_again() -> None:
    tries: list[int] = []

    def action() -> None:
        tries.append(1)
        raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        retried(action)
    assert len(tries) == 1


def test_a_disk_that_is_full_is_said(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(carry, "opened", lambda *given: (Full(), 0))

    with pytest.raises(Problem, match=r"The disk of .* is full\. Free"):
        bring(str(source), tmp_path / "target", len(DATA), SUM)
    with pytest.raises(Problem, match="FAT32"):
        bring(str(source), tmp_path / "target", 5_000_000_000, SUM)


def test_what_no_disk_has_room_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))

    room({tmp_path / "a" / "b": 2_000_000, tmp_path: 3_000_000})
    with pytest.raises(Problem, match="has 5 MB free, and 6 MB are needed"):
        room({tmp_path / "a" / "b": 3_000_000, tmp_path: 3_000_000})


@pytest.mark.parametrize("path", ["a/b.md", "corpus/Änderung.pdf", "a/.chainlit/x", "console.txt", "a b/c"])
def test_names_that_every_system_can_hold(path: str) -> None:
    assert allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "C:/x",
        "a\\b",
        "a/con",
        "NUL.txt",
        "a/COM1",
        "x.",
        "x ",
        "a?",
        "a\n",
    ],
)
def test_names_that_leave_the_folder_or_that_some_system_cannot_hold(path: str) -> None:
    assert not allowed(path)


def test_long_names_on_windows() -> None:
    assert long_name("C:\\kit\\x") == "\\\\?\\C:\\kit\\x"
    assert long_name("\\\\server\\share\\x") == "\\\\?\\UNC\\server\\share\\x"
    assert long_name(long_name("C:\\kit")) == long_name("C:\\kit")
