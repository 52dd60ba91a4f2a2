"""Child processes that run a module of ours: start one, confine it, end it. It does not know what they do."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any, BinaryIO

import psutil

from app.files import ROOT

SECRETS = re.compile(r"KEY|SECRET|TOKEN|PASSW", re.IGNORECASE)
"""Names of environment variables whose values no document may read."""

Process = subprocess.Popen[bytes]


def start(module: str, *arguments: str, environment: dict[str, str], **options: Any) -> Process:
    """Start `python -P -X utf8 -m MODULE ARGUMENTS` in the project's folder; raises OSError.

    Its input and output are pipes and its errors are dropped, unless `options`, those of `Popen`, say otherwise.
    """
    command = [sys.executable, "-P", "-X", "utf8", "-m", module, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    options = {"cwd": ROOT} | pipes | options | detached(sys.platform)
    return subprocess.Popen(command, env=environment, **options)  # type: ignore[return-value] # noqa: S603


def environment(without: re.Pattern[str] | None = None, **variables: str) -> dict[str, str]:
    """Return this process's environment for a child: `variables` added, names in which `without` matches left out.

    `PYTHONPATH` begins with the project's folder, so that the child finds `app`.
    """
    kept = {name: value for name, value in os.environ.items() if without is None or not without.search(name)}
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    return kept | {"PYTHONPATH": path} | variables


def detached(platform: str) -> dict[str, Any]:
    """Return the arguments of `Popen` that keep Ctrl+C, and the end of the terminal, from a child; it has no window."""
    if platform == "win32":
        return {"creationflags": 0x08000000 | 0x00000200}  # CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP
    return {"start_new_session": True}


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move standard input and output out of reach of libraries that read or print, and return them."""
    moved = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return moved


def limit_memory(megabytes: int) -> None:
    """Make this process fail to allocate more than `megabytes` beyond what it has; no limit on Windows.

    Address space is limited, not memory in use: whoever started the process must also watch the latter.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = psutil.Process().memory_info().vms + megabytes * 1_000_000
    for what, most in (resource.RLIMIT_AS, limit), (resource.RLIMIT_CORE, 0):  # a core dump would hold a document
        with suppress(ValueError, OSError):  # where the system does not know this limit
            resource.setrlimit(what, (most, most))


def memory(process: Process) -> int:
    """Return the bytes of memory that a process has in use, 0 if it has ended."""
    try:
        return int(psutil.Process(process.pid).memory_info().rss)
    except psutil.Error:
        return 0


def kill(process: Process) -> None:
    """Kill a process and its children, without waiting; any thread may."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()


def end(process: Process, grace: float) -> None:
    """End a process by closing its standard input; kill it after `grace` seconds. Returns when it has ended."""
    assert process.stdin is not None
    with suppress(OSError):  # what was not sent cannot be
        process.stdin.close()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        kill(process)
        process.wait()
