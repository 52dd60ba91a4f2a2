"""Child processes of ours: how they start, what they are given, what confines them and how they end."""

import os
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from app import processes
from app.settings import ROOT


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """Write a module that a child process finds; return its name."""
    (folder / "child_of_a_test.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "child_of_a_test"


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_module_runs_with_its_arguments_and_answers_in_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "import app, sys; print(sys.argv[1], sys.stdin.read())")
    with processes.start(name, "Grüße", environment=processes.environment(), cwd=tmp_path) as process:
        out, _ = process.communicate("你好".encode())
    assert out.decode().split() == ["Grüße", "你好"]


def test_the_folder_a_process_starts_in_is_not_searched_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "child_of_a_test.py").write_text("print('mine')", encoding="utf-8")
    process = processes.start("child_of_a_test", environment=processes.environment(), cwd=tmp_path)
    assert process.communicate()[0] == b""
    assert process.returncode == 1


def test_the_environment_is_that_of_this_process_without_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "sesame")
    monkeypatch.setenv("chainlit_auth_secret", "sesame")
    monkeypatch.setenv("LAMP", "lit")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    given = processes.environment(processes.SECRETS, CI="true")
    assert given["LAMP"] == "lit"
    assert given["CI"] == "true"
    assert given["PYTHONPATH"] == f"{ROOT}{os.pathsep}elsewhere"
    assert "sesame" not in given.values()
    assert "LAMP" not in processes.environment(re.compile("^lamp$", re.IGNORECASE))
    assert "API_KEY" in processes.environment()


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("win32", {"creationflags": 0x08000000 | 0x00000200}),
        ("linux", {"start_new_session": True}),
        ("darwin", {"start_new_session": True}),
    ],
)
def test_a_process_is_kept_from_the_terminal(platform: str, expected: dict[str, object]) -> None:
    assert processes.detached(platform) == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_confined_process_cannot_allocate_beyond_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """if 1:
        from app import processes
        processes.limit_memory(100)
        held = bytearray(50_000_000)
        try:
            bytearray(200_000_000)
        except MemoryError:
            print("refused")
    """
    name = module(tmp_path, monkeypatch, code)
    with processes.start(name, environment=processes.environment()) as process:
        assert process.communicate()[0].split() == [b"refused"]


def test_memory_in_use_is_measured_and_none_is_used_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module(tmp_path, monkeypatch, "print(1, flush=True); input()")
    process = processes.start(name, environment=processes.environment())
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.memory(process) > 1_000_000
        process.kill()
    assert processes.memory(process) == 0


def test_a_process_that_ends_with_its_standard_input_is_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module(tmp_path, monkeypatch, "import sys; sys.stdin.read(); print('saved')")
    process = processes.start(name, environment=processes.environment())
    processes.end(process, 20)
    assert process.returncode == 0
    assert process.stdout is not None
    with process.stdout as out:
        assert out.read().split() == [b"saved"]


@pytest.mark.slow
def test_a_process_that_does_not_end_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """if 1:
        import subprocess, sys, time
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
        time.sleep(60)
    """
    name = module(tmp_path, monkeypatch, code)
    process = processes.start(name, environment=processes.environment())
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert not gone(child)
        begun = time.monotonic()
        processes.end(process, 0.1)
        assert time.monotonic() - begun < 10
        assert process.returncode
    end = time.monotonic() + 10
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert gone(child)


def test_a_module_that_is_missing_ends_by_itself() -> None:
    process = processes.start("app.no_such_module", environment=processes.environment(), stdin=subprocess.DEVNULL)
    assert process.communicate()[0] == b""
    assert process.returncode == 1
