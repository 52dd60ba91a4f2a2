"""State files are whole at every moment, and readable by their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from app import files
from app.files import load_json, remove_json, save_state
from tests.test_files import Held


def test_an_object_that_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    save_state(path, {"root": "http://127.0.0.1:1", "name": "blåbær"})
    assert load_json(path) == {"root": "http://127.0.0.1:1", "name": "blåbær"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode; the user's folder keeps others out")
def test_only_the_owner_may_read_a_state_file(tmp_path: Path) -> None:
    save_state(tmp_path / "state.json", {})
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_file_reads_as_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(content)
    assert load_json(tmp_path / "state.json") is None


def test_a_sharing_violation_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([True, True, False])
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(refusals):
            raise Held(13, "The process cannot access the file because it is being used by another process")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_state(tmp_path / "state.json", {"a": 1})
    assert load_json(tmp_path / "state.json") == {"a": 1}


@pytest.mark.slow
def test_a_file_that_stays_in_use_is_an_error_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(self: Path, target: Path) -> Path:
        raise Held(13, "in use")

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "PATIENCE", 0)
    with pytest.raises(PermissionError):
        save_state(tmp_path / "state.json", {"a": 1})
    assert not list(tmp_path.glob("state.json*"))


def test_only_a_file_that_still_holds_the_object_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save_state(path, {"pid": 2})
    remove_json(path, {"pid": 1})
    assert path.exists()
    remove_json(path, {"pid": 2})
    assert not path.exists()
    remove_json(path, {"pid": 2})
