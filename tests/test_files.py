"""Files on every system: names, files that other programs hold, JSON that is never half written."""

import hashlib
import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from app import files
from app.files import extended, is_portable, is_reserved, load_json, remove_json, retry, sha256, write_json


class Held(PermissionError):
    """What Windows raises for a file that another program has open."""

    winerror = 32


@pytest.mark.parametrize("name", ["con", "NUL.txt", "COM1", "lpt¹.md", "aux .txt", "CONIN$"])
def test_names_of_windows_devices_are_reserved_whatever_the_ending(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["console.txt", "null.md", "com.txt", "lpt10.md", "nulls"])
def test_names_that_only_begin_like_a_device_are_not_reserved(name: str) -> None:
    assert not is_reserved(name)


@pytest.mark.parametrize("path", ["a/b.md", "corpus/Änderung.pdf", "a/.chainlit/x", "console.txt", "a b/c"])
def test_a_portable_path_can_exist_on_every_system(path: str) -> None:
    assert is_portable(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "../x", "a/../b", "a//b", "C:/x", "a\\b"),
        *("a/con", "NUL.txt", "a/COM1", "x.", "x ", "a?", "a\n", "a/conout$", "x\ud800"),
    ],
)
def test_a_path_that_leaves_its_folder_or_that_some_system_refuses_is_not_portable(path: str) -> None:
    assert not is_portable(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"C:\Users\Ada\corpus", r"\\?\C:\Users\Ada\corpus"),
        (r"\\server\share\corpus", r"\\?\UNC\server\share\corpus"),
        (r"\\?\C:\corpus", r"\\?\C:\corpus"),
        (r"\\?\UNC\server\share", r"\\?\UNC\server\share"),
    ],
)
def test_windows_paths_get_the_prefix_of_long_paths_once(path: str, expected: str) -> None:
    assert extended(path, "win32") == expected
    assert extended(expected, "win32") == expected


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_paths_of_other_systems_are_unchanged(platform: str) -> None:
    assert extended("/home/ada/corpus", platform) == "/home/ada/corpus"


def test_a_held_file_is_tried_again_until_it_is_free_and_the_reason_is_given_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "NOTICE", 0.15)
    refusals = [Held(13, "held")] * 4
    notices: list[str] = []

    def action() -> str:
        if refusals:
            raise refusals.pop()
        return "done"

    assert retry(action, 5, lambda: notices.append("antivirus")) == "done"
    assert notices == ["antivirus"]


def test_a_file_that_stays_held_raises_after_the_patience() -> None:
    def action() -> None:
        raise Held(13, "held")

    with pytest.raises(Held):
        retry(action, 0.05)


def test_a_refusal_for_another_reason_is_not_tried_again() -> None:
    tries: list[int] = []

    def action() -> None:
        tries.append(1)
        raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        retry(action)
    assert len(tries) == 1


def test_json_replaces_the_whole_file_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "list.json"

    write_json(path, {"a": 1})
    write_json(path, [1, "blåbær"])

    assert json.loads(path.read_text(encoding="utf-8")) == [1, "blåbær"]
    assert list(path.parent.iterdir()) == [path]
    write_json(path, {"name": "blåbær"})
    assert load_json(path) == {"name": "blåbær"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode; the user's folder keeps others out")
def test_json_that_is_not_shared_is_hidden_from_others(tmp_path: Path) -> None:
    for shared in (True, False):
        write_json(tmp_path / "x.json", {}, shared=shared)
        assert bool((tmp_path / "x.json").stat().st_mode & stat.S_IRGRP) is shared
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o600


def test_json_that_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})

    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})

    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"a": 1}
    assert [path.name for path in tmp_path.glob("x*")] == ["x.json"]


def test_json_waits_for_a_reader_that_holds_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals, real = [1, 1], Path.replace

    def replace(self: Path, target: Path) -> Path:
        if refusals:
            refusals.pop()
            raise Held(13, "The process cannot access the file because it is being used by another process")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    files.write_json(tmp_path / "x.json", {"a": 1})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_file_reads_as_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(content)
    assert load_json(tmp_path / "state.json") is None


@pytest.mark.slow
def test_a_file_that_stays_in_use_is_an_error_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(self: Path, target: Path) -> Path:
        raise Held(13, "in use")

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "PATIENCE", 0)
    with pytest.raises(PermissionError):
        write_json(tmp_path / "state.json", {"a": 1})
    assert not list(tmp_path.glob("state.json*"))


def test_only_a_file_that_still_holds_the_object_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"pid": 2})
    remove_json(path, {"pid": 1})
    assert path.exists()
    remove_json(path, {"pid": 2})
    assert not path.exists()
    remove_json(path, {"pid": 2})


def test_a_checksum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "x").write_bytes(data)

    assert sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("platform", "program"), [("linux", "xdg-open"), ("darwin", "open")])
def test_a_document_is_opened_in_the_program_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, program: str
) -> None:
    started = tmp_path / "started"
    opener = tmp_path / program
    opener.write_text(
        f'#!/bin/sh\nprintf %s "$1" > "{started}.part"; mv "{started}.part" "{started}"\n', encoding="utf-8"
    )
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")

    assert files.launch(tmp_path / "-plan.pdf", platform)
    end = time.monotonic() + 10
    while not started.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert started.read_text(encoding="utf-8") == str(tmp_path / "-plan.pdf")


def test_where_there_is_no_such_program_or_no_screen_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DISPLAY", ":0")
    assert not files.launch(Path("plan.pdf"), "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not files.launch(Path("plan.pdf"), "linux")


def test_windows_opens_a_document_by_its_own_function(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(os, "startfile", opened.append, raising=False)
    assert files.launch(Path("plan.pdf"), "win32")
    assert opened == [Path("plan.pdf")]
